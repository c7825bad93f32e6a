//! The messages: a few sizes, made of one block in memory.

use std::sync::LazyLock;

/// The length of a line, its CRLF included. Every size is a multiple of it.
const LINE: usize = 64;

/// Octets of message 1, 2, and so on.
const SIZES: [usize; 5] = [4 << 10, 64 << 10, 1 << 20, 25 << 20, 200 << 20];

static BLOCK: LazyLock<Vec<u8>> = LazyLock::new(|| {
    // No line starts with a dot: nothing of it is stuffed.
    let line: Vec<u8> = (b'0'..).take(LINE - 2).chain(*b"\r\n").collect();
    line.repeat((1 << 20) / LINE)
});

/// How many messages there are.
pub(crate) const COUNT: usize = SIZES.len();

/// Octets of a message, if it is there.
pub(crate) fn size(number: usize) -> Option<usize> {
    SIZES.get(number.checked_sub(1)?).copied()
}

/// What follows the first `offset` octets of any message, as far as it lies in one piece.
pub(crate) fn piece(offset: usize, most: usize) -> &'static [u8] {
    let block = BLOCK.get(offset % BLOCK.len()..).unwrap_or_default();
    block.get(..most.min(block.len())).unwrap_or_default()
}
