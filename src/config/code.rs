//! The codes of everything that can be said about a configuration file: one per kind of mistake, so
//! that `docs/errors.md` can explain it and a search engine can find it.

use Severity::{Error, Warning};

use crate::fault::codes;

/// How much a [`Code`] matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing starts with it.
    Error,
    /// It starts, and is probably not what was meant.
    Warning,
}

codes! {
    /// A kind of mistake in a configuration file.
    enum Code with
    /// Whether it keeps the program from starting.
    severity: Severity;

    /// The file cannot be read.
    Unreadable = "MW-1001" Error,
    /// The file is not UTF-8.
    NotUtf8 = "MW-1002" Error,
    /// The file is not TOML.
    Syntax = "MW-1003" Error,
    /// A key or section stands twice.
    Repeated = "MW-1004" Error,
    /// A key that no section has.
    UnknownKey = "MW-1101" Error,
    /// A key of another section.
    MisplacedKey = "MW-1102" Error,
    /// A key that must be given is not.
    MissingKey = "MW-1103" Error,
    /// A text where a number is expected, and the like.
    WrongType = "MW-1104" Error,
    /// A section that does not exist.
    UnknownSection = "MW-1105" Error,
    /// `[listener]` for `[[listener]]`, or the reverse.
    SectionShape = "MW-1106" Error,
    /// A section that an included file may not have.
    NotIncluded = "MW-1107" Error,
    /// Not one of the words that may stand there.
    Word = "MW-1201" Error,
    /// Not `address:port`.
    SocketAddress = "MW-1202" Error,
    /// Not `host:port`.
    HostPort = "MW-1203" Error,
    /// Not a duration with a unit.
    Duration = "MW-1204" Error,
    /// Not a size with a unit.
    Size = "MW-1205" Error,
    /// Out of the range that makes sense.
    Range = "MW-1206" Error,
    /// Not usable as a name.
    Name = "MW-1207" Error,
    /// Not a pin.
    Pin = "MW-1208" Error,
    /// Not a host name or address.
    ServerName = "MW-1209" Error,
    /// Not a capability.
    Capability = "MW-1210" Error,
    /// An empty path.
    Path = "MW-1211" Error,
    /// Refused by the section itself.
    Refused = "MW-1299" Error,
    /// Two of a kind have one name.
    DuplicateName = "MW-1301" Error,
    /// A listener names an upstream that does not exist.
    UnknownUpstream = "MW-1302" Error,
    /// TLS without a certificate.
    NoCertificate = "MW-1303" Error,
    /// A certificate without TLS.
    UselessCertificate = "MW-1304" Error,
    /// `mint` without an authority.
    NoAuthority = "MW-1305" Error,
    /// Two listeners want one address.
    AddressTaken = "MW-1306" Error,
    /// There is nothing to do.
    NoListener = "MW-1307" Error,
    /// Verification asked for where there is no TLS.
    UselessVerification = "MW-1308" Error,
    /// A listener's upstream is the listener itself.
    Loop = "MW-1309" Error,
    /// A name is both allowed and hidden.
    AllowedAndHidden = "MW-1310" Error,
    /// A name that no proxy can pass on is allowed.
    NeverAllowed = "MW-1311" Error,
    /// A group that does not exist.
    UnknownGroup = "MW-1312" Error,
    /// A hook that does not exist.
    UnknownHook = "MW-1313" Error,
    /// A listener that does not exist.
    UnknownListener = "MW-1314" Error,
    /// Secrets would be sent without encryption.
    ClearHeaders = "MW-1315" Error,
    /// Not a pattern.
    Pattern = "MW-1401" Error,
    /// Not a command.
    Command = "MW-1402" Error,
    /// Not an operation.
    Operation = "MW-1403" Error,
    /// Not an effect.
    Effect = "MW-1404" Error,
    /// A sentence that cannot be sent.
    Reply = "MW-1405" Error,
    /// Not a client network.
    Network = "MW-1406" Error,
    /// Not a time of the week.
    Time = "MW-1407" Error,
    /// Not a flag.
    Flag = "MW-1408" Error,
    /// Nothing that is asked of a message.
    Item = "MW-1409" Error,
    /// Not a search key.
    SearchKey = "MW-1410" Error,
    /// The parts of a rule do not go together.
    Misfit = "MW-1411" Error,
    /// Not an expression.
    Expression = "MW-1412" Error,
    /// The metrics are open to other machines.
    OpenAdmin = "MW-1501" Warning,
    /// Clients may log in without encryption.
    ClearLogin = "MW-1502" Warning,
    /// The server is reached without encryption.
    ClearUpstream = "MW-1503" Warning,
    /// Idle clients are cut off.
    ShortIdle = "MW-1504" Warning,
    /// A rule without conditions.
    UnconditionalRule = "MW-1505" Warning,
    /// A rule that is never reached.
    UnreachedRule = "MW-1506" Warning,
    /// A command nobody knows.
    UncommonCommand = "MW-1507" Warning,
    /// A key that changes nothing here.
    NoEffect = "MW-1508" Warning,
    /// An upstream or authority that nobody uses.
    Unused = "MW-1509" Warning,
    /// A limit that is lower after login than before.
    LimitsReversed = "MW-1510" Warning,
    /// A rule whose conditions exclude each other.
    NeverMatches = "MW-1511" Warning,
    /// A file that is named cannot be read.
    FileMissing = "MW-1601" Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_ascend() {
        assert!(Code::ALL.is_sorted_by(|a, b| a.as_str() < b.as_str()));
    }
}
