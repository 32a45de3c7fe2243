//! Clients that send anything, in front of servers that behave.

use arbitrary::{Result, Unstructured};
use zoonet::route::EnsembleId;
use zoonet::session::Origin;

use crate::bed::{Bed, Servers};
use crate::{generate, maps, memory, respond};

/// How often a frame is sent again at most: what a few bytes of input make of it has to reach the
/// bounds on what a client may have under way.
const REPEATS: u32 = 300;

/// One script: whole and broken requests, answers late, early and with errors, legs that come and
/// go. The session must not panic, each request it lets through is whole, the client gets one whole
/// reply per request in order, and what the session holds stays bounded and goes away.
pub fn check(data: &[u8]) {
    let _alone = memory::alone();
    let mut u = Unstructured::new(data);
    let Ok(mut bed) = begin(&mut u, Servers::Sound) else {
        return;
    };
    let mut last = generate::ping();
    while !u.is_empty() {
        bed = match step(bed, &mut last, &mut u) {
            Ok(bed) => bed,
            Err(_) => return,
        };
    }
    respond::settle(&mut bed);
}

/// A session that was just created or attached.
pub(crate) fn begin(u: &mut Unstructured<'_>, servers: Servers) -> Result<Bed> {
    let settings = maps::settings(u)?;
    let origin = if u.arbitrary()? {
        Origin::New
    } else {
        Origin::Attached
    };
    Ok(Bed::new(settings, origin, servers))
}

fn step(mut bed: Bed, last: &mut Vec<u8>, u: &mut Unstructured<'_>) -> Result<Bed> {
    match u.int_in_range(0..=17)? {
        0..=3 => {
            *last = generate::request(xid(u)?, u)?;
            bed.client_frame(last);
        }
        4 => {
            *last = broken(generate::request(xid(u)?, u)?, u)?;
            bed.client_frame(last);
        }
        5 => {
            let length = u.int_in_range(0..=64)?;
            *last = u.bytes(length.min(u.len()))?.to_vec();
            bed.client_frame(last);
        }
        6 => {
            for _ in 0..u.int_in_range(1..=REPEATS)? {
                bed.client_frame(last);
            }
        }
        7 => bed.client_frame(&generate::ping()),
        16 | 17 => bed.client_frames(&many(u)?),
        8..=11 => {
            let ensemble = EnsembleId::new(u.int_in_range(0..=maps::ENSEMBLES - 1)?);
            for _ in 0..u.int_in_range(1..=8)? {
                respond::answer(&mut bed, ensemble, u)?;
            }
        }
        12 => {
            let ensemble = EnsembleId::new(u.int_in_range(0..=maps::ENSEMBLES - 1)?);
            bed.leg_frame(ensemble, generate::event(u)?);
        }
        13 if bed.closed || u.ratio(1, 4)? => bed = bed.reconnect(),
        _ => respond::happens(&mut bed, u)?,
    }
    Ok(bed)
}

/// Requests that come at once and are mostly alike: their numbers go up, and here and there one is
/// for another path, or is none.
fn many(u: &mut Unstructured<'_>) -> Result<Vec<Vec<u8>>> {
    let first = xid(u)?;
    let mut last = generate::request(first, u)?;
    let mut payloads = vec![last.clone()];
    for ahead in 1..=u.int_in_range(1..=12)? {
        let next = first.wrapping_add(ahead);
        match u.int_in_range(0..=15)? {
            0 => last = generate::request(next, u)?,
            1 => last = broken(last, u)?,
            2 => {
                let at = u.int_in_range(0..=last.len())?;
                if let Some(byte) = last.get_mut(at) {
                    *byte = u.arbitrary()?;
                }
            }
            _ => {}
        }
        if let Some(place) = last.first_chunk_mut() {
            *place = next.to_be_bytes();
        }
        payloads.push(last.clone());
    }
    Ok(payloads)
}

/// Numbers clients use: small ones, again and again, and those that mean something.
fn xid(u: &mut Unstructured<'_>) -> Result<i32> {
    match u.arbitrary::<u8>()? {
        0 => u.arbitrary(),
        1 => Ok(-4),
        2 => Ok(-8),
        3 => Ok(i32::MIN),
        4 => Ok(-1),
        small => Ok(i32::from(small)),
    }
}

/// Cuts a request off, or writes a length or number over some of it.
fn broken(mut payload: Vec<u8>, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let at = u.int_in_range(0..=payload.len())?;
    if u.arbitrary()? {
        payload.truncate(at);
    } else if let Some(place) = payload
        .get_mut(at..)
        .and_then(|rest| rest.first_chunk_mut())
    {
        *place = u
            .choose(&[i32::MAX, -1, -2, i32::MIN, 0xffff])?
            .to_be_bytes();
    }
    Ok(payload)
}
