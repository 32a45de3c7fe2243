//! A server that answers every request at once, so that a proxy in front of it is what is
//! measured. It speaks enough of the protocol for zoonet to compose it.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use zoonet::wire::connect::ConnectRequest;
use zoonet::wire::frames::{DEFAULT_LIMIT, PREFIX, frame_size};
use zoonet::wire::jute::Writer;
use zoonet::wire::opcode::OpCode;
use zoonet::wire::request::Request;

const SRVR: &[u8] = b"Zookeeper version: instant\nMode: follower\n";

/// Bytes of a request's number.
const XID: usize = 4;

/// A Stat in which nothing stands.
const STAT: [u8; 68] = [0; 68];

/// Bytes read at once, at least.
const READ: usize = 64 * 1024;

/// Answers are written when there are so many bytes of them, or no request is left.
const ENOUGH: usize = 1 << 20;

/// Answers until it is killed, on two ports. How much data a znode has says the end of its path.
pub(crate) fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut listeners = Vec::new();
        for _ in 0..2 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            println!("port {}", listener.local_addr()?.port());
            listeners.push(tokio::spawn(accept(listener)));
        }
        for listener in listeners {
            listener.await??;
        }
        Ok(())
    })
}

async fn accept(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream));
    }
}

async fn serve(mut stream: TcpStream) -> anyhow::Result<()> {
    let mut word = [0; PREFIX];
    stream.read_exact(&mut word).await?;
    if word == *b"srvr" {
        return Ok(stream.write_all(SRVR).await?);
    }
    let length = usize::try_from(i32::from_be_bytes(word))?;
    let mut handshake = vec![0; length];
    stream.read_exact(&mut handshake).await?;
    stream
        .write_all(&granted(&ConnectRequest::parse(&handshake)?))
        .await?;
    answer_all(stream).await
}

fn granted(request: &ConnectRequest) -> Vec<u8> {
    static SESSION: AtomicI64 = AtomicI64::new(1);
    Writer::default()
        .int(0)
        .int(request.timeout)
        .long(SESSION.fetch_add(1, Ordering::Relaxed))
        .buffer(Some(&[7; 16]))
        .bool(false)
        .finish()
}

async fn answer_all(mut stream: TcpStream) -> anyhow::Result<()> {
    let mut unread = Vec::with_capacity(READ);
    let mut replies = Replies::default();
    while stream.read_buf(&mut unread).await? > 0 {
        let mut at = 0;
        while let Some(rest) = unread.get(at..)
            && let Some(size) = frame_size(rest, 2 * DEFAULT_LIMIT)?
            && let Some(payload) = rest.get(PREFIX..size)
        {
            replies.answer(&Request::parse(payload)?)?;
            at += size;
            if replies.out.len() > ENOUGH {
                stream.write_all(&replies.out).await?;
                replies.out.clear();
            }
        }
        unread.drain(..at);
        unread.reserve(READ);
        stream.write_all(&replies.out).await?;
        replies.out.clear();
    }
    Ok(())
}

/// Replies of one connection; made once and copied, as all of a kind differ in their number only.
struct Replies {
    /// Of a getData, and for how many bytes it was made.
    data: (usize, Vec<u8>),
    stat: Vec<u8>,
    sync: Vec<u8>,
    bare: Vec<u8>,
    out: Vec<u8>,
}

impl Default for Replies {
    fn default() -> Self {
        let header = || Writer::default().int(0).long(1).int(0);
        Self {
            data: (0, header().buffer(Some(b"")).raw(&STAT).finish()),
            stat: header().raw(&STAT).finish(),
            sync: header().buffer(Some(b"/")).finish(),
            bare: header().finish(),
            out: Vec::new(),
        }
    }
}

impl Replies {
    fn answer(&mut self, request: &Request<'_>) -> anyhow::Result<()> {
        let reply = if request.op == OpCode::GetData {
            let wanted = value_of(request.path().unwrap_or_default())?;
            if self.data.0 != wanted {
                let header = Writer::default().int(0).long(1).int(0);
                let data = header.buffer(Some(&vec![b'v'; wanted])).raw(&STAT);
                self.data = (wanted, data.finish());
            }
            &self.data.1
        } else if request.op == OpCode::SetData {
            &self.stat
        } else if request.op == OpCode::Sync {
            &self.sync
        } else {
            // Ping, closeSession; and to the results of a multi nobody here looks.
            &self.bare
        };
        let start = self.out.len() + PREFIX;
        self.out.extend_from_slice(reply);
        let xid = request.payload.get(..XID).context("it was parsed")?;
        if let Some(place) = self.out.get_mut(start..start + XID) {
            place.copy_from_slice(xid);
        }
        Ok(())
    }
}

/// `/bench-1024` has 1024 bytes of data.
fn value_of(path: &[u8]) -> anyhow::Result<usize> {
    let end = path.rsplit(|byte| *byte == b'-').next().unwrap_or_default();
    Ok(std::str::from_utf8(end)?.parse()?)
}
