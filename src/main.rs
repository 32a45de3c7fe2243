//! The command line: arguments, logging, exit code.

use std::ffi::OsString;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, LazyLock};

use anyhow::{Context, bail};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use zoonet::check::online::{self, Degree, Missing, Progress};
use zoonet::config::Config;
use zoonet::health::{self, Question};
use zoonet::log::Log;
use zoonet::route::BarrierKind;
use zoonet::secrets::{Expiry, Moment, Secrets};
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
    ///
    /// Exit codes: 0, all is well; 1, the file is refused or, with --online, something breaks service
    /// for some path; 2, the command line is wrong; 3, --online found nothing worse than warnings.
    #[command(verbatim_doc_comment)]
    Check {
        /// The configuration, in YAML.
        file: PathBuf,
        #[command(flatten)]
        online: Online,
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

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
struct Online {
    /// Also reach every server of every ensemble, and say how each is: mode, version, last
    /// transaction, round trip, and whether routes lead to nodes that exist.
    #[arg(long)]
    online: bool,
    /// Create the nodes at which routes are mounted, and those that show them to their parents,
    /// where they are missing; anybody may read and write them.
    #[arg(long, requires = "online")]
    create_mount_points: bool,
    /// How to print what was found.
    #[arg(
        long,
        requires = "online",
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    format: Format,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    /// Tables.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// The exit code where there is nothing worse than warnings.
const WARNINGS: u8 = 3;

fn main() -> ExitCode {
    match execute(Arguments::parse().command) {
        Ok(code) => code,
        // Whoever reads our output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> anyhow::Result<ExitCode> {
    let out = &mut io::stdout().lock();
    match command {
        Command::Run { config } => run(Config::load(&config)?, &config)?,
        Command::Check { file, online } if online.online => {
            return check_online(Config::load(&file)?, &online, out);
        }
        Command::Check { file, .. } => {
            check(&Config::load(&file)?, out)?;
            check::permissions(&file, out)?;
        }
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
            writeln!(
                out,
                "{}",
                runtime()?.block_on(health::ask(admin, question))?
            )?;
        }
        Command::Completions { shell } => {
            manual::completions(Arguments::command(), shell, out)?;
        }
        Command::Man { directory } => manual::pages(Arguments::command(), &directory)
            .with_context(|| format!("cannot write man pages to {}", directory.display()))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn check_online(
    config: Config,
    options: &Online,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let missing = if options.create_mount_points {
        Missing::Create
    } else {
        Missing::Report
    };
    let progress = if io::stderr().is_terminal() {
        Progress::on_terminal()
    } else {
        Progress::in_file()
    };
    let secrets = Arc::new(Secrets::load(&config)?);
    let config = Arc::new(config);
    let look = online::run(&config, Arc::clone(&secrets), missing, &progress);
    let report = runtime()?.block_on(look);
    match options.format {
        Format::Text => {
            check::summary(&config, &secrets, Moment::now(), out)?;
            writeln!(out)?;
            report.text(out)?;
        }
        Format::Json => writeln!(out, "{:#}", report.json())?,
    }
    Ok(match report.degree() {
        None => ExitCode::SUCCESS,
        Some(Degree::Error) => ExitCode::FAILURE,
        Some(Degree::Warning) => WARNINGS.into(),
    })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    // Clients are served by threads of their own.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
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
    let log = Log::start(&config.log, config.log_format)?;
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
    if rustix::process::geteuid().is_root() {
        // Whoever breaks in should find no privilege.
        tracing::warn!("running as root, which is never needed: run it as a user of its own");
    }
    for ensemble in &config.ensembles {
        if ensemble.policy.barrier == BarrierKind::None {
            tracing::warn!(ensemble = %ensemble.name, "`barrier: none`: no consistency guarantee");
        }
    }
    let outcome = runtime()?.block_on(async {
        tokio::select! {
            outcome = proxy::run(config, file.to_owned(), |filter| log.set_filter(filter)) => outcome,
            never = log.sum_up() => match never {},
        }
    });
    log.finish();
    Ok(outcome?)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == ErrorKind::BrokenPipe)
}
