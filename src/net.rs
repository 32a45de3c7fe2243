//! Streams of bytes, and where they come from: all that is known here of sockets.
//!
//! ```text
//! clients → Listener ─Stream→ proxy, driver ─ dial ─Peer→ Network ─Stream→ servers
//! ```
//!
//! Beside TCP, TLS over it and Unix sockets there are streams in memory, so that the whole sidecar can be run in one thread, under
//! a clock that is not real, against servers that are not. A further kind of stream is a variant of
//! [`Stream`], a further way to get one a variant of [`Network`] or of [`Listener`]; nothing else
//! asks what a stream is made of.
//!
//! # Decisions
//!
//! * [`Stream`] is an enum and no trait object: it is read and written per frame, and a branch that
//!   always goes the same way costs nothing beside a system call. [`Connect`] is a trait: a stream
//!   is opened once per leg.

mod unix;

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsStream;
pub use unix::UnixPlace;

use crate::config::Server;

/// A stream of bytes to a client or to a server.
#[derive(Debug)]
pub enum Stream {
    /// Over the network.
    Tcp(TcpStream),
    /// To another process of this host.
    Unix(UnixStream),
    /// Encrypted, over another stream.
    Tls(Box<TlsStream<Self>>),
    /// To another task of this process.
    Memory(DuplexStream),
}

impl Stream {
    /// The address of the other side, where streams of this kind have one.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Tls(stream) => stream.get_ref().0.address(),
            Self::Unix(_) | Self::Memory(_) => None,
        }
    }

    /// Sends what is written at once, however little it is.
    ///
    /// # Errors
    /// If the connection is gone already.
    pub fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true),
            Self::Tls(stream) => stream.get_ref().0.set_nodelay(),
            Self::Unix(_) | Self::Memory(_) => Ok(()),
        }
    }

    /// Takes the stream of a client that was just accepted from the runtime that looks after it. One
    /// in memory has none, and TLS comes later.
    ///
    /// # Errors
    /// If the system does not let go of it.
    pub(crate) fn detach(self) -> io::Result<Detached> {
        Ok(match self {
            Self::Tcp(stream) => Detached::Tcp(stream.into_std()?),
            Self::Unix(stream) => Detached::Unix(stream.into_std()?),
            other @ (Self::Tls(_) | Self::Memory(_)) => Detached::Other(other),
        })
    }

    /// Whether what was written may be held back until it is flushed.
    #[inline]
    #[must_use]
    pub const fn holds_back(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

/// A stream on its way from one runtime to another.
#[derive(Debug)]
pub(crate) enum Detached {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
    Other(Stream),
}

impl Detached {
    /// Has the runtime of this task look after it.
    ///
    /// # Errors
    /// If the system does not take it.
    pub(crate) fn attach(self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream)?),
            Self::Unix(stream) => Stream::Unix(UnixStream::from_std(stream)?),
            Self::Other(stream) => stream,
        })
    }
}

// What is not plain TCP is kept out of line, so that the way of most bytes stays short.

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, into),
            other @ (Self::Unix(_) | Self::Tls(_) | Self::Memory(_)) => {
                other.poll_read_other(cx, into)
            }
        }
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            other @ (Self::Unix(_) | Self::Tls(_) | Self::Memory(_)) => {
                other.poll_write_other(cx, bytes)
            }
        }
    }

    // TLS writes its records in this way: one by one, the word on why a handshake failed would stay
    // behind.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Memory(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Memory(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Memory(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Memory(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Stream {
    #[inline(never)]
    fn poll_read_other(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Tls(stream) => match ready!(Pin::new(stream).poll_read(cx, into)) {
                // Not every peer says goodbye; see the decisions in `tls.rs`.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                read => Poll::Ready(read),
            },
            Self::Memory(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }

    #[inline(never)]
    fn poll_write_other(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Memory(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }
}

/// A server that can be reached, or has been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// As the configuration names it.
    pub server: Server,
    /// Which of the addresses its name stands for; any, where nothing is said.
    pub address: Option<SocketAddr>,
}

impl From<Server> for Peer {
    fn from(server: Server) -> Self {
        Self {
            server,
            address: None,
        }
    }
}

/// A stream in the making.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

/// A way to servers that is not TCP.
pub trait Connect: fmt::Debug + Send + Sync {
    /// Opens a stream to a server.
    fn connect(&self, peer: &Peer) -> Connecting;
}

