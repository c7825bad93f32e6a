//! Arguments → configuration → tracing → run → exit code.

use std::process::ExitCode;

use clap::Parser;
use mailwarden::cli::{Cli, EXIT_COULD_NOT, is_broken_pipe, report};

fn main() -> ExitCode {
    // it fails only if there is one already, and then that one is as good
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let cli = Cli::parse();
    let paint = cli.globals.paint_of_errors();
    match cli.execute() {
        Ok(code) => code,
        // whoever read the output has seen enough
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error, paint);
            ExitCode::from(EXIT_COULD_NOT)
        }
    }
}
