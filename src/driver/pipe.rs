//! One socket with what is left over on both of its sides: bytes read that are no whole frame yet,
//! bytes to be written that it did not take.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::Stream;
use crate::session::Tick;

/// What one read can bring: many frames of a busy client at once.
const SCRATCH: usize = 64 * 1024;

thread_local! {
    /// One for all connections of the thread.
    static LENT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends the thread's buffer to the connection that is served right now: one at a time.
///
/// # Panics
/// Within itself.
pub(super) fn with_scratch<T>(serve: impl FnOnce(&mut [u8]) -> T) -> T {
    LENT.with_borrow_mut(|scratch| {
        scratch.resize(SCRATCH, 0);
        serve(scratch)
    })
}

/// What a read brought.
pub(super) enum Intake<'s> {
    Nothing,
    /// All unread bytes, to be given back with how many were used.
    Bytes(Bytes<'s>),
    /// The other side closed, or the connection broke.
    End,
}

/// Unread bytes.
pub(super) enum Bytes<'s> {
    /// In the thread's buffer.
    Lent(&'s mut [u8]),
    /// In a buffer of their own, where a frame is larger, or none was read.
    Own(Vec<u8>),
}

impl std::ops::Deref for Bytes<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::Own(bytes) => bytes,
        }
    }
}

impl std::ops::DerefMut for Bytes<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::Own(bytes) => bytes,
        }
    }
}

/// What the next intake may find.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unread {
    /// Leftovers that may hold whole frames: they were put back without a look.
    Leftovers,
    /// Perhaps something in the socket.
    Perhaps,
    /// Nothing: the socket was empty, and its task is woken when something comes.
    Nothing,
}

/// A socket and its leftovers.
pub(super) struct Pipe {
    stream: Stream,
    /// Read, but not yet used: at most one frame and what came with it.
    left: Vec<u8>,
    unread: Unread,
    /// To be written, from `written` on.
    unwritten: Vec<u8>,
    written: usize,
    held_back: HeldBack,
    /// Since when the other side takes nothing of what waits, as far as the last flush could tell.
    stuck: Option<Tick>,
    broken: bool,
}

/// Whether the stream itself may hold something that was written: TLS does when its socket takes no
/// more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HeldBack {
    Nothing,
    Perhaps,
}

impl Pipe {
    pub(super) const fn new(stream: Stream) -> Self {
        Self {
            stream,
            left: Vec::new(),
            unread: Unread::Perhaps,
            unwritten: Vec::new(),
            written: 0,
            held_back: HeldBack::Nothing,
            stuck: None,
            broken: false,
        }
    }

    /// Since when the other side takes nothing of what waits for it.
    pub(super) const fn stuck(&self) -> Option<Tick> {
        self.stuck
    }

