//! The protocol as the load speaks it: a handshake, requests made once and numbered later, and
//! replies that are counted rather than read.

use std::net::SocketAddr;

use anyhow::ensure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zoonet::wire::connect::{ConnectRequest, ConnectResponse};
use zoonet::wire::frames::PREFIX;
use zoonet::wire::jute::Writer;
use zoonet::wire::opcode::OpCode;
use zoonet::wire::{SessionId, Zxid};

/// Long enough that no session needs a ping while it is measured.
const TIMEOUT: i32 = 30_000;

/// Bytes of a reply's length and header.
const HEADER: usize = 20;

/// The error of a znode that is there already.
const NODE_EXISTS: i32 = -110;

/// Opens a session.
pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let request = ConnectRequest {
        last_zxid_seen: Zxid::NONE,
        timeout: TIMEOUT,
        session: SessionId::NONE,
        password: vec![0; 16],
        read_only: Some(false),
    };
    stream.write_all(&request.frame()).await?;
    match ConnectResponse::parse(&read_frame(&mut stream).await?)? {
        ConnectResponse::Granted(_) => Ok(stream),
        ConnectResponse::Refused => anyhow::bail!("the session was refused"),
    }
}

async fn read_frame(stream: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let length = usize::try_from(stream.read_i32().await?)?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await?;
    Ok(payload)
}

/// Requests to create znodes that are in flight at once: below what servers take of one client.
const CREATED_TOGETHER: usize = 100;

/// Creates znodes with data of such a size, or finds them there.
pub(crate) async fn create(server: SocketAddr, paths: &[&str], value: usize) -> anyhow::Result<()> {
    let mut stream = connect(server).await?;
    for some in paths.chunks(CREATED_TOGETHER) {
        let mut creates = Vec::new();
        for path in some {
            let create = start(OpCode::Create, path)
                .buffer(Some(&vec![b'v'; value]))
                .count(1)
                .int(31)
                .buffer(Some(b"world"))
                .buffer(Some(b"anyone"))
                .int(0);
            creates.append(&mut create.finish());
        }
        stream.write_all(&creates).await?;
        for path in some {
            let reply = read_frame(&mut stream).await?;
            let err = reply.get(HEADER - 2 * PREFIX..HEADER - PREFIX);
            let accepted = [0, NODE_EXISTS].map(i32::to_be_bytes);
            ensure!(
                accepted.iter().any(|one| err == Some(one)),
                "{path} was not created"
            );
        }
    }
    end(&mut stream).await
}

/// Ends a session.
pub(crate) async fn end(stream: &mut TcpStream) -> anyhow::Result<()> {
    let close = Writer::default()
        .int(i32::MAX)
        .int(OpCode::CloseSession.number());
    Ok(stream.write_all(&close.finish()).await?)
}

fn start(op: OpCode, path: &str) -> Writer {
    Writer::default()
        .int(0)
        .int(op.number())
        .buffer(Some(path.as_bytes()))
}

/// Reads a znode; like all requests here without its number.
pub(crate) fn read_of(path: &str) -> Vec<u8> {
    start(OpCode::GetData, path).bool(false).finish()
}

/// Replaces a znode's data.
pub(crate) fn write_of(path: &str, value: usize) -> Vec<u8> {
    let data = vec![b'v'; value];
    start(OpCode::SetData, path)
        .buffer(Some(&data))
        .int(-1)
        .finish()
}

/// What orders the reads behind it.
pub(crate) fn sync_of(path: &str) -> Vec<u8> {
    start(OpCode::Sync, path).finish()
}

/// Appends a request with its number.
pub(crate) fn append(out: &mut Vec<u8>, request: &[u8], xid: i32) {
    let start = out.len();
    out.extend_from_slice(request);
    if let Some(place) = out.get_mut(start + PREFIX..start + 2 * PREFIX) {
        place.copy_from_slice(&xid.to_be_bytes());
    }
}

/// Counts replies; what is in them is looked at no further than their error.
pub(crate) struct Intake {
    buffer: Vec<u8>,
    filled: usize,
    /// Bytes to come of a reply whose header was seen.
    skip: usize,
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            buffer: vec![0; 256 * 1024],
            filled: 0,
            skip: 0,
        }
    }
}

impl Intake {
    /// Reads once; how many replies that completed.
    pub(crate) async fn read(
        &mut self,
        stream: &mut (impl AsyncReadExt + Unpin),
    ) -> anyhow::Result<usize> {
        let space = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let read = stream.read(space).await?;
        ensure!(read > 0, "the connection was closed");
        self.filled += read;
        let mut replies = 0;
        let mut at = 0;
        loop {
            let left = self.filled - at;
            let skipped = self.skip.min(left);
            at += skipped;
            if self.skip > 0 {
                self.skip -= skipped;
                replies += usize::from(self.skip == 0);
            }
            let Some(header) = self
                .buffer
                .get(at..self.filled)
                .and_then(|rest| rest.first_chunk::<HEADER>())
            else {
                break;
            };
            let [a, b, c, d, .., e, f, g, h] = *header;
            let err = i32::from_be_bytes([e, f, g, h]);
            ensure!(err == 0, "a request was answered with error {err}");
            self.skip = PREFIX + usize::try_from(i32::from_be_bytes([a, b, c, d]))?;
        }
        self.buffer.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(replies)
    }
}
