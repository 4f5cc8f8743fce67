//! `backscroll man`: prints the manual page.

use std::io::{self, Write};

use clap::Command;
use clap_mangen::Man;

use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::output::print_document;

const EXIT_STATUS: [(&str, &str); 4] = [
    ("0", "Success: what was asked for is done."),
    (
        "1",
        "A problem was found, or something is not complete. The output says what.",
    ),
    (
        "2",
        "The configuration or the command line is wrong. Nothing was done.",
    ),
    ("130", "Ended at once by a second interrupt."),
];

const ENVIRONMENT_INTRODUCTION: &str =
    "An option on the command line takes precedence over its variable.";
const ENVIRONMENT: [(&str, &str); 11] = [
    ("BACKSCROLL_CONFIG", "The configuration, like --config."),
    (
        "BACKSCROLL_DATABASE",
        "The archive to read, like --database.",
    ),
    ("BACKSCROLL_LOG", "The log levels, like --log."),
    (
        "BACKSCROLL_LOG_FORMAT",
        "The log format, like --log-format.",
    ),
    (
        "CREDENTIALS_DIRECTORY",
        "The folder of the secrets that the configuration names as { credential = … }. systemd \
         sets it for the service.",
    ),
    (
        "AGORA_CUSTOMER_SECRET, WEB3MQ_PRIVATE_KEY",
        "The secret of the account that backscroll init sets up. Without it, init asks.",
    ),
    (
        "HTTPS_PROXY, ALL_PROXY, NO_PROXY",
        "The proxy for requests to the providers, and the hosts that need none.",
    ),
    (
        "XDG_CONFIG_HOME",
        "The user's configuration folder; ~/.config by default.",
    ),
    (
        "XDG_STATE_HOME",
        "The folder of what a user's programs remember; ~/.local/state by default.",
    ),
    (
        "NO_COLOR",
        "If it is not empty, backscroll sql prints no colours.",
    ),
    (
        "COLUMNS",
        "The width of tables; by default that of the terminal.",
    ),
];

const FILES_INTRODUCTION: &str =
    "The configuration is the first that exists of the first three, unless --config names one.";
const FILES: [(&str, &str); 7] = [
    (
        "./config.toml",
        "The configuration of a trial. Relative paths in a configuration start at its own folder.",
    ),
    (
        "$XDG_CONFIG_HOME/backscroll/config.toml",
        "The configuration of a user.",
    ),
    (
        "/etc/backscroll/config.toml",
        "The configuration of the service.",
    ),
    (
        "$XDG_STATE_HOME/backscroll/sql_history",
        "The history of the prompt of backscroll sql. Only its user can read it.",
    ),
    (
        "/usr/share/doc/backscroll/config.toml",
        "A configuration in which every key is explained.",
    ),
    (
        "/usr/share/doc/backscroll/docs/",
        "Documents: SERVICE.md about the service, SQL.md about the views, PAGE.md about the \
         status page.",
    ),
    (
        "/var/lib/backscroll/archive.db",
        "The archive of the service. The latest commits are in archive.db-wal beside it, so copy \
         it with backscroll copy.",
    ),
];

const EXAMPLES: [(&str, &str); 6] = [
    (
        "backscroll demo",
        "Tries everything without an account: a sandbox of both providers, a sync, a few queries.",
    ),
    (
        "backscroll init",
        "Asks for the credentials of an account, tries them, and writes config.toml.",
    ),
    (
        "backscroll sync --since 7d",
        "Archives the messages of the last seven days, and ends.",
    ),
    (
        "systemctl enable --now backscroll",
        "Starts the service that keeps the archive complete.",
    ),
    (
        "backscroll status",
        "Shows up to when each stream is complete, and what is missing or lost.",
    ),
    (
        "sqlite3 archive.db \"SELECT sent_at, sender, body FROM archive ORDER BY sent_at_ms DESC LIMIT 20\"",
        "Shows the latest messages. Any SQL client can read the archive while the service writes.",
    ),
];

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
    write_section(&mut page, "EXIT STATUS", "", &EXIT_STATUS)?;
    write_section(
        &mut page,
        "ENVIRONMENT",
        ENVIRONMENT_INTRODUCTION,
        &ENVIRONMENT,
    )?;
    write_section(&mut page, "FILES", FILES_INTRODUCTION, &FILES)?;
    write_section(&mut page, "EXAMPLES", "", &EXAMPLES)?;
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// Writes a section: a sentence, and a list of terms with their explanations.
fn write_section(
    page: &mut Vec<u8>,
    heading: &str,
    introduction: &str,
    terms: &[(&str, &str)],
) -> io::Result<()> {
    writeln!(page, ".SH \"{heading}\"")?;
    if !introduction.is_empty() {
        writeln!(page, "{}", escaped(introduction))?;
    }
    for (term, explanation) in terms {
        let (term, explanation) = (escaped(term), escaped(explanation));
        writeln!(page, ".TP\n\\fB{term}\\fR\n{explanation}")?;
    }
    Ok(())
}

/// Returns a text in which nothing is a command of the page's language.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}")
    } else {
        text
    }
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
