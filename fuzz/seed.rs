//! Writes a seed corpus into a folder: what the transcripts say, in the form the targets read.
//!
//! `cargo run --manifest-path fuzz/Cargo.toml --example seed FOLDER`

#![allow(dead_code, clippy::wildcard_imports, reason = "the reader of transcripts serves the tests")]

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use mailwarden::harness;
use mailwarden::wire::{Protocol, Side};

#[path = "../tests/it/transcripts/script.rs"]
mod script;

use script::{Action, Script};

/// Longer blocks are left out: a fuzzer gets nowhere with them.
const LONGEST: usize = 4096;

fn main() -> io::Result<()> {
    let corpus = env::args_os().nth(1).map(PathBuf::from);
    let corpus = corpus.ok_or_else(|| io::Error::other("into which folder?"))?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for protocol in ["imap", "pop3"] {
        for entry in fs::read_dir(root.join("../tests/transcripts").join(protocol))? {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "txt") {
                let script = Script::read(&file).map_err(io::Error::other)?;
                let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                seed(&script, &name, &corpus)?;
            }
        }
    }
    expressions(root, &corpus)
}

/// Those of the reference.
fn expressions(root: &Path, corpus: &Path) -> io::Result<()> {
    let folder = corpus.join("expression");
    fs::create_dir_all(&folder)?;
    let reference = fs::read_to_string(root.join("../docs/policy.md"))?;
    let written = reference.lines().filter_map(|line| line.strip_prefix("when = '")?.strip_suffix('\''));
    written.enumerate().try_for_each(|(number, text)| fs::write(folder.join(number.to_string()), text))
}

fn seed(script: &Script, name: &str, corpus: &Path) -> io::Result<()> {
    let write = |target: &str, part: &str, octets: Vec<u8>| -> io::Result<()> {
        let folder: PathBuf = corpus.join(target);
        fs::create_dir_all(&folder)?;
        if octets.len() <= LONGEST { fs::write(folder.join(format!("{name}{part}")), octets) } else { Ok(()) }
    };
    let scripted = conversation(script);
    let mut paired = scripted.clone();
    let tags: Vec<Vec<u8>> = scripted.actions.iter().flat_map(tags).collect();
    paired.actions.iter_mut().for_each(|action| hide_tags(action, &tags));
    write("pair", "", paired.write())?;
    for (number, octets) in under_rules(&paired, name) {
        write("rules", &format!("-{number}"), octets)?;
    }
    let (session, framer) = match script.protocol {
        Protocol::Imap => ("imap_session", "imap_framer"),
        Protocol::Pop3 => ("pop3_session", "pop3_framers"),
    };
    write(session, "", scripted.write())?;
    for (number, (step, octets)) in script.blocks().enumerate() {
        let part = format!("-{number}");
        let from_client = matches!(script.steps[step].action, Action::Send(Side::Client, _));
        write(framer, &part, [&[80], octets].concat())?;
        if script.protocol == Protocol::Imap {
            write(if from_client { "imap_command" } else { "imap_response" }, &part, octets.to_vec())?;
        }
    }
    Ok(())
}

/// The same under two pairs of policies, of which the second comes into force halfway.
fn under_rules(paired: &harness::Script, name: &str) -> [(u8, Vec<u8>); 2] {
    let number = name.bytes().fold(0, |sum: u8, octet| sum.wrapping_mul(31).wrapping_add(octet));
    let mut script = paired.clone();
    script.actions.insert(script.actions.len() / 2, harness::Action::Reload);
    [number, number.wrapping_add(29)].map(|policies| (policies, [&[policies], &*script.write()].concat()))
}

fn conversation(script: &Script) -> harness::Script {
    let options = harness::Options {
        posture: script.terms.posture,
        client_tls: script.terms.client_tls,
        upstream_tls: script.terms.upstream_tls,
        tight: false,
        pop3: script.protocol == Protocol::Pop3,
        generous: !script.terms.allow.is_empty()
            || script.terms.compression.client
            || script.terms.compression.upstream,
    };
    let actions = script.steps.iter().filter_map(|step| match &step.action {
        Action::Send(side, octets) => Some(harness::Action::Send(*side, octets.clone())),
        Action::End(side) => Some(harness::Action::End(*side)),
        Action::Wait(_) => Some(harness::Action::Wait),
        Action::Farewell(..) => Some(harness::Action::Farewell),
        _ => None,
    });
    harness::Script { options, seed: 7, actions: actions.collect() }
}

fn tags(action: &harness::Action) -> Vec<Vec<u8>> {
    let harness::Action::Send(Side::Client, octets) = action else { return Vec::new() };
    let first = |line: &[u8]| line.split(|octet| *octet == b' ').next().unwrap_or_default().to_vec();
    octets.split(|octet| *octet == b'\n').map(first).collect()
}

/// Puts the mark for a tag wherever a line of the server begins with one.
fn hide_tags(action: &mut harness::Action, tags: &[Vec<u8>]) {
    let harness::Action::Send(Side::Upstream, octets) = action else { return };
    let mut hidden = Vec::new();
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        let end = line.iter().position(|octet| *octet == b' ').unwrap_or(0);
        let (first, rest) = line.split_at(end);
        if !first.is_empty() && tags.iter().any(|tag| tag == first) {
            hidden.push(0xF7);
            hidden.extend_from_slice(rest);
        } else {
            hidden.extend_from_slice(line);
        }
    }
    *octets = hidden;
}
