//! A server's frame, looked at and patched in place; and the replies zoonet itself authors.

use super::frames::PREFIX;
use super::jute::{Reader, Writer, patch_long};
use super::{SessionId, WireFault, Xid, Zxid, code};

/// Bytes of a reply's header: xid, zxid, error.
pub const HEADER: usize = 16;

/// Bytes of a Stat, always the last ones of a reply that carries one.
pub const STAT: usize = 68;

/// Where `czxid`, `mzxid`, `aversion` and `pzxid` stand in a Stat.
const CREATED: usize = 0;
const MODIFIED: usize = 8;
const ACL_VERSION: usize = 40;
const CHILDREN_MODIFIED: usize = 60;

/// Where `ephemeralOwner` stands in a Stat.
const OWNER: usize = 44;

/// Where `dataLength` stands in a Stat.
const DATA_LENGTH: usize = 52;

/// The header of a reply or an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyHeader {
    /// The number of the request it answers, or [`Xid::NOTIFICATION`].
    pub xid: Xid,
    /// The server's last transaction when the request came to its last stage; 0 or −1 where the
    /// request never was in the pipeline.
    pub zxid: Zxid,
    /// 0, or why there is no body.
    pub err: i32,
}

impl ReplyHeader {
    /// Reads the header of a payload.
    ///
    /// # Errors
    /// [`WireFault::Short`] below 16 bytes.
    pub fn parse(payload: &[u8]) -> Result<Self, WireFault> {
        let mut reader = Reader::new(Reader::new(payload).take(HEADER, "header")?);
        Ok(Self {
            xid: Xid(reader.int("xid")?),
            zxid: Zxid(reader.long("zxid")?),
            err: reader.int("err")?,
        })
    }

    /// As [`Self::parse`], of the frame at the start of some bytes if that is there as a whole: with
    /// its payload, and what is behind it.
    #[inline]
    #[must_use]
    pub fn first_of(bytes: &[u8], limit: usize) -> Option<(Self, &[u8], &[u8])> {
        let (start, behind) = bytes.split_first_chunk::<{ PREFIX + HEADER }>()?;
        let (length, start) = start.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        if length > limit {
            return None;
        }
        let (_, behind) = behind.split_at_checked(length.wrapping_sub(HEADER))?;
        let payload = bytes.get(PREFIX..PREFIX + length)?;
        Some((Self::parse(start).ok()?, payload, behind))
    }

    /// Whether this answer to an ordered operation shows that it was ordered. Failed updates are
    /// transactions too; what a server turned away unseen is not, and carries no zxid or one of
    /// two codes (protocol.md 5.1).
    #[must_use]
    pub const fn was_ordered(&self) -> bool {
        self.zxid.0 > 0 && self.err != code::NOT_READ_ONLY && self.err != code::THROTTLED_OP
    }
}

/// Overwrites the zxid of the header.
pub fn set_zxid(payload: &mut [u8], zxid: Zxid) {
    patch_long(payload, 4, zxid.0);
}

/// Swaps the two session ids in the Stat that starts at `stat`. A swap and not a replacement: ids
/// of two ensembles may be equal by chance, and then a stranger's node must not look like the
/// client's own (protocol.md 9).
pub fn swap_owner(payload: &mut [u8], stat: usize, one: SessionId, other: SessionId) {
    let at = stat + OWNER;
    let Ok(owner) = Reader::from(payload, at).long("ephemeralOwner") else {
        return;
    };
    if owner == SessionId::NONE.0 {
        return;
    }
    if owner == one.0 {
        patch_long(payload, at, other.0);
    } else if owner == other.0 {
        patch_long(payload, at, one.0);
    }
}

/// [`swap_owner`] in the Stat a payload ends with.
pub fn swap_last_owner(payload: &mut [u8], one: SessionId, other: SessionId) {
    if let Some(stat) = payload.len().checked_sub(STAT)
        && stat >= HEADER
    {
        swap_owner(payload, stat, one, other);
    }
}

