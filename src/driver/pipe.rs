//! One socket with what is left over on both of its sides: bytes read that are no whole frame yet,
//! bytes to be written that it did not take.

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
    /// Lent to whichever connection is read right now.
    static LENT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What a read brought.
pub(super) enum Intake {
    Nothing,
    /// All unread bytes, to be given back with how many were used.
    Bytes(Bytes),
    /// The other side closed, or the connection broke.
    End,
}

/// Bytes in a lent buffer.
pub(super) struct Bytes {
    buffer: Vec<u8>,
    filled: usize,
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }
}

impl std::ops::DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(..self.filled).unwrap_or_default()
    }
}

/// Gives a buffer back whose connection is gone.
pub(super) fn discard(bytes: Bytes) {
    if bytes.buffer.len() == SCRATCH {
        LENT.with_borrow_mut(|lent| *lent = bytes.buffer);
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
    pub(super) fn intake(&mut self, cx: &mut Context<'_>) -> Intake {
        let unread = self.unread;
        if unread == Unread::Nothing {
            return Intake::Nothing;
        }
        let (mut buffer, kept) = self.borrow();
        if unread == Unread::Leftovers {
            self.unread = Unread::Perhaps;
            return Intake::Bytes(Bytes {
                buffer,
                filled: kept,
            });
        }
        let mut space = ReadBuf::new(buffer.get_mut(kept..).unwrap_or_default());
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut space);
        let filled = kept + space.filled().len();
        match read {
            Poll::Ready(Ok(())) if filled > kept => Intake::Bytes(Bytes { buffer, filled }),
            Poll::Ready(_) => {
                discard(Bytes { buffer, filled });
                Intake::End
            }
            Poll::Pending => {
                self.unread = Unread::Nothing;
                self.give_back(Bytes { buffer, filled }, 0);
                Intake::Nothing
            }
        }
    }

    /// A buffer with the leftovers at its start and room behind: the thread's where they fit,
    /// their own where a frame is larger.
    fn borrow(&mut self) -> (Vec<u8>, usize) {
        let kept = self.left.len();
        if kept <= SCRATCH / 2 {
            let mut buffer = LENT.with_borrow_mut(std::mem::take);
            buffer.resize(SCRATCH, 0);
            if kept > 0 {
                if let Some(start) = buffer.get_mut(..kept) {
                    start.copy_from_slice(&self.left);
                }
                self.left = Vec::new();
            }
            return (buffer, kept);
        }
        let mut buffer = std::mem::take(&mut self.left);
        // What a frame's length promises is not reserved before it comes.
        buffer.resize(kept + 4 * SCRATCH, 0);
        (buffer, kept)
    }

    /// The frames given back were not all looked at: the next intake starts with them.
    pub(super) fn retry(&mut self) {
        if !self.left.is_empty() {
            self.unread = Unread::Leftovers;
        }
    }

    /// Takes the buffer back and keeps what was not used.
    pub(super) fn give_back(&mut self, bytes: Bytes, used: usize) {
        let Bytes { mut buffer, filled } = bytes;
        if buffer.len() == SCRATCH {
            if used < filled {
                self.left = buffer.get(used..filled).unwrap_or_default().to_vec();
            }
            LENT.with_borrow_mut(|lent| *lent = buffer);
            return;
        }
        buffer.truncate(filled);
        buffer.drain(..used.min(filled));
        if buffer.len() <= SCRATCH / 2 {
            buffer.shrink_to_fit();
        }
        self.left = buffer;
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
        if !self.broken {
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
    pub(super) fn flush(&mut self, now: Tick, cx: &mut Context<'_>) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;
    use tokio::time::timeout;

    use super::*;

    /// The driver looks at a pipe when it is woken, and asks it for no more than to be flushed.
    #[tokio::test]
    async fn what_a_stream_holds_back_goes_out_when_its_socket_takes_it() {
        let (mut near, mut far) = crate::tls::tests::pair(1_000).await;
        for (queued, size) in [(false, 20_000), (true, 20_000), (false, 300_000), (true, 3)] {
            let mut pipe = Pipe::new(near);
            let sent: Vec<u8> = (0..size).map(|n: u32| n.to_be_bytes()[3]).collect();
            let mut unsent = Some(sent.clone());
            let driver = poll_fn(|cx| {
                match unsent.take() {
                    Some(bytes) if queued => pipe.queue(bytes),
                    Some(bytes) => pipe.write(&bytes, cx),
                    None => {}
                }
                pipe.flush(Tick::default(), cx).unwrap();
                Poll::<()>::Pending
            });
            let mut received = vec![0; sent.len()];
            let reading = timeout(
                std::time::Duration::from_secs(10),
                far.read_exact(&mut received),
            );
            tokio::select! {
                () = driver => {}
                read = reading => { read.expect("all of it comes").unwrap(); }
            }
            assert!(received == sent && pipe.unwritten() == 0);
            near = pipe.stream;
        }
    }

    #[tokio::test]
    async fn what_is_written_is_not_kept_though_there_is_always_more_to_write() {
        let (near, mut far) = tokio::io::duplex(1_000);
        let mut pipe = Pipe::new(Stream::Memory(near));
        pipe.queue(vec![7; 3_000]);
        for _ in 0..1_000 {
            pipe.queue(vec![7; 500]);
            flush(&mut pipe, Tick(0)).await;
            let mut read = [0; 500];
            far.read_exact(&mut read).await.unwrap();
            assert!(pipe.unwritten() > 0 && read == [7; 500]);
        }
        assert!(pipe.unwritten.capacity() < 20_000);
    }

    #[tokio::test]
    async fn it_is_known_since_when_nothing_is_taken() {
        let (near, mut far) = tokio::io::duplex(100);
        let mut pipe = Pipe::new(Stream::Memory(near));
        pipe.queue(vec![7; 300]);
        let mut since = async |now| {
            flush(&mut pipe, Tick(now)).await;
            pipe.stuck()
        };
        assert_eq!(since(1).await, Some(Tick(1)));
        assert_eq!(since(2).await, Some(Tick(1)));
        far.read_exact(&mut [0; 50]).await.unwrap();
        assert_eq!(since(3).await, Some(Tick(3)), "some was taken");
        assert_eq!(since(4).await, Some(Tick(3)));
        far.read_exact(&mut [0; 100]).await.unwrap();
        assert_eq!(since(5).await, Some(Tick(5)));
        far.read_exact(&mut [0; 100]).await.unwrap();
        assert_eq!(since(6).await, None, "all was");
    }

    async fn flush(pipe: &mut Pipe, now: Tick) {
        let flushed = poll_fn(|cx| Poll::Ready(pipe.flush(now, cx)));
        flushed.await.unwrap();
    }
}
