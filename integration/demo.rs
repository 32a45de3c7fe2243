//! Two regions on one machine, a walk through what their composition does, and then a playground.
//!
//! `integration/demo` builds and runs this; see there. Nothing that is printed as a result is known
//! beforehand: the walk is a script of a stock client, and the race is judged by what it read.
//!
//! # Decisions
//!
//! * A signal while starting or walking ends the process at once, wherever it is: that everything
//!   it started dies with it, files included, is what the test bed promises anyway. Only the
//!   playground is taken down in order.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the ban is for the core; real processes take real time"
)]

#[expect(
    dead_code,
    reason = "the demo takes from the bed what it needs, tests take the rest"
)]
mod testbed;

use std::env;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use testbed::ports;
use testbed::python::Python;
use testbed::regions::Regions;
use testbed::relay::Relay;
use testbed::sidecar::{Setup, Sidecar};
use testbed::zookeeper::{Ensemble, Server};

/// How far the regions are apart, one way.
const WAN: Duration = Duration::from_millis(40);
const ROUNDS: u32 = 40;
/// For a client program to print its next line.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two regions with a simulated WAN between them, a sidecar in each, and a walk through what
/// composition does; then it stays up for any client until Ctrl-C.
#[derive(Parser)]
#[command(bin_name = "integration/demo")]
struct Options {
    /// End after the walk.
    #[arg(long)]
    once: bool,
    /// Where the sidecar of us listens on 127.0.0.1; that of eu takes the next port. 0: any two.
    #[arg(long, default_value_t = 2181, value_name = "PORT")]
    port: u16,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let listen = match addresses(options.port) {
        Ok(listen) => listen,
        Err(complaint) => {
            eprintln!("{complaint}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be had at start-up");
    runtime.block_on(async {
        let interrupted = interrupted();
        tokio::pin!(interrupted);
        let (sender, walked) = oneshot::channel();
        thread::spawn(move || {
            let stage = Stage::build(listen);
            let shown = walk(&stage) && race(&stage);
            // Nobody is left to receive only when the process is about to end.
            let _ = sender.send((stage, shown));
        });
        tokio::select! {
            code = &mut interrupted => {
                tell("\nInterrupted: all of it ends now.");
                process::exit(code)
            }
            outcome = walked => {
                let Ok((stage, shown)) = outcome else {
                    // The walk has panicked and said why.
                    return ExitCode::FAILURE;
                };
                if shown && !options.once {
                    stage.present();
                    interrupted.await;
                    tell("\nStopping both sidecars and all servers.");
                }
                stage.clear();
                if shown { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
        }
    })
}

/// Catches signals from now on; ends with the exit code that belongs to the first.
fn interrupted() -> impl Future<Output = i32> {
    let mut interrupt = signal(SignalKind::interrupt()).expect("signals can be awaited");
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be awaited");
    async move {
        tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        }
    }
}

/// Where the sidecars are to listen, once it is known that they can.
fn addresses(port: u16) -> Result<[SocketAddr; 2], String> {
    if port == 0 {
        return Ok([ports::reserve(), ports::reserve()]);
    }
    let next = port
        .checked_add(1)
        .ok_or("--port: the next port is needed, too")?;
    let listen = [port, next].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    for address in listen {
        TcpListener::bind(address).map_err(|error| {
            let reason = if error.kind() == ErrorKind::AddrInUse {
                "somebody listens there already, perhaps a ZooKeeper or another demo".to_owned()
            } else {
                error.to_string()
            };
            format!(
                "The demo wants {address} for a sidecar, but cannot have it: {reason}.\n\
                 Free it, or choose others: integration/demo --port 0 takes any two ports."
            )
        })?;
    }
    Ok(listen)
}

/// Everything that runs, in the order in which it is to be ended.
struct Stage {
    program: PathBuf,
    us: Sidecar,
    eu: Sidecar,
    /// The same again, with the rule off.
    lax: [Sidecar; 2],
    /// The wires of the network from each region to the voters of the other.
    _wan: [Vec<Relay>; 2],
    regions: Regions,
}

impl Stage {
    fn build([us, eu]: [SocketAddr; 2]) -> Self {
        let program = program();
        heading("Two regions");
        tell(
            "Starting the ensembles us and eu: three voters at home each, and an observer of each\n\
             in the other region. Eight processes of stock ZooKeeper take some seconds.",
        );
        let begun = Instant::now();
        let regions = Regions::start();
        regions.us.quorum_link(0).delay_both(WAN);
        regions.eu.quorum_link(0).delay_both(WAN);
        let to_us = wires(&regions.us);
        let to_eu = wires(&regions.eu);
        let setup = |home: &str, barrier: &str| {
            // The home voters are near. The others are behind the wide-area network, and so is
            // what their observer here hears of them; the observer itself is near.
            let (home_ensemble, far, wires) = if home == "us" {
                (&regions.us, &regions.eu, &to_eu)
            } else {
                (&regions.eu, &regions.us, &to_us)
            };
            let behind: Vec<SocketAddr> = wires.iter().map(Relay::address).collect();
            let near: Vec<SocketAddr> = far.observers().iter().map(Server::address).collect();
            Setup::new(home)
                .ensemble(home_ensemble)
                .servers(far.name(), &behind)
                .prefer(far.name(), &near)
                .barrier("us", barrier)
                .barrier("eu", barrier)
                .route("/", "us")
                .route("/us", "us")
                .route("/eu", "eu")
                .log("info")
        };
        let stage = Self {
            us: setup("us", "sync").listen(us).start(&program),
            eu: setup("eu", "sync").listen(eu).start(&program),
            lax: ["us", "eu"].map(|home| setup(home, "none").start(&program)),
            program,
            _wan: [to_us, to_eu],
            regions,
        };
        let took = begun.elapsed().as_secs_f64();
        tell(&format!(
            "Up after {took:.1} s, with a sidecar in each region:"
        ));
        for (name, sidecar) in [("us", &stage.us), ("eu", &stage.eu)] {
            tell(&format!("    {name}  {}", sidecar.address()));
        }
        let wan = WAN.as_millis();
        tell(&format!(
            "What goes from region to region takes {wan} ms one way: requests, and the commits\n\
             that observers hear of."
        ));
        stage
    }

    /// What there is to play with.
    fn present(&self) {
        heading("Yours until Ctrl-C");
        for ensemble in [&self.regions.us, &self.regions.eu] {
            for server in ensemble.servers() {
                let role = server.role().map_or_else(
                    || "not serving".to_owned(),
                    |role| format!("{role:?}").to_lowercase(),
                );
                tell(&format!(
                    "    {}  {}  {role}",
                    ensemble.name(),
                    server.address()
                ));
            }
        }
        for (name, sidecar) in [("us", &self.us), ("eu", &self.eu)] {
            let (address, config) = (sidecar.address(), sidecar.config().display());
            tell(&format!("    sidecar of {name}  {address}  {config}"));
        }
        let (us, config) = (self.us.address(), self.us.config().display());
        let (program, log) = (self.program.display(), self.us.log_path());
        tell("Try, in another terminal:");
        let debian = "/usr/share/zookeeper/bin/zkCli.sh";
        let cli = if Path::new(debian).exists() {
            debian
        } else {
            "zkCli.sh"
        };
        for command in [
            format!("{cli} -server {us}"),
            format!("{cli} -server {}", self.eu.address()),
            format!("{program} route {config} / /us/orders /eu/orders"),
            format!("{program} check {config}"),
            format!("tail -f {}", log.display()),
        ] {
            say(CODE, &format!("    {command}"));
        }
    }

    /// Ends all of it in order.
    fn clear(self) {
        for sidecar in [&self.us, &self.eu] {
            sidecar.terminate();
            sidecar.wait(PATIENCE);
        }
    }
}

/// A wire of the wide-area network to each voter.
fn wires(ensemble: &Ensemble) -> Vec<Relay> {
    let wire = |server: &Server| {
        let relay = Relay::to(server.address());
        relay.delay_both(WAN);
        relay
    };
    ensemble.voters().iter().map(wire).collect()
}

/// The sidecar, which cargo builds beside this.
fn program() -> PathBuf {
    let demo = env::current_exe().expect("the demo runs from a file");
    let target = demo.parent().and_then(Path::parent);
    let program = target
        .expect("examples are in a directory of their own")
        .join("zoonet");
    assert!(
        program.exists(),
        "{} is missing: start the demo with integration/demo",
        program.display()
    );
    program
}

/// Lets a stock client show what composition does; whether it was as said.
fn walk(stage: &Stage) -> bool {
    let client = Python::file("walk.py")
        .arg(stage.us.address())
        .arg(stage.eu.address())
        .arg(stage.regions.us.connect_string())
        .arg(stage.regions.eu.connect_string())
        .arg(WAN.as_millis())
        .start();
    let mut lines = 0;
    while let Some(line) = client.line(PATIENCE) {
        lines += 1;
        narrate(&line);
    }
    let ended = client.process().wait(PATIENCE);
    let shown = lines > 0 && ended.is_some_and(|status| status.success());
    if !shown {
        say(BAD, &format!("The client has failed: {}", client.errors()));
    }
    shown
}

/// Lets two clients race with the rule off and on; whether that made the difference.
fn race(stage: &Stage) -> bool {
    heading("Why there is a rule");
    tell(
        "A client in us writes /us/x, then reads /eu/y. At the same time, a client in eu writes\n\
         /eu/y, then reads /us/x. In whatever order that happened, the one whose write came last\n\
         reads the write of the other. If both read the old value, no order explains what they\n\
         saw, although neither ensemble did anything wrong. Each round is one try.",
    );
    let [lax_us, lax_eu] = &stage.lax;
    let off = rounds_unexplained(lax_us, lax_eu, "off (barrier: none)");
    let on = rounds_unexplained(&stage.us, &stage.eu, "on (barrier: sync)");
    if off == 0 {
        say(
            BAD,
            "The anomaly was not seen with the rule off, so nothing is shown.",
        );
    }
    if on > 0 {
        say(BAD, "The anomaly was seen with the rule on: this is a bug.");
    }
    off > 0 && on == 0
}

/// Rounds in which both clients read the old value.
fn rounds_unexplained(us: &Sidecar, eu: &Sidecar, rule: &str) -> u64 {
    let begun = Instant::now();
    let printed = Python::file("clients/anomaly.py")
        .args(["--connect1", &us.address().to_string()])
        .args(["--connect2", &eu.address().to_string()])
        .args(["--local", "/us", "--remote", "/eu"])
        .args(["--rounds", &ROUNDS.to_string()])
        .run(PATIENCE * 2);
    let last = printed.lines().last().unwrap_or_default();
    let outcome: Value = serde_json::from_str(last).expect("the program ends with its verdict");
    let count = |key: &str| outcome.get(key).and_then(Value::as_u64);
    let rounds = count("rounds").expect("the verdict has the rounds");
    let violations = count("violations").expect("the verdict has the violations");
    let took = begun.elapsed().as_secs_f64();
    let style = if violations > 0 { BAD } else { GOOD };
    say(
        style,
        &format!(
            "    rule {rule:20} {rounds} rounds, {violations} that no order explains ({took:.1} s)"
        ),
    );
    let first = |key: &str| outcome.pointer(&format!("/first_violation/{key}"));
    if let (Some(round), Some(c1), Some(c2)) = (first("round"), first("read/0"), first("read/1")) {
        let text =
            format!("    the first was round {round}: both wrote {round}, then read {c1} and {c2}");
        tell(&text);
    }
    violations
}

const HEADING: &str = "1";
const CODE: &str = "36";
const GOOD: &str = "32";
const BAD: &str = "31";

fn heading(text: &str) {
    say(HEADING, &format!("\n== {text}"));
}

/// A line of the walk, in the colour of what it is.
fn narrate(line: &str) {
    match line.get(..3) {
        Some("== ") => say(HEADING, &format!("\n{line}")),
        Some(">>>") => say(CODE, line),
        _ => tell(line),
    }
}

fn tell(text: &str) {
    say("", text);
}

/// Prints a line, in colour on a terminal. Whoever closed our output has seen enough.
fn say(colour: &str, line: &str) {
    let mut out = io::stdout().lock();
    let plain = colour.is_empty() || !out.is_terminal() || env::var_os("NO_COLOR").is_some();
    let written = if plain {
        writeln!(out, "{line}")
    } else {
        writeln!(out, "\x1b[{colour}m{line}\x1b[0m")
    };
    if written.is_err() {
        process::exit(1);
    }
}
