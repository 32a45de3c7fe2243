//! What is counted when.

use std::sync::atomic::Ordering;

use super::Telemetry;
use super::catalogue::{EnsembleCounters, SidecarCounters};
use super::counters::{Count, OfEnsemble, Own};
use crate::dial::Refusal;
use crate::route::EnsembleId;
use crate::session::{Barrier, Event, Loss, Meter, Origin, Replied};
use crate::wire::frames::PREFIX;
use crate::wire::opcode::OpCode;
use crate::wire::request::Request;

/// What became of a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has a session.
    Session(Origin),
    /// Home does not know its session.
    Refused,
    /// No server of home answered.
    Unreachable,
    /// Its handshake took too long.
    Slow,
    /// It did not come to TLS with it.
    Tls,
    /// It went before it had a session.
    Lost,
    /// Its handshake is none.
    Malformed,
    /// It asked a four-letter word.
    Word,
    /// It went without a word.
    Silent,
    /// There were as many connections as there may be.
    TooMany,
    /// Its client had as many as one may have.
    TooManyOfOne,
    /// The process was out of file descriptors.
    OutOfFiles,
}

impl Outcome {
    /// The word for it, as metrics have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Session(Origin::New) => "new",
            Self::Session(Origin::Attached) => "attached",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Slow => "slow",
            Self::Tls => "tls",
            Self::Lost => "lost",
            Self::Malformed => "malformed",
            Self::Word => "word",
            Self::Silent => "silent",
            Self::TooMany => "too_many",
            Self::TooManyOfOne => "too_many_of_one",
            Self::OutOfFiles => "out_of_files",
        }
    }
}

/// Why a connection with a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client closed it, or it broke.
    ClientGone,
    /// Home or the sidecar closed it.
    Closed,
    /// A newer connection serves the session.
    TakenOver,
    /// The client broke the protocol.
    Protocol,
    /// The client did not read.
    SlowReader,
}

/// What came of reading the configuration again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reload {
    /// It is in use.
    Applied,
    /// It is what was in use.
    Unchanged,
    /// It cannot be used.
    Rejected,
}

/// What could not be written to the leg table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// A session.
    Remember,
    /// That a session need not be known any more.
    Forget,
}

/// Counts what goes to and comes from one ensemble, on this thread. Requests come in runs of one
/// operation, and replies in runs that were asked for at one moment, so a run is added up before it
/// is counted: when it ends, or with the drop of this.
#[derive(Debug)]
pub(crate) struct Tally {
    counters: Own<OfEnsemble>,
    /// By the number of the operation.
    asked: Run<i32>,
    /// By the place of the operation, and how long each took, microseconds.
    answered: Run<(usize, u64)>,
}

/// Frames of one kind, and the bytes of their payloads.
#[derive(Debug, Default)]
struct Run<K> {
    kind: K,
    frames: u64,
    bytes: usize,
}

impl<K> Run<K> {
    #[inline]
    fn add(&mut self, frames: u32, payloads: usize) {
        self.frames += u64::from(frames);
        self.bytes += payloads;
    }

    /// Bytes on the wire.
    fn bytes(&self) -> u64 {
        size(self.bytes) + self.frames * size(PREFIX)
    }
}

impl Tally {
    /// A request with this payload goes out.
    #[inline]
    pub(crate) fn asked_one(&mut self, payload: &[u8]) {
        let number = Request::number(payload).unwrap_or_default();
        self.asked(number, 1, payload.len());
    }

    #[inline]
    fn end_run_of_requests(&mut self) {
        if self.asked.frames > 0 {
            self.count_asked();
        }
    }

    #[inline(never)]
    fn count_asked(&mut self) {
        let run = std::mem::take(&mut self.asked);
        let place = OpCode::of(run.kind).place();
        let operation = self.counters.operation(place);
        operation.requests.add(run.frames);
        operation.request_bytes.add(run.bytes());
    }

    #[inline]
    fn end_run_of_replies(&mut self) {
        if self.answered.frames > 0 {
            self.count_answered();
        }
    }

    #[inline(never)]
    fn count_answered(&mut self) {
        let run = std::mem::take(&mut self.answered);
        let (place, microseconds) = run.kind;
        let operation = self.counters.operation(place);
        operation.response_bytes.add(run.bytes());
        operation.latency.observe_all(microseconds, run.frames);
    }
}

impl Meter for Tally {
    #[inline]
    fn asked(&mut self, number: i32, requests: u32, bytes: usize) {
        if number != self.asked.kind {
            self.end_run_of_requests();
            self.asked.kind = number;
        }
        self.asked.add(requests, bytes);
    }

