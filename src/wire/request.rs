//! A client's frame, looked at in place.

use std::fmt;

use super::frames::PREFIX;
use super::jute::{Reader, Writer};
use super::multi::Operations;
use super::opcode::{Arms, OpCode};
use super::{WireFault, Xid};

/// Bytes of a request's header: xid and operation.
pub const HEADER: usize = 8;

/// A request's header over its payload, which `Debug` leaves out.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The client's number for it.
    pub xid: Xid,
    /// What it asks for.
    pub op: OpCode,
    /// The whole payload, header included.
    pub payload: &'a [u8],
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("xid", &self.xid)
            .field("op", &self.op)
            .field("bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

impl<'a> Request<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`WireFault::Short`] below eight bytes, where stock servers close the connection.
    pub fn parse(payload: &'a [u8]) -> Result<Self, WireFault> {
        let mut reader = Reader::new(payload);
        let xid = Xid(reader.int("xid")?);
        let op = OpCode::of(reader.int("operation")?);
        Ok(Self { xid, op, payload })
    }

    /// The number of a payload, that of its operation, and the path its record starts with; `None`
    /// where it does not start so, which most do.
    #[inline]
    #[must_use]
    pub fn beginning(payload: &'a [u8]) -> Option<(Xid, i32, &'a [u8])> {
        let (head, record) = payload.split_first_chunk::<{ HEADER + 4 }>()?;
        let mut reader = Reader::new(head);
        let xid = Xid(reader.int("xid").ok()?);
        let number = reader.int("operation").ok()?;
        // That of null is more than there is.
        let length = usize::try_from(reader.int("path").ok()?.cast_unsigned()).ok()?;
        Some((xid, number, record.get(..length)?))
    }

    /// The head of a payload under this number, as [`Self::first_of`] has it.
    #[inline]
    #[must_use]
    pub fn head(xid: Xid, number: i32) -> u64 {
        u64::from(xid.0.cast_unsigned()) << 32 | u64::from(number.cast_unsigned())
    }

    /// As [`Self::beginning`], of the frame at the start of some bytes if that is there as a whole,
    /// and what is behind it. The number and that of the operation are one: many requests that
    /// differ in little are told apart with few comparisons.
    #[inline]
    #[must_use]
    pub fn first_of(bytes: &'a [u8], limit: usize) -> Option<(u64, &'a [u8], &'a [u8])> {
        const START: usize = PREFIX + HEADER + 4;
        let (start, behind) = bytes.split_first_chunk::<START>()?;
        let (length, start) = start.split_first_chunk()?;
        let (head, start) = start.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        if length > limit {
            return None;
        }
        let (record, behind) = behind.split_at_checked(length.wrapping_sub(START - PREFIX))?;
        let path = u32::from_be_bytes(*start.first_chunk()?);
        let path = record.get(..usize::try_from(path).ok()?)?;
        Some((u64::from_be_bytes(*head), path, behind))
    }

    /// The number of the operation in a payload, without a look at what it means.
    #[must_use]
    pub fn number(payload: &[u8]) -> Option<i32> {
        let number = payload.get(4..HEADER)?.try_into().ok()?;
        Some(i32::from_be_bytes(number))
    }

    /// The path the record starts with; `None` when it is null or cut off, which the server has to
    /// judge (it answers −5).
    #[must_use]
    pub fn path(&self) -> Option<&'a [u8]> {
        Reader::from(self.payload, HEADER)
            .buffer("path")
            .ok()
            .flatten()
    }

    /// Whether a create asks for a sequence number behind its name. A record that cannot be read
    /// does not.
    #[must_use]
    pub fn is_sequential(&self) -> bool {
        let mut reader = Reader::from(self.payload, HEADER);
        create_flags(&mut reader).is_ok_and(|flags| SEQUENTIAL.contains(&flags))
    }

    /// Whether a create makes an ephemeral. A record that cannot be read does not.
    #[must_use]
    pub fn is_ephemeral(&self) -> bool {
        let mut reader = Reader::from(self.payload, HEADER);
        create_flags(&mut reader).is_ok_and(|flags| EPHEMERAL.contains(&flags))
    }

    /// The `int` behind the path: the mode of `addWatch`, the type of `removeWatches`.
    #[must_use]
    pub fn number_after_path(&self) -> Option<i32> {
        let mut reader = Reader::from(self.payload, HEADER);
        reader.buffer("path").ok()?;
        reader.int("mode").ok()
    }

    /// The request as a frame with another path in the place of the one it starts with.
    #[must_use]
    pub fn with_path(&self, path: &[u8]) -> Vec<u8> {
        let mut reader = Reader::from(self.payload, HEADER);
        let rest = reader
            .buffer("path")
            .map_or(self.payload.len(), |_| reader.position());
        Writer::with_capacity(self.payload.len() + path.len())
            .int(self.xid.0)
            .int(self.op.number())
            .buffer(Some(path))
            .raw(self.payload.get(rest..).unwrap_or_default())
            .finish()
    }

    /// The request as a frame, as it came.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        Writer::with_capacity(self.payload.len())
            .raw(self.payload)
            .finish()
    }

    /// Whether the server may arm a watch for it.
    #[must_use]
    pub fn may_arm_watch(&self) -> bool {
        match self.op.shape().arms {
            Arms::Nothing => false,
            Arms::Always => true,
            Arms::IfAsked => {
                let mut reader = Reader::from(self.payload, HEADER);
                reader
                    .buffer("path")
                    .and_then(|_| reader.bool("watch"))
                    .unwrap_or(false)
            }
        }
    }

    /// The operations of a multi or multiRead.
    #[must_use]
    pub const fn operations(&self) -> Operations<'a> {
        Operations::new(self.payload, HEADER)
    }

    /// The lists of a setWatches or setWatches2, with the zxid in front of them.
    ///
    /// # Errors
    /// A [`WireFault`] when the record is cut off or a list is null, to which servers answer −5.
    pub fn watch_lists(&self, lists: u8) -> Result<WatchLists<'a>, WireFault> {
        let mut reader = Reader::from(self.payload, HEADER);
        let relative_zxid = reader.long("relativeZxid")?;
        let mut paths = Vec::new();
        for _ in 0..lists {
            let offset = reader.position();
            let Some(count) = reader.count("watch list")? else {
                return Err(WireFault::NegativeLength {
                    what: "watch list",
                    offset,
                    length: -1,
                });
            };
            let mut list = Vec::new();
            for _ in 0..count {
                let offset = reader.position();
                let Some(path) = reader.buffer("path")? else {
                    return Err(WireFault::NegativeLength {
                        what: "path",
                        offset,
                        length: -1,
                    });
                };
                list.push(path);
            }
            paths.push(list);
        }
        Ok(WatchLists {
            relative_zxid,
            lists: paths,
        })
    }
}

