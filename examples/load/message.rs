//! The message: any number of octets, made of one block in memory.

use std::sync::LazyLock;

use tokio::io::{AsyncWrite, AsyncWriteExt};

/// The length of a line, its CRLF included. Messages for POP3 are a multiple of it.
pub(crate) const LINE: usize = 78;

static BLOCK: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let line: Vec<u8> = (b'0'..).take(LINE - 2).chain(*b"\r\n").collect();
    line.repeat((1 << 20) / LINE)
});

/// Writes `octets` of it, in writes as large as the stream takes.
pub(crate) async fn write(stream: &mut (impl AsyncWrite + Unpin), mut octets: usize) -> std::io::Result<()> {
    while octets > 0 {
        let count = octets.min(BLOCK.len());
        let piece = BLOCK.get(..count).unwrap_or_default();
        stream.write_all(piece).await?;
        octets -= count;
    }
    Ok(())
}
