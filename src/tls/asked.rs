//! The name a client asks for in its hello (SNI), on its way from the certificate resolver, which rustls
//! shows it to, to the handshake that called rustls: both are one call on one thread.

use std::cell::RefCell;

thread_local! {
    static NAME: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The resolver was shown this name.
pub(super) fn note(name: Option<&str>) {
    NAME.set(name.map(ToOwned::to_owned));
}

/// The name that was noted since the last call.
pub(super) fn take() -> Option<String> {
    NAME.take()
}
