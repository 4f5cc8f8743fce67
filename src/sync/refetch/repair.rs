//! Windows that do not match their claim are fetched again and repaired.
//!
//! Everything that the provider returns is committed as usual. A message that was changed behind
//! the archive's back is moved to quarantine once its original is committed. A message that the
//! provider does not return is taken for a forgery only if the window's digest says so: the
//! provider may as well have removed it, and archived messages stay. A ledger row is only replaced
//! by one that claims no less: lost messages remain a mismatch.

use std::collections::HashSet;

use tokio_util::sync::CancellationToken;

use super::evidence::Evidence;
use super::refetched_window::{RefetchedWindow, fetch_unsplit};
use super::repair_report::{RepairReport, UnrepairedReason, UnrepairedWindow};
use crate::domain::digest::ChainLink;
use crate::domain::identity::{Fingerprint, IdentifiedMessage, identify};
use crate::domain::stream::StreamIndex;
use crate::domain::window::Window;
use crate::proof::{MISFILED_FAULT, Mismatch, VerifyReport};
use crate::provider::Disposition;
use crate::store::{
    ArchivedMessage, Chunks, Commit, Cursor, Eviction, LedgerRow, Seal, StoreError, StreamId,
};
use crate::sync::session::Session;

const CHANGED: &str = "changed after it was archived";
const FORGED: &str = "added to the archive by somebody else: the provider never returned it";

/// A repair in progress.
struct Repair<'a> {
    session: &'a mut Session,
    verified: &'a VerifyReport,
    report: RepairReport,
    /// Forged messages that were moved to quarantine: the ledger rows of other streams may still
    /// claim them.
    forged: Vec<IdentifiedMessage>,
    /// The positions of all messages that were moved to quarantine. Their originals may be there
    /// by now.
    quarantined: HashSet<Cursor>,
}

/// Refetches and repairs the mismatching windows of an account, as far as the provider still has
/// them. Ends early after `stop`.
pub(in crate::sync) async fn repair(
    session: &mut Session,
    verified: &VerifyReport,
    stop: &CancellationToken,
) -> Result<RepairReport, StoreError> {
    let repair = Repair {
        session,
        verified,
        report: RepairReport::default(),
        forged: Vec::new(),
        quarantined: HashSet::new(),
    };
    repair.run(stop).await
}

impl<'a> Repair<'a> {
    async fn run(mut self, stop: &CancellationToken) -> Result<RepairReport, StoreError> {
        let verified = self.verified;
        let mut done: HashSet<(StreamIndex, Window)> = HashSet::new();
        for mismatch in &verified.mismatches.listed {
            if mismatch.stream.account != self.session.provider.account().name {
                continue;
            }
            let Some(index) = self.session.provider.stream_index(&mismatch.stream.key) else {
                self.leave(mismatch, UnrepairedReason::NotFollowed);
                continue;
            };
            let (span, rows) = self.whole_rows(index, mismatch.claim.window).await?;
            if !done.insert((index, span)) {
                continue;
            }
            let Some(available) = self.still_available(span) else {
                self.leave(mismatch, UnrepairedReason::Expired);
                continue;
            };
            match fetch_unsplit(&*self.session.provider, index, available, stop).await {
                Ok(fetched) => {
                    let is_all = available == span;
                    let window = RefetchedWindow {
                        claim: &mismatch.claim,
                        stream: self.session.stream(index).id,
                        scope: self.session.provider.stream(index).scope.clone(),
                        span,
                        rows,
                        is_whole: is_all
                            && fetched.doubt.is_none()
                            && fetched.unreadable.is_empty(),
                        messages: identify(fetched.messages),
                        unparsable: fetched.unreadable,
                        provider_count: fetched.provider_count,
                    };
                    if !self.repair_window(window).await? {
                        self.leave(mismatch, UnrepairedReason::Incomplete);
                    }
                }
                Err(failure) => {
                    self.session.record_pause(&failure).await?;
                    let is_over = failure.disposition() != Disposition::SkipStream;
                    self.leave(mismatch, failure.into());
                    if is_over {
                        break;
                    }
                }
            }
        }
        Ok(self.report)
    }

    fn leave(&mut self, mismatch: &Mismatch, reason: UnrepairedReason) {
        let mismatch = mismatch.clone();
        self.report
            .unrepaired
            .push(UnrepairedWindow { mismatch, reason });
    }

