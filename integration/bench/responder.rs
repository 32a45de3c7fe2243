//! A server that answers every request at once, so that a proxy in front of it is what is
//! measured. It speaks enough of the protocol for zoonet to compose it.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicI64, Ordering};

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

/// Answers until it is killed, on two ports, with `value` bytes of data per znode.
pub(crate) fn run(value: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let value: &'static [u8] = vec![b'v'; value].leak();
    runtime.block_on(async {
        let mut listeners = Vec::new();
        for _ in 0..2 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            println!("port {}", listener.local_addr()?.port());
            listeners.push(tokio::spawn(accept(listener, value)));
        }
        for listener in listeners {
            listener.await??;
        }
        Ok(())
    })
}

async fn accept(listener: TcpListener, value: &'static [u8]) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream, value));
    }
}

async fn serve(mut stream: TcpStream, value: &[u8]) -> anyhow::Result<()> {
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
    answer_all(stream, value).await
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

async fn answer_all(mut stream: TcpStream, value: &[u8]) -> anyhow::Result<()> {
    let mut unread = Vec::with_capacity(128 * 1024);
    let mut answers = Vec::new();
    while stream.read_buf(&mut unread).await? > 0 {
        let mut at = 0;
        while let Some(rest) = unread.get(at..)
            && let Some(size) = frame_size(rest, 2 * DEFAULT_LIMIT)?
            && let Some(payload) = rest.get(PREFIX..size)
        {
            answer(&Request::parse(payload)?, value, &mut answers);
            at += size;
        }
        unread.drain(..at);
        stream.write_all(&answers).await?;
        answers.clear();
    }
    Ok(())
}

fn answer(request: &Request<'_>, value: &[u8], answers: &mut Vec<u8>) {
    let header = Writer::with_capacity(100 + value.len())
        .raw(request.payload.get(..XID).unwrap_or_default())
        .long(1)
        .int(0);
    let reply = if request.op == OpCode::GetData {
        header.buffer(Some(value)).raw(&STAT)
    } else if request.op == OpCode::SetData {
        header.raw(&STAT)
    } else if request.op == OpCode::Sync {
        header.buffer(Some(b"/"))
    } else {
        // Ping, closeSession; and to the results of a multi nobody here looks.
        header
    };
    answers.extend_from_slice(&reply.finish());
}
