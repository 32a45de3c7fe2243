//! Which requests go straight, told of many at once.
//!
//! Clients ask for one kind of thing many times, and mostly below one znode. So a request is looked
//! at in full ([`Lane::admits`]), and what is behind it only as far as it may differ: requests under
//! the next numbers, of the same operation, for a path that goes where this one goes. Such a look
//! takes a handful of comparisons with what is known of the first.
//!
//! That is sound because nothing else decides: where a request of one path goes is told by its
//! operation, its path and the routes, but for one path of two components, whose data is hidden; and
//! what its reply may show by the first component ([`elision`](super::super::switch)).

use super::super::Tick;
use super::super::spread::{Plain, Planner};
use super::super::switch::Switch;
use super::super::touched::{Beginning, Edges};
use super::{Run, Straight, Stretch, first_frame};
use crate::wire::Xid;
use crate::wire::opcode::OpCode;
use crate::wire::request::Request;

/// Tells which requests go straight, and keeps those.
pub(super) struct Lane<'a> {
    planner: Planner<'a>,
    switch: &'a mut Switch,
    straight: &'a mut Straight,
    now: Tick,
    /// What the last run asked for: mostly the next asks for the same.
    number: i32,
    op: OpCode,
    plain: Option<Plain>,
}

impl<'a> Lane<'a> {
    #[inline]
    pub(super) const fn new(
        planner: Planner<'a>,
        switch: &'a mut Switch,
        straight: &'a mut Straight,
        now: Tick,
    ) -> Self {
        Self {
            planner,
            switch,
            straight,
            now,
            number: OpCode::Ping.number(),
            op: OpCode::Ping,
            plain: None,
        }
    }

    /// The number of the operation that the last run asked for.
    #[inline]
    pub(super) const fn number(&self) -> i32 {
        self.number
    }

    /// Keeps the requests at the start of some bytes that go straight and are alike: what they are
    /// for the same operation, and their numbers consecutive. So many at most.
    #[inline]
    pub(super) fn run(&mut self, bytes: &[u8], most: u32, limit: usize) -> Stretch {
        let Some((payload, behind)) = first_frame(bytes, limit) else {
            return Stretch::default();
        };
        let Some((first, number, path)) = Request::beginning(payload) else {
            return Stretch::default();
        };
        match self.turn_to(number) {
            Some(plain) if most > 0 && self.admits(plain, first, path, payload) => {
                let (mut frames, mut rest) = (1, behind);
                if most > 1 && !rest.is_empty() {
                    (frames, rest) = self.more(plain, first, rest, most, limit);
                }
                self.keep(first, frames);
                Stretch {
                    frames,
                    bytes: bytes.len() - rest.len(),
                }
            }
            _ => Stretch::default(),
        }
    }

    /// What goes straight like the request just admitted.
    #[inline(never)]
    fn more<'b>(
        &mut self,
        plain: Plain,
        first: Xid,
        rest: &'b [u8],
        most: u32,
        limit: usize,
    ) -> (u32, &'b [u8]) {
        let mut ahead = Ahead {
            rest,
            frames: 1,
            next: first.plus(1),
            number: self.number,
            // The first is not negative: none becomes so.
            most: most.min(first.0.abs_diff(i32::MAX).saturating_add(1)),
            limit,
        };
        // Where requests like this one cannot be told from others, the first that follows shows.
        let mut can_pass = true;
        while ahead.is_wanted()
            && let Some((payload, behind)) = first_frame(ahead.rest, limit)
            && let Some((xid, number, path)) = Request::beginning(payload)
            && number == ahead.number
            && xid == ahead.next
        {
            if can_pass && let Some(beginning) = self.planner.touched.shared(path) {
                can_pass = self.is_alike(beginning) && ahead.pass(beginning);
            } else if self.admits(plain, xid, path, payload) {
                ahead.take(behind);
            } else {
                break;
            }
        }
        (ahead.frames, ahead.rest)
    }

    /// Keeps one request, if it goes straight.
    pub(super) fn one(&mut self, payload: &[u8]) -> bool {
        let Some((xid, number, path)) = Request::beginning(payload) else {
            return false;
        };
        let goes = match self.turn_to(number) {
            Some(plain) => self.admits(plain, xid, path, payload),
            None => false,
        };
        if goes {
            self.keep(xid, 1);
        }
        goes
    }

    /// What kind of operation this is, if its requests may go straight.
    #[inline]
    fn turn_to(&mut self, number: i32) -> Option<Plain> {
        if number != self.number {
            self.number = number;
            self.op = OpCode::of(number);
            self.plain = Plain::of(self.op);
        }
        self.plain
    }

    /// Whether a request goes home as it came. Not under a number that stands for something else,
    /// or may be one of zoonet's own: these are negative.
    #[inline]
    fn admits(&mut self, plain: Plain, xid: Xid, path: &[u8], payload: &[u8]) -> bool {
        if xid.0 < 0 {
            return false;
        }
        let Some(to) = self.planner.unchanged(plain, path) else {
            return false;
        };
        let home = self.planner.settings.home();
        if to != home {
            return false;
        }
        if self.switch.elides() {
            let op = self.op;
            self.switch.asked(home, &Request { xid, op, payload });
        }
        self.planner.touched.note(path);
        true
    }

    /// Whether all requests for paths that begin so go where the one did that was admitted for one of
    /// them. What their replies may show, the switch knows by that one, too: paths tell.
    #[inline]
    fn is_alike(&self, beginning: &Beginning) -> bool {
        let routes = &self.planner.settings.routes;
        beginning.is_one_path() || routes.is_alike_below(beginning.start())
    }

    fn keep(&mut self, first: Xid, requests: u32) {
        self.straight.push(Run {
            first,
            requests,
            op: self.op,
            sent: self.now,
        });
    }
}

/// What the next number adds to the head of a request.
const NEXT: u64 = 1 << 32;

/// How far a run of requests goes.
struct Ahead<'b> {
    /// What is behind those found.
    rest: &'b [u8],
    frames: u32,
    /// The number of the request that would be next.
    next: Xid,
    /// Their operation's.
    number: i32,
    most: u32,
    limit: usize,
}

impl<'b> Ahead<'b> {
    #[inline]
    const fn is_wanted(&self) -> bool {
        self.frames < self.most && !self.rest.is_empty()
    }

    #[inline]
    fn take(&mut self, behind: &'b [u8]) {
        self.frames += 1;
        self.next = self.next.plus(1);
        self.rest = behind;
    }

    /// Takes all requests in a row whose path begins so, of which there is one; whether it can.
    #[inline]
    fn pass(&mut self, beginning: &Beginning) -> bool {
        if let Some(edges) = beginning.edges::<8>() {
            self.pass_by(&edges)
        } else if let Some(edges) = beginning.edges::<16>() {
            self.pass_by(&edges)
        } else if let Some(edges) = beginning.edges::<4>() {
            self.pass_by(&edges)
        } else {
            false
        }
    }

    #[inline(never)]
    fn pass_by<const N: usize>(&mut self, edges: &Edges<N>) -> bool {
        let (mut frames, mut rest) = (0, self.rest);
        let mut next = Request::head(self.next, self.number);
        while frames < self.most - self.frames
            && let Some((head, path, behind)) = Request::first_of(rest, self.limit)
            && head == next
            && edges.hold(path)
        {
            frames += 1;
            rest = behind;
            next = next.wrapping_add(NEXT);
        }
        self.frames += frames;
        self.next = self.next.plus(frames);
        self.rest = rest;
        frames > 0
    }
}