    #[inline]
    fn replied(&mut self, replied: Replied) {
        let kind = (replied.op.place(), replied.microseconds);
        if kind != self.answered.kind {
            self.end_run_of_replies();
            self.answered.kind = kind;
        }
        self.answered.add(replied.replies, replied.bytes);
    }

    fn failed(&mut self, err: i32) {
        self.counters.error(err).add(1);
    }

    fn led(&mut self, microseconds: u64) {
        self.counters.barrier.observe(microseconds);
    }

    fn fired(&mut self, bytes: usize) {
        let counters = &self.counters.counters;
        counters.watch_events.add(1);
        counters.watch_event_bytes.add(size(PREFIX + bytes));
    }
}

impl Drop for Tally {
    #[inline]
    fn drop(&mut self) {
        self.end_run_of_requests();
        self.end_run_of_replies();
    }
}

/// The tally used last: frames come in runs for one ensemble.
#[derive(Debug, Default)]
pub(crate) struct Tallies(Option<(EnsembleId, Tally)>);

impl Tallies {
    /// The tally of an ensemble.
    #[inline]
    pub(crate) fn of(&mut self, telemetry: &Telemetry, ensemble: EnsembleId) -> &mut Tally {
        if self.0.as_ref().is_some_and(|(last, _)| *last != ensemble) {
            self.0 = None;
        }
        let (_, tally) = self
            .0
            .get_or_insert_with(|| (ensemble, telemetry.tally(ensemble)));
        tally
    }
}

impl Telemetry {
    /// What this thread counts of the frames of an ensemble.
    pub(crate) fn tally(&self, ensemble: EnsembleId) -> Tally {
        Tally {
            counters: self.0.threads.ensemble(ensemble),
            asked: Run::default(),
            answered: Run::default(),
        }
    }

    /// Counts one more of an ensemble's.
    pub(super) fn count(&self, id: EnsembleId, which: impl Fn(&EnsembleCounters) -> &Count) {
        which(&self.0.threads.ensemble(id).counters).add(1);
    }

    /// Counts one more of the sidecar's.
    fn count_own(&self, which: impl Fn(&SidecarCounters) -> &Count) {
        which(&self.0.threads.sidecar()).add(1);
    }

    /// What a session reports.
    pub(super) fn happened(&self, event: &Event) {
        match event {
            Event::Switched { to, from, drain } => {
                self.count(*to, |counters| &counters.switches);
                self.0.threads.ensemble(*from).drain.observe(*drain);
            }
            Event::BarrierPlaced { ensemble, barrier } => {
                self.count(*ensemble, |counters| match barrier {
                    Barrier::Sync => &counters.sync_barriers,
                    Barrier::Quorum => &counters.quorum_barriers,
                });
            }
            Event::BarrierElided { ensemble } => {
                self.count(*ensemble, |counters| &counters.elided_barriers);
            }
            Event::BarrierFailed { ensemble, .. } => {
                self.count(*ensemble, |counters| &counters.barrier_failures);
            }
            Event::ReadWithheld { ensemble } => {
                self.count(*ensemble, |counters| &counters.withheld_reads);
            }
            Event::LegUp {
                ensemble, origin, ..
            } => self.count(*ensemble, |counters| match origin {
                Origin::New => &counters.legs_new,
                Origin::Attached => &counters.legs_resumed,
            }),
            Event::LegLost { ensemble, reason } => self.lost(*ensemble, *reason),
            Event::LegUnreachable { ensemble } => {
                self.count(*ensemble, |counters| &counters.legs_unreachable);
            }
            Event::LegExpired { ensemble, owned } => self.count(*ensemble, |counters| {
                if *owned {
                    &counters.legs_expired_with_ephemerals
                } else {
                    &counters.legs_expired_without
                }
            }),
            Event::LegRetired { ensemble } => {
                self.count(*ensemble, |counters| &counters.legs_retired);
            }
            Event::Rearmed {
                ensemble, frames, ..
            } => {
                let counters = &self.0.threads.ensemble(*ensemble).counters;
                counters.rearmed.add(size(*frames));
            }
            Event::LedgerFull { ensemble, .. } => {
                self.count(*ensemble, |counters| &counters.ledger_overflows);
            }
            Event::Moved => self.count_own(|counters| &counters.moved_sessions),
            Event::AuthRefused { ensemble, .. } => {
                self.count(*ensemble, |counters| &counters.auth_refused);
            }
            Event::IdentityRefused { ensemble, .. } => {
                self.count(*ensemble, |counters| &counters.identities_refused);
            }
            // Its reply counts where it comes from; what failed is counted with its leg.
            Event::Failed { .. } => {}
            Event::Refused { .. } => self.count_own(|counters| &counters.refused_requests),
        }
    }