/// What a setWatches or setWatches2 asks to arm again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchLists<'a> {
    /// The zxid up to which the client has seen its session's ensemble: home's.
    pub relative_zxid: i64,
    /// Data, exist, child and, in setWatches2, persistent and recursive watches, in this order.
    pub lists: Vec<Vec<&'a [u8]>>,
}

/// Create flags that append a sequence number (`CreateMode`).
pub(super) const SEQUENTIAL: [i32; 3] = [2, 3, 6];

/// Create flags of znodes that go with their session.
pub(super) const EPHEMERAL: [i32; 2] = [1, 3];

/// Reads a create's record up to its flags.
pub(super) fn create_flags(reader: &mut Reader<'_>) -> Result<i32, WireFault> {
    reader.buffer("path")?;
    reader.buffer("data")?;
    reader.skip_acl()?;
    reader.int("flags")
}

/// A ping as every client sends it.
#[must_use]
pub fn ping() -> Vec<u8> {
    Writer::default()
        .int(Xid::PING.0)
        .int(OpCode::Ping.number())
        .finish()
}

/// A `sync` of `/`: the path is neither checked nor needed to exist.
#[must_use]
pub fn sync(xid: Xid) -> Vec<u8> {
    Writer::default()
        .int(xid.0)
        .int(OpCode::Sync.number())
        .buffer(Some(b"/"))
        .finish()
}

/// `multi[check("/", -1)]`: it changes nothing and commits through the quorum, from 3.4 on. That
/// `READ` on `/` may be denied does not matter: the refusal is ordered as well.
#[must_use]
pub fn quorum_check(xid: Xid) -> Vec<u8> {
    Writer::default()
        .int(xid.0)
        .int(OpCode::Multi.number())
        .int(OpCode::Check.number())
        .bool(false)
        .int(-1)
        .buffer(Some(b"/"))
        .int(-1)
        .int(-1)
        .bool(true)
        .int(-1)
        .finish()
}

/// An `addAuth` of these credentials.
#[must_use]
pub fn auth(xid: Xid, scheme: &str, auth: &[u8]) -> Vec<u8> {
    // The type in front of the scheme is looked at by nobody.
    Writer::default()
        .int(xid.0)
        .int(OpCode::Auth.number())
        .int(0)
        .buffer(Some(scheme.as_bytes()))
        .buffer(Some(auth))
        .finish()
}

/// A request to end the session.
#[must_use]
pub fn close_session(xid: Xid) -> Vec<u8> {
    Writer::default()
        .int(xid.0)
        .int(OpCode::CloseSession.number())
        .finish()
}

