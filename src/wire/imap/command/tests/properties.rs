use proptest::prelude::*;

use super::*;

/// Octets that are likely to mean something.
fn likely() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        Just("a ".to_owned()),
        Just("\r\n".to_owned()),
        proptest::sample::select(Spec::all().iter().map(|spec| spec.name.to_owned()).collect::<Vec<_>>()),
        proptest::sample::select(grammar::valid().iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()),
        "[ (){}~\"\\\\+*%<>\\[\\]\\x00\\r\\n\\t&0-9a-zA-Z]{0,6}",
        "\\{[0-9]{1,21}\\+?\\}\r\n",
    ];
    proptest::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.join(" ").into_bytes())
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..80), likely in likely()) {
        for input in [octets, likely] {
            drop(parse(&input));
            for enclosure in [Enclosure::None, Enclosure::Utf8, Enclosure::Catenate] {
                drop(parse_append_more(&input, enclosure));
            }
        }
    }

    #[test]
    fn a_valid_command_cut_anywhere_is_never_complete(text in proptest::sample::select(grammar::valid()), at in any::<prop::sample::Index>()) {
        let input = line(&format!("a {text}"));
        let cut = &input[..at.index(input.len())];
        prop_assert!(parse(cut).is_err());
    }

    #[test]
    fn one_octet_changed_keeps_every_span_within_the_input(
        text in proptest::sample::select(grammar::valid()),
        at in any::<prop::sample::Index>(),
        octet in any::<u8>(),
    ) {
        let mut input = line(&format!("a {text}"));
        let index = at.index(input.len());
        input[index] = octet;
        if let Ok(command) = parse(&input) {
            prop_assert!(command.secrets.iter().all(|span| span.end <= input.len()));
            prop_assert!(command.literals.iter().all(|literal| literal.octets.end <= input.len()));
        }
    }

    #[test]
    fn literal_and_quoted_forms_have_equal_values(user in "[ -~é]{0,12}", password in "[ -~é]{0,12}") {
        let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let literal = |text: &str, plus: &str| format!("{{{}{plus}}}\r\n{text}", text.len());
        let quoted = accepted(&format!("a LOGIN {} {}", quote(&user), quote(&password)));
        for plus in ["", "+"] {
            let other = accepted(&format!("a LOGIN {} {}", literal(&user, plus), literal(&password, plus)));
            prop_assert_eq!(&other.details, &quoted.details);
        }
        prop_assert_eq!(quoted.details, Details::Login { user });
    }

    #[test]
    fn mailbox_names_have_equal_values_in_both_forms(name in "[A-Za-z0-9/. ]{1,12}") {
        let quoted = accepted(&format!("a SELECT \"{name}\""));
        let literal = accepted(&format!("a SELECT {{{}+}}\r\n{name}", name.len()));
        prop_assert_eq!(quoted.mailboxes, literal.mailboxes);
    }
}
