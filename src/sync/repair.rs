//! Windows that do not hold what they should are fetched again and put right.
//!
//! What the provider returns comes into the archive as always. What was changed behind the archive's back goes into
//! quarantine once its original is there. A message that the provider does not return is only taken for one that was
//! added where the window's digest says so: it may as well be one that the provider has removed since, and what was
//! archived stays. And a ledger row is only replaced by one that claims no less: what is lost stays a fault.

use std::collections::HashSet;

use tokio_util::sync::CancellationToken;

use super::account::{AccountSync, Place};
use super::evidence::Evidence;
use crate::domain::digest::Link;
use crate::domain::identity::{Fingerprint, Identified, identify};
use crate::domain::message::Unreadable;
use crate::domain::stream::Scope;
use crate::domain::window::Window;
use crate::proof::{Claim, Difference, MISFILED, Verdict};
use crate::provider::{Advice, Fetched, ProviderError, Survey};
use crate::store::{Archived, Aside, Commit, Cursor, Seal, Sealed, StoreError, StreamId, Tally};

/// A window that was sealed as one is fetched as one.
const UNCUT: u64 = 1 << 40;
/// Messages of the archive that are read at once.
const CHUNK: u64 = 1000;
const CHANGED: &str = "changed after it was archived";
const ADDED: &str = "added to the archive by somebody else: the provider never returned it";

/// What came of putting an account's windows right.
#[derive(Debug, Default)]
pub struct Mended {
    /// Windows that were fetched again.
    pub windows: u64,
    /// Messages that were missing.
    pub restored: u64,
    /// Messages that were moved into quarantine.
    pub set_aside: u64,
    /// What could not be fetched again, and why not.
    pub left: Vec<String>,
}

/// An account whose windows are put right.
struct Repair<'a> {
    account: &'a AccountSync,
    place: &'a Place,
    verdict: &'a Verdict,
    mended: Mended,
    /// What was set aside because somebody had added it: other streams' ledger rows may claim it still.
    added: Vec<Identified>,
    /// All that was set aside: where it was, its original may be by now.
    gone: HashSet<Cursor>,
}

/// What else came with it.
struct Rest {
    provider_count: Option<u64>,
    unreadable: Vec<Unreadable>,
}

/// A window that was fetched again.
struct Reread<'a> {
    claim: &'a Claim,
    stream: StreamId,
    scope: Scope,
    /// Whole ledger rows: these.
    span: Window,
    rows: Vec<Sealed>,
    messages: Vec<Identified>,
    /// Whether this is certainly all that the provider ever had of it, but for what it may have removed.
    is_whole: bool,
}

