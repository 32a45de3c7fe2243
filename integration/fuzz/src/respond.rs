//! Servers that behave.

use arbitrary::{Result, Unstructured};
use zoonet::route::EnsembleId;
use zoonet::wire::words::Role;

use crate::bed::{Asked, Bed, LAST_OWN_XID};
use crate::shape::{self, number};
use crate::{generate, maps};

/// Errors a server answers with; the last two show that the request was never ordered.
const ERRORS: [i32; 6] = [-101, -102, -110, -111, -119, -127];

const ROLES: [Role; 5] = [
    Role::Observer,
    Role::Follower,
    Role::Leader,
    Role::Standalone,
    Role::ReadOnly,
];

/// How many rounds of answers everything has to come to rest in.
const ROUNDS: u32 = 2_000;

/// The server of a leg answers the request it got first; credentials it may answer earlier.
pub(crate) fn answer(bed: &mut Bed, ensemble: EnsembleId, u: &mut Unstructured<'_>) -> Result<()> {
    let leg = bed.leg(ensemble);
    let early = leg
        .inbox
        .iter()
        .find(|asked| asked.operation == number::AUTH && leg.is_unique(asked.xid))
        .map(|asked| asked.xid);
    let first = leg.inbox.front().map(|asked| asked.xid);
    let Some(xid) = early.filter(|_| u.ratio(1, 2).unwrap_or(false)).or(first) else {
        return Ok(());
    };
    let zxid = leg.next_zxid();
    let Some(asked) = leg.answers(xid) else {
        return Ok(());
    };
    let (payload, closes) = reply(&asked, zxid, u)?;
    bed.leg_frame(ensemble, payload);
    if closes {
        bed.leg_lost(ensemble);
    }
    Ok(())
}

/// The reply, and whether the server closes behind it.
fn reply(asked: &Asked, zxid: i64, u: &mut Unstructured<'_>) -> Result<(Vec<u8>, bool)> {
    let Asked {
        xid,
        operation,
        payload,
    } = asked;
    let is_own = *xid <= LAST_OWN_XID;
    let is_multi = matches!(*operation, number::MULTI | number::MULTI_READ);
    if shape::request(*operation).is_none() {
        return Ok((generate::bare(*xid, -1, -6), true));
    }
    if !shape::is_request(payload) {
        return Ok((generate::bare(*xid, zxid, -5), false));
    }
    match *operation {
        number::CLOSE => return Ok((generate::bare(*xid, zxid, 0), true)),
        number::AUTH => {
            let refused = u.ratio(1, 8)?;
            return Ok((
                generate::bare(*xid, 0, if refused { -115 } else { 0 }),
                refused,
            ));
        }
        number::PING => return Ok((generate::bare(*xid, zxid, 0), false)),
        _ => {}
    }
    // A multi that fails says so in its results; only what was turned away at the door has an
    // error in its header, and of that our own barriers must take note.
    if (!is_multi || is_own) && u.ratio(1, 6)? {
        let err = *u.choose(&ERRORS)?;
        let zxid = if u.ratio(1, 4)? { 0 } else { zxid };
        return Ok((generate::bare(*xid, zxid, err), false));
    }
    Ok((generate::reply(*xid, zxid, payload, u)?, false))
}

/// Something that is not the client's doing happens to a leg.
pub(crate) fn happens(bed: &mut Bed, u: &mut Unstructured<'_>) -> Result<()> {
    let ensemble = EnsembleId::new(u.int_in_range(0..=maps::ENSEMBLES - 1)?);
    match u.int_in_range(0..=15)? {
        0..=4 => bed.leg_up(ensemble),
        5 | 6 => bed.role(ensemble, *u.choose(&ROLES)?),
        7 => bed.forgotten(ensemble),
        8 => bed.leg_unreachable(ensemble),
        9 => bed.leg_refused(ensemble),
        10 if ensemble.index() > 0 || u.ratio(1, 4)? => bed.leg_lost(ensemble),
        11 => bed.pass(u.int_in_range(0..=10_000)?),
        12 => bed.pass_to_deadline(),
        13 => bed.legs_unread(),
        14 => bed.reload(maps::settings(u)?),
        15 if u.ratio(1, 8)? => bed.stop(),
        _ => {}
    }
    Ok(())
}

/// Everybody answers until nobody waits.
pub(crate) fn settle(bed: &mut Bed) {
    let nothing = &mut Unstructured::new(&[]);
    for _ in 0..ROUNDS {
        let mut moved = false;
        for ensemble in maps::ensembles() {
            bed.leg_up(ensemble);
            bed.role(ensemble, Role::Observer);
            bed.forgotten(ensemble);
            while let Some(asked) = bed.leg(ensemble).inbox.pop_front() {
                moved = true;
                let zxid = bed.leg(ensemble).next_zxid();
                let (payload, closes) = reply(&asked, zxid, nothing).unwrap_or_default();
                bed.leg_frame(ensemble, payload);
                if closes {
                    bed.leg_lost(ensemble);
                }
            }
        }
        if bed.closed || (!moved && bed.client.is_owed_nothing()) {
            break;
        }
        if !moved {
            // The client is alive.
            bed.client_frame(&generate::ping());
            bed.pass_to_deadline();
        }
    }
    bed.is_at_rest();
}
