//! The command line: arguments, logging, exit code.

use std::ffi::OsString;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;

use anyhow::{Context, bail};
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use tracing_subscriber::EnvFilter;
use zoonet::config::{Config, LogFormat};
use zoonet::health::{self, Question};
use zoonet::route::BarrierKind;
use zoonet::{check, manual, proxy};

#[cfg(panic = "abort")]
compile_error!("a panic is to end one client's connection: build with `panic = \"unwind\"`");

/// The version; with the commit where the build was told of it by `ZOONET_COMMIT`.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let version = env!("CARGO_PKG_VERSION");
    match option_env!("ZOONET_COMMIT") {
        Some(commit) if !commit.is_empty() => format!("{version} ({commit})"),
        _ => version.to_owned(),
    }
});

/// Makes several stock ZooKeeper ensembles behave as one, for unmodified clients.
#[derive(Parser)]
#[command(version = VERSION.as_str(), arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the sidecar until SIGTERM or Ctrl-C.
    ///
    /// SIGHUP, or a change of the file, has the configuration read again; a file with a mistake
    /// changes nothing.
    Run {
        /// The configuration, in YAML; config/reference.yaml explains every key.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration: print what it says, or all that is wrong with it.
    Check {
        /// The configuration, in YAML.
        file: PathBuf,
    },
    /// Print where paths go: path, ensemble, name there, winning prefix; tabs between.
    Route {
        /// The configuration, in YAML.
        file: PathBuf,
        /// Paths as clients see them.
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<OsString>,
    },
    /// Ask a running sidecar whether it can serve clients; for health checks.
    ///
    /// The exit code is 0 if it can and 1 if not, or if nobody answers within two seconds. The
    /// configuration is not read: a running sidecar goes on whatever a changed file says.
    Health {
        /// The sidecar's `admin`: IP:PORT.
        #[arg(default_value = "127.0.0.1:9181")]
        admin: SocketAddr,
        /// Ask only whether the process answers: not reaching its ensemble is no reason to restart
        /// it.
        #[arg(long)]
        live: bool,
    },
    /// Print the completions of a shell.
    Completions {
        /// Which shell's.
        shell: Shell,
    },
    /// Write the man pages into a directory.
    Man {
        /// Such as /usr/local/share/man/man1; made if it is not there.
        directory: PathBuf,
    },
}

fn main() -> ExitCode {
    match execute(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> anyhow::Result<()> {
    let out = &mut io::stdout().lock();
    match command {
        Command::Run { config } => return run(Config::load(&config)?, &config),
        Command::Check { file } => check::summary(&Config::load(&file)?, out)?,
        Command::Route { file, paths } => {
            if let Some(path) = paths
                .iter()
                .find(|p| !p.as_encoded_bytes().starts_with(b"/"))
            {
                bail!("`{}` is no path: paths begin with `/`", path.display());
            }
            let paths = paths.iter().map(|path| path.as_encoded_bytes());
            check::routes(&Config::load(&file)?, paths, out)?;
        }
        Command::Health { admin, live } => {
            let question = if live {
                Question::Alive
            } else {
                Question::Ready
            };
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("cannot start the runtime")?;
            writeln!(out, "{}", runtime.block_on(health::ask(admin, question))?)?;
        }
        Command::Completions { shell } => {
            manual::completions(Arguments::command(), shell, out)?;
        }
        Command::Man { directory } => manual::pages(Arguments::command(), &directory)
            .with_context(|| format!("cannot write man pages to {}", directory.display()))?,
    }
    Ok(())
}

fn run(config: Config, file: &Path) -> anyhow::Result<()> {
    start_logging(&config)?;
    tracing::info!(
        version = %*VERSION,
        config = %file.display(),
        home = %config.ensemble(config.home()).name,
        fingerprint = %config.fingerprint(),
        "starting"
    );
    if config.state.is_none() && config.ensembles.len() > 1 {
        tracing::warn!(
            "no `state`: sessions on remote ensembles do not survive a restart of the sidecar"
        );
    }
    for ensemble in &config.ensembles {
        if ensemble.policy.barrier == BarrierKind::None {
            tracing::warn!(ensemble = %ensemble.name, "`barrier: none`: no consistency guarantee");
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(proxy::run(config, file.to_owned()))?;
    Ok(())
}

fn start_logging(config: &Config) -> anyhow::Result<()> {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&config.log)?)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    match config.log_format {
        LogFormat::Human => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == ErrorKind::BrokenPipe)
}
