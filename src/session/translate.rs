//! Replies and events as the client must see them: session ids swapped, mounted paths in the
//! client's names. What need not change is patched in place or passed on.

use std::borrow::Cow;

use crate::route::{EnsembleId, RouteMap};
use crate::wire::jute::{Reader, Writer};
use crate::wire::opcode::{Echo, OpCode, Stat};
use crate::wire::reply::{self, ResultBody, WatchEvent};
use crate::wire::{SessionId, WireFault, Zxid};

/// Whose ids are swapped in Stats: the leg's session and the client's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owners {
    pub(super) leg: SessionId,
    pub(super) client: SessionId,
}

/// How paths of one ensemble are written back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a> {
    pub(super) routes: &'a RouteMap,
    pub(super) ensemble: EnsembleId,
    /// Whether any route of the ensemble has a root; without one every path is the client's.
    pub(super) rooted: bool,
}

impl<'a> Names<'a> {
    /// The client's name for a path an ensemble echoes. A path that no route leads to was not
    /// translated on its way there either.
    fn echoed<'p>(&self, real: &'p [u8]) -> Cow<'p, [u8]>
    where
        'a: 'p,
    {
        if !self.rooted {
            return Cow::Borrowed(real);
        }
        self.routes
            .to_client(self.ensemble, real)
            .unwrap_or(Cow::Borrowed(real))
    }
}

/// Changes a successful reply to `op` in place, or returns the frame that takes its place where a
/// path has to be written anew.
///
/// # Errors
/// A [`WireFault`] when the reply is not what its operation is answered with.
pub(super) fn reply(
    payload: &mut [u8],
    op: OpCode,
    owners: Owners,
    names: &Names<'_>,
) -> Result<Option<Vec<u8>>, WireFault> {
    let shape = op.shape();
    match shape.stat {
        Stat::Nothing => {}
        Stat::Last => reply::swap_last_owner(payload, owners.leg, owners.client),
        Stat::Results => return results(payload, owners, names),
    }
    match shape.echo {
        Echo::Path if names.rooted => {
            let mut reader = Reader::from(payload, reply::HEADER);
            let path = reader.buffer("path")?.map(|path| names.echoed(path));
            let rest = payload.get(reader.position()..).unwrap_or_default();
            let header = payload.get(..reply::HEADER).unwrap_or_default();
            let frame = Writer::with_capacity(payload.len() + 64)
                .raw(header)
                .buffer(path.as_deref())
                .raw(rest);
            Ok(Some(frame.finish()))
        }
        Echo::Path | Echo::Nothing | Echo::Paths | Echo::Results => Ok(None),
    }
}

/// [`reply()`] for a multi or multiRead.
fn results(
    payload: &mut [u8],
    owners: Owners,
    names: &Names<'_>,
) -> Result<Option<Vec<u8>>, WireFault> {
    let stats: Vec<usize> = reply::multi_results(payload)?
        .iter()
        .filter_map(|result| result.stat)
        .collect();
    for stat in stats {
        reply::swap_owner(payload, stat, owners.leg, owners.client);
    }
    if !names.rooted {
        return Ok(None);
    }
    rewrite_results(payload, |_, body| match body {
        ResultBody::Path(path) => Written::Bytes(path.map(|path| names.echoed(path))),
        ResultBody::Data(data) => Written::Bytes(data.map(Cow::Borrowed)),
        ResultBody::Plain(raw) => Written::Raw(raw),
    })
    .map(Some)
}

/// What takes the place of a result's body.
enum Written<'a> {
    Bytes(Option<Cow<'a, [u8]>>),
    Raw(&'a [u8]),
}

/// The frame of a multi's reply with each result's body replaced.
fn rewrite_results<'p>(
    payload: &'p [u8],
    mut body: impl FnMut(usize, ResultBody<'p>) -> Written<'p>,
) -> Result<Vec<u8>, WireFault> {
    let mut writer = Writer::with_capacity(payload.len() + 64)
        .raw(payload.get(..reply::HEADER).unwrap_or_default());
    for (index, result) in reply::multi_results(payload)?.into_iter().enumerate() {
        writer = writer.int(result.number).bool(false).int(result.err);
        writer = match body(index, result.body) {
            Written::Bytes(bytes) => writer.buffer(bytes.as_deref()),
            Written::Raw(raw) => writer.raw(raw),
        };
        if let Some(stat) = result.stat {
            writer = writer.raw(payload.get(stat..stat + reply::STAT).unwrap_or_default());
        }
    }
    Ok(writer.int(-1).bool(true).int(-1).finish())
}

/// The reply of a multiRead with the data of the results at `hidden` taken away.
///
/// # Errors
/// A [`WireFault`] when the reply cannot be read.
pub(super) fn without_data_at(payload: &[u8], hidden: &[u16]) -> Result<Vec<u8>, WireFault> {
    rewrite_results(payload, |index, body| match body {
        ResultBody::Data(_) if hidden.iter().any(|at| usize::from(*at) == index) => {
            Written::Bytes(Some(Cow::Borrowed(&[])))
        }
        ResultBody::Path(bytes) | ResultBody::Data(bytes) => {
            Written::Bytes(bytes.map(Cow::Borrowed))
        }
        ResultBody::Plain(raw) => Written::Raw(raw),
    })
}

/// What becomes of a watch event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It passes as it is.
    AsIs,
    /// It passes under another name.
    Renamed(Vec<u8>),
    /// No path of the client's leads there: a recursive watch saw behind a route.
    Hidden,
}

/// How the client sees an event of an ensemble.
///
/// # Errors
/// A [`WireFault`] when the event is cut off.
pub(super) fn event(payload: &[u8], zxid: Zxid, names: &Names<'_>) -> Result<Seen, WireFault> {
    let event = WatchEvent::parse(payload)?;
    match names.routes.to_client(names.ensemble, event.path) {
        None => Ok(Seen::Hidden),
        Some(path) if *path == *event.path => Ok(Seen::AsIs),
        Some(path) => Ok(Seen::Renamed(
            WatchEvent {
                path: &path,
                ..event
            }
            .frame(zxid),
        )),
    }
}
