//! `backscroll verify`: compares the archive with its ledger, a manifest and the providers' counts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::accounts::{self, unknown_account};
use super::archive_args::{ArchiveArgs, ArchiveToRead};
use super::error::CliError;
use super::exit_outcome::ExitOutcome;
use super::open_archive::{open, open_for_reader, open_to_write};
use super::output::{print_line, print_with_hint};
use super::summary::print_doubts;
use super::table::{counted, sanitized, thousands};
use crate::config::UsedSecrets;
use crate::daemon::signals;
use crate::domain::clock::Clock;
use crate::proof::manifest::{self, Manifest, ManifestKey};
use crate::proof::{Findings, VerifyOptions, VerifyReport, verify};
use crate::store::Archive;
use crate::store::IfMissing;
use crate::sync::{
    AccountFailure, CountComparison, Engine, Purpose, RepairReport, UnrepairedWindow,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,

    /// Also compare the sealed windows with the current counts of the providers
    #[arg(long, conflicts_with = "database")]
    remote: bool,

    /// Refetch windows that differ, if the providers still have them
    #[arg(long, conflicts_with = "database")]
    repair: bool,

    /// If the archive is intact, write the digests of all windows to this file, chained and signed
    #[arg(long, value_name = "FILE", requires = "key")]
    manifest: Option<PathBuf>,

    /// Key that signs the manifest: a file with the seed of an ed25519 key as 64 hex digits
    #[arg(long, value_name = "FILE", requires = "manifest")]
    key: Option<PathBuf>,

    /// Also compare the archive with this manifest
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,

    /// Public key that must have signed the manifest, in hex; without it, a manifest that was
    /// changed and signed with another key passes
    #[arg(long, value_name = "HEX", requires = "against")]
    public_key: Option<String>,

    #[command(flatten)]
    pub(super) archive: ArchiveArgs,
}

pub(super) async fn run(
    args: &Args,
    archive: &ArchiveToRead,
    clock: Arc<dyn Clock>,
) -> Result<ExitOutcome, CliError> {
    let account = args.account.as_deref();
    let key = args.key.as_deref().map(ManifestKey::read).transpose()?;
    let manifest = args.read_manifest()?;
    let store = if args.repair {
        open_to_write(&archive.url, IfMissing::Refuse, &*clock).await?
    } else if args.remote {
        open(&archive.url, IfMissing::Refuse).await?
    } else {
        open_for_reader(&archive.url).await?
    };
    require_account(&*store, account).await?;
    if let Some(manifest) = &manifest {
        print_manifest(manifest);
    }
    let options = VerifyOptions {
        account,
        manifest: manifest.as_ref(),
        add_digests: args.repair,
    };
    let mut report = verify(&*store, options).await?;
    let mut outcome = ExitOutcome::Success;
    let needs_repair = args.repair && report.faults() > 0;
    if let Some(config) = archive
        .config
        .as_ref()
        .filter(|_| args.remote || needs_repair)
    {
        let stop = CancellationToken::new();
        signals::cancel_on_signal(stop.clone())?;
        let providers = accounts::build_providers(config, account, &clock)?;
        accounts::check_identities(&providers, &*store).await?;
        let mut engine = Engine::new(providers, store.clone(), &clock);
        if needs_repair {
            report = repair(report, options, &mut engine, &stop).await?;
        }
        if args.remote {
            outcome = compare_counts(args.repair, &mut engine, &stop).await?;
        }
        if args.remote && args.repair {
            report = verify(&*store, options).await?;
        }
    }
    print_report(&report, args.repair);
    print_unarchived(&*store, account).await?;
    if !report.agrees() {
        outcome = ExitOutcome::Incomplete;
    }
    if let (Some(path), Some(key)) = (&args.manifest, &key) {
        if outcome == ExitOutcome::Success && report.without_digest == 0 {
            write_manifest(&*store, account, key, &*clock, path).await?;
        } else {
            print_line("No manifest was written, because not all windows are verified.");
            outcome = ExitOutcome::Incomplete;
        }
    }
    store.close().await;
    Ok(outcome)
}

impl Args {
    /// Returns the secrets that this command uses.
    pub(super) fn used_secrets(&self) -> UsedSecrets<'_> {
        if self.remote || self.repair {
            UsedSecrets::of_accounts(self.account.as_deref())
        } else {
            UsedSecrets::None
        }
    }

    fn read_manifest(&self) -> Result<Option<Manifest>, CliError> {
        let Some(path) = &self.against else {
            return Ok(None);
        };
        Ok(Some(Manifest::read(path, self.public_key.as_deref())?))
    }
}

