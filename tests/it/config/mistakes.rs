//! A file without a mistake, and the mistakes that are made in it.

use mailwarden::config::Code;

/// A file without a mistake.
pub(super) const GOOD: &str = r#"[admin]
address = "127.0.0.1:9469"

[authority]
directory = "ca"

[[listener]]
name = "imaps"
address = "127.0.0.1:1993"
protocol = "imap"
tls = "implicit"
posture = "enforce"
upstream = "provider"
certificate = "mint"
hide = ["QRESYNC"]

[[listener]]
name = "pop3s"
address = "127.0.0.1:1995"
protocol = "pop3"
tls = "starttls"
upstream = "office"
certificate = { chain = "cert.pem", key = "key.pem" }

[[upstream]]
name = "provider"
address = "imap.example.com:993"
tls = "implicit"
roots = "system"

[[upstream]]
name = "office"
address = "[2001:db8::1]:110"
tls = "starttls"
server_name = "pop.example.com"

[limits]
command_line = "64 KiB"
errors = 20
idle_timeout = "31m"

[[rule]]
name = "contractors may not delete"
user = "*@contractors.example.com"
effect = "destroy"
action = "deny"
reply = "Deleting is disabled"

[[rule]]
name = "no folders"
command = ["CREATE", "RENAME"]
operation = "folder"
mailbox = ["Board/**", "INBOX"]
nth_message = 3
action = "deny"
"#;

/// What pasting the help does.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Paste {
    /// Put in the place the caret shows, it mends the file.
    Over,
    /// Put as a line below, it mends the file.
    Below,
    /// The help is to be read.
    No,
}
use Paste::{Below, No, Over};

/// `from` in the good file becomes `to`; then `code` is reported with the caret under `under`.
pub(super) struct Mistake(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) Code,
    pub(super) &'static str,
    pub(super) Paste,
);

