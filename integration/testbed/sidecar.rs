//! The sidecar under test, as the process an operator would run.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;

use super::launch::{self, Lines, Process};
use super::ports;
use super::scratch::Scratch;
use super::zookeeper::Ensemble;

/// How long it may take to say that it listens.
const START: Duration = Duration::from_secs(20);

/// A configuration in the making; keys not set are left to the sidecar's defaults.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    home: String,
    ensembles: Vec<Upstream>,
    routes: Vec<String>,
    settings: Vec<String>,
    log: String,
    listen: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    places: Vec<String>,
    variables: Vec<(String, OsString)>,
}

#[derive(Clone, Debug)]
struct Upstream {
    name: String,
    keys: Vec<String>,
}

impl Setup {
    /// All of the namespace on one ensemble.
    pub(crate) fn home(home: &Ensemble) -> Self {
        Self::new(home.name())
            .ensemble(home)
            .route("/", home.name())
    }

    /// Nothing but the name of the home ensemble.
    pub(crate) fn new(home: impl Into<String>) -> Self {
        Self {
            home: home.into(),
            ensembles: Vec::new(),
            routes: Vec::new(),
            settings: Vec::new(),
            log: "zoonet=debug,info".to_owned(),
            listen: None,
            admin: None,
            places: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// Adds an ensemble by the addresses of its voters.
    pub(crate) fn ensemble(self, ensemble: &Ensemble) -> Self {
        let servers: Vec<SocketAddr> = ensemble
            .voters()
            .iter()
            .map(super::zookeeper::Server::address)
            .collect();
        self.servers(ensemble.name(), &servers)
    }

    /// Adds an ensemble by any addresses, those of relays for instance.
    pub(crate) fn servers(mut self, name: &str, servers: &[SocketAddr]) -> Self {
        self.ensembles.push(Upstream {
            name: name.to_owned(),
            keys: vec![format!("servers: {}", list(servers))],
        });
        self
    }

    /// Sets the servers to be tried first for an ensemble added before.
    pub(crate) fn prefer(self, name: &str, servers: &[SocketAddr]) -> Self {
        self.ensemble_key(name, &format!("prefer: {}", list(servers)))
    }

    /// Sets the barrier of an ensemble added before: `sync`, `quorum` or `none`; or `elided`, a
    /// `sync` that is left out where it may be.
    pub(crate) fn barrier(self, name: &str, barrier: &str) -> Self {
        if barrier == "elided" {
            return self
                .ensemble_key(name, "barrier: sync")
                .ensemble_key(name, "elide_barriers: true");
        }
        self.ensemble_key(name, &format!("barrier: {barrier}"))
    }

    /// Sets any key of an ensemble added before, as a line of YAML.
    pub(crate) fn ensemble_key(mut self, name: &str, line: &str) -> Self {
        self.ensembles
            .iter_mut()
            .find(|upstream| upstream.name == name)
            .unwrap_or_else(|| panic!("no ensemble {name} was added"))
            .keys
            .push(line.to_owned());
        self
    }

    /// Routes a prefix to an ensemble.
    pub(crate) fn route(mut self, prefix: &str, ensemble: &str) -> Self {
        self.routes.push(format!("{prefix}: {ensemble}"));
        self
    }

    /// Routes a prefix to a subtree of an ensemble.
    pub(crate) fn mount(mut self, prefix: &str, ensemble: &str, root: &str) -> Self {
        self.routes.push(format!(
            "{prefix}: {{ ensemble: {ensemble}, root: {root} }}"
        ));
        self
    }

    /// Sets any key of the top level, as a line of YAML.
    pub(crate) fn key(mut self, line: &str) -> Self {
        self.settings.push(line.to_owned());
        self
    }

    /// Sets the log filter, `zoonet=debug,info` unless called: a bench wants less.
    pub(crate) fn log(mut self, filter: &str) -> Self {
        filter.clone_into(&mut self.log);
        self
    }

    /// Sets where clients connect; a port of the bed's own unless called.
    pub(crate) fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = Some(address);
        self
    }

    /// Has it answer operators, on a port of the bed's own.
    pub(crate) fn admin(mut self) -> Self {
        self.admin = Some(ports::reserve());
        self
    }

    /// Adds a place where clients connect besides.
    pub(crate) fn listen_too(mut self, place: &str) -> Self {
        self.places.push(place.to_owned());
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Starts the program on it and waits until it listens.
    pub(crate) fn start(&self, program: impl AsRef<Path>) -> Sidecar {
        let scratch = Scratch::new("sidecar");
        // A port of its own rather than any, so that a restarted sidecar is found again.
        let address = self.listen.unwrap_or_else(ports::reserve);
        let state = scratch.path().join("state");
        fs::create_dir(&state).expect("the scratch directory is ours");
        let config = scratch.write("zoonet.yaml", &self.yaml(address, &state));
        let sidecar = Sidecar {
            address,
            admin: self.admin,
            program: program.as_ref().to_owned(),
            config,
            variables: self.variables.clone(),
            running: Mutex::new(None),
            scratch,
        };
        sidecar.launch();
        sidecar
    }

    /// The file as the sidecar will read it.
    pub(crate) fn yaml(&self, listen: SocketAddr, state: &Path) -> String {
        let mut places = vec![format!("\"{listen}\"")];
        places.extend(self.places.iter().map(|place| format!("\"{place}\"")));
        let mut text = format!(
            "listen: [{}]\nhome: {}\nstate: {}\nlog: {}\n",
            places.join(", "),
            self.home,
            state.display(),
            self.log,
        );
        let mut line = |line: &str| writeln!(text, "{line}").expect("a string takes all");
        if let Some(admin) = self.admin {
            line(&format!("admin: {admin}"));
        }
        for setting in &self.settings {
            line(setting);
        }
        line("ensembles:");
        for upstream in &self.ensembles {
            line(&format!("  {}:", upstream.name));
            for key in &upstream.keys {
                line(&format!("    {key}"));
            }
        }
        line("routes:");
        for route in &self.routes {
            line(&format!("  {route}"));
        }
        text
    }
}

/// A sidecar, which may be down; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Sidecar {
    address: SocketAddr,
    admin: Option<SocketAddr>,
    program: PathBuf,
    config: PathBuf,
    variables: Vec<(String, OsString)>,
    running: Mutex<Option<Process>>,
    scratch: Scratch,
}

impl Sidecar {
    /// Where clients connect, before and after a restart.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it answers operators; panics unless [`Setup::admin`] was called.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin.expect("the setup asks for it")
    }

