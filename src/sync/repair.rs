//! Windows that do not hold what they should are fetched again and put right.
//!
//! What the provider returns comes into the archive as always. What was changed behind the archive's back goes into
//! quarantine once its original is there. A message that the provider does not return is only taken for one that was
//! added where the window's digest says so: it may as well be one that the provider has removed since, and what was
//! archived stays. And a ledger row is only replaced by one that claims no less: what is lost stays a fault.

use std::collections::HashSet;

use tokio_util::sync::CancellationToken;

use super::account::{AccountSync, Session};
use super::evidence::Evidence;
use crate::domain::digest::ChainLink;
use crate::domain::identity::{Fingerprint, IdentifiedMessage, identify};
use crate::domain::message::UnparsableMessage;
use crate::domain::stream::{Scope, StreamIndex};
use crate::domain::window::Window;
use crate::proof::{Claim, MISFILED_FAULT, Mismatch, VerifyReport};
use crate::provider::{Disposition, FetchedWindow, ProviderError, Survey};
use crate::store::{
    ArchivedMessage, Commit, Cursor, Eviction, LedgerRow, Seal, StoreError, StreamId, Tally,
};

/// A window that was sealed as one is fetched as one.
const UNSPLIT: u64 = 1 << 40;
/// Messages of the archive that are read at once.
const ARCHIVE_PAGE: u64 = 1000;
const CHANGED: &str = "changed after it was archived";
const ADDED: &str = "added to the archive by somebody else: the provider never returned it";

/// What came of putting an account's windows right.
#[derive(Debug, Default)]
pub struct RepairReport {
    /// Windows that were fetched again.
    pub windows: u64,
    /// Messages that were missing.
    pub restored: u64,
    /// Messages that were moved into quarantine.
    pub quarantined: u64,
    /// What could not be fetched again, and why not.
    pub left: Vec<String>,
}

/// An account whose windows are put right.
struct Repair<'a> {
    account: &'a AccountSync,
    place: &'a Session,
    verdict: &'a VerifyReport,
    report: RepairReport,
    /// What was set aside because somebody had added it: other streams' ledger rows may claim it still.
    added: Vec<IdentifiedMessage>,
    /// All that was set aside: where it was, its original may be by now.
    quarantined: HashSet<Cursor>,
}

/// What else came with it.
struct RefetchExtras {
    provider_count: Option<u64>,
    unreadable: Vec<UnparsableMessage>,
}

/// A window that was fetched again.
struct RefetchedWindow<'a> {
    claim: &'a Claim,
    stream: StreamId,
    scope: Scope,
    /// Whole ledger rows: these.
    span: Window,
    rows: Vec<LedgerRow>,
    messages: Vec<IdentifiedMessage>,
    /// Whether this is certainly all that the provider ever had of it, but for what it may have removed.
    is_whole: bool,
}

impl AccountSync {
    /// Fetches again what differs, as far as the provider still has it. Ends early once `stop` is given.
    pub async fn repair(
        &mut self,
        verdict: &VerifyReport,
        stop: &CancellationToken,
    ) -> Result<RepairReport, StoreError> {
        if !verdict
            .mismatches
            .named
            .iter()
            .any(|difference| difference.stream.account == self.name())
        {
            return Ok(RepairReport::default());
        }
        let requests = self.provider.requests_sent();
        let place = match self.open_session(stop).await? {
            Ok(place) => place,
            Err(failure) => {
                let left = vec![format!(
                    "{}: {failure}\n  hint: {}",
                    self.name(),
                    failure.hint()
                )];
                return Ok(RepairReport {
                    left,
                    ..RepairReport::default()
                });
            }
        };
        let run = self
            .store
            .begin_run(place.account, "repair", self.clock.now())
            .await?;
        let repair = Repair {
            account: self,
            place: &place,
            verdict,
            report: RepairReport::default(),
            added: Vec::new(),
            quarantined: HashSet::new(),
        };
        let mended = repair.run(stop).await?;
        let (requests, new) = (self.provider.requests_sent() - requests, mended.restored);
        let tally = Tally {
            requests,
            new,
            windows: mended.windows,
            ..Tally::default()
        };
        self.store.end_run(run, &tally, self.clock.now()).await?;
        self.return_session(place);
        Ok(mended)
    }