#[rustfmt::skip]
pub(super) const MISTAKES: &[Mistake] = &[
    Mistake("a value without quotes", "tls = \"starttls\"\nupstream", "tls = starttls\nupstream", Code::Syntax, "starttls", Over),
    Mistake("a text that does not end", "\"pop.example.com\"", "\"pop.example.com", Code::Syntax, "", Over),
    Mistake("no value", "errors = 20", "errors =", Code::Syntax, "", No),
    Mistake("no equals sign", "errors = 20", "errors 20", Code::Syntax, "", No),
    Mistake("a key twice", "errors = 20", "errors = 20\nerrors = 30", Code::Repeated, "errors", No),
    Mistake("a section twice", "[limits]", "[limits]\ndrain = \"1 MiB\"\n[limits]", Code::Repeated, "limits", No),
    Mistake("a misspelt key", "protocol = \"imap\"", "protcol = \"imap\"", Code::UnknownKey, "protcol", Over),
    Mistake("a key with a hyphen", "server_name", "server-name", Code::UnknownKey, "server-name", Over),
    Mistake("a key nobody knows", "errors = 20", "colour = 20", Code::UnknownKey, "colour", No),
    Mistake("a misspelt key of a certificate", "chain = \"cert.pem\"", "chian = \"cert.pem\"", Code::UnknownKey, "chian", Over),
    Mistake("a misspelt limit", "idle_timeout", "idel_timeout", Code::UnknownKey, "idel_timeout", Over),
    Mistake("a misspelt condition", "effect = \"destroy\"", "efect = \"destroy\"", Code::UnknownKey, "efect", Over),
    Mistake("a key of another section", "errors = 20", "protocol = \"imap\"", Code::MisplacedKey, "protocol", No),
    Mistake("a key before any section", "[admin]", "idle_timeout = \"31m\"\n[admin]", Code::MisplacedKey, "idle_timeout", No),
    Mistake("no protocol", "protocol = \"imap\"\n", "", Code::MissingKey, "[[listener]]", Below),
    Mistake("no upstream", "upstream = \"provider\"\n", "", Code::MissingKey, "[[listener]]", Below),
    Mistake("no way to TLS", "tls = \"starttls\"\nserver_name", "server_name", Code::MissingKey, "[[upstream]]", Below),
    Mistake("no action", "nth_message = 3\naction = \"deny\"", "nth_message = 3", Code::MissingKey, "[[rule]]", Below),
    Mistake("a certificate without its key", ", key = \"key.pem\"", "", Code::MissingKey, "{ chain = \"cert.pem\" }", No),
    Mistake("a share in quotes", "[limits]", "[tracing]\nendpoint = \"https://otel.example.com\"\nsample = \"1%\"\n[limits]", Code::WrongType, "\"1%\"", Over),
    Mistake("a share in percent", "[limits]", "[tracing]\nendpoint = \"https://otel.example.com\"\nsample = 5\n[limits]", Code::Range, "5", Over),
    Mistake("traces to nowhere", "[limits]", "[tracing]\nsample = 0.01\n[limits]", Code::MissingKey, "[tracing]", Below),
    Mistake("a collector without a scheme", "[limits]", "[tracing]\nendpoint = \"otel.example.com:4318\"\nsample = 0.01\n[limits]", Code::Refused, "\"otel.example.com:4318\"", No),
    Mistake("a collector's secret in clear", "[limits]", "[tracing]\nendpoint = \"http://otel.example.com\"\nsample = 0.01\nheaders_env = \"TOKEN\"\n[limits]", Code::ClearHeaders, "\"http://otel.example.com\"", No),
    Mistake("a number in quotes", "errors = 20", "errors = \"20\"", Code::WrongType, "\"20\"", Over),
    Mistake("a duration without a unit", "\"31m\"", "1860", Code::WrongType, "1860", Over),
    Mistake("a text for a list", "[\"QRESYNC\"]", "\"QRESYNC\"", Code::WrongType, "\"QRESYNC\"", Over),
    Mistake("a number for a name", "\"pop3s\"", "995", Code::WrongType, "995", No),
    Mistake("a condition that is a number", "\"destroy\"", "5", Code::WrongType, "5", No),
    Mistake("a text for true or false", "hide =", "compress = \"yes\"\nhide =", Code::WrongType, "\"yes\"", No),
    Mistake("a certificate that is true", "\"mint\"", "true", Code::WrongType, "true", No),
    Mistake("a misspelt section", "[limits]", "[limit]", Code::UnknownSection, "limit", Over),
    Mistake("a plural section", "[[rule]]\nname = \"no", "[[rules]]\nname = \"no", Code::UnknownSection, "rules", Over),
    Mistake("a section nobody knows", "[limits]", "[smtp]", Code::UnknownSection, "smtp", No),
    Mistake("a single bracket", "[[rule]]\nname = \"contractors may not delete\"\nuser = \"*@contractors.example.com\"\neffect = \"destroy\"\naction = \"deny\"\nreply = \"Deleting is disabled\"\n\n[[rule]]\n", "[rule]\n", Code::SectionShape, "[rule]", Over),
    Mistake("a double bracket", "[limits]", "[[limits]]", Code::SectionShape, "[[limits]]", Over),
    Mistake("a misspelt word", "tls = \"starttls\"\nupstream", "tls = \"startls\"\nupstream", Code::Word, "\"startls\"", Over),
    Mistake("another program's word", "tls = \"implicit\"\nposture", "tls = \"ssl\"\nposture", Code::Word, "\"ssl\"", Over),
    Mistake("a word in capitals", "protocol = \"pop3\"", "protocol = \"POP3\"", Code::Word, "\"POP3\"", Over),
    Mistake("a word nobody knows", "posture = \"enforce\"", "posture = \"blue\"", Code::Word, "\"blue\"", No),
    Mistake("a misspelt mint", "\"mint\"", "\"mnit\"", Code::Word, "\"mnit\"", Over),
    Mistake("a file for a certificate", "\"mint\"", "\"server.pem\"", Code::Word, "\"server.pem\"", Over),
    Mistake("an address without a port", "\"127.0.0.1:1993\"", "\"127.0.0.1\"", Code::SocketAddress, "\"127.0.0.1\"", Over),
    Mistake("a port without an address", "\"127.0.0.1:1993\"", "\":1993\"", Code::SocketAddress, "\":1993\"", Over),
    Mistake("a name for an address", "\"127.0.0.1:1993\"", "\"localhost:1993\"", Code::SocketAddress, "\"localhost:1993\"", Over),
    Mistake("an IPv6 address without brackets", "\"127.0.0.1:1993\"", "\"::1:1993\"", Code::SocketAddress, "\"::1:1993\"", Over),
    Mistake("a port that is too big", "\"127.0.0.1:1993\"", "\"127.0.0.1:99999\"", Code::SocketAddress, "\"127.0.0.1:99999\"", Over),
    Mistake("a server without a port", "\"imap.example.com:993\"", "\"imap.example.com\"", Code::HostPort, "\"imap.example.com\"", Over),
    Mistake("a URL for a server", "\"imap.example.com:993\"", "\"imaps://imap.example.com:993/\"", Code::HostPort, "\"imaps://imap.example.com:993/\"", Over),
    Mistake("a bare IPv6 server", "\"[2001:db8::1]:110\"", "\"2001:db8::1\"", Code::HostPort, "\"2001:db8::1\"", Over),
    Mistake("a server's port that is zero", "\"[2001:db8::1]:110\"", "\"pop.example.com:0\"", Code::HostPort, "\"pop.example.com:0\"", Over),
    Mistake("a duration in quotes without a unit", "\"31m\"", "\"1860\"", Code::Duration, "\"1860\"", Over),
    Mistake("a duration in words", "\"31m\"", "\"half an hour\"", Code::Duration, "\"half an hour\"", No),
    Mistake("a size with an odd unit", "\"64 KiB\"", "\"64 kilo\"", Code::Size, "\"64 kilo\"", Over),
    Mistake("a line limit that is too small", "\"64 KiB\"", "\"8\"", Code::Range, "\"8\"", No),
    Mistake("no errors at all", "errors = 20", "errors = 0", Code::Range, "0", Over),
    Mistake("a negative number", "errors = 20", "errors = -3", Code::Range, "-3", Over),
    Mistake("an endless timeout", "\"31m\"", "\"10000years\"", Code::Range, "\"10000years\"", Over),
    Mistake("an empty name", "name = \"imaps\"", "name = \"\"", Code::Name, "\"\"", Over),
    Mistake("a pin that is none", "roots = \"system\"", "pin = \"sha256:abc\"", Code::Pin, "\"sha256:abc\"", No),
    Mistake("a server name with a port", "\"pop.example.com\"", "\"pop.example.com:995\"", Code::ServerName, "\"pop.example.com:995\"", Over),
    Mistake("a server name with spaces", "\"pop.example.com\"", "\"my server\"", Code::ServerName, "\"my server\"", Over),
    Mistake("a capability with a space", "\"QRESYNC\"", "\"Q RESYNC\"", Code::Capability, "\"Q RESYNC\"", Over),
    Mistake("an empty path", "roots = \"system\"", "roots = \"\"", Code::Path, "\"\"", Over),
    Mistake("two listeners of one name", "name = \"pop3s\"", "name = \"imaps\" # again", Code::DuplicateName, "\"imaps\" # again", Over),
    Mistake("two upstreams of one name", "name = \"office\"", "name = \"provider\" # again", Code::DuplicateName, "\"provider\" # again", No),
    Mistake("a misspelt upstream", "upstream = \"provider\"", "upstream = \"provdier\"", Code::UnknownUpstream, "\"provdier\"", Over),
    Mistake("an upstream nobody knows", "upstream = \"office\"", "upstream = \"elsewhere\"", Code::UnknownUpstream, "\"elsewhere\"", No),
    Mistake("TLS without a certificate", "certificate = \"mint\"\n", "", Code::NoCertificate, "\"implicit\"", Below),
    Mistake("a list without certificates", "\"mint\"", "[]", Code::NoCertificate, "[]", Over),
    Mistake("a certificate without TLS", "tls = \"implicit\"\nposture", "tls = \"none\"\nposture", Code::UselessCertificate, "\"mint\"", No),
    Mistake("mint without an authority", "[authority]\ndirectory = \"ca\"\n", "", Code::NoAuthority, "\"mint\"", No),
    Mistake("one address twice", "\"127.0.0.1:1995\"", "\"127.0.0.1:1993\" # again", Code::AddressTaken, "\"127.0.0.1:1993\" # again", Over),
    Mistake("one port on all addresses", "\"127.0.0.1:1995\"", "\"0.0.0.0:9469\"", Code::AddressTaken, "\"0.0.0.0:9469\"", Over),
    Mistake("a pin without TLS", "tls = \"implicit\"\nroots", "tls = \"none\"\nroots", Code::UselessVerification, "\"system\"", No),
    Mistake("a listener that connects to itself", "\"imap.example.com:993\"", "\"localhost:1993\"", Code::Loop, "\"provider\"", No),
    Mistake("a name both hidden and allowed", "hide = [\"QRESYNC\"]", "hide = [\"QRESYNC\"]\nallow = [\"qresync\"]", Code::AllowedAndHidden, "\"qresync\"", No),
    Mistake("a layer that is allowed", "hide = [\"QRESYNC\"]", "allow = [\"AUTH=GSSAPI\"]", Code::NeverAllowed, "\"AUTH=GSSAPI\"", No),
    Mistake("a pattern that is allowed", "hide = [\"QRESYNC\"]", "allow = [\"CONTEXT=*\"]", Code::NeverAllowed, "\"CONTEXT=*\"", No),
    Mistake("a client's own address", "certificate = { chain = \"cert.pem\", key = \"key.pem\" }", "certificate = { chain = \"cert.pem\", key = \"key.pem\" }\nallow = [\"xclient\"]", Code::NeverAllowed, "\"xclient\"", No),
    Mistake("a bracket that does not end", "\"Board/**\"", "\"Board[a\"", Code::Pattern, "\"Board[a\"", No),
    Mistake("a brace that does not end", "\"*@contractors.example.com\"", "\"*@{a,b\"", Code::Pattern, "\"*@{a,b\"", No),
    Mistake("all users but one", "\"*@contractors.example.com\"", "\"!carol@Acme.example\"", Code::Pattern, "\"!carol@Acme.example\"", No),
    Mistake("all mailboxes but one", "\"Board/**\"", "\"!Board/**\"", Code::Pattern, "\"!Board/**\"", No),
    Mistake("all users but some", "\"*@contractors.example.com\"", "\"!a*@acme.example\"", Code::Pattern, "\"!a*@acme.example\"", No),
    Mistake("all commands but one", "\"CREATE\"", "\"!CREATE\"", Code::Command, "\"!CREATE\"", No),
    Mistake("all effects but one", "\"destroy\"", "\"!destroy\"", Code::Effect, "\"!destroy\"", No),
    Mistake("both protocols but one", "operation = \"folder\"", "protocol = \"!pop3\"", Code::Word, "\"!pop3\"", No),
    Mistake("all but a group", "operation = \"folder\"", "group = \"!hr\"", Code::UnknownGroup, "\"!hr\"", No),
    Mistake("all but a listener", "operation = \"folder\"", "listener = \"!imaps\"", Code::UnknownListener, "\"!imaps\"", No),
    Mistake("a group without somebody", "[limits]", "[[group]]\nname = \"g\"\nmembers = [\"*@x\", \"!a@x\"]\n[limits]", Code::Pattern, "\"!a@x\"", No),
    Mistake("a misspelt command", "\"CREATE\"", "\"CRAETE\"", Code::Command, "\"CRAETE\"", Over),
    Mistake("a UID command", "\"CREATE\"", "\"uid fetch\"", Code::Command, "\"uid fetch\"", Over),
    Mistake("a command with arguments", "\"CREATE\"", "\"FETCH 1:*\"", Code::Command, "\"FETCH 1:*\"", Over),
    Mistake("a misspelt operation", "\"folder\"", "\"foldr\"", Code::Operation, "\"foldr\"", Over),
    Mistake("an operation by its command", "\"folder\"", "\"RETR\"", Code::Operation, "\"RETR\"", Over),
    Mistake("an operation nobody knows", "\"folder\"", "\"calendar\"", Code::Operation, "\"calendar\"", No),
    Mistake("a misspelt effect", "\"destroy\"", "\"destory\"", Code::Effect, "\"destory\"", Over),
    Mistake("a reply that is too clever", "\"Deleting is disabled\"", "\"[ALERT] no\\nnever\"", Code::Reply, "\"[ALERT] no\\nnever\"", Over),
    Mistake("a reply in another script", "\"Deleting is disabled\"", "\"Löschen ist gesperrt\"", Code::Reply, "\"Löschen ist gesperrt\"", Over),
    Mistake("a network with too many bits", "operation = \"folder\"", "client = \"192.0.2.7/24\"", Code::Network, "\"192.0.2.7/24\"", Over),
    Mistake("a network by its name", "operation = \"folder\"", "client = \"office\"", Code::Network, "\"office\"", Over),
    Mistake("a day that does not exist", "operation = \"folder\"", "time = \"Mon-Fry 08:00-18:00\"", Code::Time, "\"Mon-Fry 08:00-18:00\"", Over),
    Mistake("all times but some", "operation = \"folder\"", "time = \"not Mon-Fri 08:00-18:00\"", Code::Time, "\"not Mon-Fri 08:00-18:00\"", Over),
    Mistake("a place that does not exist", "operation = \"folder\"", "time = \"Mon Mars/Olympus\"", Code::Time, "\"Mon Mars/Olympus\"", Over),
    Mistake("a flag without its backslash", "operation = \"folder\"", "flag = \"Deleted\"", Code::Flag, "\"Deleted\"", Over),
    Mistake("a misspelt flag", "operation = \"folder\"", "flag = '\\Deletd'", Code::Flag, "'\\Deletd'", Over),
    Mistake("a backslash in double quotes", "operation = \"folder\"", "flag = \"\\Deleted\"", Code::Syntax, "", No),
    Mistake("an item with .PEEK", "operation = \"folder\"", "item = \"BODY.PEEK[TEXT]\"", Code::Item, "\"BODY.PEEK[TEXT]\"", Over),
    Mistake("an item with its range", "operation = \"folder\"", "item = \"BODY[]<0.100>\"", Code::Item, "\"BODY[]<0.100>\"", Over),
    Mistake("a misspelt kind of item", "operation = \"folder\"", "item = \"header\"", Code::Item, "\"header\"", Over),
    Mistake("a misspelt search key", "operation = \"folder\"", "search_key = \"SUBJET\"", Code::SearchKey, "\"SUBJET\"", Over),
    Mistake("a search key with its argument", "operation = \"folder\"", "search_key = \"FROM ann\"", Code::SearchKey, "\"FROM ann\"", Over),
    Mistake("an attribute by its key", "operation = \"folder\"", "when = 'size(mailbox) > 1'", Code::Expression, "mailbox", Over),
    Mistake("an attribute nobody knows", "operation = \"folder\"", "when = 'colour == \"red\"'", Code::Expression, "colour", No),
    Mistake("one equals sign", "operation = \"folder\"", "when = 'user = \"ann\"'", Code::Expression, "=", Over),
    Mistake("a word between conditions", "operation = \"folder\"", "when = 'octets > 1 && user == \"ann\" or hour > 22'", Code::Expression, "or", Over),
    Mistake("an expression in double quotes", "operation = \"folder\"", "when = \"user == \\\"ann\\\" && octts > 1\"", Code::Expression, "octts", Over),
    Mistake("an expression on several lines", "operation = \"folder\"", "when = '''
    user == \"ann\" &&
    operation == \"donwload\"'''", Code::Expression, "\"donwload\"", Over),
    Mistake("a user in capitals", "operation = \"folder\"", "when = 'user == \"Ann@Example.org\"'", Code::Expression, "\"Ann@Example.org\"", Over),
    Mistake("a size with its unit", "operation = \"folder\"", "when = 'octets > \"1 MiB\"'", Code::Expression, "\"1 MiB\"", Over),
    Mistake("a misspelt function", "operation = \"folder\"", "when = 'user.startswith(\"ann\")'", Code::Expression, "startswith", Over),
    Mistake("a function of CEL that is not here", "operation = \"folder\"", "when = 'user.matches(\"a.*\")'", Code::Expression, "matches", No),
    Mistake("a flag with one backslash", "operation = \"folder\"", "when = '\"\\Deleted\" in flags'", Code::Expression, "\"", No),
    Mistake("an expression that is no condition", "operation = \"folder\"", "when = 'octets / 1024'", Code::Expression, "/", No),
    Mistake("an expression that is always the same", "operation = \"folder\"", "when = 'true'", Code::Expression, "true", No),
    Mistake("an expression that ends too early", "operation = \"folder\"", "when = 'user == \"ann\" &&'", Code::Expression, "", No),
    Mistake("an expression without quotes", "operation = \"folder\"", "when = true", Code::WrongType, "true", No),
    Mistake("a group that an expression misspells", "operation = \"folder\"", "when = '\"no folder\" in groups'
action = \"deny\"

[[group]]
name = \"no folders\"

[[rule]]
name = \"another\"
command = \"CREATE\"", Code::UnknownGroup, "\"no folder\"", Over),
    Mistake("a misspelt protocol", "operation = \"folder\"", "protocol = \"imaps\"", Code::Word, "\"imaps\"", Over),
    Mistake("a number in quotes in a list", "nth_message = 3", "nth_message = [3, \"4\"]", Code::WrongType, "\"4\"", Over),
    Mistake("a rewrite of what is denied", "nth_message = 3", "rewrite = { peek = true }", Code::Misfit, "{ peek = true }", No),
    Mistake("a rewrite that does not say how", "nth_message = 3\naction = \"deny\"", "action = \"rewrite\"", Code::Misfit, "\"rewrite\"", Below),
    Mistake("a misspelt part of a rewrite", "nth_message = 3\naction = \"deny\"", "action = \"rewrite\"\nrewrite = { peak = true }", Code::UnknownKey, "peak", Over),
    Mistake("a rewrite that says nothing", "nth_message = 3\naction = \"deny\"", "action = \"rewrite\"\nrewrite = {}", Code::Misfit, "{}", No),
    Mistake("hiding a command", "mailbox = [\"Board/**\", \"INBOX\"]\nnth_message = 3\naction = \"deny\"", "action = \"rewrite\"\nrewrite = { hide = true }", Code::Misfit, "true", No),
    Mistake("another text for a command", "nth_message = 3\naction = \"deny\"", "action = \"rewrite\"\nrewrite = { text = \"Hello\" }", Code::Misfit, "\"Hello\"", No),
    Mistake("a slower answer", "nth_message = 3\naction = \"deny\"", "status = \"NO\"\naction = \"throttle\"\nthrottle = { delay = \"1s\" }", Code::Misfit, "\"NO\"", No),
    Mistake("a place that nothing fills", "reply = \"Deleting is disabled\"", "reply = \"Not you, {usr}\"", Code::Reply, "\"Not you, {usr}\"", Over),
    Mistake("a place of a rewrite that nothing fills", "nth_message = 3\naction = \"deny\"", "action = \"rewrite\"\nrewrite = { mailbox = \"Users/{usr}\" }", Code::Reply, "\"Users/{usr}\"", Over),
    Mistake("a code that refuses nothing", "nth_message = 3", "code = \"NOPREM\"", Code::Word, "\"NOPREM\"", Over),
    Mistake("a group that does not exist", "operation = \"folder\"", "group = \"staff\"", Code::UnknownGroup, "\"staff\"", No),
    Mistake("a hook that does not exist", "nth_message = 3\naction = \"deny\"", "action = \"ask\"\nhook = \"dlp\"", Code::UnknownHook, "\"dlp\"", No),
    Mistake("a misspelt listener", "operation = \"folder\"", "listener = \"imap\"", Code::UnknownListener, "\"imap\"", Over),
    Mistake("a group that is no pattern", "[limits]", "[[group]]\nname = \"g\"\nmembers = [\"a{b\"]\n[limits]", Code::Pattern, "\"a{b\"", No),
    Mistake("a default by another word", "[limits]", "[policy]\ndefault = \"block\"\n[limits]", Code::Word, "\"block\"", Over),
    Mistake("a rule with the default's name", "\"no folders\"", "\"default\"", Code::DuplicateName, "\"default\"", No),
    Mistake("a mailbox of POP3", "operation = \"folder\"", "protocol = \"pop3\"", Code::NeverMatches, "[\"Board/**\", \"INBOX\"]", No),
    Mistake("a mailbox with a separator at its end", "\"Board/**\"", "\"Board/\"", Code::NeverMatches, "\"Board/\"", Over),
    Mistake("a mailbox as the protocol encodes it", "\"Board/**\"", "\"Entw&APw-rfe/**\"", Code::NeverMatches, "\"Entw&APw-rfe/**\"", Over),
    Mistake("data that rules do not see", "operation = \"folder\"", "data = [\"FETCH\", \"exists\"]", Code::NeverMatches, "[\"FETCH\", \"exists\"]", No),
    Mistake("a command that cannot be refused", "command = [\"CREATE\", \"RENAME\"]\noperation = \"folder\"", "command = [\"logout\", \"NOOP\"]", Code::NeverMatches, "[\"logout\", \"NOOP\"]", No),
    Mistake("a rule that an earlier one covers", "operation = \"folder\"", "effect = \"destroy\"\nuser = \"eve@contractors.example.com\"", Code::UnreachedRule, "[[rule]]", No),
    Mistake("metrics for everybody", "\"127.0.0.1:9469\"", "\"0.0.0.0:9469\"", Code::OpenAdmin, "\"0.0.0.0:9469\"", Over),
    Mistake("passwords in clear", "\"127.0.0.1:1993\"\nprotocol = \"imap\"\ntls = \"implicit\"\nposture = \"enforce\"\nupstream = \"provider\"\ncertificate = \"mint\"", "\"0.0.0.0:1143\"\nprotocol = \"imap\"\ntls = \"none\"\nposture = \"enforce\"\nupstream = \"provider\"", Code::ClearLogin, "\"0.0.0.0:1143\"", No),
    Mistake("passwords in clear to the server", "tls = \"implicit\"\nroots = \"system\"", "tls = \"none\"", Code::ClearUpstream, "\"imap.example.com:993\"", No),
    Mistake("an idle timeout that is too short", "\"31m\"", "\"5m\"", Code::ShortIdle, "\"5m\"", Over),
    Mistake("a rule for everything", "command = [\"CREATE\", \"RENAME\"]\noperation = \"folder\"\nmailbox = [\"Board/**\", \"INBOX\"]\nnth_message = 3\n", "", Code::UnconditionalRule, "[[rule]]", Below),
    Mistake("a rule that is never reached", "user = \"*@contractors.example.com\"\neffect = \"destroy\"\n", "", Code::UnreachedRule, "[[rule]]", No),
    Mistake("a command of the future", "\"CREATE\"", "\"TELEPORT\"", Code::UncommonCommand, "\"TELEPORT\"", No),
    Mistake("a reply to what is allowed", "action = \"deny\"\nreply", "action = \"allow\"\nreply", Code::NoEffect, "\"Deleting is disabled\"", No),
    Mistake("an allowance for what passes anyway", "hide = [\"QRESYNC\"]", "allow = [\"IDLE\"]", Code::NoEffect, "\"IDLE\"", No),
    Mistake("an allowance for a command of a capability", "hide = [\"QRESYNC\"]", "allow = [\"URLFETCH\"]", Code::NoEffect, "\"URLFETCH\"", Over),
    Mistake("roots beside a pin", "roots = \"system\"", "roots = \"ca.pem\"\npin = \"sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"", Code::NoEffect, "\"ca.pem\"", No),
    Mistake("an upstream nobody uses", "upstream = \"office\"", "upstream = \"provider\"", Code::Unused, "\"office\"", No),
    Mistake("an authority nobody uses", "certificate = \"mint\"", "certificate = { chain = \"a.pem\", key = \"b.pem\" }", Code::Unused, "[authority]", No),
    Mistake("less after login than before", "\"64 KiB\"", "\"1 KiB\"", Code::LimitsReversed, "\"1 KiB\"", Over),
];
