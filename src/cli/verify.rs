//! `backscroll verify`

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::table::{sanitized, thousands};
use super::{CliError, IfMissing, Outcome, accounts, open, open_to_write, say};
use crate::config::Config;
use crate::daemon::signals;
use crate::domain::clock::Clock;
use crate::proof::manifest::{self, Manifest, ManifestKey};
use crate::proof::{Findings, VerifyOptions, VerifyReport, verify};
use crate::sync::{CountComparison, Engine, Purpose, RepairReport};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,

    /// Compares what is sealed with what the providers count today as well
    #[arg(long)]
    remote: bool,

    /// Fetches again what differs, as far as the providers still have it
    #[arg(long)]
    repair: bool,

    /// Writes what all windows hold to this file, chained and signed, if all agrees
    #[arg(long, value_name = "FILE", requires = "key")]
    manifest: Option<PathBuf>,

    /// The key that signs the manifest: a file with the seed of an ed25519 key as 64 hex digits
    #[arg(long, value_name = "FILE", requires = "manifest")]
    key: Option<PathBuf>,

    /// Compares the archive with this manifest as well
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,

    /// Whose signature the manifest must carry, in hex; whoever changed it could have signed it anew
    #[arg(long, value_name = "HEX", requires = "against")]
    public_key: Option<String>,
}

pub(super) async fn run(
    args: &Args,
    config: &Config,
    clock: Arc<dyn Clock>,
) -> Result<Outcome, CliError> {
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
        say(format_args!(
            "The manifest of {} is as {} signed it: {} windows.",
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
    let mut outcome = Outcome::Good;
    if args.remote || args.repair && verdict.faults() > 0 {
        let stop = CancellationToken::new();
        signals::cancel_on_signal(stop.clone())?;
        let mut engine = Engine::new(
            accounts::providers(config, account, &clock)?,
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
        outcome = Outcome::Lacking;
    }
    if let (Some(path), Some(key)) = (&args.manifest, &key) {
        if outcome == Outcome::Good && verdict.without_digest == 0 {
            let rows = manifest::write(&*store, account, key, clock.now(), path).await?;
            say(format_args!(
                "{} windows written to {} and signed.",
                thousands(rows),
                path.display()
            ));
        } else {
            say(format_args!(
                "No manifest was written: it would vouch for what is not proven."
            ));
            outcome = Outcome::Lacking;
        }
    }
    store.close().await;
    Ok(outcome)
}

/// Puts right what differs and looks again, for as long as that makes less of it.
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
            let RepairReport {
                windows,
                restored,
                quarantined: set_aside,
                left: here,
            } = account.repair(&verdict, stop).await?;
            left.extend(here);
            if windows > 0 {
                say(format_args!(
                    "{name}: {} windows fetched again, {} messages restored, {} set aside in quarantine",
                    thousands(windows),
                    thousands(restored),
                    thousands(set_aside)
                ));
            }
        }
        let before = verdict.faults();
        verdict = verify(&**engine.store(), question).await?;
        if verdict.faults() == 0 || verdict.faults() >= before || stop.is_cancelled() {
            for left in &left {
                print_sanitized_lines(left);
            }
            return Ok(verdict);
        }
    }
}

/// Compares with the providers' counts; where they differ and it is wanted, what differs is read again, for as long as
/// that makes less of it.
async fn compare_counts(
    repair: bool,
    engine: &mut Engine,
    stop: &CancellationToken,
) -> Result<Outcome, CliError> {
    let mut before = usize::MAX;
    loop {
        let mut counts = CountComparison::default();
        for account in engine.accounts() {
            let CountComparison {
                streams,
                excesses,
                left,
            } = account.compare_counts(stop).await?;
            counts.streams += streams;
            counts.excesses.extend(excesses);
            counts.left.extend(left);
        }
        for excess in &counts.excesses {
            print_sanitized_lines(&excess.to_string());
        }
        let fewer = counts.excesses.len() < before && !counts.excesses.is_empty();
        if repair && fewer && !stop.is_cancelled() {
            before = counts.excesses.len();
            say("Reading these again …");
            engine.pass(Purpose::Reconcile, stop).await?;
            continue;
        }
        for left in &counts.left {
            print_sanitized_lines(left);
        }
        let agrees = counts.excesses.is_empty() && counts.left.is_empty();
        let found = if agrees {
            "as many as were read"
        } else {
            "NOT what was read"
        };
        say(format_args!(
            "The providers count {found}: {} streams, as far as they still have them.",
            counts.streams
        ));
        return Ok(if agrees {
            Outcome::Good
        } else {
            Outcome::Lacking
        });
    }
}

fn print_verdict(verdict: &VerifyReport, repaired: bool) {
    print_findings(verdict);
    for (account, stream) in &verdict.without_scope {
        say(format_args!(
            "{account} {}: was last followed by an earlier version of Backscroll, which did not say which messages are \
             its own\n  hint: follow it once more",
            sanitized(stream)
        ));
    }
    if verdict.without_digest > 0 {
        say(format_args!(
            "{} windows were sealed by an earlier version of Backscroll: only their counts could be compared\n  hint: \
             `backscroll verify --repair` gives them a digest",
            thousands(verdict.without_digest)
        ));
    }
    let (messages, windows) = (thousands(verdict.messages), thousands(verdict.windows));
    if verdict.agrees() {
        say(format_args!(
            "All agrees: {messages} messages, {windows} windows."
        ));
        return;
    }
    let (differ, changed) = (
        thousands(verdict.mismatches.count),
        thousands(verdict.damaged_messages.count),
    );
    say(format_args!(
        "NOT all agrees: of {windows} windows {differ} differ, of {messages} messages {changed} were changed."
    ));
    if !repaired {
        say("  hint: `backscroll verify --repair` fetches again what the providers still have");
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
        say(format_args!("… and {} more", thousands(several.unlisted())));
    }
}

/// Names may hold anything; the lines are ours.
fn print_sanitized_lines(text: &str) {
    text.lines().for_each(|line| say(sanitized(line)));
}
