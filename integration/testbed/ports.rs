//! Loopback ports that stay ours, so that a killed server comes back on the same one.
//!
//! # Decisions
//!
//! * Asking the kernel for port 0 and giving the answer to a process that binds it later races
//!   with every outgoing connection on the machine. We stay below the range the kernel picks from
//!   (32768 and up on Linux) and share that space with other beds by blocks: whoever holds the
//!   listener on a block's first port owns the rest.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;
use std::sync::{Mutex, PoisonError};

const FIRST: u16 = 12_000;
const BLOCK: u16 = 64;
const BLOCKS: u16 = 320;

/// A loopback address nobody else will be given while this process lives.
pub(crate) fn reserve() -> SocketAddr {
    static HELD: Mutex<Vec<Block>> = Mutex::new(Vec::new());
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(address) = held.last_mut().and_then(Block::next_free) {
        return address;
    }
    let mut block = Block::claim();
    let address = block.next_free().expect("a fresh block has a free port");
    held.push(block);
    address
}

/// A run of ports held by the listener on the first of them.
#[derive(Debug)]
struct Block {
    _guard: TcpListener,
    rest: std::ops::Range<u16>,
}

impl Block {
    fn claim() -> Self {
        let start = u16::try_from(process::id() % u32::from(BLOCKS)).expect("below BLOCKS");
        (0..BLOCKS)
            .map(|step| FIRST + (start + step) % BLOCKS * BLOCK)
            .find_map(|first| {
                let guard = TcpListener::bind(loopback(first)).ok()?;
                Some(Self {
                    _guard: guard,
                    rest: first + 1..first + BLOCK,
                })
            })
            .expect("some block of ports is free")
    }

    /// The next port which no stranger to this scheme sits on.
    fn next_free(&mut self) -> Option<SocketAddr> {
        self.rest
            .by_ref()
            .map(loopback)
            .find(|address| TcpListener::bind(address).is_ok())
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
