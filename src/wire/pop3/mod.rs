//! POP3 syntax (RFC 1939, RFC 2449).
