//! Servers that send anything, behind a client that behaves.

use arbitrary::{Result, Unstructured};
use zoonet::route::EnsembleId;

use crate::bed::{Bed, Servers};
use crate::client::begin;
use crate::shape::{Cursor, REPLY_HEADER};
use crate::{generate, maps, memory, respond};

/// One script: replies that are cut off, too long, not asked for or out of order, and everything
/// else that can happen to a leg. The session must not panic, the client gets one frame per request
/// in order, what the session holds is bounded by its settings, and a server that breaks the protocol
/// is hung up on.
pub fn check(data: &[u8]) {
    let _alone = memory::alone();
    let mut u = Unstructured::new(data);
    let Ok(mut bed) = begin(&mut u, Servers::Hostile) else {
        return;
    };
    let mut xid = 0;
    while !u.is_empty() {
        bed = match step(bed, &mut xid, &mut u) {
            Ok(bed) => bed,
            Err(_) => return,
        };
    }
    respond::settle(&mut bed);
}

fn step(mut bed: Bed, xid: &mut i32, u: &mut Unstructured<'_>) -> Result<Bed> {
    match u.int_in_range(0..=15)? {
        0..=3 => {
            *xid += 1;
            let request = generate::request(*xid, u)?;
            bed.client_frame(&request);
        }
        4 => bed.client_frame(&generate::ping()),
        5..=7 => {
            let ensemble = EnsembleId::new(u.int_in_range(0..=maps::ENSEMBLES - 1)?);
            for _ in 0..u.int_in_range(1..=4)? {
                respond::answer(&mut bed, ensemble, u)?;
            }
        }
        8..=11 => {
            let ensemble = EnsembleId::new(u.int_in_range(0..=maps::ENSEMBLES - 1)?);
            let payload = hostile(&mut bed, ensemble, u)?;
            send(&mut bed, ensemble, payload);
        }
        12 if bed.closed || u.ratio(1, 4)? => bed = bed.reconnect(),
        _ => respond::happens(&mut bed, u)?,
    }
    Ok(bed)
}

/// A server sends a payload. One that breaks the protocol is hung up on.
fn send(bed: &mut Bed, ensemble: EnsembleId, payload: Vec<u8>) {
    let leg = bed.leg(ensemble);
    if !leg.connected {
        return;
    }
    let is_breach = match Cursor(&payload).int() {
        _ if payload.len() < REPLY_HEADER => true,
        Some(-1) => !is_event_like(&payload),
        xid => xid.and_then(|xid| leg.answers(xid)).is_none(),
    };
    if bed.closed {
        return;
    }
    let hung_up = bed.leg_frame(ensemble, payload);
    assert!(hung_up || !is_breach, "a broken server is listened to");
}

/// Whether a kind, a state and a path, or none, can be read. What follows them is ignored.
fn is_event_like(payload: &[u8]) -> bool {
    let mut cursor = Cursor(payload.get(REPLY_HEADER..).unwrap_or_default());
    cursor.int().is_some() && cursor.int().is_some() && cursor.data().is_some()
}

/// A payload somewhat, or not at all, like what the server of a leg should send next.
fn hostile(bed: &mut Bed, ensemble: EnsembleId, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let inbox = &bed.leg(ensemble).inbox;
    let asked = inbox.len().checked_sub(1).map(|last| {
        let at = u.int_in_range(0..=last).unwrap_or(0);
        inbox.get(at)
    });
    let mut payload = match (u.int_in_range(0..=7)?, asked.flatten()) {
        (0..=4, Some(asked)) => generate::reply(asked.xid, u.arbitrary()?, &asked.payload, u)?,
        (5, _) => generate::event(u)?,
        (6, _) => generate::bare(u.arbitrary()?, u.arbitrary()?, u.arbitrary()?),
        _ => {
            let length = u.int_in_range(0..=64)?;
            u.bytes(length.min(u.len()))?.to_vec()
        }
    };
    for _ in 0..u.int_in_range(0..=2)? {
        mutate(&mut payload, u)?;
    }
    Ok(payload)
}

fn mutate(payload: &mut Vec<u8>, u: &mut Unstructured<'_>) -> Result<()> {
    let at = u.int_in_range(0..=payload.len())?;
    match u.int_in_range(0..=3)? {
        0 => payload.truncate(at),
        1 => payload.resize(payload.len() + u.int_in_range(0..=0x3fff)?, 7),
        _ => {
            if let Some(place) = payload
                .get_mut(at..)
                .and_then(|rest| rest.first_chunk_mut())
            {
                *place = u
                    .choose(&[i32::MAX, -1, -2, -4, i32::MIN, 0xffff, 0, 1])?
                    .to_be_bytes();
            }
        }
    }
    Ok(())
}