/// How servers are reached.
#[derive(Clone, Debug, Default)]
pub enum Network {
    /// Over TCP; names are resolved by the system.
    #[default]
    Tcp,
    /// As this says.
    Other(Arc<dyn Connect>),
}

impl Network {
    /// Opens a stream to a server.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub async fn connect(&self, peer: &Peer) -> io::Result<Stream> {
        let Peer { server, address } = peer;
        let stream = match self {
            Self::Tcp => Stream::Tcp(match address {
                Some(address) => TcpStream::connect(address).await?,
                None => TcpStream::connect((server.host.as_str(), server.port)).await?,
            }),
            Self::Other(network) => network.connect(peer).await?,
        };
        stream.set_nodelay()?;
        Ok(stream)
    }
}

/// Where clients come from.
#[derive(Debug)]
pub enum Listener {
    /// A socket that listens.
    Tcp(TcpListener),
    /// A socket of this host that does.
    Unix(UnixPlace),
    /// Other tasks of this process. When nobody can send any more, no more clients come.
    Memory(mpsc::Receiver<DuplexStream>),
    /// All of these, none before the others.
    Several(Vec<Self>),
}

impl Listener {
    /// The next client, with its address where it has one.
    ///
    /// # Errors
    /// If none can be accepted just now.
    pub async fn accept(&mut self) -> io::Result<(Stream, Option<SocketAddr>)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Stream, Option<SocketAddr>)>> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = ready!(listener.poll_accept(cx))?;
                Poll::Ready(Ok((Stream::Tcp(stream), Some(peer))))
            }
            Self::Unix(place) => {
                let stream = ready!(place.poll_accept(cx))?;
                Poll::Ready(Ok((Stream::Unix(stream), None)))
            }
            Self::Memory(clients) => match ready!(clients.poll_recv(cx)) {
                Some(stream) => Poll::Ready(Ok((Stream::Memory(stream), None))),
                None => Poll::Pending,
            },
            Self::Several(listeners) => {
                for at in 0..listeners.len() {
                    let Some(listener) = listeners.get_mut(at) else {
                        break;
                    };
                    if let Poll::Ready(next) = listener.poll_accept(cx) {
                        // Whoever comes next, it is another's turn.
                        listeners.rotate_left(at + 1);
                        return Poll::Ready(next);
                    }
                }
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[derive(Debug)]
    struct Echo;

    impl Connect for Echo {
        fn connect(&self, peer: &Peer) -> Connecting {
            let (near, mut far) = duplex(64);
            let name = peer.server.to_string();
            Box::pin(async move {
                far.write_all(name.as_bytes()).await?;
                Ok(Stream::Memory(near))
            })
        }
    }

    #[tokio::test]
    async fn a_server_is_reached_by_whatever_way_there_is() {
        let server = Server {
            host: "zk1".to_owned(),
            port: 2181,
        };
        let network = Network::Other(Arc::new(Echo));
        let mut stream = network.connect(&server.into()).await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert_eq!((said.as_str(), stream.address()), ("zk1:2181", None));
    }

    #[tokio::test]
    async fn of_several_listeners_each_has_its_turn() {
        let mut senders = Vec::new();
        let mut memory = || {
            let (sender, receiver) = mpsc::channel(8);
            for _ in 0..4 {
                sender.try_send(duplex(64).0).unwrap();
            }
            senders.push(sender);
            Listener::Memory(receiver)
        };
        let mut several = Listener::Several(vec![memory(), memory(), memory()]);
        for _ in 0..6 {
            several.accept().await.unwrap();
        }
        let waiting: Vec<usize> = senders.iter().map(|sender| sender.capacity()).collect();
        assert_eq!(waiting, [6, 6, 6], "two of each were taken");
        // Those that nobody can send to any more do not keep the others from it.
        senders.truncate(1);
        for _ in 0..6 {
            several.accept().await.unwrap();
        }
        senders[0].send(duplex(64).0).await.unwrap();
        several.accept().await.unwrap();
    }

    #[tokio::test]
    async fn the_address_reached_is_reached_again() {
        let socket = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut listener = Listener::Tcp(socket);
        let peer = Peer {
            server: Server {
                host: "no.such.name.invalid".to_owned(),
                port: 1,
            },
            address: Some(address),
        };
        let (reached, accepted) = tokio::join!(Network::Tcp.connect(&peer), listener.accept());
        assert_eq!(reached.unwrap().address(), Some(address));
        assert!(accepted.unwrap().1.is_some());
    }
}
