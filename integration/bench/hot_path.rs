//! Instructions per request in the core: a request and its reply through a `Session`, counted by
//! callgrind, which a busy machine does not disturb. See README.md beside this file.

#![expect(
    clippy::as_conversions,
    reason = "a bench rounds its figures and sets up what it knows to be valid"
)]

use std::env;
use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, bail};
use zoonet::route::{EnsembleId, RouteMap};
use zoonet::session::{Origin, Output, Policy, Session, Settings, Tick, Verdict};
use zoonet::wire::SessionId;
use zoonet::wire::connect::Credentials;
use zoonet::wire::frames::PREFIX;
use zoonet::wire::jute::Writer;
use zoonet::wire::opcode::OpCode;
use zoonet::wire::words::Role;

const HOME: EnsembleId = EnsembleId::new(0);
const OTHER: EnsembleId = EnsembleId::new(1);

/// Requests of the two runs whose difference is counted: what comes before the first falls out.
const FEW: u32 = 1_000;
const MANY: u32 = 11_000;

/// Requests in flight.
const DEPTH: u32 = 20;

/// What is sent.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    op: OpCode,
    path: &'static str,
    /// Ensembles in the map.
    map: u16,
}

const CASES: [Case; 5] = [
    Case {
        name: "one ensemble, getData",
        op: OpCode::GetData,
        path: "/app/config/flags",
        map: 1,
    },
    Case {
        name: "two ensembles, getData at home",
        op: OpCode::GetData,
        path: "/app/config/flags",
        map: 2,
    },
    Case {
        name: "two ensembles, setData at home",
        op: OpCode::SetData,
        path: "/app/config/flags",
        map: 2,
    },
    Case {
        name: "two ensembles, create at home",
        op: OpCode::Create,
        path: "/app/config/flags",
        map: 2,
    },
    Case {
        name: "two ensembles, getData on the other",
        op: OpCode::GetData,
        path: "/other/config/flags",
        map: 2,
    },
];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().collect();
    if let [_, case, requests] = arguments.as_slice()
        && let Ok(case) = case.parse::<usize>()
    {
        return run(CASES.get(case).context("no such case")?, requests.parse()?);
    }
    for (index, case) in CASES.iter().enumerate() {
        let counted = count(index, MANY)?.saturating_sub(count(index, FEW)?);
        let each = counted as f64 / f64::from(MANY - FEW);
        println!("{:<40}{each:>8.0} instructions", case.name);
    }
    Ok(())
}

/// Runs a case under callgrind; the instructions of the whole process.
fn count(case: usize, requests: u32) -> anyhow::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args([case.to_string(), requests.to_string()])
        .output()
        .context("valgrind is not installed")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let total = said
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .with_context(|| format!("callgrind says:\n{said}"))?;
    Ok(total.1.trim().parse()?)
}

fn run(case: &Case, requests: u32) -> anyhow::Result<()> {
    let mut session = session(case)?;
    let mut asked = request(case);
    let to = if case.path.starts_with("/other") {
        OTHER
    } else {
        HOME
    };
    let mut replied = reply();
    if to == OTHER {
        open(&mut session, &asked)?;
    }
    for turn in 0..requests / DEPTH {
        let xids = (turn * DEPTH + 1)..=(turn + 1) * DEPTH;
        for xid in xids.clone() {
            number(&mut asked, xid);
            let payload = asked.get(PREFIX..).unwrap_or_default();
            let verdict = session.client_frame(black_box(payload), Tick(1))?;
            if verdict != Verdict::ToLeg(to) || session.poll().is_some() {
                bail!("{}: {verdict:?}", case.name);
            }
        }
        for xid in xids {
            number(&mut replied, xid);
            let payload = replied.get_mut(PREFIX..).unwrap_or_default();
            let verdict = session.leg_frame(to, black_box(payload), Tick(1));
            if verdict != Verdict::ToClient || session.poll().is_some() {
                bail!("{}: {verdict:?}", case.name);
            }
        }
    }
    Ok(())
}

/// Dials the other ensemble and puts its barrier behind us.
fn open(session: &mut Session, asked: &[u8]) -> anyhow::Result<()> {
    let _held = session.client_frame(asked.get(PREFIX..).unwrap_or_default(), Tick(1))?;
    session.role(OTHER, Role::Follower);
    session.leg_up(OTHER, granted(2), Tick(1));
    while let Some(output) = session.poll() {
        if let Output::ToLeg(OTHER, frame) = output {
            let xid = frame.get(PREFIX..2 * PREFIX).unwrap_or_default();
            let mut answer = reply();
            if let Some(place) = answer.get_mut(PREFIX..2 * PREFIX) {
                place.copy_from_slice(xid);
            }
            let _answered =
                session.leg_frame(OTHER, answer.get_mut(PREFIX..).unwrap_or_default(), Tick(1));
        }
    }
    Ok(())
}

fn session(case: &Case) -> anyhow::Result<Session> {
    let mut routes = vec![(b"/".to_vec(), HOME, None)];
    if case.map > 1 {
        routes.push((b"/other".to_vec(), OTHER, None));
    }
    let policies = vec![Policy::default(); usize::from(case.map)];
    let settings = Arc::new(Settings::new(RouteMap::new(HOME, routes)?, policies));
    Ok(Session::new(settings, granted(1), Origin::New, Tick(0)))
}

const fn granted(id: i64) -> Credentials {
    Credentials {
        session: SessionId::NONE,
        password: [id as u8; 16],
        timeout: 30_000,
    }
}

fn request(case: &Case) -> Vec<u8> {
    let start = Writer::default()
        .int(1)
        .int(case.op.number())
        .buffer(Some(case.path.as_bytes()));
    if case.op == OpCode::GetData {
        return start.bool(false).finish();
    }
    let start = start.buffer(Some(&[0; 16]));
    if case.op == OpCode::SetData {
        return start.int(-1).finish();
    }
    let everyone = start.count(1).int(31).buffer(Some(b"world"));
    everyone.buffer(Some(b"anyone")).int(0).finish()
}

/// A reply with 16 bytes of data and a Stat, as the core sees all of them.
fn reply() -> Vec<u8> {
    let header = Writer::default().int(1).long(7).int(0);
    header.buffer(Some(&[0; 16])).raw(&[0; 68]).finish()
}

fn number(frame: &mut [u8], xid: u32) {
    if let Some(place) = frame.get_mut(PREFIX..2 * PREFIX) {
        place.copy_from_slice(&xid.to_be_bytes());
    }
}
