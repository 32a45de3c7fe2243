//! One ZooKeeper server: its files, its process and what it says about itself.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::super::launch::{self, Process};
use super::{Kind, Plan, Seat, Sync};

/// How often a server that is coming up is asked; its start is no event we could await.
const ASK_EVERY: Duration = Duration::from_millis(50);
const ANSWER: Duration = Duration::from_secs(2);

/// What a server is to its ensemble at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Leader,
    Follower,
    Observer,
    Standalone,
}

/// One server, which may be down; dropping it kills its process.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    address: SocketAddr,
    secure: Option<SocketAddr>,
    layout: Layout,
    process: Mutex<Option<Process>>,
}

impl Server {
    pub(super) fn launch(name: &str, seat: &Seat, layout: Layout) -> Self {
        let process = layout.spawn(name);
        Self {
            name: name.to_owned(),
            address: seat.client,
            secure: seat.secure,
            layout,
            process: Mutex::new(Some(process)),
        }
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients that speak TLS connect; panics if the plan said nothing of it.
    pub(crate) fn secure_address(&self) -> SocketAddr {
        let name = &self.name;
        self.secure
            .unwrap_or_else(|| panic!("{name} has no port for TLS"))
    }

    /// The process id, while it is up.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.process().as_ref().map(Process::pid)
    }

    /// What it says it is, or `None` while it does not serve.
    pub(crate) fn role(&self) -> Option<Role> {
        let answer = self.ask("srvr").ok()?;
        let mode = answer
            .lines()
            .find_map(|line| line.strip_prefix("Mode: "))?;
        match mode {
            "leader" => Some(Role::Leader),
            "follower" => Some(Role::Follower),
            "observer" => Some(Role::Observer),
            "standalone" => Some(Role::Standalone),
            other => panic!("{} is in mode {other}, unheard of here", self.name),
        }
    }

    /// The answer to a four-letter word.
    pub(crate) fn ask(&self, word: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(word.as_bytes())?;
        stream.shutdown(Shutdown::Write)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Waits until it serves in some role.
    pub(crate) fn await_role(&self, within: Duration) -> Role {
        let deadline = Instant::now() + within;
        loop {
            if let Some(role) = self.role() {
                return role;
            }
            let ended = self.process().as_ref().and_then(Process::try_wait);
            if ended.is_some() || Instant::now() > deadline {
                panic!(
                    "{} does not serve ({ended:?}); its log:\n{}",
                    self.name,
                    self.log()
                );
            }
            thread::sleep(ASK_EVERY);
        }
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&self) {
        drop(self.process().take());
    }

    /// Stops it without a word: its sockets stay open and nobody answers.
    pub(crate) fn stop(&self) {
        self.with_process(Process::stop);
    }

    /// Lets a stopped server go on.
    pub(crate) fn resume(&self) {
        self.with_process(|process| process.signal(Signal::CONT));
    }

    /// Kills it if it is up, and starts it on the same ports and data; does not wait for a role.
    pub(crate) fn restart(&self) {
        let mut process = self.process();
        drop(process.take());
        *process = Some(self.layout.spawn(&self.name));
    }

    /// All it wrote to its log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.layout.log).unwrap_or_else(|error| error.to_string())
    }

    fn with_process(&self, act: impl FnOnce(&Process)) {
        match self.process().as_ref() {
            Some(process) => act(process),
            None => panic!("{} is down", self.name),
        }
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files of one server and how Java is to be called on them.
#[derive(Debug)]
pub(super) struct Layout {
    config: PathBuf,
    log: PathBuf,
    class_path: String,
    sync: Sync,
    heap_megabytes: u32,
    arguments: Vec<String>,
}

impl Layout {
    /// Writes the files of the server on `seat`, to whom the ensemble looks like `view`.
    pub(super) fn write(directory: &Path, plan: &Plan, seat: &Seat, view: &[Seat]) -> Self {
        let home = directory.join(seat.id.to_string());
        let data = home.join("data");
        fs::create_dir_all(&data).expect("the scratch directory is ours");
        fs::write(data.join("myid"), seat.id.to_string()).expect("the scratch directory is ours");
        let config = home.join("zoo.cfg");
        fs::write(&config, configuration(plan, seat, view, &data))
            .expect("the scratch directory is ours");
        Self {
            config,
            log: home.join("log"),
            class_path: plan.jars.class_path(),
            sync: plan.sync,
            heap_megabytes: plan.heap_megabytes,
            arguments: plan.java.clone(),
        }
    }

    fn spawn(&self, name: &str) -> Process {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .expect("the scratch directory is ours");
        let mut java = launch::command("java");
        java.args([
            // A short life: start quickly, compile little, keep off the other servers' cores.
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-Xshare:auto",
            "-XX:-UsePerfData",
        ])
        .arg(format!("-Xmx{}m", self.heap_megabytes))
        .args([
            "-Dzookeeper.extendedTypesEnabled=true",
            "-Dzookeeper.preAllocSize=1024",
            "-Dzookeeper.snapCount=1000000",
            "-Dzookeeper.admin.enableServer=false",
            "-Dzookeeper.jmx.log4j.disable=true",
            "-Dlog4j2.level=INFO",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
        ])
        .arg(match self.sync {
            Sync::Forced => "-Dzookeeper.forceSync=yes",
            Sync::Lazy => "-Dzookeeper.forceSync=no",
        })
        .args(&self.arguments)
        .arg("-cp")
        .arg(&self.class_path)
        .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
        .arg(&self.config)
        .stdin(std::process::Stdio::null())
        .stdout(log.try_clone().expect("a file can be shared"))
        .stderr(log);
        Process::spawn(name, java)
    }
}

fn configuration(plan: &Plan, seat: &Seat, view: &[Seat], data: &Path) -> String {
    let mut text = format!(
        "tickTime={}\n\
         dataDir={}\n\
         initLimit=40\n\
         syncLimit=20\n\
         maxClientCnxns=0\n\
         minSessionTimeout={}\n\
         maxSessionTimeout={}\n\
         4lw.commands.whitelist=*\n\
         admin.enableServer=false\n",
        plan.tick.as_millis(),
        data.display(),
        plan.session_timeouts.0.as_millis(),
        plan.session_timeouts.1.as_millis(),
    );
    if let (Some(address), Some(stores)) = (seat.secure, &plan.tls) {
        writeln!(
            text,
            "secureClientPort={}\nsecureClientPortAddress={}\n\
             serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n\
             ssl.keyStore.location={}\nssl.trustStore.location={}",
            address.port(),
            address.ip(),
            stores.identity.display(),
            stores.authorities.display(),
        )
        .expect("a string takes all");
    }
    for line in &plan.lines {
        writeln!(text, "{line}").expect("a string takes all");
    }
    let written = if let [alone] = view {
        writeln!(
            text,
            "clientPort={}\nclientPortAddress={}",
            alone.client.port(),
            alone.client.ip()
        )
    } else {
        if seat.kind == Kind::Observer {
            text.push_str("peerType=observer\n");
        }
        view.iter().try_for_each(|peer| {
            writeln!(
                text,
                "server.{}={}:{}:{}:{};{}",
                peer.id,
                peer.quorum.ip(),
                peer.quorum.port(),
                peer.election.port(),
                match peer.kind {
                    Kind::Participant => "participant",
                    Kind::Observer => "observer",
                },
                peer.client,
            )
        })
    };
    written.expect("a string takes all");
    text
}
