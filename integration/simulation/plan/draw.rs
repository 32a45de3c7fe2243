//! What a seed draws.

use fastrand::Rng;

use super::{
    Act, Deposed, ENSEMBLES, Fault, KEYS, Operation, SERVERS, SIDECARS, Shape, Way, prefixes,
};

/// What clients do, and when they clash.
pub(super) fn operations(
    random: &mut Rng,
    clients: usize,
    shape: &Shape,
    count: usize,
) -> (Vec<Operation>, Vec<u64>, Vec<(u64, Fault)>) {
    let prefixes = prefixes(shape).len();
    let mut all = Vec::new();
    for prefix in 0..prefixes {
        for key in 0..KEYS {
            let client = random.usize(..clients);
            let at = random.u64(..1_000);
            all.push(Operation {
                at,
                client,
                act: Act::Make,
                prefix,
                key,
            });
        }
    }
    let stay = random.f64();
    let mut places = vec![0; clients];
    let mut at = 1_000;
    let (mut clashes, mut cuts) = (Vec::new(), Vec::new());
    while all.len() < count {
        at += match random.u8(..10) {
            0..=5 => random.u64(..=5),
            6..=8 => random.u64(..200),
            _ => random.u64(..3_000),
        };
        if random.u8(..20) == 0 {
            clashes.push(at);
            let cut = clash(random, at, (clients, prefixes), &mut all);
            cuts.extend(cut);
            continue;
        }
        let client = random.usize(..clients);
        let Some(place) = places.get_mut(client) else {
            continue;
        };
        if random.f64() > stay {
            *place = random.usize(..prefixes);
        }
        let (act, prefix, key) = (act(random), *place, random.u32(..KEYS));
        all.push(Operation {
            at,
            client,
            act,
            prefix,
            key,
        });
    }
    all.sort_by_key(|operation| operation.at);
    (all, clashes, cuts)
}

/// Two clients, each of which writes where the other one reads: what the rule is about. Now and
/// then something befalls the first one in between.
fn clash(
    random: &mut Rng,
    at: u64,
    (clients, prefixes): (usize, usize),
    all: &mut Vec<Operation>,
) -> Option<(u64, Fault)> {
    let (one, key) = (random.usize(..clients), random.u32(..KEYS));
    let other = (one + 1 + random.usize(..clients - 1)) % clients;
    let (here, there) = (random.usize(..prefixes), random.usize(..prefixes));
    let cut = at + random.u64(50..2_000);
    let broken = random.u8(..3) == 0;
    for (client, here, there) in [(one, here, there), (other, there, here)] {
        let at = at + random.u64(..=30);
        for (act, prefix) in [(Act::Write, here), (Act::Read, there)] {
            let late = broken && client == one && act == Act::Read;
            let at = if late { cut + 1 } else { at };
            all.push(Operation {
                at,
                client,
                act,
                prefix,
                key,
            });
        }
    }
    let ensemble = ENSEMBLES.get(there).copied().unwrap_or(0);
    let fault = match random.u8(..4) {
        0 | 1 => Fault::ClientCut { client: one },
        2 => Fault::Throttle {
            ensemble,
            requests: random.u32(1..=2),
        },
        _ => Fault::Cut {
            sidecar: one % SIDECARS,
            ensemble,
            server: SERVERS - 1,
        },
    };
    broken.then_some((cut, fault))
}

fn act(random: &mut Rng) -> Act {
    match random.u32(..1_000) {
        0..300 => Act::Read,
        300..400 => Act::ReadAndWatch,
        400..620 => Act::Write,
        620..680 => Act::WriteInMulti,
        680..690 => Act::Across,
        690..720 => Act::Sync,
        720..760 => Act::LookAndWatch,
        760..800 => Act::ListAndWatch,
        800..870 => Act::Own,
        870..900 => Act::Disown,
        900..930 => Act::LookAtOwn,
        930..960 => Act::LookAtOther,
        960..985 => Act::ListOwn,
        985..995 => Act::Authenticate,
        _ => Act::Close,
    }
}

/// What breaks, and when: up to the end, much of it about when clients clash.
pub(super) fn faults(
    random: &mut Rng,
    clients: usize,
    shape: &Shape,
    deposed: Deposed,
    (end, clashes): (u64, &[u64]),
) -> Vec<(u64, Fault)> {
    let every = *random
        .choice(&[2_000, 5_000, 15_000, 60_000])
        .unwrap_or(&5_000);
    let mut at = 1_500;
    let mut all = Vec::new();
    loop {
        at += random.u64(1..=2 * every);
        if at >= end {
            return all;
        }
        // Many of them where they may hurt.
        let clash = random.choice(clashes).filter(|_| random.bool());
        let when = clash.map_or(at, |clash| clash + random.u64(..100));
        all.push((when, fault(random, clients, shape, deposed)));
    }
}

fn fault(random: &mut Rng, clients: usize, shape: &Shape, deposed: Deposed) -> Fault {
    let timeout = u64::from(shape.timeout);
    let lasts = match random.u8(..10) {
        0..=5 => random.u64(1..=1_500),
        6..=8 => random.u64(1..=timeout),
        _ => random.u64(1..=3 * timeout),
    };
    let ensemble = random.usize(..shape.ensembles);
    let server = random.usize(..SERVERS);
    let sidecar = random.usize(..SIDECARS);
    let client = random.usize(..clients);
    if deposed == Deposed::Sometimes && random.bool() {
        let server = if random.bool() { SERVERS - 1 } else { server };
        return Fault::Astray {
            ensemble,
            server,
            lasts,
        };
    }
    if random.u32(..100) >= 72 {
        return fault_of_people(random, client, sidecar, lasts);
    }
    match random.u32(..72) {
        0..22 => Fault::Cut {
            sidecar,
            ensemble,
            server,
        },
        22..36 => {
            let way = *random
                .choice(&[Way::There, Way::Back, Way::Both])
                .unwrap_or(&Way::Both);
            Fault::Hold {
                sidecar,
                ensemble,
                way,
                lasts,
            }
        }
        36..46 => Fault::ServerDown {
            ensemble,
            server,
            lasts,
        },
        46..50 => Fault::EnsembleDown { ensemble, lasts },
        50..60 => Fault::Lag {
            ensemble,
            server,
            lasts,
        },
        60..68 => Fault::Throttle {
            ensemble,
            requests: random.u32(1..=3),
        },
        _ => Fault::Expire {
            ensemble,
            which: random.usize(..64),
        },
    }
}

/// What happens to clients and sidecars.
fn fault_of_people(random: &mut Rng, client: usize, sidecar: usize, lasts: u64) -> Fault {
    match random.u32(..28) {
        0..12 => Fault::ClientCut { client },
        12..16 => Fault::ClientFreeze { client, lasts },
        16..19 => Fault::ClientKill { client, lasts },
        19..24 => Fault::SidecarKill {
            sidecar,
            lasts: lasts.min(2_000),
        },
        _ => Fault::SidecarStop { sidecar },
    }
}