    /// Who is at the other end, where streams of this kind have an address.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.stream.address()
    }

    /// How many bytes wait to be written.
    pub(super) const fn unwritten(&self) -> usize {
        self.unwritten.len() - self.written
    }

    /// Its task was woken, perhaps because something has come.
    pub(super) fn woken(&mut self) {
        if self.unread == Unread::Nothing {
            self.unread = Unread::Perhaps;
        }
    }

    /// Reads once, if not in vain already since its task was woken. What was left before comes
    /// first.
    #[inline]
    pub(super) fn intake<'s>(&mut self, scratch: &'s mut [u8], cx: &mut Context<'_>) -> Intake<'s> {
        match self.unread {
            Unread::Nothing => Intake::Nothing,
            Unread::Leftovers => {
                self.unread = Unread::Perhaps;
                Intake::Bytes(Bytes::Own(std::mem::take(&mut self.left)))
            }
            Unread::Perhaps if self.left.len() > SCRATCH / 2 => self.read_more(cx),
            Unread::Perhaps => self.read(scratch, cx),
        }
    }

    #[inline(never)]
    fn read<'s>(&mut self, scratch: &'s mut [u8], cx: &mut Context<'_>) -> Intake<'s> {
        let kept = self.left.len();
        let mut space = ReadBuf::new(scratch.get_mut(kept..).unwrap_or_default());
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut space);
        match (read, space.filled().len()) {
            (Poll::Pending, _) => self.nothing(),
            (Poll::Ready(Err(_)), _) | (_, 0) => Intake::End,
            (Poll::Ready(Ok(())), more) => {
                if let Some(start) = scratch.get_mut(..kept)
                    && kept > 0
                {
                    start.copy_from_slice(&self.left);
                    self.left = Vec::new();
                }
                let bytes = scratch.get_mut(..kept + more).unwrap_or_default();
                Intake::Bytes(Bytes::Lent(bytes))
            }
        }
    }

    /// Reads more of a large frame.
    #[inline(never)]
    fn read_more(&mut self, cx: &mut Context<'_>) -> Intake<'static> {
        let kept = self.left.len();
        // What a frame's length promises is not reserved before it comes.
        self.left.resize(kept + 4 * SCRATCH, 0);
        let mut space = ReadBuf::new(self.left.get_mut(kept..).unwrap_or_default());
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut space);
        let more = space.filled().len();
        self.left.truncate(kept + more);
        match read {
            Poll::Pending => self.nothing(),
            Poll::Ready(Ok(())) if more > 0 => {
                Intake::Bytes(Bytes::Own(std::mem::take(&mut self.left)))
            }
            Poll::Ready(_) => Intake::End,
        }
    }

    const fn nothing<'s>(&mut self) -> Intake<'s> {
        self.unread = Unread::Nothing;
        Intake::Nothing
    }

    /// The frames given back were not all looked at: the next intake starts with them.
    pub(super) fn retry(&mut self) {
        if !self.left.is_empty() {
            self.unread = Unread::Leftovers;
        }
    }

    /// Keeps what was not used.
    #[inline]
    pub(super) fn give_back(&mut self, bytes: Bytes<'_>, used: usize) {
        match bytes {
            Bytes::Lent(bytes) => match bytes.get(used..) {
                Some(rest) if !rest.is_empty() => self.left = rest.to_vec(),
                _ => {}
            },
            Bytes::Own(bytes) => self.keep(bytes, used),
        }
    }

    fn keep(&mut self, mut bytes: Vec<u8>, used: usize) {
        bytes.drain(..used.min(bytes.len()));
        if bytes.len() <= SCRATCH / 2 {
            bytes.shrink_to_fit();
        }
        self.left = bytes;
    }

    /// Writes what the socket takes now and keeps the rest, behind what waits already.
    pub(super) fn write(&mut self, bytes: &[u8], cx: &mut Context<'_>) {
        let mut rest = bytes;
        while self.unwritten() == 0 && !rest.is_empty() && !self.broken {
            match Pin::new(&mut self.stream).poll_write(cx, rest) {
                Poll::Ready(Ok(written)) if written > 0 => {
                    // TLS takes bytes while it waits to write others.
                    self.stuck = None;
                    rest = rest.get(written..).unwrap_or_default()
                }
                Poll::Ready(_) => self.broken = true,
                Poll::Pending => break,
            }
        }
        if self.stream.holds_back() {
            self.held_back = HeldBack::Perhaps;
        }
        if !self.broken && !rest.is_empty() {
            self.unwritten.extend_from_slice(rest);
        }
    }

    /// Keeps a frame behind what waits already, for the next [`Self::flush`]: so that frames which
    /// come one by one go out with one call.
    pub(super) fn queue(&mut self, frame: Vec<u8>) {
        if self.broken {
            return;
        }
        if self.unwritten.is_empty() {
            self.unwritten = frame;
        } else {
            self.unwritten.extend_from_slice(&frame);
        }
    }

    /// Says that nothing more will be written and waits, without a use for what still comes, for
    /// the other side to close. A socket closed with unread bytes is reset, and a reset may take
    /// along what was written last.
    pub(super) fn farewell(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut unused = [0; 1024];
        if ready!(Pin::new(&mut self.stream).poll_shutdown(cx)).is_err() {
            return Poll::Ready(());
        }
        loop {
            let mut space = ReadBuf::new(&mut unused);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space)) {
                Ok(()) if !space.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
    }

    /// Writes what waits, as far as the socket takes it.
    ///
    /// # Errors
    /// When the connection is broken.
    #[inline]
    pub(super) fn flush(&mut self, now: Tick, cx: &mut Context<'_>) -> io::Result<()> {
        if self.unwritten.is_empty() && self.held_back == HeldBack::Nothing && !self.broken {
            return Ok(());
        }
        self.flush_all(now, cx)
    }

    #[inline(never)]
    fn flush_all(&mut self, now: Tick, cx: &mut Context<'_>) -> io::Result<()> {
        if self.unwritten() > 0 && self.stream.holds_back() {
            self.held_back = HeldBack::Perhaps;
        }
        while self.unwritten() > 0 && !self.broken {
            let rest = self.unwritten.get(self.written..).unwrap_or_default();
            match Pin::new(&mut self.stream).poll_write(cx, rest) {
                Poll::Ready(Ok(written)) if written > 0 => {
                    self.written += written;
                    self.stuck = None;
                }
                Poll::Ready(_) => self.broken = true,
                Poll::Pending => {
                    self.stuck.get_or_insert(now);
                    self.drop_written();
                    return Ok(());
                }
            }
        }
        if self.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !self.unwritten.is_empty() {
            self.unwritten = Vec::new();
            self.written = 0;
        }
        if self.held_back == HeldBack::Perhaps {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(flushed) => {
                    flushed?;
                    self.held_back = HeldBack::Nothing;
                    self.stuck = None;
                }
                Poll::Pending => {
                    self.stuck.get_or_insert(now);
                }
            }
        }
        Ok(())
    }

    /// Lets go of what is written of the bytes that wait: under a steady load there may always be
    /// some that do. No byte is moved more often than another one was written.
    fn drop_written(&mut self) {
        if self.written >= self.unwritten() {
            self.unwritten.drain(..self.written);
            self.written = 0;
        }
    }
}
