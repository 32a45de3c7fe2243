//! What `zoonet check` and `zoonet route` print.

pub mod online;

use std::io::{self, Write};
use std::path::Path;

use crate::config::{self, Config, Ensemble, Place, Server};
use crate::secrets::{Certificate, Expiry, Moment, Secrets};
use crate::session::Shown;

/// What the file says, defaults filled in, and what is in the files that it names as far as it may
/// be shown: one `key value` line per fact.
///
/// # Errors
/// Those of `out`.
pub fn summary(
    config: &Config,
    secrets: &Secrets,
    now: Moment,
    out: &mut impl Write,
) -> io::Result<()> {
    for place in &config.listen {
        match place {
            Place::Tcp(address) => writeln!(out, "listen       {address}")?,
            Place::Unix(_) => {
                writeln!(out, "listen       {place}  {:04o}", config.socket_mode)?;
            }
        }
    }
    if let Some(tls) = &config.client_tls {
        let clients = match &tls.client_ca {
            Some(ca) => format!("clients of {}", ca.display()),
            None => "any client".to_owned(),
        };
        let certificate = tls.identity.certificate.display();
        writeln!(out, "client_tls   {certificate}, for {clients}")?;
    }
    match config.admin {
        Some(admin) => writeln!(out, "admin        {admin}")?,
        None => writeln!(out, "admin        off")?,
    }
    if !config.admin_names.is_empty() {
        writeln!(out, "  names      {}", config.admin_names.join(", "))?;
    }
    let each = config.limits.worst_case(config.ensembles.len()) >> 20;
    let connections = config.limits.connections;
    writeln!(
        out,
        "connections  {connections}, of at most {each}MiB of memory each"
    )?;
    writeln!(out, "home         {}", config.ensemble(config.home()).name)?;
    let words: Vec<String> = config.words.iter().map(ToString::to_string).collect();
    writeln!(out, "words        {}", words.join(", "))?;
    for ensemble in &config.ensembles {
        describe(ensemble, out)?;
    }
    let rules = config.routes.rules();
    let width = rules.iter().map(|rule| rule.prefix().len()).max();
    let width = width.unwrap_or(0);
    for rule in rules {
        let prefix = rule.prefix().escape_ascii().to_string();
        let name = &config.ensemble(rule.ensemble()).name;
        write!(out, "route        {prefix:width$}  {name}")?;
        match rule.root() {
            Some(root) => writeln!(out, "  as {}", root.escape_ascii())?,
            None => writeln!(out)?,
        }
    }
    for each in secrets.certificates() {
        certificate(each, now, out)?;
    }
    writeln!(out, "fingerprint  {}", config.fingerprint())
}

/// What is wrong with who may write the file, if something is.
///
/// # Errors
/// Those of `out`.
pub fn permissions(file: &Path, out: &mut impl Write) -> io::Result<()> {
    match config::open_to_all(file) {
        Some(mode) => writeln!(
            out,
            "file         {}: EVERYBODY CAN WRITE IT (mode {mode:04o})",
            file.display()
        ),
        None => Ok(()),
    }
}

/// Where paths go: per path one line of path, ensemble, name there, and the prefix of the rule
/// that won, with tabs between.
///
/// # Errors
/// Those of `out`.
pub fn routes<'p>(
    config: &Config,
    paths: impl IntoIterator<Item = &'p [u8]>,
    out: &mut impl Write,
) -> io::Result<()> {
    for path in paths {
        let rule = config.routes.route(path);
        let name = config.ensemble(rule.ensemble()).name.as_bytes();
        let real = rule.to_real(path);
        let line = [path, name, &real, rule.prefix()].join(&b'\t');
        out.write_all(&line)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn describe(ensemble: &Ensemble, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "ensemble     {}", ensemble.name)?;
    writeln!(out, "  servers    {}", list(&ensemble.servers))?;
    if !ensemble.prefer.is_empty() {
        writeln!(out, "  prefer     {}", list(&ensemble.prefer))?;
    }
    let elided = match ensemble.policy.elide_barriers {
        None => "",
        Some(Shown::Stat) => ", elided",
        Some(Shown::Header) => ", elided by header",
    };
    writeln!(out, "  barrier    {}{elided}", ensemble.policy.barrier)?;
    if ensemble.policy.warm {
        writeln!(out, "  warm       from the start of each session")?;
    }
    if let Some(tls) = &ensemble.tls {
        write!(out, "  tls        servers of {}", tls.ca.display())?;
        if let Some(name) = &tls.server_name {
            write!(out, ", named {}", name.to_str())?;
        }
        match &tls.identity {
            Some(pair) => writeln!(out, ", as {}", pair.certificate.display())?,
            None => writeln!(out)?,
        }
    }
    match &ensemble.credentials {
        Some(file) => writeln!(out, "  auth       {}", file.display()),
        None => Ok(()),
    }
}

/// Until when it is good.
fn certificate(certificate: &Certificate, now: Moment, out: &mut impl Write) -> io::Result<()> {
    write!(out, "certificate  {}  ", certificate.file.display())?;
    match certificate.expiry(now) {
        Expiry::Unknown => writeln!(out, "end not known"),
        Expiry::Past(end) => writeln!(out, "EXPIRED on {end}"),
        Expiry::Soon(end, days) => writeln!(out, "good until {end}: {days} days, RENEW IT"),
        Expiry::Far(end, days) => writeln!(out, "good until {end}: {days} days"),
    }
}

fn list(servers: &[Server]) -> String {
    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
    servers.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "admin_names: [Zoonet.us]\nhome: us\nensembles:\n  us: { servers: [a:1, b:2], barrier: quorum }\n  \
                       eu: { servers: ['[::1]:3'], prefer: [c:4], elide_barriers: true, warm: true }\nroutes:\n  /: us\n  \
                       /legacy: { ensemble: eu, root: /old }\n";

    #[test]
    fn a_summary_says_it_all() {
        let config = Config::parse("two", TWO).unwrap();
        let mut out = Vec::new();
        summary(&config, &Secrets::default(), Moment::now(), &mut out).unwrap();
        let fingerprint = config.fingerprint();
        let expected = format!(
            "listen       127.0.0.1:2181\nadmin        off\n  names      zoonet.us\n\
             connections  4096, of at most 411MiB of memory each\nhome         us\n\
             words        envi, isro, mntr, ruok, srvr\n\
             ensemble     eu\n  servers    [::1]:3\n  prefer     c:4\n  barrier    sync, elided\n\
             \x20 warm       from the start of each session\n\
             ensemble     us\n  servers    a:1, b:2\n  barrier    quorum\n\
             route        /        us\nroute        /legacy  eu  as /old\n\
             fingerprint  {fingerprint}\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_route_is_one_line() {
        let config = Config::parse("two", TWO).unwrap();
        let mut out = Vec::new();
        let paths: [&[u8]; 3] = [b"/legacy/x", b"/legacyx", b"/zookeeper"];
        routes(&config, paths, &mut out).unwrap();
        let expected = "/legacy/x\teu\t/old/x\t/legacy\n/legacyx\tus\t/legacyx\t/\n\
                        /zookeeper\tus\t/zookeeper\t/zookeeper\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
