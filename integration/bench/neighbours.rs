//! A client that needs home only, while others in the same sidecar switch constantly between home
//! and an ensemble far away.

use std::thread;
use std::time::Duration;

use anyhow::anyhow;

use super::client::{Amount, Load, Shape};
use super::figures::Record;
use super::process::{Helper, Usage};
use super::proxies::{self, Effort};
use super::results::Raw;
use super::variant::{Running, Servers, Variant, Way};
use crate::testbed::relay::Relay;

/// Those who switch: each has a request in flight, in turn to home and to the other ensemble.
const SWITCHERS: Shape = Shape {
    depth: 1,
    sessions: 32,
    value: 16,
    writes: 0,
};

/// How far the other ensemble is, one way.
const FAR: Duration = Duration::from_millis(50);

/// How long both run before they are measured.
const WARM_UP: Duration = Duration::from_millis(300);

/// Where the others are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    Nowhere,
    SameSidecar,
    /// The control: they need the same processors.
    OtherSidecar,
}

impl Others {
    const ALL: [Self; 3] = [Self::Nowhere, Self::SameSidecar, Self::OtherSidecar];

    const fn name(self) -> &'static str {
        match self {
            Self::Nowhere => "alone",
            Self::SameSidecar => "same-sidecar",
            Self::OtherSidecar => "other-sidecar",
        }
    }
}

/// Runs every variant once a round; each round starts with another.
pub(crate) fn measure(effort: Effort, shapes: &[Shape], raw: &mut Raw) -> anyhow::Result<()> {
    let responder = Helper::responder();
    let [home, other] = responder.addresses;
    let wan = Relay::to(other);
    wan.delay_both(FAR);
    let servers = Servers {
        home,
        other: Some(wan.address()),
    };
    for round in 0..effort.rounds {
        for shape in shapes {
            for step in 0..Others::ALL.len() {
                let Some(others) = Others::ALL.get((round + step) % Others::ALL.len()) else {
                    continue;
                };
                raw.add(Record {
                    part: raw.part().to_owned(),
                    cell: shape.in_words(),
                    variant: others.name().to_owned(),
                    round,
                    conditions: shape.as_numbers(),
                    figures: one_run(effort, shape, *others, servers)?,
                })?;
            }
        }
        raw.round_done(round + 1, effort.rounds);
    }
    Ok(())
}

fn one_run(
    effort: Effort,
    shape: &Shape,
    others: Others,
    servers: Servers,
) -> anyhow::Result<proxies::Figures> {
    let sidecar = || -> anyhow::Result<Running> {
        let variants = Variant::all(&[Way::ZoonetMap], &[])?;
        let one = variants
            .first()
            .ok_or_else(|| anyhow!("one was asked for"))?;
        one.start(servers, SWITCHERS.sessions)
    };
    let (ours, second) = (sidecar()?, sidecar()?);
    let crowded = match others {
        Others::Nowhere => None,
        Others::SameSidecar => Some(&ours),
        Others::OtherSidecar => Some(&second),
    };
    let mut switchers = crowded
        .map(|sidecar| Load::open(sidecar.address, &SWITCHERS, Some(1)))
        .transpose()?;
    if let Some(switchers) = &mut switchers {
        // Opens the remote sessions.
        switchers.run(Amount::Requests(2))?;
    }
    let seconds = Duration::from_secs_f64(effort.seconds);
    let mut load = Load::open(ours.address, shape, None)?;
    let (outcome, cpu) = thread::scope(|scope| {
        let switching = switchers
            .as_mut()
            .map(|switchers| scope.spawn(|| switchers.run(Amount::For(WARM_UP + seconds))));
        load.run(Amount::For(WARM_UP))?;
        let before = ours.pid.map(Usage::of);
        let outcome = load.run(Amount::For(seconds))?;
        let after = ours.pid.map(Usage::of);
        if let Some(switching) = switching {
            let ended = switching
                .join()
                .map_err(|_| anyhow!("the others have panicked"))?;
            ended?;
        }
        anyhow::Ok((outcome, after.zip(before)))
    })?;
    load.close()?;
    if let Some(switchers) = switchers {
        switchers.close()?;
    }
    Ok(proxies::figures(&outcome, cpu))
}
