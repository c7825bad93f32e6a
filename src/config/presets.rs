//! Rules that ship with the program, in the same form as anybody's: the files in `policies/`.

use toml::de::DeTable;

use super::document::{tables, value};
use super::problem::Source;

/// Each preset and its file.
const FILES: [(&str, &str); 5] = [
    ("read-only", include_str!("../../policies/read-only.toml")),
    ("organise-not-destroy", include_str!("../../policies/organise-not-destroy.toml")),
    ("headers-only", include_str!("../../policies/headers-only.toml")),
    ("no-large-downloads", include_str!("../../policies/no-large-downloads.toml")),
    ("no-leave-without-delete", include_str!("../../policies/no-leave-without-delete.toml")),
];

/// What may stand in `presets`, in the order of the files.
pub(super) const NAMES: &[&str] =
    &["read-only", "organise-not-destroy", "headers-only", "no-large-downloads", "no-leave-without-delete"];

/// The presets that a configuration names, in the order in which it names them.
pub(super) fn named(root: &DeTable<'_>) -> Vec<Source> {
    let presets = tables(root, "policy").into_iter().find_map(|(_, table)| value(table, "presets"));
    let Some(node) = presets.map(toml::Spanned::get_ref) else { return Vec::new() };
    let alone = [node.as_str()];
    let texts: Vec<Option<&str>> = match node.as_array() {
        Some(items) => items.iter().map(|item| item.get_ref().as_str()).collect(),
        None => alone.to_vec(),
    };
    let source = |name: &str| {
        let (_, text) = FILES.iter().find(|(known, _)| *known == name)?;
        Some(Source { name: format!("preset {name}").into(), text: (*text).into() })
    };
    texts.into_iter().flatten().filter_map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_file() {
        assert_eq!(FILES.map(|(name, _)| name), NAMES);
    }

    #[test]
    fn every_preset_goes_with_every_other_and_warns_of_nothing() {
        for name in NAMES {
            let text = format!(
                "[[listener]]\nname='a'\naddress='127.0.0.1:0'\nprotocol='imap'\ntls='none'\nupstream='b'\n\
                 [[upstream]]\nname='b'\naddress='127.0.0.1:9'\ntls='none'\n[policy]\npresets = '{name}'\n"
            );
            let loaded = super::super::Loaded::parse("a.toml", &text).unwrap();
            assert!(loaded.warnings.is_empty() && !loaded.config.rules.is_empty(), "{name}: {:?}", loaded.warnings);
        }
    }
}
