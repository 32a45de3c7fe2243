//! What the client is owed, in the order it asked, and the bounded queue behind a drain.
//!
//! Clients take replies in the order of their requests and end the connection over any other
//! order, so order is data here: a queue of what is owed that releases from its front only.

use std::collections::VecDeque;

use super::Tick;
use super::gather::Gather;
use crate::route::EnsembleId;
use crate::wire::Xid;
use crate::wire::frames::PREFIX;
use crate::wire::opcode::OpCode;
use crate::wire::reply::ReplyHeader;

/// A reply the client is owed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owed {
    pub(super) xid: Xid,
    pub(super) op: OpCode,
    /// How many operations a multi has: a failed one is answered for each of them.
    pub(super) operations: u16,
    /// Set where the reply does not simply pass through. Boxed, as that is rare and all of them move
    /// through the queue.
    body: Option<Box<Body>>,
}

/// What there is of a reply.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Body {
    stage: Stage,
    /// The ensembles that have answered the request, or a part of it, in its turn: events of theirs
    /// that have come since stay behind it.
    from: Vec<EnsembleId>,
    events: Vec<Vec<u8>>,
}

/// How far a reply is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// It is made of several, or has to be changed as a whole.
    Parts(Gather),
    /// All it is made of is there.
    Merging,
    /// It waits for those before it.
    Ready(Ready),
}

impl Body {
    const fn new(stage: Stage) -> Self {
        Self {
            stage,
            from: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Takes note of who has answered. What was answered at the door may have overtaken replies that
    /// are still to come (protocol.md 5), and arms nothing.
    fn answered(&mut self, source: Source, payload: &[u8]) {
        let in_order = ReplyHeader::parse(payload).is_ok_and(|header| header.was_ordered());
        if let Source::Leg(ensemble) = source
            && in_order
        {
            self.from.push(ensemble);
        }
    }

    fn of_events(&self) -> usize {
        self.events.iter().map(Vec::len).sum()
    }
}

impl Owed {
    /// A reply that passes through as its ensemble sends it.
    pub(super) const fn plain(xid: Xid, op: OpCode, operations: u16) -> Self {
        Self {
            xid,
            op,
            operations,
            body: None,
        }
    }

    /// A reply that is put together.
    pub(super) fn gathered(xid: Xid, op: OpCode, operations: u16, gather: Gather) -> Self {
        Self {
            xid,
            op,
            operations,
            body: Some(Box::new(Body::new(Stage::Parts(gather)))),
        }
    }

    /// Bytes that are kept for it; and those that the loss of its leg would make of it at once.
    fn kept(&self) -> usize {
        let failure = usize::from(self.operations) * FAILED_OPERATION;
        failure + self.parts().map_or(0, Gather::kept)
    }

    /// Its parts, while it is put together.
    pub(super) fn parts(&self) -> Option<&Gather> {
        match &self.body.as_deref()?.stage {
            Stage::Parts(gather) => Some(gather),
            Stage::Merging | Stage::Ready(_) => None,
        }
    }

    /// Where events of an ensemble are kept that have to stay behind this reply.
    fn behind(&mut self, from: EnsembleId) -> Option<&mut Vec<Vec<u8>>> {
        let body = self.body.as_deref_mut()?;
        body.from.contains(&from).then_some(&mut body.events)
    }

    fn is_ready(&self) -> bool {
        let body = self.body.as_deref();
        body.is_some_and(|body| matches!(body.stage, Stage::Ready(_)))
    }
}

/// Bytes of one operation in the reply to a multi that has failed.
const FAILED_OPERATION: usize = 13;

/// A reply that waits for those before it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ready {
    pub(super) op: OpCode,
    pub(super) frame: Vec<u8>,
    pub(super) stamp: Stamp,
    source: Source,
}

impl Ready {
    /// Bytes of servers' among it: what a server makes wait is bounded.
    fn of_servers(&self) -> usize {
        match self.source {
            Source::Leg(_) => self.frame.len(),
            Source::Here => 0,
        }
    }
}

/// Who has made a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// A server of this ensemble, the last of its parts where it has several.
    Leg(EnsembleId),
    /// The session itself.
    Here,
}

/// Which zxid the header of a reply carries when it goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stamp {
    /// Its own: it is home's.
    Own,
    /// The largest of home's already written to the client.
    Home,
}

/// A request, or part of one, that has not gone out yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Step {
    /// The reply it belongs to.
    pub(super) seq: u32,
    /// Which part of that reply its answer is.
    pub(super) part: u16,
    pub(super) to: EnsembleId,
    pub(super) xid: Xid,
    pub(super) op: OpCode,
    pub(super) frame: Vec<u8>,
    pub(super) admitted: Tick,
}

/// The replies owed and the requests held back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Pipeline {
    owed: VecDeque<Owed>,
    /// The sequence number of the first reply owed.
    first: u32,
    held: VecDeque<Step>,
    /// Bytes of requests held back, or kept to put a reply together, and of replies that wait for
    /// their turn.
    waiting: usize,
    /// Those among them that servers have sent.
    replies: usize,
}

impl Pipeline {
    /// How many replies are owed.
    pub(super) fn owed(&self) -> usize {
        self.owed.len()
    }

    /// Bytes of requests held back, or kept to put a reply together, and of replies that wait for
    /// their turn.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Bytes of servers' replies, and of parts of them, that wait for others.
    pub(super) const fn replies(&self) -> usize {
        self.replies
    }

    /// Whether no request is held back, so that the next one need not queue.
    pub(super) fn flows(&self) -> bool {
        self.held.is_empty()
    }

