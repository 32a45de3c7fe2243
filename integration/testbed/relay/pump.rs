//! One direction of one connection: bytes in, bytes out when they are due.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until};

use super::Lane;

/// Bytes under way in one direction of one connection, past which the sender has to wait.
const LIMIT: usize = 32 << 20;
const READ: usize = 64 << 10;

/// How bytes of a direction go.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    pub(super) delay: Duration,
    pub(super) frozen: bool,
}

/// The connection is to be reset, as one of its ends was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reset;

/// Carries bytes until the sender's end of stream has been delivered.
pub(super) async fn pump(
    from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    lane: &Lane,
) -> Result<(), Reset> {
    let mut pace = lane.pace.subscribe();
    let mut wire = Wire::default();
    let mut chunk = vec![0; READ];
    loop {
        let now = *pace.borrow_and_update();
        wire.release(Instant::now(), now.delay);
        if !now.frozen {
            match wire.delivered() {
                Some(End::Finished) => return to.shutdown().await.map_err(|_| Reset),
                Some(End::Reset) => return Err(Reset),
                None => {}
            }
        }
        let due = wire.next_due(now.delay);
        tokio::select! {
            _ = pace.changed() => {}
            _ = to.writable(), if !now.frozen && wire.due > 0 => {
                let written = wire.write(&to)?;
                lane.bytes.fetch_add(written, Ordering::Relaxed);
            }
            _ = from.readable(), if wire.takes_more() => wire.read(&from, &mut chunk),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if !now.frozen && due.is_some() => {}
        }
    }
}

/// How a sender ended its stream.
#[derive(Clone, Copy, Debug)]
enum End {
    Finished,
    Reset,
}

/// What was read and not yet written, and when it arrived.
#[derive(Debug, Default)]
struct Wire {
    bytes: VecDeque<u8>,
    arrivals: VecDeque<(Instant, usize)>,
    end: Option<(Instant, End)>,
    /// How many of `bytes`, from the front, may be written.
    due: usize,
    end_is_due: bool,
}

impl Wire {
    fn takes_more(&self) -> bool {
        self.end.is_none() && self.bytes.len() < LIMIT
    }

    fn read(&mut self, from: &ReadHalf<'_>, chunk: &mut [u8]) {
        let arrived = Instant::now();
        match from.try_read(chunk) {
            Ok(0) => self.end = Some((arrived, End::Finished)),
            Ok(length) => {
                self.bytes.extend(chunk.get(..length).unwrap_or_default());
                self.arrivals.push_back((arrived, length));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.end = Some((arrived, End::Reset)),
        }
    }

    fn write(&mut self, to: &WriteHalf<'_>) -> Result<u64, Reset> {
        let (front, back) = self.bytes.as_slices();
        let first = front.len().min(self.due);
        let second = self.due - first;
        let slices = [
            IoSlice::new(front.get(..first).unwrap_or_default()),
            IoSlice::new(back.get(..second).unwrap_or_default()),
        ];
        match to.try_write_vectored(&slices) {
            Ok(written) => {
                self.bytes.drain(..written);
                self.due -= written;
                Ok(u64::try_from(written).expect("a usize fits"))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(_) => Err(Reset),
        }
    }

    /// Lets out what has been under way for `delay`.
    fn release(&mut self, now: Instant, delay: Duration) {
        while let Some((arrived, length)) = self.arrivals.front().copied()
            && arrived + delay <= now
        {
            self.arrivals.pop_front();
            self.due += length;
        }
        self.end_is_due = self.end.is_some_and(|(arrived, _)| arrived + delay <= now);
    }

    /// When [`Self::release`] will let out more.
    fn next_due(&self, delay: Duration) -> Option<Instant> {
        let bytes = self.arrivals.front().map(|(arrived, _)| *arrived + delay);
        let end = self.end.filter(|_| !self.end_is_due);
        bytes.or_else(|| end.map(|(arrived, _)| arrived + delay))
    }

    /// How the stream ended, once all before the end has been written.
    fn delivered(&self) -> Option<End> {
        let (_, end) = self.end?;
        (self.bytes.is_empty() && self.end_is_due).then_some(end)
    }
}