/// Errors if an account is named that the archive does not have.
async fn require_account(store: &dyn Archive, account: Option<&str>) -> Result<(), CliError> {
    let Some(wanted) = account else { return Ok(()) };
    let streams = store.streams().await?;
    if streams.iter().any(|stream| stream.account == wanted) {
        return Ok(());
    }
    let known = streams.iter().map(|stream| stream.account.as_str());
    Err(unknown_account("the archive", wanted, known))
}

fn print_manifest(manifest: &Manifest) {
    let (created, signer) = (&manifest.created, &manifest.public_key);
    let windows = counted(manifest.rows, "window", "windows");
    print_line(format_args!(
        "The manifest of {created} has a valid signature of {signer}: {windows}."
    ));
}

async fn write_manifest(
    store: &dyn Archive,
    account: Option<&str>,
    key: &ManifestKey,
    clock: &dyn Clock,
    path: &Path,
) -> Result<(), CliError> {
    let windows = manifest::write(store, account, key, clock.now(), path).await?;
    let (windows, path) = (counted(windows, "window", "windows"), path.display());
    print_line(format_args!("{windows} written to {path} and signed."));
    Ok(())
}

/// Repairs mismatches and verifies again, as long as each round reduces their number.
async fn repair(
    mut report: VerifyReport,
    options: VerifyOptions<'_>,
    engine: &mut Engine,
    stop: &CancellationToken,
) -> Result<VerifyReport, CliError> {
    loop {
        print_findings(&report);
        let mut left = Vec::new();
        for account in engine.accounts() {
            let name = account.name().to_owned();
            let repaired = account.repair(&report, stop).await?;
            left.extend(repaired.not_opened.iter().map(failure_with_hint));
            left.extend(repaired.unrepaired.iter().map(unrepaired_with_reason));
            let RepairReport {
                windows,
                restored,
                quarantined,
                ..
            } = repaired;
            if windows > 0 {
                print_line(format_args!(
                    "{name}: {} refetched, {} restored, {} moved to quarantine",
                    counted(windows, "window", "windows"),
                    counted(restored, "message", "messages"),
                    thousands(quarantined)
                ));
            }
        }
        let before = report.faults();
        report = verify(&**engine.archive(), options).await?;
        if report.faults() == 0 || report.faults() >= before || stop.is_cancelled() {
            for left in &left {
                print_sanitized_lines(left);
            }
            return Ok(report);
        }
    }
}

/// Compares the archive with the providers' counts. With `repair`, refetches streams that differ,
/// as long as each round reduces their number.
async fn compare_counts(
    repair: bool,
    engine: &mut Engine,
    stop: &CancellationToken,
) -> Result<ExitOutcome, CliError> {
    let mut before = usize::MAX;
    loop {
        let mut counts = CountComparison::default();
        for account in engine.accounts() {
            let compared = account.compare_counts(stop).await?;
            counts.streams += compared.streams;
            counts.differences.extend(compared.differences);
            counts.doubted.extend(compared.doubted);
            counts.failures.extend(compared.failures);
        }
        for difference in &counts.differences {
            print_sanitized_lines(&difference.to_string());
        }
        let fewer = counts.differences.len() < before && !counts.differences.is_empty();
        if repair && fewer && !stop.is_cancelled() {
            before = counts.differences.len();
            print_line("Refetching these …");
            engine.pass(Purpose::Reconcile, stop).await?;
            continue;
        }
        for failure in &counts.failures {
            print_sanitized_lines(&failure_with_hint(failure));
        }
        for ((account, stream), windows) in &counts.doubted {
            let stream = sanitized(stream);
            let windows = counted(*windows, "window is", "windows are");
            print_with_hint(
                format_args!("{account} {stream}: {windows} in doubt"),
                "`backscroll status` and the view `coverage` tell why; `sync` and `run` refetch what \
                 is in doubt",
            );
        }
        let agrees = counts.differences.is_empty()
            && counts.failures.is_empty()
            && counts.doubted.is_empty();
        let sentence = comparison_sentence(&counts);
        if counts.differences.is_empty() || repair {
            print_line(sentence);
        } else {
            print_with_hint(
                sentence,
                "a message that arrived late looks like this until it is fetched; `backscroll verify \
                 --remote --repair` fetches it now, and `run` at the next `reconcile`",
            );
        }
        return Ok(if agrees {
            ExitOutcome::Success
        } else {
            ExitOutcome::Incomplete
        });
    }
}