    /// Notes that a reply is owed behind all others; its sequence number.
    #[inline]
    pub(super) fn owe(&mut self, owed: Owed) -> u32 {
        let ahead = u32::try_from(self.owed.len()).unwrap_or(u32::MAX);
        self.waiting += owed.kept();
        self.owed.push_back(owed);
        self.first.wrapping_add(ahead)
    }

    /// The reply owed under this number.
    pub(super) fn get_mut(&mut self, seq: u32) -> Option<&mut Owed> {
        let at = usize::try_from(seq.wrapping_sub(self.first)).ok()?;
        self.owed.get_mut(at)
    }

    /// Whether everything before this reply has gone out.
    pub(super) const fn is_first(&self, seq: u32) -> bool {
        self.first == seq
    }

    /// Takes the reply off the queue if its frame can pass through right now: it is the first, is
    /// not put together, and nothing behind it is waiting to follow it out.
    #[inline]
    pub(super) fn passes(&mut self, seq: u32) -> bool {
        let is_plain = |owed: &Owed| owed.body.is_none();
        let first = self.first == seq && self.owed.front().is_some_and(is_plain);
        let passes = first && self.owed.get(1).is_none_or(|next| !next.is_ready());
        if passes {
            let passed = self.owed.pop_front();
            self.waiting -= passed.as_ref().map_or(0, Owed::kept);
            self.first = self.first.wrapping_add(1);
        }
        passes
    }

    /// Takes a part of a reply that is put together. All of them, if that was the last.
    pub(super) fn part(
        &mut self,
        seq: u32,
        part: u16,
        payload: &[u8],
        (stamp, source): (Stamp, Source),
    ) -> Option<Gather> {
        let body = self.get_mut(seq)?.body.as_deref_mut()?;
        let Stage::Parts(gather) = &mut body.stage else {
            return None;
        };
        let before = gather.bytes();
        let complete = gather.take(part, payload, stamp);
        let added = gather.bytes() - before;
        body.answered(source, payload);
        let taken = complete.then(|| std::mem::replace(&mut body.stage, Stage::Merging));
        self.waiting += added;
        self.replies += added;
        let Stage::Parts(gather) = taken? else {
            return None;
        };
        self.waiting -= gather.kept() + gather.bytes();
        self.replies -= gather.bytes();
        Some(gather)
    }

    /// Keeps a reply until those before it have gone out.
    pub(super) fn ready(&mut self, seq: u32, frame: Vec<u8>, stamp: Stamp, source: Source) {
        let length = frame.len();
        let Some(owed) = self.get_mut(seq) else {
            return;
        };
        let ready = Ready {
            op: owed.op,
            frame,
            stamp,
            source,
        };
        let added = ready.of_servers();
        let body = owed
            .body
            .get_or_insert_with(|| Box::new(Body::new(Stage::Merging)));
        body.answered(source, ready.frame.get(PREFIX..).unwrap_or_default());
        let before = std::mem::replace(&mut body.stage, Stage::Ready(ready));
        self.waiting += length;
        self.replies += added;
        match before {
            Stage::Merging => {}
            Stage::Parts(gather) => {
                self.waiting -= gather.kept() + gather.bytes();
                self.replies -= gather.bytes();
            }
            Stage::Ready(before) => self.let_go(&before),
        }
    }

    /// A reply does not wait any more.
    fn let_go(&mut self, ready: &Ready) {
        self.waiting -= ready.frame.len();
        self.replies -= ready.of_servers();
    }

    /// Whether a reply of this ensemble, or a part of one, waits for others.
    pub(super) fn has_of(&mut self, from: EnsembleId) -> bool {
        let mut owed = self.owed.iter_mut();
        owed.any(|owed| owed.behind(from).is_some())
    }

    /// Keeps an event behind the last reply that its ensemble has given, or a part of, and that waits
    /// for others, if there is one: clients arm a watch when they read the reply to what asked for it,
    /// and drop events before. Gives it back where there is none: then it goes out now.
    pub(super) fn follow(&mut self, from: EnsembleId, event: Vec<u8>) -> Option<Vec<u8>> {
        if self.replies == 0 {
            return Some(event);
        }
        let mut last_first = self.owed.iter_mut().rev();
        let Some(events) = last_first.find_map(|owed| owed.behind(from)) else {
            return Some(event);
        };
        self.waiting += event.len();
        self.replies += event.len();
        events.push(event);
        None
    }

    /// Whether the first reply is there, and of which operation it is.
    pub(super) fn next_ready(&self) -> Option<OpCode> {
        self.owed
            .front()
            .filter(|owed| owed.is_ready())
            .map(|owed| owed.op)
    }

    /// Takes the first reply off the queue if it is there, and the events that go out behind it.
    pub(super) fn release(&mut self) -> Option<(Ready, Vec<Vec<u8>>)> {
        if !self.owed.front()?.is_ready() {
            return None;
        }
        let first = self.owed.pop_front()?;
        self.waiting -= first.kept();
        self.first = self.first.wrapping_add(1);
        let body = *first.body?;
        let events = body.of_events();
        let Stage::Ready(ready) = body.stage else {
            return None;
        };
        self.let_go(&ready);
        self.waiting -= events;
        self.replies -= events;
        Some((ready, body.events))
    }

    /// Holds a request back behind all others.
    pub(super) fn hold(&mut self, step: Step) {
        self.waiting += step.frame.len();
        self.held.push_back(step);
    }

    /// The request that goes out next.
    pub(super) fn next_held(&self) -> Option<&Step> {
        self.held.front()
    }

    /// Takes the request that goes out next.
    pub(super) fn take_held(&mut self) -> Option<Step> {
        let step = self.held.pop_front()?;
        self.waiting -= step.frame.len();
        Some(step)
    }
}

#[cfg(test)]
mod tests;