/// The youngest zxid in the Stat that a payload ends with: the transaction that last changed what a
/// read of the znode returns. `None` where there is no Stat, or where the znode's ACL was set since it
/// was made, which leaves no zxid.
#[must_use]
pub fn youngest(payload: &[u8]) -> Option<Zxid> {
    let stat = payload.get(HEADER..)?.last_chunk::<STAT>()?;
    let long = |at: usize| {
        let bytes = stat.get(at..)?.first_chunk()?;
        Some(i64::from_be_bytes(*bytes))
    };
    let zxids = [long(CREATED)?, long(MODIFIED)?, long(CHILDREN_MODIFIED)?];
    let acl_version = stat.get(ACL_VERSION..)?.first_chunk::<4>()?;
    (*acl_version == [0; 4]).then(|| Zxid(zxids.into_iter().fold(0, i64::max)))
}

/// A watch event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchEvent<'a> {
    /// 1 created, 2 deleted, 3 data changed, 4 children changed.
    pub kind: i32,
    /// The session's state, 3 (connected) on the wire.
    pub state: i32,
    /// The znode.
    pub path: &'a [u8],
}

impl<'a> WatchEvent<'a> {
    /// Reads the record behind the header of an event.
    ///
    /// # Errors
    /// A [`WireFault`] when it is cut off.
    pub fn parse(payload: &'a [u8]) -> Result<Self, WireFault> {
        let mut reader = Reader::from(payload, HEADER);
        Ok(Self {
            kind: reader.int("event type")?,
            state: reader.int("event state")?,
            path: reader.buffer("event path")?.unwrap_or_default(),
        })
    }

    /// The event as a frame; notifications keep the zxid they came with.
    #[must_use]
    pub fn frame(&self, zxid: Zxid) -> Vec<u8> {
        Writer::default()
            .int(Xid::NOTIFICATION.0)
            .long(zxid.0)
            .int(code::OK)
            .int(self.kind)
            .int(self.state)
            .buffer(Some(self.path))
            .finish()
    }
}

/// One result of a multi or multiRead, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MultiResult<'a> {
    /// The operation's number, or −1 where it failed.
    pub number: i32,
    /// The error of its header.
    pub err: i32,
    /// What follows the header, the Stat left out.
    pub body: ResultBody<'a>,
    /// Where its Stat starts in the payload, if it has one.
    pub stat: Option<usize>,
}

