//! What `zoonet check` and `zoonet route` print.

use std::io::{self, Write};

use crate::config::{Config, Ensemble, Server};

/// What the file says, defaults filled in: one `key value` line per fact.
///
/// # Errors
/// Those of `out`.
pub fn summary(config: &Config, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "listen       {}", config.listen)?;
    match config.admin {
        Some(admin) => writeln!(out, "admin        {admin}")?,
        None => writeln!(out, "admin        off")?,
    }
    writeln!(out, "home         {}", config.ensemble(config.home()).name)?;
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
    writeln!(out, "fingerprint  {}", config.fingerprint())
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
    writeln!(out, "  barrier    {}", ensemble.barrier)
}

fn list(servers: &[Server]) -> String {
    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
    servers.join(", ")
}
