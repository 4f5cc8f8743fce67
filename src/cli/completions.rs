//! `backscroll completions`: prints the completion script of a shell.

use clap_complete::Shell;

use super::exit_outcome::ExitOutcome;
use super::output::print_document;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Shell to complete in
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(args: &Args, mut program: clap::Command) -> ExitOutcome {
    let mut completions = Vec::new();
    clap_complete::generate(args.shell, &mut program, "backscroll", &mut completions);
    print_document(&completions);
    ExitOutcome::Success
}
