//! A server that grants every session and then does with its connection what the test does.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use crate::patience::PATIENCE;
use crate::raw::{self, framed};

/// Listens as long as the process lives.
pub(super) struct Impostor {
    pub(super) address: SocketAddr,
    granted: Receiver<TcpStream>,
}

impl Impostor {
    pub(super) fn start(timeout: u32) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, granted) = mpsc::channel();
        thread::spawn(move || {
            for (session, stream) in (1..).zip(listener.incoming()) {
                let Some(stream) = grant(stream.unwrap(), session, timeout) else {
                    continue;
                };
                if sender.send(stream).is_err() {
                    return;
                }
            }
        });
        Self { address, granted }
    }

    /// The next connection with a session.
    pub(super) fn next(&self) -> TcpStream {
        self.granted.recv_timeout(PATIENCE).expect("somebody comes")
    }
}

/// Answers a handshake; four-letter words are left unanswered.
fn grant(mut stream: TcpStream, session: i64, timeout: u32) -> Option<TcpStream> {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut first = [0; 4];
    stream.read_exact(&mut first).ok()?;
    let length = usize::try_from(i32::from_be_bytes(first)).ok()?;
    if length > 1024 {
        return None;
    }
    stream.read_exact(&mut vec![0; length]).ok()?;
    let answer = [
        &0_i32.to_be_bytes()[..],
        &timeout.to_be_bytes(),
        &session.to_be_bytes(),
        &raw::buffer(&[7; 16]),
        &[0],
    ];
    stream.write_all(&framed(&answer.concat())).ok()?;
    Some(stream)
}

/// The frame of a reply with this body.
pub(super) fn reply(xid: i32, body: &[u8]) -> Vec<u8> {
    let header = [&xid.to_be_bytes()[..], &1_i64.to_be_bytes(), &[0; 4]];
    framed(&[&header.concat(), body].concat())
}
