use super::*;
use crate::policy::{Policy, PolicyHandle};
use crate::session::{Inboxes, Session, Setup, Terms};
use crate::wire::Protocol;

#[test]
fn names_of_commands_that_are_answered_are_forgotten_though_others_are_outstanding() {
    let text = "name = 'r'\naction = 'rewrite'\nmailbox = 'Sent'\nrewrite = { mailbox = 'Else' }";
    let policy = PolicyHandle::new(Policy::new(vec![toml::from_str(text).unwrap()]));
    let (now, terms) = (Instant::now(), Terms { policy, ..Terms::offline() });
    let mut imap = Imap::new(Setup::offline(Arc::new(terms), Protocol::Imap, 0, now));
    let (mut inboxes, mut out) = (Inboxes::default(), Outbox::new(now));
    let mut push = |imap: &mut Imap, from: Side, octets: &str| {
        inboxes.of(from).extend_from_slice(octets.as_bytes());
        imap.advance(&mut inboxes, now, &mut out);
    };
    push(&mut imap, Side::Upstream, "* OK [CAPABILITY IMAP4rev1] hi\r\n");
    push(&mut imap, Side::Client, "l LOGIN u p\r\n");
    push(&mut imap, Side::Upstream, "l OK [CAPABILITY IMAP4rev1] in\r\n");
    push(&mut imap, Side::Client, "c0 STATUS Sent (MESSAGES)\r\n");
    for number in 0..100 {
        push(&mut imap, Side::Client, &format!("c{} STATUS Sent (MESSAGES)\r\n", number + 1));
        assert_eq!(imap.mapped.len(), 2, "{number}");
        push(&mut imap, Side::Upstream, &format!("c{number} OK\r\n"));
    }
}