/// A setWatches (three lists) or setWatches2 (five) of these paths.
#[must_use]
pub fn set_watches(xid: Xid, op: OpCode, relative_zxid: i64, lists: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut writer = Writer::default()
        .int(xid.0)
        .int(op.number())
        .long(relative_zxid);
    for list in lists {
        writer = writer.count(list.len());
        for path in list {
            writer = writer.buffer(Some(path));
        }
    }
    writer.finish()
}

/// A request's payload as a frame under another xid.
#[must_use]
pub fn with_xid(payload: &[u8], xid: Xid) -> Vec<u8> {
    let rest = payload.get(4..).unwrap_or_default();
    Writer::with_capacity(payload.len())
        .int(xid.0)
        .raw(rest)
        .finish()
}

/// A request whose record is one path and whatever `rest` holds.
#[must_use]
pub fn of_path(xid: Xid, op: OpCode, path: &[u8], rest: &[u8]) -> Vec<u8> {
    Writer::default()
        .int(xid.0)
        .int(op.number())
        .buffer(Some(path))
        .raw(rest)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_path_are_read_in_place() {
        let frame = of_path(Xid(7), OpCode::GetData, b"/eu/x", &[1]);
        assert_eq!(Request::number(&frame[4..]), Some(4));
        assert_eq!(Request::number(&frame[4..11]), None);
        let request = Request::parse(&frame[4..]).unwrap();
        assert_eq!((request.xid, request.op), (Xid(7), OpCode::GetData));
        assert_eq!(request.path(), Some(&b"/eu/x"[..]));
        let moved = request.with_path(b"/x");
        assert_eq!(moved, of_path(Xid(7), OpCode::GetData, b"/x", &[1]));
    }

    #[test]
    fn a_null_or_cut_off_path_is_nobodys() {
        let null = Writer::default().int(1).int(4).int(-1).finish();
        assert_eq!(Request::parse(&null[4..]).unwrap().path(), None);
        let cut = Writer::default().int(1).int(4).int(9).raw(b"/x").finish();
        assert_eq!(Request::parse(&cut[4..]).unwrap().path(), None);
        assert!(Request::parse(&[0; 7]).is_err());
    }

    #[test]
    fn the_sequential_flag_is_found_behind_data_and_acl() {
        let create = |flags: i32| {
            Writer::default()
                .int(1)
                .int(1)
                .buffer(Some(b"/a"))
                .buffer(None)
                .count(1)
                .int(31)
                .buffer(Some(b"world"))
                .buffer(Some(b"anyone"))
                .int(flags)
                .finish()
        };
        for (flags, expected) in [(0, false), (1, false), (2, true), (3, true), (6, true)] {
            assert_eq!(
                Request::parse(&create(flags)[4..]).unwrap().is_sequential(),
                expected
            );
        }
    }

    #[test]
    fn operations_of_a_multi_end_at_the_terminator() {
        let frame = quorum_check(Xid(1));
        let operations: Vec<_> = Request::parse(&frame[4..]).unwrap().operations().collect();
        assert_eq!(operations.len(), 1);
        let check = operations[0].clone().unwrap();
        assert_eq!((check.op, check.path), (OpCode::Check, Some(&b"/"[..])));
    }

    #[test]
    fn an_operation_that_has_no_place_in_a_multi_is_a_fault() {
        let frame = Writer::default()
            .int(1)
            .int(14)
            .int(9)
            .bool(false)
            .int(-1)
            .buffer(Some(b"/"))
            .finish();
        let mut operations = Request::parse(&frame[4..]).unwrap().operations();
        let fault = operations.next().unwrap().unwrap_err();
        assert_eq!(
            fault,
            WireFault::MultiOperation {
                number: 9,
                offset: 8
            }
        );
        assert!(operations.next().is_none());
    }

    #[test]
    fn watch_lists_are_read_and_a_null_list_is_a_fault() {
        let lists = [
            vec![b"/a".to_vec()],
            vec![],
            vec![b"/b".to_vec(), b"/c".to_vec()],
        ];
        let frame = set_watches(Xid(-8), OpCode::SetWatches, 77, &lists);
        let read = Request::parse(&frame[4..]).unwrap().watch_lists(3).unwrap();
        assert_eq!(read.relative_zxid, 77);
        assert_eq!(
            read.lists,
            vec![vec![&b"/a"[..]], vec![], vec![&b"/b"[..], &b"/c"[..]]]
        );
        let null = Writer::default().int(-8).int(101).long(0).int(-1).finish();
        assert!(Request::parse(&null[4..]).unwrap().watch_lists(3).is_err());
    }
}
