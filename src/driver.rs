//! Moves the bytes of one client connection: sockets in, [`Session`], sockets out, one timer.
//!
//! All of a client's sockets are served by one task, so that a request takes no hop between tasks.
//! Frames are looked at where they were read, in a buffer the thread lends, and runs of frames
//! that go to one place are written from there with one call: what is not composed costs what a
//! relay costs. An idle connection holds no buffer.

mod background;
mod frames;
mod legs;
mod pipe;
#[cfg(test)]
mod tests;
mod time;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, Sleep};

use crate::dial::Dialer;
use crate::net::{Peer, Stream};
use crate::registry::{Command, Mailbox, Reader, Report};
use crate::route::EnsembleId;
use crate::session::{ClientFault, Loss, Output, Session, Tick};
use crate::telemetry::{CountedLeg, Ending, Holdings, Tallies, Watcher};
use crate::wire::frames::PREFIX;
use background::Arrival;
use legs::Legs;
use pipe::{Intake, Pipe};

/// Unwritten bytes towards one socket past which nothing more is read that could add to them.
const HIGH_WATER: usize = 256 * 1024;

/// How long a client may take to read what is left for it when its connection is closed.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The client closed it, or it broke.
    ClientGone,
    /// The session ended it: home is gone, or the client ended its session.
    Closed,
    /// Another connection serves the session now.
    TakenOver,
    /// The client sent what cannot be answered.
    Fault(ClientFault),
    /// The client has taken nothing for so long, of what waits for it.
    SlowReader(Duration),
}

impl End {
    pub(crate) const fn ending(&self) -> Ending {
        match self {
            Self::ClientGone => Ending::ClientGone,
            Self::Closed => Ending::Closed,
            Self::TakenOver => Ending::TakenOver,
            Self::Fault(_) => Ending::Protocol,
            Self::SlowReader(_) => Ending::SlowReader,
        }
    }
}

/// Where a frame came from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Leg(EnsembleId),
}

/// What a connection is made of besides its session.
pub(crate) struct Links {
    pub(crate) client: Stream,
    pub(crate) home: (EnsembleId, Stream, Peer),
    /// Largest payload of a request.
    pub(crate) request_limit: usize,
    /// Largest payload of a reply.
    pub(crate) reply_limit: usize,
    pub(crate) dialer: Dialer,
    /// When the session's time began.
    pub(crate) epoch: Instant,
    pub(crate) mailbox: Arc<Mailbox>,
}

/// One client connection.
pub(crate) struct Driver {
    session: Session,
    request_limit: usize,
    reply_limit: usize,
    client: Pipe,
    legs: Legs,
    dialer: Dialer,
    background: JoinSet<Arrival>,
    dialing: BTreeMap<EnsembleId, (AbortHandle, CountedLeg)>,
    timer: Option<Pin<Box<Sleep>>>,
    epoch: Instant,
    now: Tick,
    mailbox: Reader,
    /// Set once the session has ended: what is left is written until then.
    closing: Option<Instant>,
    watcher: Watcher,
    holdings: Holdings,
    /// Frames from the client and to it.
    received: u64,
    sent: u64,
}

impl Driver {
    pub(crate) fn new(session: Session, links: Links, watcher: Watcher) -> Self {
        let Links {
            client,
            home,
            request_limit,
            reply_limit,
            dialer,
            epoch,
            mailbox,
        } = links;
        let (home, stream, peer) = home;
        Self {
            session,
            request_limit,
            reply_limit,
            client: Pipe::new(client),
            legs: Legs::new(home, Pipe::new(stream), peer, watcher.telemetry()),
            dialer,
            background: JoinSet::new(),
            dialing: BTreeMap::new(),
            timer: None,
            epoch,
            now: Tick::default(),
            mailbox: Reader::new(mailbox),
            closing: None,
            holdings: watcher.telemetry().holdings(),
            watcher,
            received: 0,
            sent: 0,
        }
    }

