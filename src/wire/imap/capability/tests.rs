use super::*;

fn rules() -> Rules<'static> {
    Rules {
        unknown: Unknown::Hide,
        client_tls: ClientTls::Up,
        hide: &[],
        allow: &[],
        scram_plus: false,
        compress: false,
    }
}

fn filtered(rules: Rules<'_>, list: &str) -> String {
    String::from_utf8(rules.filter(list.as_bytes()).octets).expect("ASCII in, ASCII out")
}

#[test]
fn every_row_says_what_is_done_with_a_name() {
    for (name, shown) in [
        ("IMAP4rev1", Shown::Pass),
        ("imap4REV2", Shown::Pass),
        ("AUTH=PLAIN", Shown::Pass),
        ("AUTH=SCRAM-SHA-256", Shown::Pass),
        ("APPENDLIMIT=35651584", Shown::Pass),
        ("RIGHTS=texk", Shown::Pass),
        ("QUOTA=RES-STORAGE", Shown::Pass),
        ("I18NLEVEL=1", Shown::Pass),
        ("UTF8=ONLY", Shown::Pass),
        ("X-GM-EXT-1", Shown::Pass),
        ("STARTTLS", Shown::Own),
        ("LoginDisabled", Shown::Own),
        ("LITERAL+", Shown::Own),
        ("literal-", Shown::Own),
        ("AUTH=SCRAM-SHA-256-PLUS", Shown::Hide),
        ("AUTH=GSSAPI", Shown::Hide),
        ("AUTH=GSS-SPNEGO", Shown::Hide),
        ("AUTH=NTLM", Shown::Hide),
        ("AUTH=DIGEST-MD5", Shown::Hide),
        ("AUTH=KERBEROS_V4", Shown::Hide),
        ("auth=external", Shown::Hide),
        ("AUTH=X-OWN", Shown::Hide),
        ("COMPRESS=DEFLATE", Shown::Hide),
        ("UNAUTHENTICATE", Shown::Hide),
        ("X-UNAUTHENTICATE", Shown::Hide),
        ("URLAUTH", Shown::Hide),
        ("URLAUTH=BINARY", Shown::Hide),
        ("CONVERT", Shown::Hide),
        ("LOGIN-REFERRALS", Shown::Hide),
        ("MAILBOX-REFERRALS", Shown::Hide),
        ("JMAPACCESS", Shown::Hide),
        ("XAPPLEPUSHSERVICE", Shown::Hide),
        ("X-NETSCAPE", Shown::Hide),
        ("CATENATE", Shown::Hide),
        ("MULTISEARCH", Shown::Hide),
        ("CONTEXT=SEARCH", Shown::Hide),
        ("UIDONLY", Shown::Hide),
        ("IMAPSIEVE=sieve.example.com", Shown::Hide),
        ("FILTERS", Shown::Hide),
        ("XSTOP", Shown::Hide),
    ] {
        assert_eq!(rules().show(name), shown, "{name}");
    }
}

#[test]
fn filtering_keeps_octets_and_order_of_what_stays() {
    let list = "IMAP4rev1 sasl-ir COMPRESS=DEFLATE Idle LITERAL- XFOO AUTH=plain";
    let filtered = rules().filter(list.as_bytes());
    assert_eq!(String::from_utf8_lossy(&filtered.octets), "IMAP4rev1 sasl-ir Idle LITERAL+ AUTH=plain");
    assert_eq!(filtered.removed, ["COMPRESS=DEFLATE", "XFOO"]);
    assert!(filtered.changed);
}

#[test]
fn a_list_with_nothing_to_hide_is_not_changed() {
    let list = b"IMAP4rev1 LITERAL+ IDLE ";
    assert_eq!(
        rules().filter(list),
        Filtered { octets: list.to_vec(), changed: false, removed: vec![], scram_plus: false }
    );
}

#[test]
fn exactly_one_literal_capability_is_shown() {
    for (list, shown) in [
        ("IMAP4rev1", "IMAP4rev1 LITERAL+"),
        ("IMAP4rev1 ", "IMAP4rev1 LITERAL+ "),
        ("LITERAL- IMAP4rev1 LITERAL+", "LITERAL+ IMAP4rev1"),
        ("", "LITERAL+"),
    ] {
        assert_eq!(filtered(rules(), list), shown);
    }
}

#[test]
fn a_client_in_clear_is_offered_starttls_and_no_login() {
    let required = Rules { client_tls: ClientTls::Required, ..rules() };
    let list = "IMAP4rev1 AUTH=PLAIN AUTH=OAUTHBEARER SASL-IR";
    assert_eq!(filtered(required, list), "IMAP4rev1 SASL-IR LITERAL+ LOGINDISABLED STARTTLS");
    let server = "IMAP4rev1 STARTTLS LOGINDISABLED LITERAL+";
    assert_eq!(filtered(required, server), server);
    assert_eq!(filtered(rules(), server), "IMAP4rev1 LITERAL+");
    assert_eq!(filtered(Rules { client_tls: ClientTls::None, ..rules() }, server), "IMAP4rev1 LITERAL+");
}

