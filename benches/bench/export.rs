//! The measure of exports, beside what other programs make of the same archive: `sqlite3 -json`, and
//! `DuckDB`'s own `COPY … (FORMAT parquet)`. All of them write the same columns to files.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use backscroll::cli::scratch::ScratchDatabase;
use backscroll::config::DatabaseUrl;

use super::children::{self, ProcessCost};
use super::error::BenchError;
use super::measures::{WriteSpeed, write_speed};

/// The columns of an export.
const COLUMNS: &str = "account, provider, conversation, conversation_kind, sender, recipient, \
    sent_at, sent_at_ms, body, payload, payload_encoding, payload_type, cipher_suite, status, \
    status_at, provider_message_id, occurrence, archived_at, extra, message_type, \
    conversation_id, sender_id, id";

/// The speed of an export, and of another program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExportSpeed {
    pub(crate) own: WriteSpeed,
    /// `None`: it is not installed, or cannot read the archive.
    pub(crate) reference: Option<WriteSpeed>,
}

/// The speeds of exports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExportFigures {
    pub(crate) jsonl: ExportSpeed,
    /// `None`: this build has no Parquet.
    pub(crate) parquet: Option<ExportSpeed>,
}

/// Exports an archive that nobody has open.
pub(super) async fn measure_export(
    database: &ScratchDatabase,
    dir: &Path,
    messages: usize,
) -> Result<ExportFigures, BenchError> {
    let config = dir.join("export.toml");
    fs::write(&config, config_of(database))?;
    let target = dir.join("exported");
    let archive = match database.parsed() {
        DatabaseUrl::Sqlite(path) => Some(path),
        DatabaseUrl::Postgres(_) => None,
    };
    let sqlite3 = archive.map(|archive| {
        let mut command = Command::new("sqlite3");
        let query = format!("SELECT {COLUMNS} FROM archive");
        command.arg("-json").arg(archive).arg(query);
        command
    });
    let duckdb = archive.map(|archive| {
        let mut command = Command::new("duckdb");
        let (archive, target) = (archive.display(), target.display());
        command.arg("-c").arg(format!(
            "LOAD sqlite; ATTACH '{archive}' AS a (TYPE sqlite, READ_ONLY);
             COPY (SELECT {COLUMNS} FROM a.archive) TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
        ));
        command
    });
    let run = async |format, reference: Option<Command>| {
        let own = children::run_export(&config, format, &target).await?;
        fs::remove_dir_all(&target)?;
        let reference = match reference {
            Some(command) => run_reference(command, &target).await?,
            None => None,
        };
        Ok::<_, BenchError>(ExportSpeed {
            own: write_speed(messages, own),
            reference: reference.map(|cost| write_speed(messages, cost)),
        })
    };
    Ok(ExportFigures {
        jsonl: run("jsonl", sqlite3).await?,
        parquet: if cfg!(feature = "parquet") {
            Some(run("parquet", duckdb).await?)
        } else {
            None
        },
    })
}

/// Runs another program, whose standard output goes to a file. `None`: it is not there.
async fn run_reference(
    mut command: Command,
    target: &Path,
) -> Result<Option<ProcessCost>, BenchError> {
    let output = target.with_extension("out");
    command
        .stdin(Stdio::null())
        .stdout(File::create(&output)?)
        .stderr(Stdio::null());
    let cost = children::run_if_installed(command).await?;
    for written in [&output, target] {
        if written.exists() {
            fs::remove_file(written)?;
        }
    }
    Ok(cost)
}

/// Returns a configuration with which the archive can be read. Nothing is fetched.
fn config_of(database: &ScratchDatabase) -> String {
    format!(
        "[database]\nurl = \"{}\"\n\n[[agora]]\nname = \"bench\"\nbase_url = \"http://127.0.0.1:1\"\n\
         app_id = \"bench\"\ncustomer_id = \"bench\"\ncustomer_secret = \"bench\"\n\
         streams = [{{ source = \"user-00\" }}]\n",
        database.url()
    )
}
