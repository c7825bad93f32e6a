//! Readable conversations replayed through the pure core, whole, octet by octet and cut at every position.