    fn lost(&self, ensemble: EnsembleId, reason: Loss) {
        self.count(ensemble, |counters| match reason {
            Loss::Closed => &counters.legs_closed,
            Loss::TimedOut => &counters.legs_timed_out,
            Loss::Broken(_) => &counters.legs_broken,
        });
        if let Loss::Broken(_) = reason {
            self.count(ensemble, |counters| &counters.decoder_errors);
        }
    }

    /// A server was tried.
    pub(crate) fn dialled<T>(&self, ensemble: EnsembleId, outcome: &Result<T, Refusal>) {
        self.count(ensemble, |counters| match outcome {
            Ok(_) => &counters.dials_answered,
            Err(Refusal::Connect(_)) => &counters.dials_no_connection,
            Err(Refusal::Tls(_) | Refusal::NoTls) => &counters.dials_tls,
            Err(Refusal::Handshake(_)) => &counters.dials_closed,
            Err(Refusal::Slow(_)) => &counters.dials_slow,
            Err(Refusal::Malformed(_)) => &counters.dials_malformed,
        });
        if let Err(Refusal::Malformed(_)) = outcome {
            self.count(ensemble, |counters| &counters.decoder_errors);
        }
    }

    /// No server of an ensemble answered.
    pub(crate) fn unreachable(&self, ensemble: EnsembleId) {
        self.count(ensemble, |counters| &counters.unreachable);
    }

    /// The leg table could not be written.
    pub(crate) fn not_recorded(&self, record: Record) {
        self.count_own(|counters| match record {
            Record::Remember => &counters.state_remember_errors,
            Record::Forget => &counters.state_forget_errors,
        });
    }

    /// What became of a client's connection is known.
    pub(crate) fn connection(&self, outcome: Outcome) {
        self.count_own(|counters| match outcome {
            Outcome::Session(Origin::New) => &counters.connections_new,
            Outcome::Session(Origin::Attached) => &counters.connections_attached,
            Outcome::Refused => &counters.connections_refused,
            Outcome::Unreachable => &counters.connections_unreachable,
            Outcome::Slow => &counters.connections_slow,
            Outcome::Tls => &counters.connections_tls,
            Outcome::Lost => &counters.connections_lost,
            Outcome::Malformed => &counters.connections_malformed,
            Outcome::Word => &counters.connections_word,
            Outcome::Silent => &counters.connections_silent,
            Outcome::TooMany => &counters.connections_too_many,
            Outcome::TooManyOfOne => &counters.connections_too_many_of_one,
            Outcome::OutOfFiles => &counters.connections_out_of_files,
        });
        if outcome == Outcome::Malformed {
            self.count_own(|counters| &counters.client_decoder_errors);
        }
    }

    /// A connection with a session has ended.
    pub(crate) fn ended(&self, ending: Ending) {
        self.count_own(|counters| match ending {
            Ending::ClientGone => &counters.ends_client_gone,
            Ending::Closed => &counters.ends_closed,
            Ending::TakenOver => &counters.ends_taken_over,
            Ending::Protocol => &counters.ends_protocol,
            Ending::SlowReader => &counters.ends_slow_reader,
        });
        if ending == Ending::Protocol {
            self.count_own(|counters| &counters.client_decoder_errors);
        }
    }

    /// The configuration was read again.
    pub(crate) fn reloaded(&self, reload: Reload) {
        self.count_own(|counters| match reload {
            Reload::Applied => &counters.reloads_applied,
            Reload::Unchanged => &counters.reloads_unchanged,
            Reload::Rejected => &counters.reloads_rejected,
        });
        let rejected = reload == Reload::Rejected;
        self.0.rejected.store(rejected, Ordering::Relaxed);
    }

    /// Counts a panic of the task that holds what this returns.
    pub(crate) fn notice_panic(&self) -> PanicNotice {
        PanicNotice(self.clone())
    }
}

/// Counts the panic it is dropped in, if it is.
pub(crate) struct PanicNotice(Telemetry);

impl Drop for PanicNotice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.count_own(|counters| &counters.ends_panic);
        }
    }
}

pub(super) fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