    /// Its configuration file, for tests that change it under way.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// All it logged so far, over restarts too.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_else(|error| error.to_string())
    }

    /// Ends it as a crash would: `kill -9`.
    pub(crate) fn kill(&self) {
        drop(self.running().take());
    }

    /// Asks it to end, as an init system does.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        match self.running().as_ref() {
            Some(process) => process.signal(signal),
            None => panic!("the sidecar is down"),
        }
    }

    /// How it ended, or `None` if it still runs after `within`.
    pub(crate) fn wait(&self, within: Duration) -> Option<ExitStatus> {
        self.running()
            .as_ref()
            .and_then(|process| process.wait(within))
    }

    /// The process id, while it is up.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.running().as_ref().map(Process::pid)
    }

    /// Kills it if it is up, starts it on the same port and state, and waits until it listens.
    pub(crate) fn restart(&self) {
        self.kill();
        self.launch();
    }

    fn launch(&self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("the scratch directory is ours");
        let mut copy = log.try_clone().expect("a file can be shared");
        let mut zoonet = launch::command(&self.program);
        zoonet
            .arg("run")
            .arg("--config")
            .arg(&self.config)
            .env("RUST_BACKTRACE", "1")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let process = Process::spawn("zoonet", zoonet);
        let output = process.take_stdout().expect("it was asked for");
        let lines = Lines::of(output, move |line| {
            // A full disk is not the sidecar's fault.
            let _ = writeln!(copy, "{line}");
        });
        let Some(address) = lines.after("listening on ", START) else {
            panic!(
                "the sidecar does not listen ({:?}); its log:\n{}",
                process.try_wait(),
                self.log()
            );
        };
        assert_eq!(
            address,
            self.address.to_string(),
            "it listens where told to"
        );
        if let Some(admin) = self.admin {
            let told = lines.after("admin on ", START);
            assert_eq!(told, Some(admin.to_string()), "it answers where told to");
        }
        *self.running() = Some(process);
    }

    /// Where its leg table is.
    pub(crate) fn state(&self) -> PathBuf {
        self.scratch.path().join("state")
    }

    /// Replaces its configuration file at once by this one; it takes it over when it looks.
    pub(crate) fn rewrite(&self, setup: &Setup) {
        let text = setup.yaml(self.address, &self.state());
        let new = self.scratch.write("zoonet.yaml.new", &text);
        fs::rename(new, &self.config).expect("the scratch directory is ours");
    }

    /// Where it logs to.
    pub(crate) fn log_path(&self) -> PathBuf {
        self.scratch.path().join("log")
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn list(servers: &[SocketAddr]) -> String {
    let quoted: Vec<String> = servers
        .iter()
        .map(|server| format!("\"{server}\""))
        .collect();
    format!("[{}]", quoted.join(", "))
}