    /// Returns the window grown to whole ledger rows, and those rows.
    async fn whole_rows(
        &self,
        stream: StreamIndex,
        window: Window,
    ) -> Result<(Window, Vec<LedgerRow>), StoreError> {
        let id = self.session.stream(stream).id;
        let rows = self
            .session
            .archive
            .ledger_rows(id, window, u64::MAX)
            .await?;
        let span = rows.iter().fold(window, |span, row| span.hull(row.window));
        Ok((span, rows))
    }

    /// Returns the part that the provider still has and is trusted to show. Ledger rows that claim
    /// more have been changed. `None` if it has nothing of it any longer.
    fn still_available(&self, span: Window) -> Option<Window> {
        let provider = &self.session.provider;
        // The configured settle age: the widened one would leave sealed rows unrepaired.
        let settled_to = provider.now().second().minus(provider.account().settle);
        let horizon = self.session.horizon().unwrap_or(span.from());
        span.starting_at(horizon)?.up_to(settled_to)
    }

    /// Reconciles the archive and its ledger with what the provider returned. Returns true if all
    /// that was claimed is archived.
    async fn repair_window(&mut self, window: RefetchedWindow<'_>) -> Result<bool, StoreError> {
        let archived = self.archived_messages(&window).await?;
        let mut evictions = self.changed_messages(&window, &archived);
        let unchanged = remaining(&archived, &evictions);
        for link in window.evidence(&unchanged).forged() {
            let is_it = |m: &&&ArchivedMessage| ChainLink::from_identified(&m.identified) == link;
            let Some(message) = unchanged.iter().find(is_it).copied() else {
                continue;
            };
            if !self.is_claimed_elsewhere(message, window.stream).await? {
                evictions.push(Eviction {
                    message,
                    reason: FORGED,
                });
                self.forged.push(message.identified.clone());
            }
        }
        let evidence = window.evidence(&remaining(&archived, &evictions));
        let is_complete = evidence.is_complete()
            && self
                .is_explained(&evidence, &unchanged, window.stream)
                .await?;
        let forged = self
            .forged
            .iter()
            .filter(|m| window.scope.matches(&m.message));
        let forged = forged.map(ChainLink::from_identified).collect();
        let replaces = is_complete || evidence.matches_ledger(&forged);
        let is_repaired = replaces || evidence.matches_claim();
        self.evict(window.stream, &evictions).await?;
        self.commit(window, is_complete, replaces).await?;
        Ok(is_repaired)
    }

