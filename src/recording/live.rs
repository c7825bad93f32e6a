//! The transcript as it happens.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use super::spool::Spool;
use super::{Closed, Layout, Printer, print};
use crate::fault::Fault;
use crate::session::Event;
use crate::witness::{SessionInfo, Witness};

/// The witness that prints the conversation.
#[derive(Debug)]
pub struct LivePrinter {
    printer: Mutex<Printer>,
    spool: Spool,
}

impl LivePrinter {
    /// Prints to `out` from a thread of its own. `failed` is called if that ends early: the pipe is closed.
    pub fn start(
        layout: Layout,
        out: impl Write + Send + 'static,
        failed: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let spool = Spool::start("printer", out, print::gap_text, failed)?;
        Ok(Self { printer: Mutex::new(Printer::new(layout)), spool })
    }

    /// Prints lines of one's own, in order with the conversation.
    pub fn say(&self, text: &str) {
        self.spool.push(format!("{text}\n"));
    }

    /// Prints what is waiting and ends; says how the printing went.
    pub fn finish(&self) -> io::Result<()> {
        self.spool.finish()
    }

    fn print(&self, render: impl FnOnce(&mut Printer) -> String) {
        // handed over under the lock, so that two sessions' lines keep their order
        let mut printer = self.printer.lock().unwrap_or_else(PoisonError::into_inner);
        let text = render(&mut printer);
        if !text.is_empty() {
            self.spool.push(text);
        }
    }
}

impl Witness for LivePrinter {
    fn wants_transcript(&self) -> bool {
        true
    }

    fn opened(&self, info: &SessionInfo) {
        self.print(|printer| printer.session(info));
    }

    fn events(&self, info: &SessionInfo, events: &[Event]) {
        self.print(|printer| printer.session(info) + &printer.events(info.id, events));
    }

    fn upstream_failed(&self, info: &SessionInfo, fault: &Fault) {
        self.print(|printer| printer.session(info) + &printer.fault(info.id, fault));
    }

    fn closed(&self, info: &SessionInfo, client_octets: u64, upstream_octets: u64) {
        self.print(|printer| printer.closed(Closed { session: info.id, client_octets, upstream_octets }));
    }
}