    /// The part that the provider still has and is trusted to show already. Ledger rows that claim more have been
    /// changed.
    fn still_available(&self, span: Window) -> Option<Window> {
        let settled = self
            .provider
            .now()
            .second()
            .minus(self.provider.account().settle);
        span.starting_at(self.horizon().unwrap_or(span.from()))?
            .up_to(settled)
    }

    /// A window that was sealed as one is fetched as one.
    async fn fetch_again(
        &self,
        position: StreamIndex,
        span: Window,
        stop: &CancellationToken,
    ) -> Result<FetchedWindow, ProviderError> {
        let fetch = async {
            match self.provider.survey(position, span, UNSPLIT).await? {
                Survey::Complete(fetched) => Ok(fetched),
                Survey::OneWindow(count) | Survey::Split { count, .. } => {
                    self.provider.fetch(position, span, count).await
                }
            }
        };
        tokio::select! {
            fetched = fetch => fetched,
            () = stop.cancelled() => Err(ProviderError::Stopped),
        }
    }
}

impl<'a> Repair<'a> {
    async fn run(mut self, stop: &CancellationToken) -> Result<RepairReport, StoreError> {
        let verdict = self.verdict;
        let mut done: HashSet<(StreamIndex, Window)> = HashSet::new();
        for difference in &verdict.mismatches.named {
            let key = &difference.stream.key;
            if difference.stream.account != self.account.name() {
                continue;
            }
            let Some(position) = self.account.provider.stream_index(key) else {
                self.record_unrepaired(difference, &"the configuration does not follow the stream");
                continue;
            };
            let (span, rows) = self.span(position, difference.claim.window).await?;
            if !done.insert((position, span)) {
                continue;
            }
            let Some(to_be_had) = self.account.still_available(span) else {
                self.record_unrepaired(
                    difference,
                    &"behind the provider's retention edge nothing can be had any more",
                );
                continue;
            };
            match self.account.fetch_again(position, to_be_had, stop).await {
                Ok(fetched) => {
                    let stream = self.place.streams[position.get()].0;
                    let scope = self.account.provider.stream(position).scope.clone();
                    let is_whole = to_be_had == span
                        && fetched.doubt.is_none()
                        && fetched.unreadable.is_empty();
                    let messages = identify(fetched.messages);
                    let read = RefetchedWindow {
                        claim: &difference.claim,
                        stream,
                        scope,
                        span,
                        rows,
                        messages,
                        is_whole,
                    };
                    let rest = RefetchExtras {
                        provider_count: fetched.provider_count,
                        unreadable: fetched.unreadable,
                    };
                    if !self.repair_window(read, rest).await? {
                        self.record_unrepaired(
                            difference,
                            &"the provider does not have all of it any more",
                        );
                    }
                }
                Err(failure) => {
                    self.record_unrepaired(difference, &failure);
                    self.account
                        .record_pause(self.place.account, &failure)
                        .await?;
                    if failure.disposition() != Disposition::SkipStream {
                        break;
                    }
                }
            }
        }
        Ok(self.report)
    }

    fn record_unrepaired(&mut self, difference: &Mismatch, why: &dyn std::fmt::Display) {
        self.report
            .left
            .push(format!("{difference}\n  not put right: {why}"));
    }

    /// The window, grown to whole ledger rows; and the rows.
    async fn span(
        &self,
        position: StreamIndex,
        window: Window,
    ) -> Result<(Window, Vec<LedgerRow>), StoreError> {
        let rows = self
            .account
            .store
            .ledger_rows(self.place.streams[position.get()].0, window, u64::MAX)
            .await?;
        let (from, to) = rows
            .iter()
            .fold((window.from(), window.to()), |(from, to), row| {
                (from.min(row.window.from()), to.max(row.window.to()))
            });
        Ok((Window::new(from, to).unwrap_or(window), rows))
    }