    /// Moves messages to quarantine.
    async fn evict(
        &mut self,
        stream: StreamId,
        evictions: &[Eviction<'_>],
    ) -> Result<(), StoreError> {
        if evictions.is_empty() {
            return Ok(());
        }
        self.quarantined
            .extend(evictions.iter().map(|eviction| eviction.message.cursor()));
        let (archive, now) = (&self.session.archive, self.session.clock.now());
        self.report.quarantined += archive.move_to_quarantine(stream, evictions, now).await?;
        Ok(())
    }

    /// Commits the fetched messages, and replaces the ledger rows if `replaces`.
    async fn commit(
        &mut self,
        window: RefetchedWindow<'_>,
        is_complete: bool,
        replaces: bool,
    ) -> Result<(), StoreError> {
        let RefetchedWindow {
            stream,
            scope,
            span,
            rows,
            messages,
            unparsable,
            ..
        } = window;
        // Doubts and counts of a window that the provider has in part only are kept.
        let old_doubt = rows.iter().find_map(|row| row.doubt.clone());
        let doubt = if is_complete { None } else { old_doubt };
        let old_count = || rows.iter().map(|row| row.provider_count).sum();
        let provider_count = if is_complete {
            window.provider_count
        } else {
            old_count()
        };
        let seal = Seal {
            window: span,
            scope,
            provider_count,
            shown_outside: 0,
            doubt,
            replaces,
        };
        let commit = Commit {
            account: self.session.account,
            stream,
            window: span,
            seal: replaces.then_some(seal),
            messages,
            unreadable: unparsable,
        };
        let now = self.session.clock.now();
        let written = self.session.archive.commit(&[commit], now).await?;
        self.report.windows += 1;
        self.report.restored += written.iter().map(|written| written.new).sum::<u64>();
        Ok(())
    }

    fn is_ours(&self, message: &ArchivedMessage) -> bool {
        message.account == self.session.provider.account().name
    }

    /// Returns the archived messages of the stream in the span, and those that the provider shows
    /// there and that are filed elsewhere.
    async fn archived_messages(
        &self,
        window: &RefetchedWindow<'_>,
    ) -> Result<Vec<ArchivedMessage>, StoreError> {
        let ours = window
            .messages
            .iter()
            .filter(|m| window.scope.matches(&m.message));
        let shown: HashSet<ChainLink> = ours.map(ChainLink::from_identified).collect();
        let is_wanted = |message: &ArchivedMessage| {
            let link = ChainLink::from_identified(&message.identified);
            window.scope.matches(&message.identified.message) || shown.contains(&link)
        };
        let mut archived = Vec::new();
        let (from, to) = (window.span.from().start(), window.span.to().start());
        let mut chunks = Chunks::of(&*self.session.archive, from, to);
        loop {
            let chunk = chunks.next().await?;
            if chunk.is_empty() {
                return Ok(archived);
            }
            let wanted = chunk.into_iter();
            archived.extend(wanted.filter(|m| self.is_ours(m) && is_wanted(m)));
        }
    }

    /// Returns the messages that were changed: wherever they are filed, once their original is
    /// fetched; those of the window that are filed elsewhere; and those of the window that do not
    /// match their fingerprint, once certainly all of it is fetched.
    fn changed_messages<'m>(
        &self,
        window: &RefetchedWindow<'_>,
        archived: &'m [ArchivedMessage],
    ) -> Vec<Eviction<'m>>
    where
        'a: 'm,
    {
        let original = |m: &IdentifiedMessage| (m.fingerprint, m.occurrence);
        let originals: HashSet<(Fingerprint, u32)> = window.messages.iter().map(original).collect();
        // A message that is filed under a conversation of another account looks like that
        // account's.
        let damaged = self.verified.damaged_messages.listed.iter();
        let elsewhere = damaged
            .filter(|damage| self.is_ours(&damage.message) || damage.fault == MISFILED_FAULT)
            .map(|damage| &damage.message)
            .filter(|m| originals.contains(&original(&m.identified)))
            .filter(|m| !self.quarantined.contains(&m.cursor()));
        let here = archived.iter().filter(|m| {
            let is_filed_elsewhere = !window.scope.matches(&m.identified.message);
            is_filed_elsewhere || window.is_whole && m.fault().is_some()
        });
        let mut seen = HashSet::new();
        let changed = elsewhere.chain(here).filter(|m| seen.insert(m.cursor()));
        changed
            .map(|message| Eviction {
                message,
                reason: CHANGED,
            })
            .collect()
    }

    /// True if it is known of each message that the provider does not show why it is archived.
    /// Without a digest nothing else can be checked.
    async fn is_explained(
        &self,
        evidence: &Evidence<'_>,
        archived: &[&ArchivedMessage],
        stream: StreamId,
    ) -> Result<bool, StoreError> {
        if evidence.claim.digest.is_none() {
            return Ok(true);
        }
        for (extra, _) in evidence.extras() {
            let is_it = |m: &&&ArchivedMessage| ChainLink::from_identified(&m.identified) == extra;
            let Some(message) = archived.iter().find(is_it) else {
                continue;
            };
            if !self.is_claimed_elsewhere(message, stream).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// True if a ledger row of another stream, which matches the archive, covers this message too.
    async fn is_claimed_elsewhere(
        &self,
        message: &ArchivedMessage,
        except: StreamId,
    ) -> Result<bool, StoreError> {
        let at = message.identified.message.sent_at;
        for stream in self.session.archive.streams().await? {
            let matches = stream
                .scope
                .is_some_and(|scope| scope.matches(&message.identified.message));
            if stream.account != message.account || stream.id == except || !matches {
                continue;
            }
            let is_mismatch = self.verified.mismatches.listed.iter().any(|mismatch| {
                mismatch.stream.account == stream.account
                    && mismatch.stream.key == stream.key
                    && mismatch.claim.window.contains(at)
            });
            let second = Window::with_length(at.second(), 1);
            let rows = self
                .session
                .archive
                .ledger_rows(stream.id, second, 1)
                .await?;
            if !rows.is_empty() && !is_mismatch {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Returns the messages that are not evicted.
fn remaining<'m>(
    archived: &'m [ArchivedMessage],
    evictions: &[Eviction<'_>],
) -> Vec<&'m ArchivedMessage> {
    let evicted: HashSet<Cursor> = evictions
        .iter()
        .map(|eviction| eviction.message.cursor())
        .collect();
    archived
        .iter()
        .filter(|message| !evicted.contains(&message.cursor()))
        .collect()
}
