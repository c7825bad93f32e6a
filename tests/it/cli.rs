//! The command line as a person meets it: help, errors, exit codes.