    /// Brings the archive and its ledger together again; answers with whether all that was claimed is there.
    async fn repair_window(
        &mut self,
        read: RefetchedWindow<'_>,
        rest: RefetchExtras,
    ) -> Result<bool, StoreError> {
        let there = self.archived_messages(&read).await?;
        let mut aside = self.changed_messages(&read, &there);
        let stays = remaining(&there, &aside);
        for link in read.evidence(&stays).forged() {
            let message = stays
                .iter()
                .find(|m| ChainLink::from_identified(&m.identified) == link)
                .copied();
            let Some(message) = message else { continue };
            if !self.is_vouched_for(message, read.stream).await? {
                aside.push(Eviction {
                    message,
                    reason: ADDED,
                });
                self.added.push(message.identified.clone());
            }
        }
        let evidence = read.evidence(&remaining(&there, &aside));
        let added = self
            .added
            .iter()
            .filter(|m| read.scope.matches(&m.message))
            .map(ChainLink::from_identified)
            .collect();
        let whole =
            evidence.is_complete() && self.is_explained(&evidence, &stays, read.stream).await?;
        let (replaces, is_met) = (
            whole || evidence.matches_ledger(&added),
            evidence.matches_claim(),
        );
        let (store, now) = (&self.account.store, self.account.clock.now());
        if !aside.is_empty() {
            self.quarantined
                .extend(aside.iter().map(|aside| aside.message.cursor()));
            self.report.quarantined += store.move_to_quarantine(read.stream, &aside, now).await?;
        }
        let RefetchExtras {
            provider_count,
            unreadable,
        } = rest;
        let RefetchedWindow {
            stream,
            scope,
            span: window,
            rows,
            messages,
            ..
        } = read;
        // What was said of a window of which not all can be had any more is said still.
        let doubt = rows
            .iter()
            .find_map(|row| row.doubt.clone())
            .filter(|_| !whole);
        let provider_count = if whole {
            provider_count
        } else {
            rows.iter().map(|row| row.provider_count).sum()
        };
        let seal = Seal {
            window,
            scope,
            provider_count,
            doubt,
            replaces,
        };
        let (account, seal) = (self.place.account, replaces.then_some(seal));
        let written = store
            .commit(
                &[Commit {
                    account,
                    stream,
                    window,
                    seal,
                    messages,
                    unreadable,
                }],
                now,
            )
            .await?;
        self.report.windows += 1;
        self.report.restored += written.iter().map(|written| written.new).sum::<u64>();
        Ok(replaces || is_met)
    }

    fn is_ours(&self, message: &ArchivedMessage) -> bool {
        message.account == self.account.name()
    }

    /// What the archive holds of the stream in the span; and what the provider shows of it that is filed elsewhere.
    async fn archived_messages(
        &self,
        read: &RefetchedWindow<'_>,
    ) -> Result<Vec<ArchivedMessage>, StoreError> {
        let ours = read
            .messages
            .iter()
            .filter(|m| read.scope.matches(&m.message));
        let shown: HashSet<ChainLink> = ours.map(ChainLink::from_identified).collect();
        let wanted = |m: &ArchivedMessage| {
            read.scope.matches(&m.identified.message)
                || shown.contains(&ChainLink::from_identified(&m.identified))
        };
        let mut there = Vec::new();
        let mut after = Cursor::before(read.span.from().start());
        loop {
            let chunk = self
                .account
                .store
                .messages(&after, read.span.to().start(), ARCHIVE_PAGE)
                .await?;
            let Some(last) = chunk.last() else {
                return Ok(there);
            };
            after = last.cursor();
            there.extend(chunk.into_iter().filter(|m| self.is_ours(m) && wanted(m)));
        }
    }

