//! What may go out: to the client one whole reply for each of its requests, in their order; to an
//! ensemble whole requests, but for those the client itself sent broken.

use std::collections::{BTreeSet, VecDeque};

use zoonet::session::Settings;
use zoonet::wire::jute::Writer;

use crate::shape::{self, Cursor, number};

/// What the replies of the servers are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Servers {
    /// They answer as they should, so every reply the client gets must be whole.
    Sound,
    /// They send anything, and bodies are passed on as they come.
    Hostile,
}

/// Zxids of remote ensembles are at least this, home's are below.
pub(crate) const REMOTE_ZXIDS: i64 = 1 << 40;

/// Requests up to this number are mostly zoonet's own. The servers answer no other multi with an
/// error in its header.
pub(crate) const LAST_OWN_XID: i32 = i32::MIN / 2;

/// A reply the client waits for.
#[derive(Clone, Debug)]
struct Owed {
    xid: i32,
    operation: i32,
    /// What a reply that echoes a path has to call it.
    path: Option<Vec<u8>>,
    is_whole: bool,
}

/// A request of which the session has looked at no more than it had to: one about the one path it
/// starts with, that home owns under this name.
pub(super) fn may_go_straight(payload: &[u8], settings: &Settings) {
    assert!(payload.len() <= settings.frame_limit, "too long");
    let mut cursor = Cursor(payload);
    let (xid, operation, path) = (cursor.int(), cursor.int(), cursor.text());
    assert!(
        xid.is_some_and(|xid| xid >= 0),
        "a number of its own meaning"
    );
    let (operation, path) = (operation.expect("it has one"), path.expect("it has one"));
    assert!(number::OF_ONE_PATH.contains(&operation), "{operation}");
    assert!(operation != number::GET_DATA || path != b"/zookeeper/config");
    let mut owners = vec![settings.routes().route(path)];
    if number::CREATES.contains(&operation) {
        owners.push(settings.routes().route_sequential(path));
    }
    for rule in owners {
        assert_eq!(rule.ensemble(), settings.home(), "{path:?}");
        assert!(rule.is_identity(), "{path:?}");
    }
}

/// The client's side of the connection.
pub(crate) struct Client {
    pub(crate) servers: Servers,
    owed: VecDeque<Owed>,
    /// Headers of requests that were sent broken and may reach a server so.
    broken: BTreeSet<(i32, i32)>,
    /// Whether requests and replies can be told from pings: not so for a client that gives another
    /// request the number of pings.
    is_told_apart: bool,
}

impl Client {
    pub(super) fn new(servers: Servers) -> Self {
        Self {
            servers,
            owed: VecDeque::new(),
            broken: BTreeSet::new(),
            is_told_apart: true,
        }
    }

    pub(crate) fn is_owed_nothing(&self) -> bool {
        self.owed.is_empty() || !self.is_told_apart
    }

    /// The client sends a request.
    pub(super) fn asks(&mut self, payload: &[u8]) {
        let mut cursor = Cursor(payload);
        let (Some(xid), Some(operation)) = (cursor.int(), cursor.int()) else {
            return;
        };
        let is_whole = shape::is_request(payload);
        if !is_whole {
            self.broken.insert((xid, operation));
            if operation == number::AUTH {
                // Credentials go to remote ensembles under the number all clients use.
                self.broken.insert((-4, operation));
            }
        }
        if operation == number::PING {
            return;
        }
        self.is_told_apart &= xid != -2;
        // A server makes the name of a sequential znode, so only a sync surely echoes its path.
        let path = (operation == number::SYNC).then(|| cursor.text().map(<[u8]>::to_vec));
        self.owed.push_back(Owed {
            xid,
            operation,
            path: path.flatten(),
            is_whole,
        });
    }

    /// The client receives a frame.
    pub(super) fn receives(&mut self, payload: &[u8]) {
        let (zxid, err) = shape::reply_header(payload).expect("a frame has a header");
        let xid = Cursor(payload).int();
        let is_sound = self.servers == Servers::Sound;
        match xid {
            Some(-1) => {
                assert!(!is_sound || shape::is_event(payload), "a broken event");
                return;
            }
            _ if !self.is_told_apart => return,
            Some(-2) if self.owed.front().is_none_or(|owed| owed.xid != -2) => {
                assert!(
                    !is_sound || shape::is_reply(number::PING, payload),
                    "a broken answer to a ping"
                );
                return;
            }
            _ => {}
        }
        let owed = self.owed.pop_front().expect("a reply nobody asked for");
        assert_eq!(xid, Some(owed.xid), "not the reply that is next");
        if is_sound {
            Self::judge(&owed, payload, err);
            assert!(zxid < REMOTE_ZXIDS, "the zxid of a remote ensemble");
        }
    }

    fn judge(owed: &Owed, payload: &[u8], err: i32) {
        let operation = owed.operation;
        assert!(
            err != 0 || shape::is_reply(operation, payload),
            "a broken reply to {operation}: {payload:?}"
        );
        if !owed.is_whole {
            return;
        }
        let is_multi = matches!(operation, number::MULTI | number::MULTI_READ);
        let is_spared = is_multi && owed.xid > LAST_OWN_XID;
        assert!(!is_spared || err == 0, "a header error aborts the C client");
        // The empty path is the one alias there is: from a mount it comes back as `/`.
        if let (0, Some(path)) = (err, owed.path.as_ref().filter(|path| !path.is_empty())) {
            let mut echoed = Cursor(payload.get(shape::REPLY_HEADER..).unwrap_or_default());
            assert_eq!(
                echoed.text(),
                Some(path.as_slice()),
                "another path comes back"
            );
        }
    }

    /// The session sends a request to an ensemble on behalf of the client, or of its own.
    pub(super) fn sends(&self, payload: &[u8], limit: usize) {
        let mut cursor = Cursor(payload);
        let header = cursor
            .int()
            .zip(cursor.int())
            .expect("a request has a header");
        assert!(
            shape::is_request(payload) || self.broken.contains(&header),
            "a broken request {header:?}: {payload:?}"
        );
        // What is armed again comes in portions of its own.
        assert!(
            payload.len() <= limit.max(160 << 10),
            "a request above the limit"
        );
    }
}

/// Bytes as a frame.
pub(super) fn framed(payload: &[u8]) -> Vec<u8> {
    Writer::with_capacity(payload.len()).raw(payload).finish()
}

/// Checks what a server is dialled with.
pub(super) fn is_handshake(frame: &[u8]) {
    let payload = shape::payload(frame).expect("the length of a handshake is right");
    assert_eq!(
        payload.len(),
        45,
        "a connect request with its read-only byte"
    );
    assert_eq!(payload.get(..4), Some(&[0; 4][..]), "protocol version 0");
}
