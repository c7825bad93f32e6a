//! The I/O shell: the only place with sockets, tasks and the clock. It executes what sessions ask
//! for and has no opinion about mail.

mod connection;
mod deflate;
mod gauges;
mod listener;
mod observe;
mod plan;
mod record;
mod relay;
mod reload;
mod server;
mod settings;
mod stream;
mod upstream;

pub use plan::check;
pub use server::{Bound, RunError, run, run_reloading};
pub use settings::{ListenerSettings, UpstreamAddress, UpstreamAddressError, UpstreamSettings};
