//! What we take for a command, and where it ends, held against a parser that shares no code with ours.
//!
//! The other is imap-codec. Commands come from a generator (valid ones, and such with something wrong
//! in them), from the transcripts and from the protocol cases. Where the two differ, `classes` must
//! know why and who is right; a difference that it does not know fails the test.

#![expect(clippy::indexing_slicing, reason = "a test that reads beyond an end must fail")]

mod classes;
mod corpus;
mod generate;
mod view;

use std::collections::BTreeMap;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use self::classes::{Difference, explain};
use self::view::{Cut, cuts_of_ours, cuts_of_theirs, our_view, their_view};

/// How many commands are made up. The same ones each time, so that a difference is found by whoever
/// makes it.
const MADE_UP: u32 = 20_000;

#[test]
fn what_is_a_command_to_one_parser_is_one_to_the_other_or_it_is_known_why() {
    let mut commands = corpus::commands();
    assert!(commands.len() > 150, "there are {} commands in the tests", commands.len());
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    commands.extend((0..MADE_UP).map(|_| generate::command(&mut runner)));
    let mut found: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    let (mut agreed, mut accepted) = (0, 0);
    let mut unknown = Vec::new();
    for command in &commands {
        let (ours, theirs) = (our_view(command), their_view(command));
        if ours == theirs {
            agreed += 1;
            accepted += usize::from(ours.is_some());
            continue;
        }
        match explain(&Difference { command, ours, theirs }) {
            Some(class) => found.entry(class).or_insert_with(|| (0, command.escape_ascii().to_string())).0 += 1,
            None => unknown.push(command.escape_ascii().to_string()),
        }
    }
    unknown.sort();
    unknown.dedup();
    for command in &unknown {
        let octets = corpus::unescaped(command);
        println!("unknown: {command}\n  ours   {:?}\n  theirs {:?}", our_view(&octets), their_view(&octets));
    }
    println!("{} commands, {agreed} read alike ({accepted} of them accepted)", commands.len());
    for (class, (count, example)) in &found {
        println!("{count:6} {class}: {example}");
    }
    assert!(unknown.is_empty(), "{} differences are not known", unknown.len());
    let unused: Vec<_> = classes::names().filter(|name| !found.contains_key(name)).collect();
    assert!(unused.is_empty(), "these differences are no more: {unused:?}");
}

#[test]
fn commands_end_at_the_same_place_but_for_known_reasons() {
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let made_up = (0..MADE_UP).map(|_| generate::stream(&mut runner));
    let mut unknown = Vec::new();
    for stream in corpus::streams().into_iter().chain(made_up) {
        let (ours, theirs) = (cuts_of_ours(&stream), cuts_of_theirs(&stream));
        let Some(at) = (0..ours.len().max(theirs.len())).find(|at| ours.get(*at) != theirs.get(*at)) else { continue };
        let start = ours.iter().take(at).map(Cut::len).sum::<usize>();
        match classes::explain_cut(&stream[start..], ours.get(at), theirs.get(at)) {
            Some(class) => *found.entry(class).or_default() += 1,
            None => unknown.push(format!(
                "{}\n  ours {:?}, theirs {:?}",
                stream[start..].escape_ascii(),
                ours.get(at),
                theirs.get(at)
            )),
        }
    }
    assert!(unknown.is_empty(), "{} cuts are not explained\n{}", unknown.len(), unknown.join("\n"));
    for (class, count) in &found {
        println!("{count:6} {class}");
    }
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), classes::CUTS);
}
