//! Requests and replies as clients and servers write them, and somewhat off.

use arbitrary::{Result, Unstructured};
use zoonet::wire::jute::Writer;

use crate::shape::{self, Field, STAT, number};

/// Paths that mean something to one of the maps, or to nobody.
const PATHS: [&[u8]; 33] = [
    b"/",
    b"",
    b"/a",
    b"/a/b/c",
    b"/a/b/away",
    b"/apps/config/flags",
    b"/one/path",
    b"/eu",
    b"/eu/",
    b"/eu/x",
    b"/eu/x/y",
    b"/eux",
    b"/eu/deep",
    b"/eu/deep/x",
    b"/eu/deep/home",
    b"/eu/deep/home/x",
    b"/old",
    b"/old/x",
    b"/all",
    b"/all/",
    b"/all/x",
    b"/app/x",
    b"/chroot/x",
    b"/home/x",
    b"/zookeeper",
    b"/zookeeper/config",
    b"/all/zookeeper/config",
    b"/eu/zookeeper/config",
    b"//",
    b"/eu//x",
    b"/eu/../a",
    b"relative",
    b"/\xff\x00\xc3",
];

/// Longest path that is made longer than it was, bytes.
const LONG: usize = 6 << 10;

/// A path, at times with a tail from the input or one that is very long.
pub(crate) fn path(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut path = u.choose(&PATHS)?.to_vec();
    match u.arbitrary::<u8>()? {
        0..=199 => {}
        200..=239 => {
            let length = u.int_in_range(0..=8)?;
            path.extend_from_slice(u.bytes(length)?);
        }
        240.. => {
            path.push(b'/');
            path.resize(path.len() + u.int_in_range(0..=LONG)?, b'x');
        }
    }
    Ok(path)
}

/// Bytes, or null: few off the input, or many alike.
fn data(u: &mut Unstructured<'_>) -> Result<Option<Vec<u8>>> {
    Ok(match u.arbitrary::<u8>()? {
        0..=31 => None,
        32..=239 => Some(u.bytes(u.len().min(3))?.to_vec()),
        240.. => Some(vec![7; u.int_in_range(0..=LONG)?]),
    })
}

/// A number that occurs: small ones are modes, flags, types and versions.
fn number(u: &mut Unstructured<'_>) -> Result<i32> {
    if u.ratio(7, 8)? {
        u.int_in_range(-1..=7)
    } else {
        u.arbitrary()
    }
}

fn texts(u: &mut Unstructured<'_>) -> Result<Vec<Vec<u8>>> {
    let count = u.int_in_range(0..=3)?;
    (0..count).map(|_| path(u)).collect()
}

/// Writes a field. In a reply a path is `named`, where that is given.
fn field(
    writer: Writer,
    field: Field,
    named: Option<&[u8]>,
    u: &mut Unstructured<'_>,
) -> Result<Writer> {
    Ok(match field {
        Field::Text => match named {
            Some(path) => writer.buffer(Some(path)),
            None => writer.buffer(Some(&path(u)?)),
        },
        Field::Data => writer.buffer(data(u)?.as_deref()),
        Field::Int => writer.int(number(u)?),
        Field::Long => writer.long(i64::from(number(u)?)),
        Field::Bool => writer.bool(u.arbitrary()?),
        Field::Stat => stat(writer, u)?,
        Field::Texts => {
            let texts = texts(u)?;
            texts
                .iter()
                .fold(writer.count(texts.len()), |writer, text| {
                    writer.buffer(Some(text))
                })
        }
        Field::Users => writer.count(1).buffer(Some(b"ip")).buffer(Some(b"::1")),
        Field::Acl => writer
            .count(1)
            .int(31)
            .buffer(Some(b"world"))
            .buffer(Some(b"anyone")),
        Field::Operations => operations(writer, u)?,
        Field::Results => return Ok(writer),
    })
}

