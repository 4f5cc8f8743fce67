//! `backscroll verify`

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::table::{sanitized, thousands};
use super::{CliError, ExitOutcome, IfMissing, accounts, open, open_to_write, print_line};
use crate::config::Config;
use crate::daemon::signals;
use crate::domain::clock::Clock;
use crate::proof::manifest::{self, Manifest, ManifestKey};
use crate::proof::{Findings, VerifyOptions, VerifyReport, verify};
use crate::sync::{
    AccountFailure, CountComparison, Engine, Purpose, RepairReport, UnrepairedWindow,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,

    /// Also compare the sealed windows with the current counts of the providers
    #[arg(long)]
    remote: bool,

    /// Refetch windows that differ, if the providers still have them
    #[arg(long)]
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

    /// Public key that must have signed the manifest, in hex; without it, a manifest that was changed
    /// and signed with another key passes
    #[arg(long, value_name = "HEX", requires = "against")]
    public_key: Option<String>,
}

pub(super) async fn run(
    args: &Args,
    config: &Config,
    clock: Arc<dyn Clock>,
) -> Result<ExitOutcome, CliError> {
    let account = args.account.as_deref();
    let key = args.key.as_deref().map(ManifestKey::read).transpose()?;
    let against = args
        .against
        .as_deref()
        .map(|path| Manifest::read(path, args.public_key.as_deref()))
        .transpose()?;
    let store = if args.repair {
        open_to_write(&config.database.url, IfMissing::Refuse, &*clock).await?
    } else {
        open(&config.database.url, IfMissing::Refuse).await?
    };
    if let Some(wanted) = account
        && !store
            .streams()
            .await?
            .iter()
            .any(|stream| stream.account == wanted)
    {
        return Err(CliError::Usage(format!(
            "the archive has no account `{wanted}`"
        )));
    }
    if let Some(manifest) = &against {
        print_line(format_args!(
            "The manifest of {} has a valid signature of {}: {} windows.",
            manifest.created,
            manifest.public_key,
            thousands(manifest.rows)
        ));
    }
    let question = VerifyOptions {
        account,
        manifest: against.as_ref(),
        add_digests: args.repair,
    };
    let mut verdict = verify(&*store, question).await?;
    let mut outcome = ExitOutcome::Success;
    if args.remote || args.repair && verdict.faults() > 0 {
        let stop = CancellationToken::new();
        signals::cancel_on_signal(stop.clone())?;
        let mut engine = Engine::new(
            accounts::build_providers(config, account, &clock)?,
            store.clone(),
            &clock,
        );
        if args.repair && verdict.faults() > 0 {
            verdict = repair(verdict, question, &mut engine, &stop).await?;
        }
        if args.remote {
            outcome = compare_counts(args.repair, &mut engine, &stop).await?;
            verdict = if args.repair {
                verify(&*store, question).await?
            } else {
                verdict
            };
        }
    }
    print_verdict(&verdict, args.repair);
    if !verdict.agrees() {
        outcome = ExitOutcome::Incomplete;
    }
    if let (Some(path), Some(key)) = (&args.manifest, &key) {
        if outcome == ExitOutcome::Success && verdict.without_digest == 0 {
            let rows = manifest::write(&*store, account, key, clock.now(), path).await?;
            print_line(format_args!(
                "{} windows written to {} and signed.",
                thousands(rows),
                path.display()
            ));
        } else {
            print_line(format_args!(
                "No manifest was written, because not all windows are verified."
            ));
            outcome = ExitOutcome::Incomplete;
        }
    }
    store.close().await;
    Ok(outcome)
}

