//! The files a configuration names, and the configuration file itself. Only whether they can be
//! read is told here; what is in certificates is judged by `tls`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use toml::de::DeTable;

use super::code::Code;
use super::document::{Node, tables, value};
use super::problem::Problem;

/// A configuration is read whole; nobody writes one of this size by hand.
const LARGEST: u64 = 16 << 20;

/// The octets of a configuration file.
#[expect(clippy::result_large_err, reason = "a configuration is read when the program starts, not where time counts")]
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let unreadable = |message: String, help: &str| Problem::whole(Code::Unreadable, message).help(help);
    let mut octets = Vec::new();
    let outcome = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut octets));
    match outcome {
        Ok(_) if octets.len() as u64 > LARGEST => {
            Err(unreadable("the file is larger than 16 MiB".to_owned(), "is this the right file?"))
        }
        Ok(_) => Ok(octets),
        Err(error) => Err(unreadable(format!("the file cannot be read: {}", plain(&error)), advice(&error))),
    }
}

/// Every named file that cannot be read.
pub(super) fn check(text: &str, folder: &Path) -> Vec<Problem> {
    // only called with a text that was parsed before
    let (root, _) = DeTable::parse_recoverable(text);
    let root = root.get_ref();
    let mut problems = Vec::new();
    for (_, table) in tables(root, "admin") {
        problems.extend(value(table, "token_file").and_then(|node| missing("token_file", node, folder)));
    }
    for (_, table) in tables(root, "listener") {
        problems.extend(value(table, "clients").and_then(|node| missing("clients", node, folder)));
        let Some(certificate) = value(table, "certificate") else { continue };
        let alone = [certificate.clone()];
        let pairs = certificate.get_ref().as_array().map_or(alone.as_slice(), |list| list);
        for pair in pairs {
            let Some(pair) = pair.get_ref().as_table() else { continue };
            for key in ["chain", "key"] {
                problems.extend(value(pair, key).and_then(|node| missing(key, node, folder)));
            }
        }
    }
    for (_, table) in tables(root, "tracing") {
        problems.extend(value(table, "headers_file").and_then(|node| missing("headers_file", node, folder)));
    }
    for (_, table) in ["upstream", "hook", "tracing"].into_iter().flat_map(|section| tables(root, section)) {
        let roots = value(table, "roots").filter(|node| node.get_ref().as_str() != Some("system"));
        problems.extend(roots.and_then(|node| missing("roots", node, folder)));
    }
    for (_, table) in tables(root, "authority") {
        problems.extend(value(table, "directory").and_then(|node| not_a_folder(node, folder)));
    }
    problems.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
    problems
}

fn missing(key: &str, node: Node<'_, '_>, folder: &Path) -> Option<Problem> {
    let path = folder.join(node.get_ref().as_str()?);
    let readable = |file: File| {
        if file.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(()) }
    };
    let opened = File::open(&path).and_then(readable);
    let error = opened.err()?;
    Some(
        Problem::new(Code::FileMissing, node.span(), format!("the file of `{key}` cannot be read"))
            .label(format!("{}: {}", path.display(), plain(&error)))
            .help(advice(&error)),
    )
}

fn not_a_folder(node: Node<'_, '_>, folder: &Path) -> Option<Problem> {
    let path = folder.join(node.get_ref().as_str()?);
    let is_file = path.metadata().is_ok_and(|metadata| !metadata.is_dir());
    is_file.then(|| {
        Problem::new(Code::FileMissing, node.span(), "the authority's directory is a file")
            .label(format!("{} is not a directory", path.display()))
            .help("name a directory; it is made if it does not exist")
    })
}

pub(super) fn plain(error: &io::Error) -> String {
    let kind = error.kind();
    if kind == io::ErrorKind::NotFound {
        "there is no such file".to_owned()
    } else if kind == io::ErrorKind::PermissionDenied {
        "permission denied".to_owned()
    } else if kind == io::ErrorKind::IsADirectory {
        "it is a directory".to_owned()
    } else {
        error.to_string()
    }
}

fn advice(error: &io::Error) -> &'static str {
    let kind = error.kind();
    if kind == io::ErrorKind::NotFound {
        "check the path; a relative one starts at the configuration file's folder"
    } else if kind == io::ErrorKind::PermissionDenied {
        "let the user that runs mailwarden read it, and nobody else"
    } else if kind == io::ErrorKind::IsADirectory {
        "name a file in it"
    } else {
        "see whether the disk and the path are in order"
    }
}
