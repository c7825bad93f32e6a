//! The one vocabulary above the wire: what people do with mail, whichever protocol they use.
//!
//! A rule, a metric and an audit query are written once in these words, for both protocols and
//! for extensions not yet known. The mapping from an exact command stands beside the command's
//! grammar, in `wire::imap` and `wire::pop3`; these two sets are closed, so both may be labels.

use crate::label::labelled;

labelled! {
    /// What a command is for, in words shared by IMAP and POP3.
    Operation {
        /// A connection is opened: greeting, STARTTLS, STLS.
        Connect = "connect",
        /// LOGIN, AUTHENTICATE; USER, PASS, APOP, AUTH.
        Authenticate = "authenticate",
        /// Folders or messages are listed: LIST, LSUB, STATUS, NAMESPACE; STAT, LIST, UIDL.
        List = "list",
        /// SELECT, EXAMINE, CLOSE-like leaving of a mailbox that destroys nothing.
        Select = "select",
        /// SEARCH, SORT, THREAD.
        Search = "search",
        /// Headers, envelope, structure, flags: FETCH without text; TOP n 0.
        Headers = "headers",
        /// A whole message: FETCH BODY[]; RETR.
        Download = "download",
        /// One MIME part or an octet range; TOP with lines.
        Part = "part",
        /// STORE without \Deleted.
        Flag = "flag",
        /// APPEND, REPLACE's new message.
        Append = "append",
        /// COPY.
        Copy = "copy",
        /// MOVE.
        Move = "move",
        /// DELE, STORE +FLAGS (\Deleted), EXPUNGE, CLOSE.
        Delete = "delete",
        /// CREATE, RENAME, DELETE, SUBSCRIBE, UNSUBSCRIBE.
        Folder = "folder",
        /// IDLE, NOTIFY.
        Push = "push",
        /// ENABLE, CONDSTORE and QRESYNC parameters.
        Sync = "sync",
        /// GETQUOTA, SETQUOTA, GETQUOTAROOT.
        Quota = "quota",
        /// SETACL, GETACL and the rest of RFC 4314.
        Acl = "acl",
        /// GETMETADATA, SETMETADATA.
        Metadata = "metadata",
        /// CAPABILITY, CAPA, ID, LANGUAGE, UTF8, COMPRESS.
        Capability = "capability",
        /// NOOP, CHECK, RSET's undoing.
        Noop = "noop",
        /// LOGOUT, QUIT.
        Logout = "logout",
        /// A command this program does not know.
        Unknown = "unknown",
    }
}

labelled! {
    /// What a command can do to the mail, in the order of how much it matters.
    Effect {
        /// Nothing but the session changes.
        Session = "session",
        /// Something is read.
        Read = "read",
        /// A flag or keyword changes.
        Flag = "flag",
        /// A message or folder is put somewhere.
        File = "file",
        /// A message or folder ceases to be.
        Destroy = "destroy",
        /// Access is given to others.
        Share = "share",
        /// The account or server is administered.
        Admin = "admin",
        /// A command this program does not know.
        Unknown = "unknown",
    }
}