/// The part of a multi's result in front of its Stat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultBody<'a> {
    /// Bytes that hold no path.
    Plain(&'a [u8]),
    /// The path of a created znode.
    Path(Option<&'a [u8]>),
    /// The data of a znode.
    Data(Option<&'a [u8]>),
}

/// Reads the results of a multi or multiRead.
///
/// # Errors
/// A [`WireFault`] when a result is cut off or of a kind no server sends.
pub fn multi_results(payload: &[u8]) -> Result<Vec<MultiResult<'_>>, WireFault> {
    let mut reader = Reader::from(payload, HEADER);
    let mut results = Vec::new();
    loop {
        let offset = reader.position();
        let number = reader.int("result of a multi")?;
        let done = reader.bool("end of a multi")?;
        let err = reader.int("error of a multi")?;
        if done {
            return Ok(results);
        }
        let start = reader.position();
        let (body, has_stat) = match number {
            -1 => (
                ResultBody::Plain(reader.take(4, "error of a result")?),
                false,
            ),
            1 => (ResultBody::Path(reader.buffer("created path")?), false),
            15 => (ResultBody::Path(reader.buffer("created path")?), true),
            5 => (ResultBody::Plain(&[]), true),
            2 | 13 => (ResultBody::Plain(&[]), false),
            4 => (ResultBody::Data(reader.buffer("data")?), true),
            8 => {
                for _ in 0..reader.count("children")?.unwrap_or(0) {
                    reader.buffer("child")?;
                }
                (
                    ResultBody::Plain(payload.get(start..reader.position()).unwrap_or_default()),
                    false,
                )
            }
            _ => return Err(WireFault::MultiOperation { number, offset }),
        };
        let stat = has_stat.then(|| reader.position());
        if has_stat {
            reader.take(STAT, "Stat")?;
        }
        results.push(MultiResult {
            number,
            err,
            body,
            stat,
        });
    }
}

/// A reply's frame of a header alone.
#[must_use]
pub fn header_only(xid: Xid, zxid: Zxid, err: i32) -> Vec<u8> {
    Writer::with_capacity(HEADER)
        .int(xid.0)
        .long(zxid.0)
        .int(err)
        .finish()
}

/// The bodies zoonet answers a multi with when it may not go through: the codes in order.
/// The header's own error stays 0, because the stock C client aborts the process on any other
/// (protocol.md 3).
#[must_use]
pub fn failed_multi(xid: Xid, codes: &[i32]) -> Vec<u8> {
    let mut writer = Writer::default().int(xid.0).long(0).int(code::OK);
    for code in codes {
        writer = writer.int(-1).bool(false).int(*code).int(*code);
    }
    writer.int(-1).bool(true).int(-1).finish()
}

/// An answer to a ping.
#[must_use]
pub fn ping(zxid: Zxid) -> Vec<u8> {
    header_only(Xid::PING, zxid, code::OK)
}

/// A getData reply as a frame with its data, and the length in its Stat, taken away.
#[must_use]
pub fn without_data(payload: &[u8]) -> Vec<u8> {
    let header = payload.get(..HEADER).unwrap_or_default();
    let stat = payload
        .len()
        .checked_sub(STAT)
        .and_then(|at| payload.get(at..))
        .unwrap_or_default();
    let mut frame = Writer::default().raw(header).count(0).raw(stat).finish();
    let at = frame.len().saturating_sub(STAT) + DATA_LENGTH;
    if let Some(length) = frame.get_mut(at..at + 4) {
        length.fill(0);
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_stat(owner: i64) -> Vec<u8> {
        let frame = Writer::default()
            .int(1)
            .long(9)
            .int(0)
            .buffer(Some(b"data"))
            .raw(&[0; STAT])
            .finish();
        let mut payload = frame[4..].to_vec();
        let at = payload.len() - STAT + OWNER;
        patch_long(&mut payload, at, owner);
        payload
    }

    fn owner(payload: &[u8]) -> i64 {
        Reader::from(payload, payload.len() - 24)
            .long("owner")
            .unwrap()
    }

    #[test]
    fn owners_are_swapped_both_ways_and_strangers_stay() {
        for (before, after) in [(5, 6), (6, 5), (7, 7), (0, 0)] {
            let mut payload = with_stat(before);
            swap_last_owner(&mut payload, SessionId(5), SessionId(6));
            assert_eq!(owner(&payload), after);
        }
    }

    #[test]
    fn a_reply_too_short_for_a_stat_is_left_alone() {
        let mut payload = vec![5; HEADER + STAT - 1];
        let before = payload.clone();
        swap_last_owner(&mut payload, SessionId(5), SessionId(6));
        assert_eq!(payload, before);
    }

    #[test]
    fn ordered_is_what_has_a_zxid_and_was_not_turned_away() {
        let header = |zxid, err| ReplyHeader {
            xid: Xid(1),
            zxid: Zxid(zxid),
            err,
        };
        assert!(header(5, 0).was_ordered());
        assert!(header(5, -101).was_ordered());
        assert!(!header(0, -102).was_ordered());
        assert!(!header(-1, -6).was_ordered());
        assert!(!header(5, code::NOT_READ_ONLY).was_ordered());
        assert!(!header(5, code::THROTTLED_OP).was_ordered());
    }

    #[test]
    fn results_of_a_multi_are_found_with_their_stats() {
        let mut writer = Writer::default().int(1).long(9).int(0);
        writer = writer
            .int(15)
            .bool(false)
            .int(0)
            .buffer(Some(b"/a"))
            .raw(&[0; STAT]);
        writer = writer.int(2).bool(false).int(0);
        writer = writer.int(-1).bool(false).int(-101).int(-101);
        let frame = writer.int(-1).bool(true).int(-1).finish();
        let results = multi_results(&frame[4..]).unwrap();
        assert_eq!(results.len(), 3);
        assert_eq!(results[0].body, ResultBody::Path(Some(b"/a")));
        assert_eq!(results[0].stat, Some(HEADER + 9 + 6));
        assert_eq!(results[2].err, -101);
    }

    #[test]
    fn data_is_taken_away_and_the_rest_stays() {
        let payload = with_stat(7);
        let bare = without_data(&payload);
        assert_eq!(bare.len(), 4 + HEADER + 4 + STAT);
        assert_eq!(owner(&bare[4..]), 7);
        assert_eq!(&bare[4..20], &payload[..HEADER]);
    }

    #[test]
    fn an_event_survives_being_written_and_read() {
        let event = WatchEvent {
            kind: 4,
            state: 3,
            path: b"/eu/x",
        };
        let frame = event.frame(Zxid(-1));
        assert_eq!(WatchEvent::parse(&frame[4..]).unwrap(), event);
    }
}
