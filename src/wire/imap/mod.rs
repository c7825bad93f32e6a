//! IMAP syntax (RFC 9051, RFC 3501).
