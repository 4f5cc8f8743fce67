//! The `backscroll` command.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    backscroll::cli::main(backscroll::cli::Cli::parse())
}