/// Returns the sentence that sums up a comparison.
fn comparison_sentence(counts: &CountComparison) -> String {
    let differing: BTreeSet<(&str, &str)> = counts
        .differences
        .iter()
        .map(|difference| (&*difference.account, &*difference.stream))
        .collect();
    let streams = counted(counts.streams, "stream", "streams");
    let found = match (counts.streams, differing.len() as u64) {
        (0, _) if !counts.failures.is_empty() => {
            return "No stream could be compared with its provider.".to_owned();
        }
        (_, 0) => format!("the same number of messages in {streams}"),
        (_, differing) => {
            let differing = thousands(differing);
            format!("a DIFFERENT number of messages in {differing} of {streams}")
        }
    };
    let except = if counts.doubted.is_empty() {
        ""
    } else {
        ", apart from the windows in doubt"
    };
    let failed = if counts.failures.is_empty() {
        ""
    } else {
        " Not all streams could be compared."
    };
    format!("The providers count {found}, within their retention{except}.{failed}")
}

/// Prints what the ledger cannot vouch for: messages in quarantine, and windows in doubt.
async fn print_unarchived(store: &dyn Archive, account: Option<&str>) -> Result<(), CliError> {
    let summaries = store.account_summaries().await?;
    let wanted = summaries
        .iter()
        .filter(|summary| account.is_none_or(|account| account == summary.account));
    let (mut quarantined, mut suspect, mut expired) = (0, 0, 0);
    for summary in wanted {
        quarantined += summary.quarantined;
        suspect += summary.suspect_rows - summary.expired_suspect_rows;
        expired += summary.expired_suspect_rows;
    }
    if quarantined > 0 {
        let quarantined = counted(quarantined, "message is", "messages are");
        print_with_hint(
            format_args!("{quarantined} in quarantine."),
            "the view `quarantine` tells why; after an upgrade, `backscroll requeue` parses again \
             what is in quarantine",
        );
    }
    print_doubts(suspect, expired);
    Ok(())
}

/// Returns the line of a failure, and the line of its hint.
fn failure_with_hint(failure: &AccountFailure) -> String {
    format!("{failure}\n  hint: {}", failure.failure.hint())
}

/// Returns the line of a window that was not repaired, and the line of the reason.
fn unrepaired_with_reason(window: &UnrepairedWindow) -> String {
    format!("{}\n  not repaired: {}", window.mismatch, window.reason)
}

fn print_report(report: &VerifyReport, repaired: bool) {
    print_findings(report);
    for (account, stream) in &report.without_scope {
        let stream = sanitized(stream);
        print_with_hint(
            format_args!(
                "{account} {stream}: was last followed by an earlier version of Backscroll, which \
                 did not record which messages belong to it"
            ),
            "add it to the configuration and sync once more",
        );
    }
    if report.without_digest > 0 {
        let windows = counted(report.without_digest, "window was", "windows were");
        print_with_hint(
            format_args!(
                "{windows} sealed by an earlier version of Backscroll: only the count could be \
                 compared"
            ),
            "`backscroll verify --repair` adds digests",
        );
    }
    if report.agrees() {
        let messages = counted(report.messages, "message", "messages");
        let windows = counted(report.windows, "window", "windows");
        print_line(format_args!(
            "The archive is intact: {messages}, {windows}."
        ));
        return;
    }
    let [differ, windows, changed, messages] = [
        report.mismatches.count,
        report.windows,
        report.damaged_messages.count,
        report.messages,
    ]
    .map(thousands);
    let line = format!(
        "The archive is NOT intact. Windows that differ: {differ} of {windows}; messages that were \
         changed: {changed} of {messages}."
    );
    if repaired {
        print_line(line);
    } else {
        print_with_hint(
            line,
            "`backscroll verify --repair` refetches the windows that the providers still have",
        );
    }
}

fn print_findings(report: &VerifyReport) {
    print_finding_list(&report.mismatches);
    print_finding_list(&report.damaged_messages);
}

fn print_finding_list<T: std::fmt::Display>(findings: &Findings<T>) {
    for finding in &findings.listed {
        print_sanitized_lines(&finding.to_string());
    }
    if findings.unlisted() > 0 {
        let more = thousands(findings.unlisted());
        print_line(format_args!("… and {more} more"));
    }
}

/// Prints each line without control characters, which names may contain.
fn print_sanitized_lines(text: &str) {
    for line in text.lines() {
        print_line(sanitized(line));
    }
}
