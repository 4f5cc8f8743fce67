//! `backscroll completions`

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Outcome};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whose
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Outcome {
    let mut completions = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut Cli::command(),
        "backscroll",
        &mut completions,
    );
    // A reader that has gone away is no error.
    let _ = std::io::stdout().write_all(&completions);
    Outcome::Good
}