#[test]
fn one_scram_with_channel_binding_hides_all_scram() {
    let list = "IMAP4rev1 AUTH=PLAIN AUTH=SCRAM-SHA-1 AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256 LITERAL+";
    assert!(rules().filter(list.as_bytes()).scram_plus);
    assert_eq!(filtered(rules(), list), "IMAP4rev1 AUTH=PLAIN LITERAL+");
    let later = Rules { scram_plus: true, ..rules() };
    assert_eq!(filtered(later, "AUTH=SCRAM-SHA-1 LITERAL+"), "LITERAL+");
    assert_eq!(filtered(rules(), "AUTH=SCRAM-SHA-1 LITERAL+"), "AUTH=SCRAM-SHA-1 LITERAL+");
}

#[test]
fn the_operator_hides_by_name_and_by_mechanism() {
    let hide = ["qresync".to_owned(), "XOAUTH2".to_owned(), "AUTH=plain".to_owned()];
    let rules = Rules { hide: &hide, ..rules() };
    assert_eq!(filtered(rules, "QRESYNC CONDSTORE AUTH=XOAUTH2 AUTH=PLAIN"), "CONDSTORE LITERAL+");
}

#[test]
fn the_operator_allows_by_name_what_is_hidden_for_caution() {
    let allow = ["catenate", "XSTOP", "AUTH=X-OWN", "COMPRESS=DEFLATE", "AUTH=GSSAPI", "X-BOTH"].map(str::to_owned);
    let hide = ["X-both".to_owned()];
    let list = "IMAP4rev1 CATENATE URLAUTH xstop XOTHER AUTH=X-OWN AUTH=GSSAPI COMPRESS=DEFLATE X-BOTH LITERAL+";
    for unknown in [Unknown::Hide, Unknown::Pass] {
        let rules = Rules { allow: &allow, hide: &hide, unknown, ..rules() };
        let other = if unknown == Unknown::Pass { " XOTHER" } else { "" };
        assert_eq!(filtered(rules, list), format!("IMAP4rev1 CATENATE xstop{other} AUTH=X-OWN LITERAL+"));
        assert!(rules.allows("Xstop"));
        assert!(!rules.allows("X-BOTH") && !rules.allows("compress=deflate") && !rules.allows("XOTHER"));
    }
    assert!(never("auth=scram-sha-256-plus").is_some() && never("STARTTLS").is_some() && never("XSTOP").is_none());
}

#[test]
fn observing_passes_what_is_unknown_but_no_layer() {
    let rules = Rules { unknown: Unknown::Pass, ..rules() };
    assert_eq!(filtered(rules, "XSTOP AUTH=X-OWN COMPRESS=DEFLATE"), "XSTOP AUTH=X-OWN LITERAL+");
}

#[test]
fn what_is_hidden_is_refused_as_a_command() {
    let offered = Offered::read(b"IMAP4rev2 COMPRESS=DEFLATE URLAUTH move AUTH=EXTERNAL");
    let hide = ["MOVE".to_owned()];
    let hiding = Rules { hide: &hide, ..rules() };
    for (rules, needs, satisfied) in [
        (rules(), &[][..], true),
        (rules(), &[&["MOVE", "IMAP4rev2"][..]][..], true),
        (hiding, &[&["MOVE", "IMAP4rev2"]], false),
        (rules(), &[&["IDLE", "IMAP4rev2"]], true),
        (rules(), &[&["SORT"]], false),
        (rules(), &[&["IDLE", "IMAP4rev2"], &["SORT"]], false),
        (rules(), &[&["COMPRESS=DEFLATE"]], false),
        (rules(), &[&["URLAUTH"]], false),
        (rules(), &[&["AUTH=EXTERNAL"]], false),
    ] {
        assert_eq!(rules.satisfied(needs, &offered), satisfied, "{needs:?}");
    }
}

#[test]
fn compression_is_the_proxys_own_where_it_is_offered() {
    let offering = Rules { compress: true, ..rules() };
    assert_eq!(offering.show("compress=deflate"), Shown::Own);
    assert_eq!(offering.show("COMPRESS=LZ4"), Shown::Hide);
    for (list, shown) in [
        ("IMAP4rev1", "IMAP4rev1 COMPRESS=DEFLATE LITERAL+"),
        ("compress=deflate IMAP4rev1 LITERAL+", "COMPRESS=DEFLATE IMAP4rev1 LITERAL+"),
        ("COMPRESS=LZ4 LITERAL+", "LITERAL+ COMPRESS=DEFLATE"),
    ] {
        assert_eq!(filtered(offering, list), shown);
    }
    let hide = ["Compress=Deflate".to_owned()];
    let hiding = Rules { hide: &hide, ..offering };
    assert_eq!(filtered(hiding, "COMPRESS=DEFLATE LITERAL+"), "LITERAL+");
}

#[test]
fn octets_that_are_no_name_do_not_pass() {
    let filtered = rules().filter(b"IMAP4rev1 \xff\xfe  IDLE");
    assert_eq!(filtered.octets, b"IMAP4rev1  IDLE LITERAL+");
}
