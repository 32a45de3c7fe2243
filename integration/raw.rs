//! A client that says exactly what it is told, for what no library lets one say or see.

use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The bound of a single read.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const CREATE: i32 = 1;
pub(crate) const EXISTS: i32 = 3;
pub(crate) const GET_DATA: i32 = 4;
pub(crate) const SET_DATA: i32 = 5;
pub(crate) const MULTI: i32 = 14;
pub(crate) const CHECK: i32 = 13;
pub(crate) const CLOSE_SESSION: i32 = -11;
pub(crate) const CREATE_SESSION: i32 = -10;

/// The flags of create.
pub(crate) const PERSISTENT: i32 = 0;
pub(crate) const EPHEMERAL: i32 = 1;

pub(crate) const OK: i32 = 0;
pub(crate) const RUNTIME_INCONSISTENCY: i32 = -2;
pub(crate) const CONNECTION_LOSS: i32 = -4;
pub(crate) const UNIMPLEMENTED: i32 = -6;
pub(crate) const NO_NODE: i32 = -101;

/// A socket on which nothing was said yet.
pub(crate) fn dial(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The bytes in front of which their number stands.
pub(crate) fn framed(payload: &[u8]) -> Vec<u8> {
    let length = i32::try_from(payload.len()).unwrap();
    [&length.to_be_bytes()[..], payload].concat()
}

/// A path, a name or data: its length, then itself.
pub(crate) fn buffer(bytes: &[u8]) -> Vec<u8> {
    framed(bytes)
}

/// A request's payload.
pub(crate) fn request(xid: i32, op: i32, body: &[u8]) -> Vec<u8> {
    [&xid.to_be_bytes()[..], &op.to_be_bytes()[..], body].concat()
}

/// The payload of a handshake as most clients send it: 45 bytes.
pub(crate) fn handshake(zxid: i64, timeout: u32, session: i64, password: &[u8; 16]) -> Vec<u8> {
    [
        &0_i32.to_be_bytes()[..],
        &zxid.to_be_bytes()[..],
        &timeout.to_be_bytes()[..],
        &session.to_be_bytes()[..],
        &buffer(password),
        &[0],
    ]
    .concat()
}

/// The next frame's payload.
pub(crate) fn read_frame(stream: &mut impl io::Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut payload = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut payload)?;
    Ok(payload)
}

/// Reads until the other side is done; panics if it says anything more.
pub(crate) fn assert_closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest);
    let reset = end
        .as_ref()
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset);
    assert!(end.is_ok() || reset, "not closed: {end:?}");
    assert!(rest.is_empty(), "{rest:?}");
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) xid: i32,
    pub(crate) zxid: i64,
    pub(crate) err: i32,
    pub(crate) body: Vec<u8>,
}

/// A connection with a session.
#[derive(Debug)]
pub(crate) struct Raw<S = TcpStream> {
    pub(crate) stream: S,
    pub(crate) session: i64,
    xid: i32,
}

impl Raw {
    /// Asks for a new session.
    pub(crate) fn connect(address: SocketAddr, timeout: u32) -> Self {
        Self::attach(address, 0, timeout)
    }

    /// Asks for a new session of a server that has seen this zxid.
    pub(crate) fn attach(address: SocketAddr, zxid: i64, timeout: u32) -> Self {
        Self::over(dial(address), zxid, timeout)
    }
}

impl<S: io::Read + io::Write> Raw<S> {
    /// Asks for a new session over a stream on which nothing was said yet.
    pub(crate) fn over(mut stream: S, zxid: i64, timeout: u32) -> Self {
        let hello = handshake(zxid, timeout, 0, &[0; 16]);
        stream.write_all(&framed(&hello)).unwrap();
        let answer = read_frame(&mut stream).unwrap();
        let session = i64::from_be_bytes(answer[8..16].try_into().unwrap());
        assert_ne!(session, 0, "refused");
        let xid = 0;
        Self {
            stream,
            session,
            xid,
        }
    }

    /// Sends a request and returns its number.
    pub(crate) fn send(&mut self, op: i32, body: &[u8]) -> i32 {
        self.xid += 1;
        let payload = request(self.xid, op, body);
        self.stream.write_all(&framed(&payload)).unwrap();
        self.xid
    }

    /// The next reply.
    pub(crate) fn reply(&mut self) -> Reply {
        let frame = read_frame(&mut self.stream).unwrap();
        Reply {
            xid: i32::from_be_bytes(frame[..4].try_into().unwrap()),
            zxid: i64::from_be_bytes(frame[4..12].try_into().unwrap()),
            err: i32::from_be_bytes(frame[12..16].try_into().unwrap()),
            body: frame[16..].to_vec(),
        }
    }

    /// Sends a request and waits for its reply.
    pub(crate) fn call(&mut self, op: i32, body: &[u8]) -> Reply {
        let xid = self.send(op, body);
        let reply = self.reply();
        assert_eq!(reply.xid, xid, "{reply:?}");
        reply
    }

    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.call(GET_DATA, &get_body(path))
    }

    pub(crate) fn set(&mut self, path: &str, data: &[u8]) -> Reply {
        self.call(SET_DATA, &set_body(path, data))
    }

    /// Creates a node unless it is there.
    pub(crate) fn make(&mut self, path: &str) {
        let err = self.call(CREATE, &create_body(path, PERSISTENT)).err;
        assert!(err == OK || err == -110, "{path}: {err}");
    }
}

/// The body of getData and of exists, without a watch.
pub(crate) fn get_body(path: &str) -> Vec<u8> {
    [&buffer(path.as_bytes())[..], &[0]].concat()
}

pub(crate) fn set_body(path: &str, data: &[u8]) -> Vec<u8> {
    let version = (-1_i32).to_be_bytes();
    [&buffer(path.as_bytes())[..], &buffer(data), &version].concat()
}

/// The body of create, open to the world.
pub(crate) fn create_body(path: &str, flags: i32) -> Vec<u8> {
    [
        &buffer(path.as_bytes())[..],
        &buffer(b""),
        &1_i32.to_be_bytes(),
        &31_i32.to_be_bytes(),
        &buffer(b"world"),
        &buffer(b"anyone"),
        &flags.to_be_bytes(),
    ]
    .concat()
}
