//! The I/O shell: the only place with sockets, tasks and the clock. It executes what sessions ask
//! for and has no opinion about mail.

mod placeholder;
mod settings;

pub use placeholder::{Bound, RunError, run};
pub use settings::{ListenerSettings, UpstreamAddress, UpstreamAddressError, UpstreamSettings};
