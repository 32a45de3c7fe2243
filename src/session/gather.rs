//! Replies of several ensembles become the one the client is owed.

use super::Settings;
use super::pipeline::Stamp;
use super::translate;
use crate::route::EnsembleId;
use crate::wire::frames::PREFIX;
use crate::wire::jute::{Reader, Writer};
use crate::wire::reply::{self, ReplyHeader};
use crate::wire::{WireFault, Xid, Zxid, code};

/// How the parts make a whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Merge {
    /// The first part's reply; the others' outcome is not the client's business.
    First,
    /// The first part's reply if all succeeded, else the first error.
    All,
    /// A header alone, with the first error.
    Watches,
    /// The sum of the parts' numbers: those marked true are added, the others taken off. A part
    /// but the first that finds no znode counts as 0.
    Count(Vec<bool>),
    /// All paths that start with the prefix, as servers filter them.
    Ephemerals {
        /// As the client wrote it.
        prefix: Vec<u8>,
        /// Which ensemble each part comes from.
        from: Vec<EnsembleId>,
    },
    /// One reply, its data left out.
    HideData,
    /// One reply, the data of these results left out.
    HideResults(Vec<u16>),
}

/// Bytes that one part takes, here and among what is in flight: a short request may have many.
const PART: usize = 128;

/// A reply under construction: the payloads that came in so far.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Gather {
    merge: Merge,
    parts: Vec<Option<Vec<u8>>>,
    missing: usize,
    /// Bytes of these payloads.
    bytes: usize,
    /// The largest zxid of home's among them.
    home: Option<Zxid>,
}

impl Gather {
    pub(super) fn new(merge: Merge, parts: usize) -> Self {
        Self {
            merge,
            parts: vec![None; parts],
            missing: parts,
            bytes: 0,
            home: None,
        }
    }

    /// Bytes that are kept until the reply is made, those of [`Self::bytes`] left out.
    pub(super) fn kept(&self) -> usize {
        let of_request = match &self.merge {
            Merge::Ephemerals { prefix, .. } => prefix.len(),
            Merge::HideResults(hidden) => size_of_val(hidden.as_slice()),
            Merge::First | Merge::All | Merge::Watches | Merge::Count(_) | Merge::HideData => 0,
        };
        of_request + self.parts.len() * PART
    }

    /// Bytes of the replies that are kept.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether losing a part must not go unnoticed by the client: it would believe in watches that
    /// are not armed.
    pub(super) const fn must_succeed(&self) -> bool {
        matches!(self.merge, Merge::Watches)
    }

    /// Takes the payload of one part. Whether all are there now.
    pub(super) fn take(&mut self, part: u16, payload: &[u8], stamp: Stamp) -> bool {
        if let (Stamp::Own, Ok(header)) = (stamp, ReplyHeader::parse(payload)) {
            self.home = self.home.max(Some(header.zxid));
        }
        if let Some(slot) = self.parts.get_mut(usize::from(part))
            && slot.is_none()
        {
            *slot = Some(payload.to_vec());
            self.bytes += payload.len();
            self.missing -= 1;
        }
        self.missing == 0
    }

    /// Whose zxid the reply carries: home's own, if home had a part in it.
    pub(super) const fn stamp(&self) -> Stamp {
        if self.home.is_some() {
            Stamp::Own
        } else {
            Stamp::Home
        }
    }

    /// The reply as a frame, and its error.
    ///
    /// # Errors
    /// A [`WireFault`] when a part is not what its operation is answered with.
    pub(super) fn merged(
        &self,
        xid: Xid,
        settings: &Settings,
    ) -> Result<(Vec<u8>, i32), WireFault> {
        let parts = || {
            self.parts
                .iter()
                .map(|part| part.as_deref().unwrap_or_default())
        };
        let headers = parts()
            .map(ReplyHeader::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let first = parts().next().unwrap_or_default();
        let zxid = self.home.unwrap_or_default();
        let own = headers.first().map_or(code::OK, |header| header.err);
        let any = headers
            .iter()
            .map(|header| header.err)
            .find(|err| *err != code::OK);
        let err = match &self.merge {
            Merge::First | Merge::HideData | Merge::HideResults(_) => own,
            Merge::All | Merge::Watches | Merge::Ephemerals { .. } => any.unwrap_or(code::OK),
            Merge::Count(_) if own != code::OK => own,
            Merge::Count(_) => headers
                .iter()
                .map(|header| header.err)
                .find(|err| !matches!(*err, code::OK | code::NO_NODE))
                .unwrap_or(code::OK),
        };
        if err != code::OK {
            return Ok((reply::header_only(xid, zxid, err), err));
        }
        let header = Writer::default()
            .int(xid.number())
            .long(zxid.number())
            .int(code::OK);
        let mut frame = match &self.merge {
            Merge::First | Merge::All => Writer::with_capacity(first.len()).raw(first).finish(),
            Merge::Watches => header.finish(),
            Merge::Count(counted) => header.int(sum(&headers, parts(), counted)?).finish(),
            Merge::Ephemerals { prefix, from } => {
                ephemerals(header, prefix, from.iter().zip(parts()), settings)?
            }
            Merge::HideData => reply::without_data(first),
            Merge::HideResults(hidden) => translate::without_data_at(first, hidden)?,
        };
        reply::set_zxid(frame.get_mut(PREFIX..).unwrap_or_default(), zxid);
        Ok((frame, code::OK))
    }
}

fn sum<'a>(
    headers: &[ReplyHeader],
    parts: impl Iterator<Item = &'a [u8]>,
    counted: &[bool],
) -> Result<i32, WireFault> {
    let mut sum = 0i32;
    for ((header, part), counts) in headers.iter().zip(parts).zip(counted) {
        if header.err != code::OK {
            continue;
        }
        let number = Reader::from(part, reply::HEADER).int("number of children")?;
        sum = if *counts {
            sum.saturating_add(number)
        } else {
            sum.saturating_sub(number)
        };
    }
    Ok(sum)
}

/// The paths of all parts in the client's names. Servers take the prefix as bytes, not as
/// components, and an empty one or `/` for all (`FinalRequestProcessor`).
fn ephemerals<'a>(
    header: Writer,
    prefix: &[u8],
    parts: impl Iterator<Item = (&'a EnsembleId, &'a [u8])>,
    settings: &Settings,
) -> Result<Vec<u8>, WireFault> {
    let wanted = prefix.trim_ascii();
    let all = wanted.is_empty() || wanted == b"/";
    let mut paths = Vec::new();
    for (ensemble, part) in parts {
        let mut reader = Reader::from(part, reply::HEADER);
        for _ in 0..reader.count("ephemerals")?.unwrap_or(0) {
            let real = reader.buffer("path")?.unwrap_or_default();
            let Some(path) = settings.routes.to_client(*ensemble, real) else {
                continue;
            };
            if all || path.starts_with(prefix) {
                paths.push(path);
            }
        }
    }
    let writer = paths
        .iter()
        .fold(header.count(paths.len()), |writer, path| {
            writer.buffer(Some(path))
        });
    Ok(writer.finish())
}