    /// Messages that were changed: wherever they are by now, once their original is in hand; those that are filed
    /// elsewhere; and in the window, once certainly all of it is in hand.
    fn changed_messages<'m>(
        &self,
        read: &RefetchedWindow<'_>,
        there: &'m [ArchivedMessage],
    ) -> Vec<Eviction<'m>>
    where
        'a: 'm,
    {
        let original = |m: &IdentifiedMessage| (m.fingerprint, m.occurrence);
        let originals: HashSet<(Fingerprint, u32)> = read.messages.iter().map(original).collect();
        // One that is filed under a conversation of another account looks like that account's.
        let damaged = self.verdict.damaged_messages.named.iter();
        let damaged = damaged
            .filter(|d| self.is_ours(&d.message) || d.fault == MISFILED_FAULT)
            .map(|damage| &damage.message);
        let elsewhere = damaged.filter(|m| originals.contains(&original(&m.identified)));
        let is_elsewhere = |m: &ArchivedMessage| !read.scope.matches(&m.identified.message);
        let here = there
            .iter()
            .filter(|m| is_elsewhere(m) || read.is_whole && m.fault().is_some());
        let elsewhere = elsewhere.filter(|m| !self.quarantined.contains(&m.cursor()));
        let mut seen = HashSet::new();
        let changed = elsewhere.chain(here).filter(|m| seen.insert(m.cursor()));
        changed
            .map(|message| Eviction {
                message,
                reason: CHANGED,
            })
            .collect()
    }

    /// Whether of all that the provider does not show it is known why it is there. Where there was no digest, nothing
    /// else can be asked.
    async fn is_explained(
        &self,
        evidence: &Evidence<'_>,
        there: &[&ArchivedMessage],
        stream: StreamId,
    ) -> Result<bool, StoreError> {
        if evidence.claim.digest.is_none() {
            return Ok(true);
        }
        for (extra, _) in evidence.extras() {
            let message = there
                .iter()
                .find(|m| ChainLink::from_identified(&m.identified) == extra);
            let Some(message) = message else { continue };
            if !self.is_vouched_for(message, stream).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether another stream's ledger row, which agrees with what is there, is about this message, too.
    async fn is_vouched_for(
        &self,
        message: &ArchivedMessage,
        except: StreamId,
    ) -> Result<bool, StoreError> {
        let at = message.identified.message.sent_at;
        for stream in self.account.store.streams().await? {
            let holds = stream
                .scope
                .is_some_and(|scope| scope.matches(&message.identified.message));
            if stream.account != message.account || stream.id == except || !holds {
                continue;
            }
            let differs = self.verdict.mismatches.named.iter().any(|d| {
                d.stream.account == stream.account
                    && d.stream.key == stream.key
                    && d.claim.window.contains(at)
            });
            let rows = self
                .account
                .store
                .ledger_rows(stream.id, Window::with_length(at.second(), 1), 1)
                .await?;
            if !rows.is_empty() && !differs {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The messages that are not set aside.
fn remaining<'m>(there: &'m [ArchivedMessage], aside: &[Eviction<'_>]) -> Vec<&'m ArchivedMessage> {
    let gone: HashSet<Cursor> = aside.iter().map(|aside| aside.message.cursor()).collect();
    there
        .iter()
        .filter(|message| !gone.contains(&message.cursor()))
        .collect()
}

impl RefetchedWindow<'_> {
    fn evidence(&self, there: &[&ArchivedMessage]) -> Evidence<'_> {
        let inside = |m: &&IdentifiedMessage| {
            self.span.contains(m.message.sent_at) && self.scope.matches(&m.message)
        };
        Evidence {
            claim: self.claim,
            rows: &self.rows,
            shown: self
                .messages
                .iter()
                .filter(inside)
                .map(ChainLink::from_identified)
                .collect(),
            is_whole: self.is_whole,
            archived: there
                .iter()
                .map(|m| (ChainLink::from_identified(&m.identified), m.archived_at))
                .collect(),
        }
    }
}
