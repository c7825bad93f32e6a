//! The demo, the tap and recordings, end to end.
