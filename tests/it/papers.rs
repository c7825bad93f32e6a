//! What the papers name is there.

use std::path::Path;

const COVERAGE: &str = include_str!("../../docs/protocol-coverage.md");

#[test]
fn every_conversation_that_the_coverage_names_is_played() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let names = |protocol: &str| -> Vec<String> {
        let entries = std::fs::read_dir(folder.join(protocol)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let (imap, pop3) = COVERAGE.split_once("## POP3").unwrap();
    for (text, files) in [(imap, names("imap")), (pop3, names("pop3"))] {
        let rows = text.lines().filter(|line| line.starts_with("| ") && line.matches('|').count() == 5);
        for row in rows.skip(2) {
            let tests = row.rsplit('|').nth(1).unwrap();
            for name in tests.split('`').skip(1).step_by(2).filter(|name| !name.contains('/')) {
                let start = name.trim_end_matches('…');
                let exact = format!("{name}.txt");
                let there =
                    if start == name { files.contains(&exact) } else { files.iter().any(|f| f.starts_with(start)) };
                assert!(there, "docs/protocol-coverage.md names {name}, which is not there");
            }
        }
    }
}
