//! What of a message a command asks for.

/// One thing of a message that FETCH asks for, or RETR and TOP do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// In upper case, without `.PEEK` and without the octet range: `BODY[HEADER.FIELDS]`, `RFC822`, `FLAGS`; POP3:
    /// `RETR`, `TOP`.
    pub name: String,
    /// How much that is.
    pub kind: ItemKind,
    /// It asks for a range of the octets (RFC 9051 §6.4.5).
    pub partial: bool,
    /// It leaves the `\Seen` flag alone (`.PEEK`, and every item that never sets it).
    pub peek: bool,
}

crate::label::labelled! {
    /// What an item is.
    ItemKind {
        /// Flags, sizes, dates, numbers: nothing that the sender wrote.
        Data = "data",
        /// Header fields, envelope, structure.
        Headers = "headers",
        /// One MIME part or the text.
        Part = "part",
        /// All of the message.
        Whole = "whole",
    }
}

impl Item {
    /// The FETCH item that is written so.
    #[must_use]
    pub fn of_fetch(written: &str) -> Self {
        let mut name = written.to_ascii_uppercase();
        let range = name.ends_with('>').then(|| name.rfind('<')).flatten();
        name.truncate(range.unwrap_or(name.len()));
        let peek_at = name.find(".PEEK[");
        if let Some(at) = peek_at {
            name.replace_range(at..at + ".PEEK".len(), "");
        }
        // header fields by name, and modifiers of PREVIEW
        if let Some(list) = name.find(" (") {
            let close = if name.contains('[') { "]" } else { "" };
            name.replace_range(list.., close);
        }
        let kind = ItemKind::of_fetch(&name);
        let sets_seen =
            name.starts_with("BODY[") || name.starts_with("BINARY[") || name == "RFC822" || name == "RFC822.TEXT";
        Self { name, kind, partial: range.is_some(), peek: peek_at.is_some() || !sets_seen }
    }
}

impl ItemKind {
    fn of_fetch(name: &str) -> Self {
        let section = name.split_once('[').and_then(|(_, rest)| rest.strip_suffix(']'));
        match (name, section) {
            // the decoded size of a part is a number
            (_, Some(_)) if name.starts_with("BINARY.SIZE") => Self::Data,
            (_, Some("")) | ("RFC822", _) => Self::Whole,
            (_, Some(section)) if name.starts_with("BODY") => {
                let text = section.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
                if text.starts_with("HEADER") || text == "MIME" { Self::Headers } else { Self::Part }
            }
            (_, Some(_)) | ("RFC822.TEXT" | "PREVIEW" | "SNIPPET", None) => Self::Part,
            ("ENVELOPE" | "BODY" | "BODYSTRUCTURE" | "RFC822.HEADER", None) => Self::Headers,
            _ => Self::Data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Item, ItemKind};

    #[test]
    fn an_item_of_fetch_is_told_by_its_name_its_kind_and_what_it_does() {
        use ItemKind::{Data, Headers, Part, Whole};
        for (written, name, kind, partial, peek) in [
            ("BODY[]", "BODY[]", Whole, false, false),
            ("body.peek[]<0.100>", "BODY[]", Whole, true, true),
            ("BODY[HEADER.FIELDS (Subject \"To\")]", "BODY[HEADER.FIELDS]", Headers, false, false),
            ("BODY.PEEK[1.HEADER.FIELDS.NOT (To)]<1.2>", "BODY[1.HEADER.FIELDS.NOT]", Headers, true, true),
            ("BODY[1.2.MIME]", "BODY[1.2.MIME]", Headers, false, false),
            ("BODY[1.2]", "BODY[1.2]", Part, false, false),
            ("BODY[TEXT]", "BODY[TEXT]", Part, false, false),
            ("BINARY[]", "BINARY[]", Whole, false, false),
            ("BINARY.PEEK[1]", "BINARY[1]", Part, false, true),
            ("BINARY.SIZE[1]", "BINARY.SIZE[1]", Data, false, true),
            ("BINARY.SIZE[]", "BINARY.SIZE[]", Data, false, true),
            ("RFC822", "RFC822", Whole, false, false),
            ("RFC822.HEADER", "RFC822.HEADER", Headers, false, true),
            ("RFC822.TEXT", "RFC822.TEXT", Part, false, false),
            ("RFC822.SIZE", "RFC822.SIZE", Data, false, true),
            ("PREVIEW (LAZY)", "PREVIEW", Part, false, true),
            ("BODY", "BODY", Headers, false, true),
            ("flags", "FLAGS", Data, false, true),
        ] {
            let item = Item { name: name.to_owned(), kind, partial, peek };
            assert_eq!(Item::of_fetch(written), item, "{written}");
        }
    }
}
