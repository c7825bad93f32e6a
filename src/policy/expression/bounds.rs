//! How long and how deep an expression may be, found before a parser sees it.

use super::{ExpressionError, Fault};

/// Octets of the longest expression.
pub(crate) const LONGEST: usize = 1000;
/// How deep parts may stand in parts: brackets for who writes them, nodes for who walks them.
pub(crate) const DEEPEST: u16 = 32;

/// Whether a parser may read this. Brackets in texts do not count; where a text is not closed, the parser will say so.
pub(super) fn check(text: &str) -> Result<(), ExpressionError> {
    if let Some(beyond) = text.char_indices().map(|(at, _)| at).find(|at| *at >= LONGEST) {
        return Err(ExpressionError { at: beyond..text.len(), fault: Fault::TooLong });
    }
    let (mut depth, mut quote, mut choices) = (0_u16, None, 0_u16);
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (Some(_), '\\') => _ = letters.next(),
            (Some(open), letter) if open == letter => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            // each stands in the last part of the one before it
            (None, '?') => choices += 1,
            (Some(_) | None, _) => {}
        }
        if depth > DEEPEST / 2 || choices > DEEPEST / 2 {
            return Err(ExpressionError { at: at..at + letter.len_utf8(), fault: Fault::TooDeep });
        }
    }
    Ok(())
}
