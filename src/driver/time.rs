//! The one timer of a connection: what the session waits for, and who takes nothing of what waits
//! for it.

use std::future::Future;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::legs::Legs;
use super::pipe::Pipe;
use super::{Driver, End, HIGH_WATER};
use crate::session::{Loss, Tick};

impl Driver {
    /// The time.
    pub(super) fn tick(&self) -> Tick {
        let elapsed = self.epoch.elapsed().as_micros();
        Tick(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    /// Keeps one timer at or before the session's deadline: it is set back only when the deadline
    /// has come closer, because most deadlines are put off before they are reached.
    pub(super) fn take_timer(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let Some(due) = self.closing.or_else(|| self.deadline()) else {
            self.timer = None;
            return Ok(false);
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        // A timer that is due does not say so to a task whose budget is used up, as it may be in each
        // poll where there is always more to read.
        let is_due = due <= self.epoch + Duration::from_micros(self.now.0);
        if !is_due && timer.as_mut().poll(cx).is_pending() {
            return Ok(false);
        }
        self.timer = None;
        self.now = self.tick();
        if self.closing.is_none() {
            self.drop_slow()?;
            if self.client.unwritten() >= HIGH_WATER {
                self.session.legs_unread(self.now);
            }
            self.session.tick(self.now);
            self.act_all();
        }
        Ok(true)
    }

    /// When something is due, if nothing happens before.
    fn deadline(&self) -> Option<Instant> {
        let stuck = self.legs.pipes().chain([&self.client]);
        let stuck = stuck.filter_map(Pipe::stuck).min();
        let slow = stuck.map(|Tick(since)| Duration::from_micros(since) + self.patience());
        let session = self.session.deadline();
        let session = session.map(|Tick(at)| Duration::from_micros(at));
        let first = slow.into_iter().chain(session).min()?;
        Some(self.epoch + first)
    }

    /// How long one may take nothing of what waits for it. A client that reads nothing for its
    /// session's timeout does not read the pings that tell it that the session is there.
    fn patience(&self) -> Duration {
        let set = self.dialer.config().slow_reader_timeout;
        set.unwrap_or_else(|| Duration::from_millis(self.session.timeout().into()))
    }

    /// Gives up whoever has taken nothing for too long.
    fn drop_slow(&mut self) -> Result<(), End> {
        let (now, patience) = (Duration::from_micros(self.now.0), self.patience());
        let is_slow = |pipe: &Pipe| {
            let stuck = pipe.stuck();
            stuck.is_some_and(|Tick(since)| Duration::from_micros(since) + patience <= now)
        };
        if is_slow(&self.client) {
            return Err(End::SlowReader(patience));
        }
        let slow_leg = |legs: &mut Legs| {
            let mut legs = legs.iter_mut();
            legs.find_map(|(ensemble, pipe)| is_slow(pipe).then_some(ensemble))
        };
        while let Some(ensemble) = slow_leg(&mut self.legs) {
            self.lose(ensemble, Loss::TimedOut);
        }
        Ok(())
    }
}