    /// Serves the connection until it ends; what the session leaves comes back with the reason.
    pub(crate) async fn run(mut self) -> (End, Session) {
        self.act_all();
        let end = poll_fn(|cx| self.poll(cx)).await;
        (end, self.session)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let pumped = pipe::with_scratch(|scratch| self.pump(scratch, cx));
        self.holdings.update(&self.session);
        let end = ready!(pumped);
        self.session.part(self.now);
        self.act_all();
        // What was queued since the last flush; whom it does not reach is gone.
        self.write_all(cx);
        Poll::Ready(end)
    }

    fn pump(&mut self, scratch: &mut [u8], cx: &mut Context<'_>) -> Poll<End> {
        self.now = self.tick();
        self.client.woken();
        for (_, leg) in self.legs.iter_mut() {
            leg.woken();
        }
        loop {
            if let Some(end) = self.write_all(cx) {
                return Poll::Ready(end);
            }
            let mut moved = match self.take_commands(cx) {
                Some(Command::TakeOver) => return Poll::Ready(End::TakenOver),
                Some(Command::Stop | Command::Reload(..) | Command::Describe(_)) => true,
                None => false,
            };
            moved |= self.take_arrivals(cx);
            // Sockets are what mostly has something.
            loop {
                match self.read_all(scratch, cx) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(end) => return Poll::Ready(end),
                }
                if let Some(end) = self.write_all(cx) {
                    return Poll::Ready(end);
                }
            }
            // Of what was begun meanwhile. With all that was read this task's budget may be used up;
            // then it is polled again, and they are asked above.
            moved |= self.take_arrivals(cx);
            match self.take_timer(cx) {
                Ok(due) => moved |= due,
                Err(end) => return Poll::Ready(end),
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }

    /// Does as the registry says; the last command of those that have come.
    fn take_commands(&mut self, cx: &Context<'_>) -> Option<Command> {
        let mut last = None;
        for command in self.mailbox.take(cx) {
            match &command {
                Command::TakeOver => return Some(command),
                Command::Stop => self.session.stop(),
                Command::Reload(settings, dialer) => {
                    self.request_limit = settings.frame_limit;
                    self.reply_limit = settings.reply_limit;
                    self.watcher.reload(dialer.config());
                    self.dialer = dialer.clone();
                    self.session.reload(Arc::clone(settings), self.now);
                }
                // Who has asked may have gone meanwhile.
                Command::Describe(asker) => drop(asker.try_send(self.report())),
            }
            self.act_all();
            last = Some(command);
        }
        last
    }

    fn report(&self) -> Report {
        Report {
            description: self.session.describe(),
            peer: self.client.address(),
            since: self.epoch,
            servers: self
                .legs
                .servers()
                .map(|(ensemble, server)| (ensemble, server.clone()))
                .collect(),
            received: self.received,
            sent: self.sent,
        }
    }

    /// Writes what waits. Whether that ends the connection.
    fn write_all(&mut self, cx: &mut Context<'_>) -> Option<End> {
        while let Some(broken) = self.flush_legs(cx) {
            self.lose(broken, Loss::Closed);
        }
        if self.client.flush(self.now, cx).is_err() {
            return Some(End::ClientGone);
        }
        let closing = self.closing?;
        let done = self.client.unwritten() == 0 && self.client.farewell(cx).is_ready();
        (done || Instant::now() >= closing).then_some(End::Closed)
    }

    /// The first leg that is found broken.
    fn flush_legs(&mut self, cx: &mut Context<'_>) -> Option<EnsembleId> {
        let now = self.now;
        self.legs
            .iter_mut()
            .find_map(|(ensemble, leg)| leg.flush(now, cx).is_err().then_some(ensemble))
    }

    fn read_all(&mut self, scratch: &mut [u8], cx: &mut Context<'_>) -> Result<bool, End> {
        if self.closing.is_some() {
            return Ok(false);
        }
        let mut moved = false;
        let mut next = self.legs.behind(None);
        while let Some(ensemble) = next
            && self.client.unwritten() < HIGH_WATER
        {
            moved |= self.read_leg(ensemble, scratch, cx);
            next = self.legs.behind(Some(ensemble));
        }
        if self.session.wants_client() && self.legs.pipes().all(|leg| leg.unwritten() < HIGH_WATER)
        {
            moved |= self.read_client(scratch, cx)?;
        }
        Ok(moved)
    }

    fn read_client(&mut self, scratch: &mut [u8], cx: &mut Context<'_>) -> Result<bool, End> {
        match self.client.intake(scratch, cx) {
            Intake::Nothing => Ok(false),
            Intake::End => Err(End::ClientGone),
            Intake::Bytes(mut bytes) => {
                let used = self.frames(&mut bytes, Side::Client, cx);
                self.client
                    .give_back(bytes, used.as_ref().map_or(0, |used| *used));
                if !self.session.wants_client() {
                    self.client.retry();
                }
                used.map(|_| true).map_err(End::Fault)
            }
        }
    }

    fn read_leg(&mut self, ensemble: EnsembleId, scratch: &mut [u8], cx: &mut Context<'_>) -> bool {
        let Some(leg) = self.legs.get_mut(ensemble) else {
            return false;
        };
        match leg.intake(scratch, cx) {
            Intake::Nothing => false,
            Intake::End => {
                self.lose(ensemble, Loss::Closed);
                true
            }
            Intake::Bytes(mut bytes) => {
                let used = self
                    .frames(&mut bytes, Side::Leg(ensemble), cx)
                    .unwrap_or(0);
                // The session may have hung up over what it read.
                if let Some(leg) = self.legs.get_mut(ensemble) {
                    leg.give_back(bytes, used);
                }
                true
            }
        }
    }

    /// Writes to a socket what it takes and keeps the rest for later. A socket that is broken is
    /// found out by the next flush or read.
    fn write(&mut self, to: Side, bytes: &[u8], cx: &mut Context<'_>) {
        match to {
            Side::Client => self.client.write(bytes, cx),
            Side::Leg(ensemble) => {
                if let Some(leg) = self.legs.get_mut(ensemble) {
                    leg.write(bytes, cx);
                }
            }
        }
    }

    fn act_all(&mut self) {
        self.act_on(&mut Tallies::default());
    }

    fn act_on(&mut self, tallies: &mut Tallies) {
        while let Some(output) = self.session.poll() {
            self.act(output, tallies);
        }
    }

    fn act(&mut self, output: Output, tallies: &mut Tallies) {
        match output {
            Output::ToClient(frame) => {
                self.sent += 1;
                self.client.queue(frame);
            }
            Output::ToLeg(ensemble, frame) => {
                if let Some(leg) = self.legs.get_mut(ensemble) {
                    let tally = tallies.of(self.watcher.telemetry(), ensemble);
                    tally.asked_one(frame.get(PREFIX..).unwrap_or_default());
                    leg.queue(frame);
                }
            }
            Output::Dial(ensemble, handshake) => self.dial(ensemble, handshake),
            Output::LearnRole(ensemble) => self.learn_role(ensemble),
            Output::HangUp(ensemble) => {
                self.legs.remove(ensemble);
                if let Some((dial, _)) = self.dialing.remove(&ensemble) {
                    dial.abort();
                }
            }
            Output::Forget(ensemble) => self.forget(ensemble),
            Output::CloseClient => self.closing = Some(Instant::now() + FAREWELL),
            Output::Happened(event) => {
                let server = |ensemble| self.legs.server(ensemble);
                self.watcher.happened(&event, server);
            }
        }
    }

    fn lose(&mut self, ensemble: EnsembleId, reason: Loss) {
        if self.legs.remove(ensemble).is_some() {
            self.session.leg_lost(ensemble, reason, self.now);
            self.act_all();
        }
    }
}