/// A Stat whose owner is now and then a session the harness uses.
fn stat(writer: Writer, u: &mut Unstructured<'_>) -> Result<Writer> {
    let mut bytes = [0; STAT];
    let owner = *u.choose(&[0, 0, 0x100, 0x200, 0x201])?;
    if let Some(field) = bytes.get_mut(44..).and_then(|rest| rest.first_chunk_mut()) {
        *field = i64::to_be_bytes(owner);
    }
    Ok(writer.raw(&bytes))
}

fn operations(mut writer: Writer, u: &mut Unstructured<'_>) -> Result<Writer> {
    let count = u.int_in_range(0..=4)?;
    let base = path(u)?;
    for _ in 0..count {
        let kind = *u.choose(&[1, 2, 4, 5, 8, 13, 15, 19, 21])?;
        writer = writer.int(kind).bool(false).int(-1);
        let named = u.ratio(3, 4)?.then_some(base.as_slice());
        for part in shape::request(kind).unwrap_or_default() {
            writer = field(writer, *part, named, u)?;
        }
    }
    Ok(writer.int(-1).bool(true).int(-1))
}

/// The payload of a whole request of any kind.
pub(crate) fn request(xid: i32, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let operation = *u.choose(&shape::OPERATIONS)?;
    let mut writer = Writer::default().int(xid).int(operation);
    for part in shape::request(operation).unwrap_or_default() {
        writer = field(writer, *part, None, u)?;
    }
    Ok(payload(writer))
}

/// The payload of a successful reply to a request, as a server would write it that calls the
/// znode what the request calls it.
pub(crate) fn reply(
    xid: i32,
    zxid: i64,
    request: &[u8],
    u: &mut Unstructured<'_>,
) -> Result<Vec<u8>> {
    let mut cursor = shape::Cursor(request);
    let operation = cursor.int().and_then(|_| cursor.int()).unwrap_or_default();
    let mut writer = Writer::default().int(xid).long(zxid).int(0);
    if shape::reply(operation) == Some(&[Field::Results]) {
        let kinds = shape::operations(request).unwrap_or_default();
        writer = results(writer, &kinds, u)?;
    }
    for part in shape::reply(operation).unwrap_or_default() {
        writer = field(writer, *part, cursor.text(), u)?;
    }
    Ok(payload(writer))
}

/// Either all operations succeeded or all are answered with an error.
fn results(mut writer: Writer, kinds: &[i32], u: &mut Unstructured<'_>) -> Result<Writer> {
    let failed = u.ratio(1, 4)?;
    for kind in kinds {
        // Servers report every create that has a Stat as a create2.
        let shown = match kind {
            _ if failed => -1,
            19 | 21 => 15,
            kind => *kind,
        };
        writer = writer
            .int(shown)
            .bool(false)
            .int(if failed { -2 } else { 0 });
        if failed {
            writer = writer.int(-2);
            continue;
        }
        for part in shape::reply(shown).unwrap_or_default() {
            writer = field(writer, *part, None, u)?;
        }
    }
    Ok(writer.int(-1).bool(true).int(-1))
}

/// The payload of a reply without a body.
pub(crate) fn bare(xid: i32, zxid: i64, err: i32) -> Vec<u8> {
    payload(Writer::default().int(xid).long(zxid).int(err))
}

/// The payload of a ping.
pub(crate) fn ping() -> Vec<u8> {
    payload(Writer::default().int(-2).int(number::PING))
}

/// The payload of a watch event.
pub(crate) fn event(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let writer = Writer::default().int(-1).long(-1).int(0);
    let kind = u.int_in_range(1..=4)?;
    Ok(payload(writer.int(kind).int(3).buffer(Some(&path(u)?))))
}

/// What is written, without the length in front.
pub(crate) fn payload(writer: Writer) -> Vec<u8> {
    let mut frame = writer.finish();
    frame.split_off(4.min(frame.len()))
}
