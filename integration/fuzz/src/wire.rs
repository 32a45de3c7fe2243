//! Every parser of `zoonet::wire` on any bytes.

use arbitrary::{Result, Unstructured};
use zoonet::wire::connect::{ConnectRequest, ConnectResponse, Credentials};
use zoonet::wire::jute::{Reader, Writer};
use zoonet::wire::opcode::OpCode;
use zoonet::wire::reply::{self, ReplyHeader, ResultBody, WatchEvent};
use zoonet::wire::request::{self, Request};
use zoonet::wire::words::{Role, is_word};
use zoonet::wire::{SessionId, Xid, Zxid};

use crate::memory::{alone, measured};
use crate::shape;

/// Heap a parser may take per byte it is given, and besides. The shortest path in a list of watches
/// has 4 bytes and becomes a slice of 16 in a vector that grows by doubling.
const PER_BYTE: usize = 32;
const BESIDES: usize = 4 << 10;

/// The parsers neither panic nor allocate more than the bytes are worth; what lies within the bytes
/// they say lies there; and what is written is read back.
pub fn check(data: &[u8]) {
    let _alone = alone();
    let ((), used) = measured(|| parse(data));
    assert!(
        used.most <= PER_BYTE * data.len() + BESIDES,
        "{} bytes for {}",
        used.most,
        data.len()
    );
    patch(data);
    // Bytes that run out leave nothing to write.
    let _ = write(&mut Unstructured::new(data));
}

fn parse(data: &[u8]) {
    let _ = ConnectRequest::parse(data);
    let _ = ConnectResponse::parse(data);
    let _ = Role::of_srvr(data);
    let _ = data.first_chunk().map(|first| is_word(*first));
    let _ = ReplyHeader::parse(data);
    if let Ok(event) = WatchEvent::parse(data) {
        assert!(event.path.is_empty() || lies_within(event.path, data));
    }
    if let Ok(results) = reply::multi_results(data) {
        results_lie_within(&results, data);
    }
    if let Ok(request) = Request::parse(data) {
        request_lies_within(&request);
    }
}

