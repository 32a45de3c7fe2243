//! Instructions per request in the core: a request and its reply through a `Session`, counted by
//! callgrind, which a busy machine does not disturb, and held to a budget. See README.md beside this
//! file.

#![expect(
    clippy::as_conversions,
    reason = "a bench rounds its figures and sets up what it knows to be valid"
)]

use std::env;
use std::error::Error;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use zoonet::route::{EnsembleId, RouteMap};
use zoonet::session::{Origin, Output, Policy, Session, Settings, Shown, Tick, Verdict};
use zoonet::wire::SessionId;
use zoonet::wire::connect::Credentials;
use zoonet::wire::frames::{DEFAULT_LIMIT, PREFIX, frame_size};
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

/// What a kazoo client and a stock 3.8.0 said to each other: `record.py` wrote it down.
const RECORDED: &str = include_str!("kazoo.frames");

/// How often the budget may be gone under before it should be lowered.
const SLACK: f64 = 0.85;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// What is measured.
struct Case {
    name: &'static str,
    load: Load,
    map: Map,
    /// The most instructions that a request and its reply may take. Some 5 % above what they took
    /// when it was set: a new compiler may need another figure, a change should have a reason.
    budget: f64,
}

/// How many ensembles there are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Map {
    One,
    Two,
    /// Two with `elide_barriers`, by which each reply is looked at.
    Elided,
}

/// What is sent.
#[derive(Clone, Copy)]
enum Load {
    /// A request and its reply again and again, [`DEPTH`] of them in flight, for these znodes in turn:
    /// their paths are equally long.
    Same(OpCode, &'static [&'static str]),
    /// [`RECORDED`], again and again.
    Recorded,
}

/// Below one znode.
const PATHS: &[&str] = &["/app/config/flags", "/app/config/hosts"];

/// Each below another.
const APART: &[&str] = &[
    "/app/config/flags",
    "/app/colors/flags",
    "/bin/config/flags",
    "/bin/colors/flags",
];

const CASES: [Case; 9] = [
    Case {
        name: "one ensemble, getData",
        load: Load::Same(OpCode::GetData, PATHS),
        map: Map::One,
        budget: 122.0,
    },
    Case {
        name: "one ensemble, a recorded session",
        load: Load::Recorded,
        map: Map::One,
        budget: 575.0,
    },
    Case {
        name: "two ensembles, getData at home",
        load: Load::Same(OpCode::GetData, PATHS),
        map: Map::Two,
        budget: 128.0,
    },
    Case {
        name: "the same, each elsewhere",
        load: Load::Same(OpCode::GetData, APART),
        map: Map::Two,
        budget: 447.0,
    },
    Case {
        name: "two ensembles, setData at home",
        load: Load::Same(OpCode::SetData, PATHS),
        map: Map::Two,
        budget: 128.0,
    },
    Case {
        name: "two ensembles, create at home",
        load: Load::Same(OpCode::Create, PATHS),
        map: Map::Two,
        budget: 128.0,
    },
    Case {
        name: "two ensembles, a recorded session",
        load: Load::Recorded,
        map: Map::Two,
        budget: 675.0,
    },
    Case {
        name: "two ensembles, getData on the other",
        load: Load::Same(OpCode::GetData, &["/other/config/flags"]),
        map: Map::Two,
        budget: 1_170.0,
    },
    Case {
        name: "the same at home, barriers elided",
        load: Load::Same(OpCode::GetData, PATHS),
        map: Map::Elided,
        budget: 264.0,
    },
];

