//! POP3 syntax (RFC 1939, RFC 2449).
//!
//! Framing alone decides where a line or a multi-line response ends ([`LineFramer`], [`Body`]);
//! what a cut line means is read afterwards ([`Command`], [`Status`]) and can fail without losing
//! step. Nothing here knows a state, a policy or a clock.

mod body;
mod capability;
mod command;
mod line;
mod response;

pub use super::sasl::{SaslLine, binds_channel, read_response};
pub use body::{Body, Passed, Repair};
pub use capability::{Advertised, Filter, Filtered, Names, Unknown, is_common, is_offered, never};
pub use command::{Command, Keyword, SyntaxError, is_unlisted_sound, unlisted_keyword};
pub use line::{LineEnd, LineFramer, Piece, text_of};
pub use response::{Indicator, Status, has_bare_line_end, mended_greeting, without_referral};
