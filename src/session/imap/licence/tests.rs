use super::*;

fn edit(rule: &str) -> Arc<Edit> {
    Arc::new(Edit { rule: rule.into(), ..Edit::default() })
}

fn slowed(seconds: u64, pace: Option<&Arc<Pace>>, edits: &[&str]) -> Licence {
    let wait = Duration::from_secs(seconds);
    let edits = edits.iter().map(|rule| edit(rule)).collect();
    Licence { wait, pace: pace.cloned(), edits, ..Licence::plain(Policy::own()) }
}

fn asked() -> Licence {
    let [rule, code, pop3_code, reply] = ["r", "NOPERM", "SYS/PERM", "No"].map(Arc::from);
    let refusal = Denial { rule: Arc::clone(&rule), code, pop3_code, reply };
    let question = Question { rule, hook: "h".into(), document: String::new(), refusal };
    Licence { leave: Leave::Asked(Box::new(question)), ..Licence::plain(Policy::own()) }
}

#[test]
fn what_two_messages_need_is_done_for_both_and_the_longer_wait_counts() {
    let paces = [1, 2].map(|rate| Arc::new(Pace::new(rate, rate, Instant::now())));
    let [slow, slower] = [Some(&paces[0]), Some(&paces[1])];
    for (one, two, wait, pace, edits) in [
        (slowed(1, None, &["a"]), slowed(3, slower, &["b"]), 3, slower, ["a", "b"].as_slice()),
        (slowed(3, slow, &["a"]), slowed(1, slower, &[]), 3, slow, &["a"]),
        (slowed(0, None, &[]), slowed(0, None, &[]), 0, None, &[]),
    ] {
        let both = one.and(two).unwrap();
        assert_eq!(both.wait, Duration::from_secs(wait));
        assert_eq!(both.pace.as_ref().map(Arc::as_ptr), pace.map(Arc::as_ptr));
        assert!(both.edits.iter().map(|edit| &*edit.rule).eq(edits.iter().copied()), "{both:?}");
    }
}

#[test]
fn one_question_is_asked_and_only_about_what_nothing_else_is_done_to() {
    for (one, two, may) in [
        (asked(), slowed(0, None, &[]), true),
        (slowed(0, None, &[]), asked(), true),
        (asked(), asked(), false),
        (asked(), slowed(1, None, &[]), false),
        (slowed(1, None, &[]), asked(), false),
        (asked(), slowed(0, None, &["a"]), false),
        (slowed(0, None, &["a"]), asked(), false),
    ] {
        let told = format!("{one:?} {two:?}");
        assert_eq!(one.and(two).is_ok_and(|licence| licence.is_asked()), may, "{told}");
    }
}
