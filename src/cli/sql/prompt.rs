//! The prompt: queries over several lines, a history, and commands that begin with a dot.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};

use super::completion::{COMMANDS, QueryHelper};
use super::session::Session;
use crate::cli::error::CliError;
use crate::cli::exit_outcome::ExitOutcome;
use crate::cli::limits::MAX_HISTORY_ENTRIES;
use crate::cli::output::print_line;
use crate::cli::table::build_table;
use crate::domain::text_table::TextTable;
use crate::store::query::{ViewDescription, is_blank, statement_end, views};

const HELP: &str = "A query ends with a semicolon and may have several lines. Nothing can be changed.\n\
     ^C stops a running query or clears the input. The tab key completes names.";

/// Reads and runs queries until the end of the input.
pub(super) async fn run(session: &mut Session) -> Result<ExitOutcome, CliError> {
    let helper = QueryHelper {
        dialect: session.connection.dialect(),
        views: views(),
    };
    let mut editor = editor(helper).map_err(terminal_failed)?;
    let history = history_file();
    if let Some(file) = &history {
        // There is none before the first query.
        let _ = editor.load_history(file);
    }
    print_line("`.help` explains, `.views` lists the views, `.quit` ends.");
    loop {
        match tokio::task::block_in_place(|| editor.readline("sql> ")) {
            Ok(input) => {
                let dialect = session.connection.dialect();
                if is_blank(&input, dialect) {
                    continue;
                }
                remember(&mut editor, &input, history.as_ref());
                if let Some(command) = input.trim_start().strip_prefix('.') {
                    if matches!(command.trim(), "quit" | "exit" | "q") {
                        break;
                    }
                    run_command(command);
                } else {
                    run_queries(session, &input).await?;
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(terminal_failed(error)),
        }
    }
    Ok(ExitOutcome::Success)
}

type QueryEditor = Editor<QueryHelper, FileHistory>;

fn editor(helper: QueryHelper) -> rustyline::Result<QueryEditor> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(MAX_HISTORY_ENTRIES)?
        .auto_add_history(false)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(helper));
    Ok(editor)
}

fn terminal_failed(error: ReadlineError) -> CliError {
    CliError::System(io::Error::other(error))
}

/// Adds an input to the history and its file. A history that cannot be kept is no error.
fn remember(editor: &mut QueryEditor, input: &str, file: Option<&PathBuf>) {
    let added = editor.add_history_entry(input);
    if let (Ok(true), Some(file)) = (added, file)
        && let Err(error) = editor.append_history(file)
    {
        tracing::debug!(%error, "the history is not kept");
    }
}

/// Returns the file of the history, in a folder that only this user can read.
fn history_file() -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
    let folder = state.join("backscroll");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .ok()?;
    Some(folder.join("sql_history"))
}

/// Runs the queries of an input one after the other, up to the first that fails.
async fn run_queries(session: &mut Session, input: &str) -> Result<(), CliError> {
    let mut rest = input;
    while !is_blank(rest, session.connection.dialect()) {
        let end = statement_end(rest, session.connection.dialect()).unwrap_or(rest.len());
        let (query, later) = rest.split_at(end);
        match session.run(query).await {
            Ok(_) => {}
            // Without standard output there is no prompt either.
            Err(error @ CliError::Output(_)) => return Err(error),
            Err(error) => {
                error.print();
                break;
            }
        }
        rest = later;
    }
    Ok(())
}

fn run_command(command: &str) {
    let mut words = command.split_whitespace();
    let views = views();
    match (words.next(), words.next()) {
        (Some("help"), _) => {
            let rows = COMMANDS.map(|(name, meaning)| [name.to_owned(), meaning.to_owned()]);
            print_line(build_table(["command", "meaning"], rows));
            print_line(HELP);
        }
        (Some("views"), _) => {
            let rows = views
                .iter()
                .map(|view| [view.name.to_owned(), view.text.clone()]);
            print_descriptions(["view", "one row is"], rows);
        }
        (Some("schema"), None) => views.iter().for_each(print_view),
        (Some("schema"), Some(name)) => match views.iter().find(|view| view.name == name) {
            Some(view) => print_view(view),
            None => complain(&format!("there is no view `{name}`: `.views` lists them")),
        },
        _ => complain(&format!(
            "there is no command `.{}`: `.help` lists them",
            command.trim()
        )),
    }
}

fn print_view(view: &ViewDescription) {
    print_line(format_args!("{}: {}", view.name, view.text));
    let rows = view
        .columns
        .iter()
        .map(|column| [column.name.to_owned(), column.text.clone()]);
    print_descriptions(["column", "meaning"], rows);
}

/// Prints names with what they mean. Sentences are not cut to the width of the terminal.
fn print_descriptions(headings: [&str; 2], rows: impl Iterator<Item = [String; 2]>) {
    print_line(TextTable::new(headings, rows).render(None));
}

fn complain(message: &str) {
    CliError::Usage(message.to_owned()).print();
}
