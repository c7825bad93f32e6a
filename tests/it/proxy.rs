//! The whole proxy against in-process peers.
