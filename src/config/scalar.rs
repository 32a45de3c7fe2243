//! One value each: text in, a checked value or a complaint out.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::ServerName;
use tracing_subscriber::filter::LevelFilter;

use super::{Complaint, LogFormat, Place, Server};
use crate::route::BarrierKind;
use crate::session::{OnExpiry, OnUnreachable, Shown};
use crate::wire::words::Word;

const COUNT: &str = "1 to 1000000";
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

pub(super) fn boolean(found: &str) -> Result<bool, Complaint> {
    match found {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Complaint::Bool {
            found: found.to_owned(),
        }),
    }
}

pub(super) fn address(found: &str) -> Result<SocketAddr, Complaint> {
    found.parse().map_err(|_| Complaint::Address {
        found: found.to_owned(),
    })
}

/// The longest name of a Unix socket that leaves room for what it is called while it is made; the
/// system takes 107 bytes.
const SOCKET_NAME: usize = 100;

pub(super) fn place(found: &str) -> Result<Place, Complaint> {
    let Some(path) = found.strip_prefix("unix:") else {
        let address = found.parse().map_err(|_| Complaint::Place {
            found: found.to_owned(),
        });
        return address.map(Place::Tcp);
    };
    if !path.starts_with('/') || path.ends_with('/') || path.len() > SOCKET_NAME {
        return Err(Complaint::Socket {
            found: found.to_owned(),
            longest: SOCKET_NAME,
        });
    }
    Ok(Place::Unix(PathBuf::from(path)))
}

pub(super) fn socket_mode(found: &str) -> Result<u32, Complaint> {
    match found {
        "0600" => Ok(0o600),
        "0660" => Ok(0o660),
        "0666" => Ok(0o666),
        _ => Err(Complaint::Word {
            found: found.to_owned(),
            allowed: ["0600", "0660", "0666"].map(str::to_owned).to_vec(),
        }),
    }
}

pub(super) fn server_name(found: &str) -> Result<ServerName<'static>, Complaint> {
    ServerName::try_from(found.to_owned()).map_err(|_| Complaint::ServerName {
        found: found.to_owned(),
    })
}

pub(super) fn duration(found: &str) -> Result<Duration, Complaint> {
    let (number, unit) = number_and_unit(found);
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "" if !number.is_empty() => {
            return Err(Complaint::NoUnit {
                found: found.to_owned(),
            });
        }
        _ => {
            return Err(Complaint::Duration {
                found: found.to_owned(),
            });
        }
    };
    if number.is_empty() {
        return Err(Complaint::Duration {
            found: found.to_owned(),
        });
    }
    // Digits only, so what does not fit is too large.
    let millis = number.parse().unwrap_or(u64::MAX).saturating_mul(unit);
    if (1..=600_000).contains(&millis) {
        return Ok(Duration::from_millis(millis));
    }
    Err(Complaint::DurationRange {
        found: found.to_owned(),
    })
}

pub(super) fn frame_limit(found: &str) -> Result<usize, Complaint> {
    match size(found)? {
        size if (KIB..=GIB).contains(&size) => Ok(size),
        _ => Err(out_of_range(found, "1KiB to 1GiB")),
    }
}

pub(super) fn reply_limit(found: &str) -> Result<usize, Complaint> {
    match size(found)? {
        size if (64 * KIB..=GIB).contains(&size) => Ok(size),
        _ => Err(out_of_range(found, "64KiB to 1GiB")),
    }
}

pub(super) fn look_ahead(found: &str) -> Result<usize, Complaint> {
    match size(found)? {
        size if (4 * KIB..=GIB).contains(&size) => Ok(size),
        _ => Err(out_of_range(found, "4KiB to 1GiB")),
    }
}

pub(super) fn count(found: &str) -> Result<usize, Complaint> {
    let (number, rest) = number_and_unit(found);
    if number.is_empty() || !rest.is_empty() {
        return Err(Complaint::Number {
            found: found.to_owned(),
            range: COUNT,
        });
    }
    match number.parse() {
        Ok(number) if (1..=1_000_000).contains(&number) => Ok(number),
        _ => Err(out_of_range(found, COUNT)),
    }
}

pub(super) fn absolute(found: &str) -> Result<PathBuf, Complaint> {
    let path = PathBuf::from(found);
    if path.is_absolute() {
        return Ok(path);
    }
    Err(Complaint::NotAbsolute {
        found: found.to_owned(),
    })
}

pub(super) fn barrier(found: &str) -> Result<BarrierKind, Complaint> {
    let kind = BarrierKind::ALL.into_iter().find(|k| k.name() == found);
    kind.ok_or_else(|| Complaint::Word {
        found: found.to_owned(),
        allowed: BarrierKind::ALL.map(|k| k.name().to_owned()).to_vec(),
    })
}

pub(super) fn on_unreachable(found: &str) -> Result<OnUnreachable, Complaint> {
    match found {
        "fail" => Ok(OnUnreachable::Fail),
        "disconnect" => Ok(OnUnreachable::Disconnect),
        _ => Err(word(found, ["fail", "disconnect"])),
    }
}

pub(super) fn on_expiry(found: &str) -> Result<OnExpiry, Complaint> {
    match found {
        "expire" => Ok(OnExpiry::Expire),
        "keep" => Ok(OnExpiry::Keep),
        _ => Err(word(found, ["expire", "keep"])),
    }
}