fn results_lie_within(results: &[reply::MultiResult<'_>], data: &[u8]) {
    for result in results {
        let stat = result.stat.map_or(0, |stat| stat + reply::STAT);
        assert!(stat <= data.len());
        let bytes = match result.body {
            ResultBody::Plain(bytes) => Some(bytes),
            ResultBody::Path(bytes) | ResultBody::Data(bytes) => bytes,
        };
        assert!(bytes.is_none_or(|bytes| bytes.is_empty() || lies_within(bytes, data)));
    }
}

fn request_lies_within(request: &Request<'_>) {
    let data = request.payload;
    let path = request.path().unwrap_or_default();
    assert!(path.is_empty() || lies_within(path, data));
    let _ = (request.is_sequential(), request.is_ephemeral());
    let _ = (request.may_arm_watch(), request.number_after_path());
    for operation in request.operations().flatten() {
        assert!(operation.header < operation.record.start);
        let record = data.get(operation.record);
        let path = operation.path.unwrap_or_default();
        assert!(path.is_empty() || record.is_some_and(|record| lies_within(path, record)));
    }
    for lists in [3, 5] {
        if let Ok(watches) = request.watch_lists(lists) {
            let paths: usize = watches.lists.iter().map(Vec::len).sum();
            assert_eq!(watches.lists.len(), usize::from(lists));
            assert!(4 * paths <= data.len());
        }
    }
}

fn lies_within(part: &[u8], whole: &[u8]) -> bool {
    let (part, whole) = (part.as_ptr_range(), whole.as_ptr_range());
    whole.start <= part.start && part.end <= whole.end
}

/// Patching changes no length and touches nothing it should not.
fn patch(data: &[u8]) {
    let mut patched = data.to_vec();
    reply::set_zxid(&mut patched, Zxid::from(1));
    let kept = [data.get(..4), data.get(12..)];
    assert_eq!([patched.get(..4), patched.get(12..)], kept);
    let mut swapped = data.to_vec();
    let (one, other) = (SessionId::from(5), SessionId::from(6));
    reply::swap_last_owner(&mut swapped, one, other);
    reply::swap_last_owner(&mut swapped, one, other);
    assert_eq!(swapped, data, "swapping twice is swapping back");
    let bare = reply::without_data(data);
    assert!(shape::payload(&bare).is_some());
    if shape::is_reply(4, data) && shape::reply_header(data).is_some_and(|(_, err)| err == 0) {
        assert!(shape::payload(&bare).is_some_and(|bare| shape::is_reply(4, bare)));
    }
}

/// What is written is whole and reads as it was.
fn write(u: &mut Unstructured<'_>) -> Result<()> {
    let connect = ConnectRequest {
        last_zxid_seen: Zxid::from(u.arbitrary::<i64>()?),
        timeout: u.arbitrary()?,
        session: SessionId::from(u.arbitrary::<i64>()?),
        password: u.bytes(u.len().min(16))?.to_vec(),
        read_only: u.arbitrary()?,
    };
    let frame = connect.frame();
    let payload = shape::payload(&frame).expect("its length is right");
    assert_eq!(ConnectRequest::parse(payload), Ok(connect));
    granted(u)?;
    let (xid, op) = (Xid::from(u.arbitrary::<i32>()?), OpCode::of(u.arbitrary()?));
    lists(xid, u)?;
    let (path, rest) = u
        .peek_bytes(u.len())
        .unwrap_or_default()
        .split_at(u.len() / 2);
    let frame = request::of_path(xid, op, path, rest);
    let payload = shape::payload(&frame).expect("its length is right");
    let read = Request::parse(payload).expect("it has a header");
    assert_eq!((read.xid, read.op, read.path()), (xid, op, Some(path)));
    assert_eq!(read.frame(), frame);
    assert_eq!(read.with_path(path), frame);
    let moved = request::with_xid(payload, Xid::from(7));
    assert_eq!(moved.get(8..), frame.get(8..));
    let renamed = request::of_path(xid, op, rest, rest);
    assert_eq!(read.with_path(rest), renamed);
    let event = WatchEvent {
        kind: 1,
        state: 3,
        path,
    };
    let frame = event.frame(Zxid::from(3));
    let payload = shape::payload(&frame).expect("its length is right");
    assert!(shape::is_event(payload));
    assert_eq!(WatchEvent::parse(payload), Ok(event));
    Ok(())
}

/// The answer to a handshake.
fn granted(u: &mut Unstructured<'_>) -> Result<()> {
    let (timeout, session) = (u.arbitrary::<i32>()?, u.arbitrary::<i64>()?);
    let writer = Writer::default().int(0).int(timeout).long(session);
    let frame = writer.buffer(Some(&[3; 16])).finish();
    let payload = shape::payload(&frame).expect("its length is right");
    let expected = match u32::try_from(timeout) {
        Ok(timeout @ 1..) => ConnectResponse::Granted(Credentials {
            session: SessionId::from(session),
            password: [3; 16],
            timeout,
        }),
        _ => ConnectResponse::Refused,
    };
    assert_eq!(ConnectResponse::parse(payload), Ok(expected));
    Ok(())
}

/// A setWatches, a failed multi, and numbers read at any offset.
fn lists(xid: Xid, u: &mut Unstructured<'_>) -> Result<()> {
    let mut lists = vec![Vec::new(); 5];
    for list in &mut lists {
        for _ in 0..u.int_in_range(0..=3)? {
            let length = u.int_in_range(0..=5)?;
            list.push(u.bytes(length)?.to_vec());
        }
    }
    let frame = request::set_watches(xid, OpCode::SetWatches2, 9, &lists);
    let payload = shape::payload(&frame).expect("its length is right");
    assert!(shape::is_request(payload));
    let read = Request::parse(payload).and_then(|request| request.watch_lists(5));
    assert_eq!(read.expect("it was just written").lists, lists);
    let codes: Vec<i32> = vec![-8; u.int_in_range(0..=5)?];
    let frame = reply::failed_multi(xid, &codes);
    let payload = shape::payload(&frame).expect("its length is right");
    assert!(shape::is_reply(shape::number::MULTI, payload));
    let read = reply::multi_results(payload).expect("it was just written");
    assert!(read.iter().map(|result| result.err).eq(codes));
    let offset = u.int_in_range(0..=1 << 20)?;
    let mut reader = Reader::from(payload, offset);
    assert_eq!(reader.long("any").is_ok(), offset + 8 <= payload.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_elsewhere_is_told_from_what_lies_within() {
        let (one, other) = ([1, 2, 3], [1, 2, 3]);
        assert!(lies_within(&one[1..2], &one));
        assert!(!lies_within(&other[1..2], &one));
        assert!(!lies_within(&one, &one[1..]));
    }
}