impl AccountSync {
    /// Fetches again what differs, as far as the provider still has it. Ends early once `stop` is given.
    pub async fn repair(
        &mut self,
        verdict: &Verdict,
        stop: &CancellationToken,
    ) -> Result<Mended, StoreError> {
        if !verdict
            .differences
            .named
            .iter()
            .any(|difference| difference.subject.account == self.name())
        {
            return Ok(Mended::default());
        }
        let requests = self.provider.requests();
        let place = match self.place(stop).await? {
            Ok(place) => place,
            Err(failure) => {
                let left = vec![format!(
                    "{}: {failure}\n  hint: {}",
                    self.name(),
                    failure.hint()
                )];
                return Ok(Mended {
                    left,
                    ..Mended::default()
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
            mended: Mended::default(),
            added: Vec::new(),
            gone: HashSet::new(),
        };
        let mended = repair.run(stop).await?;
        let (requests, new) = (self.provider.requests() - requests, mended.restored);
        let tally = Tally {
            requests,
            new,
            windows: mended.windows,
            ..Tally::default()
        };
        self.store.end_run(run, &tally, self.clock.now()).await?;
        self.keep(place);
        Ok(mended)
    }

    /// The part that the provider still has and is trusted to show already. Ledger rows that claim more have been
    /// changed.
    fn to_be_had(&self, span: Window) -> Option<Window> {
        let settled = self
            .provider
            .now()
            .second()
            .minus(self.provider.account().settle);
        span.starting(self.horizon().unwrap_or(span.from()))?
            .before(settled)
    }

    /// A window that was sealed as one is fetched as one.
    async fn fetch_again(
        &self,
        position: usize,
        span: Window,
        stop: &CancellationToken,
    ) -> Result<Fetched, ProviderError> {
        let fetch = async {
            match self.provider.survey(position, span, UNCUT).await? {
                Survey::Done(fetched) => Ok(fetched),
                Survey::Sized(count) | Survey::Split { count, .. } => {
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
    async fn run(mut self, stop: &CancellationToken) -> Result<Mended, StoreError> {
        let verdict = self.verdict;
        let mut done: HashSet<(usize, Window)> = HashSet::new();
        for difference in &verdict.differences.named {
            let key = &difference.subject.key;
            if difference.subject.account != self.account.name() {
                continue;
            }
            let Some(position) = self.account.provider.position(key) else {
                self.leave(difference, &"the configuration does not follow the stream");
                continue;
            };
            let (span, rows) = self.span(position, difference.claim.window).await?;
            if !done.insert((position, span)) {
                continue;
            }
            let Some(to_be_had) = self.account.to_be_had(span) else {
                self.leave(
                    difference,
                    &"behind the provider's retention edge nothing can be had any more",
                );
                continue;
            };
            match self.account.fetch_again(position, to_be_had, stop).await {
                Ok(fetched) => {
                    let stream = self.place.streams[position].0;
                    let scope = self.account.provider.stream(position).scope.clone();
                    let is_whole = to_be_had == span
                        && fetched.doubt.is_none()
                        && fetched.unreadable.is_empty();
                    let messages = identify(fetched.messages);
                    let read = Reread {
                        claim: &difference.claim,
                        stream,
                        scope,
                        span,
                        rows,
                        messages,
                        is_whole,
                    };
                    let rest = Rest {
                        provider_count: fetched.provider_count,
                        unreadable: fetched.unreadable,
                    };
                    if !self.mend(read, rest).await? {
                        self.leave(difference, &"the provider does not have all of it any more");
                    }
                }
                Err(failure) => {
                    self.leave(difference, &failure);
                    self.account
                        .note_failure(self.place.account, &failure)
                        .await?;
                    if failure.advice() != Advice::SkipStream {
                        break;
                    }
                }
            }
        }
        Ok(self.mended)
    }

    fn leave(&mut self, difference: &Difference, why: &dyn std::fmt::Display) {
        self.mended
            .left
            .push(format!("{difference}\n  not put right: {why}"));
    }

    /// The window, grown to whole ledger rows; and the rows.
    async fn span(
        &self,
        position: usize,
        window: Window,
    ) -> Result<(Window, Vec<Sealed>), StoreError> {
        let rows = self
            .account
            .store
            .ledger_rows(self.place.streams[position].0, window, u64::MAX)
            .await?;
        let (from, to) = rows
            .iter()
            .fold((window.from(), window.to()), |(from, to), row| {
                (from.min(row.window.from()), to.max(row.window.to()))
            });
        Ok((Window::new(from, to).unwrap_or(window), rows))
    }

    /// Brings the archive and its ledger together again; answers with whether all that was claimed is there.
    async fn mend(&mut self, read: Reread<'_>, rest: Rest) -> Result<bool, StoreError> {
        let there = self.there(&read).await?;
        let mut aside = self.changed(&read, &there);
        let stays = without(&there, &aside);
        for link in read.evidence(&stays).added() {
            let message = stays
                .iter()
                .find(|m| Link::of(&m.identified) == link)
                .copied();
            let Some(message) = message else { continue };
            if !self.is_vouched_for(message, read.stream).await? {
                aside.push(Aside {
                    message,
                    reason: ADDED,
                });
                self.added.push(message.identified.clone());
            }
        }
        let evidence = read.evidence(&without(&there, &aside));
        let added = self
            .added
            .iter()
            .filter(|m| read.scope.holds(&m.message))
            .map(Link::of)
            .collect();
        let whole =
            evidence.lacks_nothing() && self.is_explained(&evidence, &stays, read.stream).await?;
        let (replaces, is_met) = (whole || evidence.is_proven(&added), evidence.meets_claim());
        let (store, now) = (&self.account.store, self.account.clock.now());
        if !aside.is_empty() {
            self.gone
                .extend(aside.iter().map(|aside| aside.message.cursor()));
            self.mended.set_aside += store.set_aside(read.stream, &aside, now).await?;
        }
        let Rest {
            provider_count,
            unreadable,
        } = rest;
        let Reread {
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
        self.mended.windows += 1;
        self.mended.restored += written.iter().map(|written| written.new).sum::<u64>();
        Ok(replaces || is_met)
    }

    fn is_ours(&self, message: &Archived) -> bool {
        message.account == self.account.name()
    }

    /// What the archive holds of the stream in the span; and what the provider shows of it that is filed elsewhere.
    async fn there(&self, read: &Reread<'_>) -> Result<Vec<Archived>, StoreError> {
        let ours = read
            .messages
            .iter()
            .filter(|m| read.scope.holds(&m.message));
        let shown: HashSet<Link> = ours.map(Link::of).collect();
        let wanted = |m: &Archived| {
            read.scope.holds(&m.identified.message) || shown.contains(&Link::of(&m.identified))
        };
        let mut there = Vec::new();
        let mut after = Cursor::at(read.span.from().start());
        loop {
            let chunk = self
                .account
                .store
                .messages(&after, read.span.to().start(), CHUNK)
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
    fn changed<'m>(&self, read: &Reread<'_>, there: &'m [Archived]) -> Vec<Aside<'m>>
    where
        'a: 'm,
    {
        let original = |m: &Identified| (m.fingerprint, m.occurrence);
        let originals: HashSet<(Fingerprint, u32)> = read.messages.iter().map(original).collect();
        // One that is filed under a conversation of another account looks like that account's.
        let damaged = self.verdict.damaged.named.iter();
        let damaged = damaged
            .filter(|d| self.is_ours(&d.message) || d.fault == MISFILED)
            .map(|damage| &damage.message);
        let elsewhere = damaged.filter(|m| originals.contains(&original(&m.identified)));
        let is_elsewhere = |m: &Archived| !read.scope.holds(&m.identified.message);
        let here = there
            .iter()
            .filter(|m| is_elsewhere(m) || read.is_whole && m.fault().is_some());
        let elsewhere = elsewhere.filter(|m| !self.gone.contains(&m.cursor()));
        let mut seen = HashSet::new();
        let changed = elsewhere.chain(here).filter(|m| seen.insert(m.cursor()));
        changed
            .map(|message| Aside {
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
        there: &[&Archived],
        stream: StreamId,
    ) -> Result<bool, StoreError> {
        if evidence.claim.digest.is_none() {
            return Ok(true);
        }
        for (extra, _) in evidence.extras() {
            let message = there.iter().find(|m| Link::of(&m.identified) == extra);
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
        message: &Archived,
        except: StreamId,
    ) -> Result<bool, StoreError> {
        let at = message.identified.message.sent_at;
        for stream in self.account.store.streams().await? {
            let holds = stream
                .scope
                .is_some_and(|scope| scope.holds(&message.identified.message));
            if stream.account != message.account || stream.id == except || !holds {
                continue;
            }
            let differs = self.verdict.differences.named.iter().any(|d| {
                d.subject.account == stream.account
                    && d.subject.key == stream.key
                    && d.claim.window.contains(at)
            });
            let rows = self
                .account
                .store
                .ledger_rows(stream.id, Window::lasting(at.second(), 1), 1)
                .await?;
            if !rows.is_empty() && !differs {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The messages that are not set aside.
fn without<'m>(there: &'m [Archived], aside: &[Aside<'_>]) -> Vec<&'m Archived> {
    let gone: HashSet<Cursor> = aside.iter().map(|aside| aside.message.cursor()).collect();
    there
        .iter()
        .filter(|message| !gone.contains(&message.cursor()))
        .collect()
}

impl Reread<'_> {
    fn evidence(&self, there: &[&Archived]) -> Evidence<'_> {
        let inside =
            |m: &&Identified| self.span.contains(m.message.sent_at) && self.scope.holds(&m.message);
        Evidence {
            claim: self.claim,
            rows: &self.rows,
            shown: self.messages.iter().filter(inside).map(Link::of).collect(),
            is_whole: self.is_whole,
            there: there
                .iter()
                .map(|m| (Link::of(&m.identified), m.archived_at))
                .collect(),
        }
    }
}