fn main() -> ExitCode {
    match measure() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("hot_path: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Outcome<ExitCode> {
    let arguments: Vec<String> = env::args().collect();
    if let [_, case, requests] = arguments.as_slice()
        && let Ok(case) = case.parse::<usize>()
    {
        run(CASES.get(case).ok_or("no such case")?, requests.parse()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut code = ExitCode::SUCCESS;
    println!(
        "{:<40}{:>12}{:>8}",
        "instructions per request", "", "budget"
    );
    for (index, case) in CASES.iter().enumerate() {
        let counted = count(index, MANY)?.saturating_sub(count(index, FEW)?);
        let each = counted as f64 / f64::from(MANY - FEW);
        let judged = if each > case.budget {
            code = ExitCode::FAILURE;
            "  EXCEEDED"
        } else if each < case.budget * SLACK {
            "  could be lower"
        } else {
            ""
        };
        println!("{:<40}{each:>12.0}{:>8.0}{judged}", case.name, case.budget);
    }
    Ok(code)
}

/// Runs a case under callgrind; the instructions of the whole process.
fn count(case: usize, requests: u32) -> Outcome<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args([case.to_string(), requests.to_string()])
        .output()
        .map_err(|error| format!("valgrind, which integration/install brings: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let total = said
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .ok_or_else(|| format!("callgrind says:\n{said}"))?;
    Ok(total.1.trim().parse()?)
}

fn run(case: &Case, requests: u32) -> Outcome {
    match case.load {
        Load::Same(op, paths) => repeat(session(case.map)?, op, paths, requests),
        Load::Recorded => replay(session(case.map)?, requests),
    }
    .map_err(|error| format!("{}: {error}", case.name).into())
}

fn repeat(mut session: Session, op: OpCode, paths: &[&str], requests: u32) -> Outcome {
    let asked: Vec<Vec<u8>> = paths.iter().map(|path| request(op, path)).collect();
    let first = asked.first().ok_or("no path")?;
    let to = if paths.iter().all(|path| path.starts_with("/other")) {
        OTHER
    } else {
        HOME
    };
    if to == OTHER {
        open(&mut session, first)?;
    }
    let (mut asked, mut replied) = (Frames::of(&asked), Frames::of(&[reply()]));
    for turn in 0..requests / DEPTH {
        let first = turn * DEPTH + 1;
        ask(&mut session, to, black_box(asked.numbered(first)))?;
        answer(&mut session, to, black_box(replied.numbered(first)))?;
    }
    Ok(())
}

/// Hands requests in as they are read from a client's socket, many at once. They have to go on as
/// they came, with nothing else to do.
fn ask(session: &mut Session, to: EnsembleId, bytes: &mut [u8]) -> Outcome {
    let straight = session.straight_requests(bytes, Tick(1), &mut ());
    each_frame(bytes, straight.bytes, |payload| {
        let verdict = session.client_frame(payload, Tick(1))?;
        as_expected(session, verdict, Verdict::ToLeg(to))
    })
}

/// The same with replies.
fn answer(session: &mut Session, from: EnsembleId, bytes: &mut [u8]) -> Outcome {
    let straight = session.straight_replies(from, bytes, Tick(1), &mut ());
    each_frame(bytes, straight.bytes, |payload| {
        let verdict = session.leg_frame(from, payload, Tick(1));
        as_expected(session, verdict, Verdict::ToClient)
    })
}

fn as_expected(session: &mut Session, verdict: Verdict, expected: Verdict) -> Outcome {
    if verdict != expected || session.poll().is_some() {
        return Err(format!("not as expected: {verdict:?}").into());
    }
    Ok(())
}

/// The payloads of the frames from `at` on.
fn each_frame(
    bytes: &mut [u8],
    mut at: usize,
    mut hand_in: impl FnMut(&mut [u8]) -> Outcome,
) -> Outcome {
    while let Some(rest) = bytes.get_mut(at..)
        && let Some(size) = frame_size(rest, DEFAULT_LIMIT)?
    {
        hand_in(rest.get_mut(PREFIX..size).ok_or("half a frame")?)?;
        at += size;
    }
    Ok(())
}

/// [`DEPTH`] frames, one behind the other, of the same size.
struct Frames {
    bytes: Vec<u8>,
    size: usize,
}

impl Frames {
    fn of(in_turn: &[Vec<u8>]) -> Self {
        Self {
            bytes: in_turn
                .iter()
                .cycle()
                .take(DEPTH as usize)
                .flatten()
                .copied()
                .collect(),
            size: in_turn.first().map_or(1, Vec::len),
        }
    }

    fn numbered(&mut self, first: u32) -> &mut [u8] {
        for (frame, xid) in self.bytes.chunks_exact_mut(self.size).zip(first..) {
            if let Some(place) = frame.get_mut(PREFIX..2 * PREFIX) {
                place.copy_from_slice(&xid.to_be_bytes());
            }
        }
        &mut self.bytes
    }
}

fn replay(mut session: Session, requests: u32) -> Outcome {
    let mut frames = RECORDED
        .lines()
        .map(recorded)
        .collect::<Outcome<Vec<_>>>()?;
    let mut left = requests;
    while left > 0 {
        for (from_client, frame) in &mut frames {
            if *from_client {
                ask(&mut session, HOME, black_box(frame))?;
                left = left.saturating_sub(1);
            } else {
                answer(&mut session, HOME, black_box(frame))?;
            }
        }
    }
    Ok(())
}

/// A line of the record: whether the client sent it, and the frame.
fn recorded(line: &str) -> Outcome<(bool, Vec<u8>)> {
    let (side, digits) = line
        .split_once(' ')
        .ok_or("a line has a side and a payload")?;
    let bytes = digits.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair)?;
        Ok(u8::from_str_radix(pair, 16)?)
    });
    let payload = bytes.collect::<Outcome<Vec<u8>>>()?;
    let frame = Writer::default().raw(&payload).finish();
    Ok((side == ">", frame))
}

/// Dials the other ensemble and puts its barrier behind us.
fn open(session: &mut Session, asked: &[u8]) -> Outcome {
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

fn session(map: Map) -> Outcome<Session> {
    let mut routes = vec![(b"/".to_vec(), HOME, None)];
    if map != Map::One {
        routes.push((b"/other".to_vec(), OTHER, None));
    }
    let policy = Policy {
        elide_barriers: (map == Map::Elided).then_some(Shown::Stat),
        ..Policy::default()
    };
    let policies = vec![policy; routes.len()];
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

fn request(op: OpCode, path: &str) -> Vec<u8> {
    let start = Writer::default()
        .int(1)
        .int(op.number())
        .buffer(Some(path.as_bytes()));
    if op == OpCode::GetData {
        return start.bool(false).finish();
    }
    let start = start.buffer(Some(&[0; 16]));
    if op == OpCode::SetData {
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
