//! `backscroll man`: prints the manual page.

use std::io::{self, Write};

use clap::Command;
use clap_mangen::Man;

use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::output::print_document;

pub(super) fn run(program: Command) -> Result<ExitOutcome, CliError> {
    let page = render_page(program)?;
    print_document(&page);
    Ok(ExitOutcome::Success)
}

/// Renders one page: the program, then each of its commands.
fn render_page(mut program: Command) -> io::Result<Vec<u8>> {
    program.build();
    let mut page = Vec::new();
    let man = Man::new(program.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for command in program
        .get_subcommands()
        .filter(|command| !command.is_hide_set() && command.get_name() != "help")
    {
        write_command_section(command, &mut page)?;
    }
    writeln!(
        page,
        ".SH \"EXIT STATUS\"\n0: success. 1: a problem was found. 2: an error in the configuration or the command line."
    )?;
    writeln!(
        page,
        ".SH FILES\nThe configuration is the first that exists of these, unless \\-\\-config names one. The file \
         that ships with Backscroll explains every key.\n{}",
        [
            "./config.toml",
            "$XDG_CONFIG_HOME/backscroll/config.toml (or ~/.config/backscroll/config.toml)",
            "/etc/backscroll/config.toml",
        ]
        .map(|path| format!(".TP\n{path}"))
        .join("\n")
    )?;
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// Renders a command with its own options. Global options are listed once, with the program.
fn write_command_section(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let own = command.clone().mut_args(|arg| {
        let is_shared = arg.is_global_set() || arg.get_id() == "help";
        arg.hide(is_shared)
    });
    let man = Man::new(own);
    let mut parts = Vec::new();
    man.render_synopsis_section(&mut parts)?;
    man.render_description_section(&mut parts)?;
    man.render_options_section(&mut parts)?;
    let parts = String::from_utf8_lossy(&parts).replace("\n.SH ", "\n.SS ");
    writeln!(
        page,
        ".SH \"BACKSCROLL {}\"\n{parts}",
        command.get_name().to_uppercase()
    )?;
    Ok(())
}
