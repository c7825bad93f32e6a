//! Guesses at what was meant.

/// The word nearest to `wrong`, if one is near enough to have been meant.
pub(super) fn nearest<'a>(wrong: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(wrong);
    let allowed = (folded.chars().count() / 3).clamp(1, 3);
    words
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&folded, &fold(word)), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Words in a row, each between backticks.
pub(super) fn list<S: AsRef<str>>(words: &[S]) -> String {
    words.iter().map(|word| format!("`{}`", word.as_ref())).collect::<Vec<_>>().join(", ")
}

/// What other programs call the things that have a word here.
pub(super) fn alias(wrong: &str, words: &[&'static str]) -> Option<&'static str> {
    const ALIASES: &[(&str, &str)] = &[
        ("ssl", "implicit"),
        ("tls", "implicit"),
        ("on", "implicit"),
        ("yes", "implicit"),
        ("ssl/tls", "implicit"),
        ("stls", "starttls"),
        ("explicit", "starttls"),
        ("off", "none"),
        ("no", "none"),
        ("plain", "none"),
        ("clear", "none"),
        ("imaps", "imap"),
        ("imap4", "imap"),
        ("pop", "pop3"),
        ("pop3s", "pop3"),
        ("block", "deny"),
        ("reject", "deny"),
        ("refuse", "deny"),
        ("permit", "allow"),
        ("accept", "allow"),
        ("monitor", "observe"),
        ("passive", "observe"),
        ("strict", "enforce"),
        ("write", "file"),
        ("delete", "destroy"),
        ("fetch", "download"),
        ("retr", "download"),
        ("login", "authenticate"),
        ("idle", "push"),
        ("store", "flag"),
        ("expunge", "delete"),
    ];
    let folded = wrong.to_lowercase();
    let meant = ALIASES.iter().filter(|(other, _)| *other == folded).map(|(_, word)| *word);
    meant.into_iter().find(|word| words.contains(word))
}

fn fold(text: &str) -> String {
    text.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_only_what_is_near() {
        let words = ["address", "protocol", "tls", "upstream"];
        for (wrong, meant) in [
            ("adress", Some("address")),
            ("Upsteam", Some("upstream")),
            ("tsl", Some("tls")),
            ("porotcol", Some("protocol")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(nearest(wrong, words), meant, "{wrong}");
        }
    }
}