pub(super) fn elide_barriers(found: &str) -> Result<Option<Shown>, Complaint> {
    match found {
        "false" => Ok(None),
        "true" => Ok(Some(Shown::Stat)),
        "header" => Ok(Some(Shown::Header)),
        _ => Err(word(found, ["true", "false", "header"])),
    }
}

fn word<const N: usize>(found: &str, allowed: [&str; N]) -> Complaint {
    Complaint::Word {
        found: found.to_owned(),
        allowed: allowed.map(str::to_owned).to_vec(),
    }
}

/// One item of `words`: a word, or `*` for all that may be allowed.
pub(super) fn words(found: &str) -> Result<BTreeSet<Word>, Complaint> {
    let mut allowed = Word::all().filter(|word| !word.changes_its_server());
    if found == "*" {
        return Ok(allowed.collect());
    }
    match allowed.find(|word| word.to_string() == found) {
        Some(word) => Ok(BTreeSet::from([word])),
        None => Err(Complaint::FourLetters {
            found: found.to_owned(),
        }),
    }
}

/// Those that monitoring and clients live on, that cost little, and that name no client.
pub(super) fn default_words() -> BTreeSet<Word> {
    let words = [*b"envi", *b"isro", *b"mntr", *b"ruok", *b"srvr"];
    words.into_iter().filter_map(Word::parse).collect()
}

pub(super) fn log_format(found: &str) -> Result<LogFormat, Complaint> {
    match found {
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        _ => Err(word(found, ["human", "json"])),
    }
}

pub(super) fn log(found: &str) -> Result<String, Complaint> {
    let wrong = |why| Complaint::Filter {
        found: found.to_owned(),
        why,
    };
    // With space in front of a directive tracing-subscriber takes its parts from the wrong places, and
    // panics where that is inside a character.
    let parts: Vec<&str> = found.split(',').map(str::trim).collect();
    let filter = parts.join(",");
    crate::log::filter(&filter).map_err(|why| wrong(why.to_string()))?;
    // The filter would take it for the name of a module, and nothing at all would be logged.
    let mut levels = parts.iter().filter(|part| !part.contains(['=', '[']));
    match levels.find(|part| part.parse::<LevelFilter>().is_err()) {
        Some(part) => Err(wrong(format!("`{part}` is no level"))),
        None => Ok(filter),
    }
}

pub(super) fn name(found: &str) -> Result<String, Complaint> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=64).contains(&found.len()) && found.bytes().all(allowed) {
        return Ok(found.to_owned());
    }
    Err(Complaint::Name {
        found: found.to_owned(),
    })
}

pub(super) fn server(written: &str) -> Result<Server, Complaint> {
    let found = || written.to_owned();
    if written.contains([',', ' ']) {
        return Err(Complaint::SeveralServers { found: found() });
    }
    if written.contains('/') {
        return Err(Complaint::ServerPath { found: found() });
    }
    let (host, port) = match written.rsplit_once(':') {
        Some((_, port)) if port.ends_with(']') => {
            return Err(Complaint::NoPort { found: found() });
        }
        Some(parts) => parts,
        None => return Err(Complaint::NoPort { found: found() }),
    };
    let host = check_host(host).ok_or_else(|| Complaint::Host {
        found: found(),
        host: host.to_owned(),
    })?;
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(number) if digits && number != 0 => Ok(Server { host, port: number }),
        _ => Err(Complaint::Port {
            found: found(),
            port: port.to_owned(),
        }),
    }
}

/// A name without a port, in lower case; `localhost` and addresses need not be said.
pub(super) fn host_name(written: &str) -> Result<String, Complaint> {
    match check_host(written) {
        Some(name) if !written.contains(':') => Ok(name),
        Some(_) | None => Err(Complaint::HostName {
            found: written.to_owned(),
        }),
    }
}

/// Lower case, so that one server has one spelling.
fn check_host(host: &str) -> Option<String> {
    if let Some(inner) = host.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(address.to_string());
    }
    let mut labels = host.split('.');
    let last = labels.clone().next_back().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) && !last.is_empty() {
        // No name ends in a number, so this is meant as an address.
        let address: Ipv4Addr = host.parse().ok()?;
        return Some(IpAddr::V4(address).to_string());
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let sound = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(allowed);
    (host.len() <= 253 && labels.all(sound)).then(|| host.to_ascii_lowercase())
}

fn size(found: &str) -> Result<usize, Complaint> {
    let (number, unit) = number_and_unit(found);
    let unit = match unit {
        "" => Some(1),
        "KiB" => Some(KIB),
        "MiB" => Some(MIB),
        "GiB" => Some(GIB),
        _ => None,
    };
    match unit {
        Some(unit) if !number.is_empty() => {
            let number: usize = number.parse().unwrap_or(usize::MAX);
            Ok(number.saturating_mul(unit))
        }
        _ => Err(Complaint::Size {
            found: found.to_owned(),
        }),
    }
}

fn out_of_range(found: &str, range: &'static str) -> Complaint {
    Complaint::Range {
        found: found.to_owned(),
        range,
    }
}

fn number_and_unit(found: &str) -> (&str, &str) {
    let end = found.find(|c: char| !c.is_ascii_digit());
    found.split_at(end.unwrap_or(found.len()))
}