/// Repairs mismatches and verifies again, as long as each round reduces their number.
async fn repair(
    mut verdict: VerifyReport,
    question: VerifyOptions<'_>,
    engine: &mut Engine,
    stop: &CancellationToken,
) -> Result<VerifyReport, CliError> {
    loop {
        print_findings(&verdict);
        let mut left = Vec::new();
        for account in engine.accounts() {
            let name = account.name().to_owned();
            let report = account.repair(&verdict, stop).await?;
            left.extend(report.not_opened.iter().map(failure_with_hint));
            left.extend(report.unrepaired.iter().map(unrepaired_with_reason));
            let RepairReport {
                windows,
                restored,
                quarantined,
                ..
            } = report;
            if windows > 0 {
                print_line(format_args!(
                    "{name}: {} windows refetched, {} messages restored, {} moved to quarantine",
                    thousands(windows),
                    thousands(restored),
                    thousands(quarantined)
                ));
            }
        }
        let before = verdict.faults();
        verdict = verify(&**engine.archive(), question).await?;
        if verdict.faults() == 0 || verdict.faults() >= before || stop.is_cancelled() {
            for left in &left {
                print_sanitized_lines(left);
            }
            return Ok(verdict);
        }
    }
}

/// Compares the archive with the providers' counts. With `repair`, refetches streams that differ, as
/// long as each round reduces their number.
async fn compare_counts(
    repair: bool,
    engine: &mut Engine,
    stop: &CancellationToken,
) -> Result<ExitOutcome, CliError> {
    let mut before = usize::MAX;
    loop {
        let mut counts = CountComparison::default();
        for account in engine.accounts() {
            let of_account = account.compare_counts(stop).await?;
            counts.streams += of_account.streams;
            counts.differences.extend(of_account.differences);
            counts.failures.extend(of_account.failures);
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
        let agrees = counts.differences.is_empty() && counts.failures.is_empty();
        let found = if agrees {
            "the same number of messages"
        } else {
            "a DIFFERENT number of messages"
        };
        print_line(format_args!(
            "The providers count {found} in {} streams, within their retention.",
            counts.streams
        ));
        return Ok(if agrees {
            ExitOutcome::Success
        } else {
            ExitOutcome::Incomplete
        });
    }
}

/// Returns the line of a failure, and the line of its hint.
fn failure_with_hint(failure: &AccountFailure) -> String {
    format!("{failure}\n  hint: {}", failure.failure.hint())
}

/// Returns the line of a window that was not repaired, and the line of the reason.
fn unrepaired_with_reason(window: &UnrepairedWindow) -> String {
    format!("{}\n  not repaired: {}", window.mismatch, window.reason)
}

fn print_verdict(verdict: &VerifyReport, repaired: bool) {
    print_findings(verdict);
    for (account, stream) in &verdict.without_scope {
        print_line(format_args!(
            "{account} {}: was last followed by an earlier version of Backscroll, which did not record which \
             messages belong to it\n  hint: add it to the configuration and sync once more",
            sanitized(stream)
        ));
    }
    if verdict.without_digest > 0 {
        print_line(format_args!(
            "{} windows were sealed by an earlier version of Backscroll: only their counts could be compared\n  \
             hint: `backscroll verify --repair` adds their digests",
            thousands(verdict.without_digest)
        ));
    }
    let (messages, windows) = (thousands(verdict.messages), thousands(verdict.windows));
    if verdict.agrees() {
        print_line(format_args!(
            "The archive is intact: {messages} messages, {windows} windows."
        ));
        return;
    }
    let (differ, changed) = (
        thousands(verdict.mismatches.count),
        thousands(verdict.damaged_messages.count),
    );
    print_line(format_args!(
        "The archive is NOT intact: {differ} of {windows} windows differ, {changed} of {messages} messages were changed."
    ));
    if !repaired {
        print_line(
            "  hint: `backscroll verify --repair` refetches the windows that the providers still have",
        );
    }
}

fn print_findings(verdict: &VerifyReport) {
    print_finding_list(&verdict.mismatches);
    print_finding_list(&verdict.damaged_messages);
}

fn print_finding_list<T: std::fmt::Display>(several: &Findings<T>) {
    several
        .named
        .iter()
        .for_each(|one| print_sanitized_lines(&one.to_string()));
    if several.unlisted() > 0 {
        print_line(format_args!("… and {} more", thousands(several.unlisted())));
    }
}

/// Prints each line without control characters, which names may contain.
fn print_sanitized_lines(text: &str) {
    text.lines().for_each(|line| print_line(sanitized(line)));
}
