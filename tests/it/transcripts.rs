//! Readable conversations replayed through the pure core, whole, octet by octet and cut at every position.
//!
//! `tests/transcripts/README.md` describes the format. Each file is played once as it is written, and
//! held against what it says; then again with its octets arriving in other pieces, and held against
//! the first play: octets and events must agree.

mod any_octets;
mod event;
mod play;
mod runs;
pub(crate) mod script;

use std::path::{Path, PathBuf};

use self::play::{Cuts, Trace, play};
use self::script::Script;

#[test]
fn pop3_conversations_go_as_written_however_octets_arrive() {
    assert!(replay_all("pop3") > 0, "no transcript was found");
}

#[test]
fn imap_conversations_go_as_written_however_octets_arrive() {
    replay_all("imap");
}

/// Replays each transcript of one protocol; says how many there are.
fn replay_all(protocol: &str) -> usize {
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts").join(protocol));
    let failures: Vec<String> = files.iter().filter_map(|file| replay(file).err()).collect();
    assert!(failures.is_empty(), "{} of {} transcripts fail\n\n{}", failures.len(), files.len(), failures.join("\n\n"));
    files.len()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

fn replay(file: &Path) -> Result<(), String> {
    let script = Script::read(file)?;
    let whole = play(&script, Cuts::Whole);
    whole.hold_against(&script)?;
    if script.is_cut {
        for cuts in all_cuts(&script) {
            let other = play(&script, cuts);
            compare(&script, &whole, &other, cuts)?;
        }
    }
    Ok(())
}

/// Octet by octet, and each block cut in two at every position (at most some 300 of a long block).
fn all_cuts(script: &Script) -> Vec<Cuts> {
    let mut cuts = vec![Cuts::Octets];
    for (block, octets) in script.blocks() {
        let stride = 1 + octets.len() / 300;
        cuts.extend((1..octets.len()).step_by(stride).map(|at| Cuts::Two { block, at }));
    }
    cuts
}

fn compare(script: &Script, whole: &Trace, other: &Trace, cuts: Cuts) -> Result<(), String> {
    for (step, (one, two)) in script.steps.iter().zip(whole.steps.iter().zip(&other.steps)) {
        if one != two {
            let place = script.place(step.line);
            return Err(format!("{place}: {cuts:?} differs from the whole\n  whole: {one:#?}\n  cut:   {two:#?}"));
        }
    }
    Ok(())
}
