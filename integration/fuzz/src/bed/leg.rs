//! One ensemble as the session is connected to it: what it was asked and has not answered.

use std::collections::VecDeque;

use super::judge::REMOTE_ZXIDS;
use crate::maps;
use crate::shape::{Cursor, number};

/// A request a server has and did not answer yet.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) xid: i32,
    pub(crate) operation: i32,
    pub(crate) payload: Vec<u8>,
}

/// One ensemble.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is something that may be under way, in any combination"
)]
#[derive(Clone, Debug, Default)]
pub(crate) struct Leg {
    pub(crate) connected: bool,
    dialing: bool,
    pub(crate) forgetting: bool,
    pub(crate) role_asked: bool,
    pub(crate) inbox: VecDeque<Asked>,
    /// The transaction its server has got to.
    zxid: i64,
}

impl Leg {
    /// Home is connected from the start.
    pub(super) fn all() -> Vec<Self> {
        let remote = Self {
            zxid: REMOTE_ZXIDS,
            ..Self::default()
        };
        let mut legs = vec![remote; usize::from(maps::ENSEMBLES)];
        if let Some(home) = legs.first_mut() {
            home.connected = true;
            home.zxid = 0;
        }
        legs
    }

    pub(super) fn dialled(&mut self) {
        assert!(!self.connected && !self.dialing, "dialled twice");
        self.dialing = true;
    }

    /// Whether there is a dial to answer. There is none afterwards.
    pub(super) fn answers_dial(&mut self) -> bool {
        std::mem::take(&mut self.dialing)
    }

    pub(super) fn hang_up(&mut self) {
        self.connected = false;
        self.dialing = false;
        self.role_asked = false;
        self.inbox.clear();
    }

    /// Nothing that is under way comes back any more.
    pub(super) fn forget(&mut self) {
        self.hang_up();
        self.forgetting = false;
    }

    pub(super) fn takes(&mut self, payload: &[u8]) {
        let mut cursor = Cursor(payload);
        if let (Some(xid), Some(operation)) = (cursor.int(), cursor.int())
            && self.connected
        {
            self.inbox.push_back(Asked {
                // Servers answer every ping under one number.
                xid: if operation == number::PING { -2 } else { xid },
                operation,
                payload: payload.to_vec(),
            });
        }
    }

    /// Takes out the first request of this number, as the session will.
    pub(crate) fn answers(&mut self, xid: i32) -> Option<Asked> {
        let at = self.inbox.iter().position(|asked| asked.xid == xid)?;
        self.inbox.remove(at)
    }

    /// The zxid of the next transaction.
    pub(crate) const fn next_zxid(&mut self) -> i64 {
        self.zxid += 1;
        self.zxid
    }

    /// Whether exactly one request carries this number.
    pub(crate) fn is_unique(&self, xid: i32) -> bool {
        self.inbox.iter().filter(|asked| asked.xid == xid).count() == 1
    }
}
