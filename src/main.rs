//! The command line: arguments, logging, exit code.

use std::ffi::OsString;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use zoonet::config::{Config, LogFormat};
use zoonet::route::BarrierKind;
use zoonet::secrets::{Expiry, Moment, Secrets};
use zoonet::{check, proxy};

/// Makes several stock ZooKeeper ensembles behave as one, for unmodified clients.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the sidecar until SIGTERM or Ctrl-C.
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
        Command::Check { file } => return check(&Config::load(&file)?, out),
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
    }
    Ok(())
}

fn check(config: &Config, out: &mut impl Write) -> anyhow::Result<()> {
    let (secrets, now) = (Secrets::load(config)?, Moment::now());
    check::summary(config, &secrets, now, out)?;
    for certificate in secrets.certificates() {
        if let Expiry::Past(end) = certificate.expiry(now) {
            let (key, file) = (&certificate.key, certificate.file.display());
            bail!("{key}: {file}: this certificate has expired on {end}");
        }
    }
    Ok(())
}

fn run(config: Config, file: &Path) -> anyhow::Result<()> {
    start_logging(&config)?;
    tracing::info!(
        version = %env!("CARGO_PKG_VERSION"),
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
    if config.admin.is_some() {
        tracing::warn!("`admin` is not used by this version: nothing is served there");
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
