//! `backscroll export`: messages in files, and the check of such files.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::archive_args::ArchiveArgs;
use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::filter_args::FilterArgs;
use super::limits::MAX_LISTED_RANGES;
use super::open_archive::open_for_reader;
use super::output::{print_line, print_with_hint};
use super::table::{counted, sanitized, thousands};
use crate::config::DatabaseUrl;
use crate::domain::clock::Clock;
use crate::domain::format::sanitized_lines;
use crate::reader::export::{
    ExportError, ExportFormat, ExportReport, check_export, export_to_folder, export_to_output,
};
use crate::reader::resolve;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Format of the files
    #[arg(
        long,
        value_enum,
        required_unless_present = "check",
        value_name = "FORMAT"
    )]
    format: Option<FormatArg>,

    /// Folder for the files, one for each provider and day, and their manifest. An earlier export
    /// with the same filters is brought up to date. `-`: standard output (jsonl and csv)
    #[arg(long, value_name = "DIR", required_unless_present = "check")]
    out: Option<PathBuf>,

    #[command(flatten)]
    filter: FilterArgs,

    /// Compare the files of an export with its manifest, and export nothing
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = [
            "format", "out", "account", "conversation", "sender", "since", "until"
        ]
    )]
    check: Option<PathBuf>,

    #[command(flatten)]
    pub(super) archive: ArchiveArgs,
}

/// A format on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    /// A JSON object on each line
    Jsonl,
    /// Comma-separated values (RFC 4180)
    Csv,
    /// Apache Parquet: typed columns, compressed
    #[cfg(feature = "parquet")]
    Parquet,
    /// A transcript: one page for each conversation and day
    Html,
}

impl From<FormatArg> for ExportFormat {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Jsonl => Self::Jsonl,
            FormatArg::Csv => Self::Csv,
            #[cfg(feature = "parquet")]
            FormatArg::Parquet => Self::Parquet,
            FormatArg::Html => Self::Html,
        }
    }
}

impl Args {
    /// Returns the folder to check, if nothing is to be exported.
    pub(super) fn folder_to_check(&self) -> Option<&Path> {
        self.check.as_deref()
    }
}

/// Compares an export with its manifest. It needs no archive.
pub(super) fn check(folder: &Path) -> Result<ExitOutcome, CliError> {
    let report = check_export(folder)?;
    for finding in &report.findings {
        print_line(sanitized(&finding.to_string()));
    }
    let files = counted(report.files, "file", "files");
    let messages = counted(report.messages, "message", "messages");
    let begun_at = &report.begun_at;
    if report.findings.is_empty() {
        print_line(format_args!(
            "The export of {begun_at} is intact: {messages} in {files}.\n\
             Digest: {}",
            report.digest
        ));
    } else {
        let findings = counted(report.findings.len() as u64, "difference", "differences");
        print_with_hint(
            format_args!("The export of {begun_at} is NOT intact: {findings}."),
            "the same export again writes missing and cut files; remove an altered file first, and \
             move files of others elsewhere",
        );
    }
    Ok(ExitOutcome::success_if(report.findings.is_empty()))
}

pub(super) async fn run(
    args: &Args,
    archive: &DatabaseUrl,
    clock: &dyn Clock,
) -> Result<ExitOutcome, CliError> {
    // Both are given unless there is a folder to check.
    let (Some(format), Some(out)) = (args.format, args.out.as_deref()) else {
        return Err(CliError::Usage("--format and --out are missing".to_owned()));
    };
    let format = ExportFormat::from(format);
    let is_output = out == Path::new("-");
    if is_output && !format.is_text() {
        return Err(CliError::Usage(format!(
            "--format {} cannot be written to standard output: name a folder in --out",
            format.as_str()
        )));
    }
    let filter = args.filter.filter(clock.now())?;
    let store = open_for_reader(archive).await?;
    let filter = resolve(&*store, filter).await?;
    let outcome = if is_output {
        match export_to_output(&*store, format, &filter).await {
            Ok(completeness) => {
                for line in completeness.sentences(MAX_LISTED_RANGES) {
                    eprintln!("{}", sanitized_lines(&line));
                }
                ExitOutcome::Success
            }
            // The reader has seen enough.
            Err(ExportError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                ExitOutcome::Success
            }
            Err(error) => return Err(error.into()),
        }
    } else {
        let exported = export_to_folder(
            &*store,
            out,
            format,
            &filter,
            clock.now(),
            |day, messages| {
                tracing::info!(%day, messages, "exported");
            },
        );
        print_report(&exported.await?)
    };
    store.close().await;
    Ok(outcome)
}

fn print_report(report: &ExportReport) -> ExitOutcome {
    let messages = counted(report.messages, "message", "messages");
    let files = counted(report.files, "file", "files");
    let days = counted(report.days, "day", "days");
    let written = counted(report.written_days, "day", "days");
    let unchanged = thousands(report.days - report.written_days);
    let removed = match report.removed_days {
        0 => String::new(),
        days => format!(", {} removed", thousands(days)),
    };
    print_line(format_args!(
        "{messages} of {days} in {files}: {written} written, {unchanged} \
         unchanged{removed}.
Digest: {}",
        report.digest
    ));
    for line in report.completeness.sentences(MAX_LISTED_RANGES) {
        print_line(line);
    }
    if report.damaged > 0 {
        let damaged = counted(report.damaged, "message was", "messages were");
        print_with_hint(
            format_args!(
                "{damaged} changed after being archived. The export holds the changed content."
            ),
            "`backscroll verify --repair` refetches them if the providers still have them",
        );
    }
    ExitOutcome::success_if(report.damaged == 0)
}
