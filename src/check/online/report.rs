//! What a check found, for eyes and for programs.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::mounts::{Mount, Node, State};
use super::server::{Listed, Probe, Reach, Session};
use super::{Degree, Finding, Found};
use crate::config::Config;
use crate::wire::Zxid;

/// All that a check found.
#[derive(Debug)]
pub struct Report {
    config: Arc<Config>,
    found: Vec<Found>,
    mounts: Vec<Mount>,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(
        config: &Arc<Config>,
        found: Vec<Found>,
        mounts: Vec<Mount>,
        findings: Vec<Finding>,
    ) -> Self {
        Self {
            config: Arc::clone(config),
            found,
            mounts,
            findings,
        }
    }

    /// What an operator should know, errors first.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The worst there is; `None` if all is well.
    #[must_use]
    pub fn degree(&self) -> Option<Degree> {
        self.findings.iter().map(|finding| finding.degree).min()
    }

    /// Tables, then what is to be known, one line each.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn text(&self, out: &mut impl Write) -> io::Result<()> {
        let mut servers = vec![row(&[
            "ENSEMBLE",
            "SERVER",
            "MODE",
            "VERSION",
            "ZXID",
            "BEHIND",
            "CONNECT",
            "SESSION",
            "ROUND TRIP",
            "LATENCY",
        ])];
        for found in &self.found {
            servers.extend(found.servers.iter().map(|probe| self.server(found, probe)));
        }
        // From the clock on they are numbers.
        table(&servers, 4, out)?;
        if !self.mounts.is_empty() {
            writeln!(out)?;
            let mut mounts = vec![row(&["ROUTE", "MOUNT POINT", "", "PLACEHOLDER", ""])];
            mounts.extend(self.mounts.iter().map(|mount| self.mount(mount)));
            table(&mounts, usize::MAX, out)?;
        }
        writeln!(out)?;
        let width = self
            .findings
            .iter()
            .map(|finding| finding.about.len())
            .max();
        let width = width.unwrap_or(0);
        for Finding {
            degree,
            about,
            words,
        } in &self.findings
        {
            writeln!(out, "{degree:7}  {about:width$}  {words}")?;
        }
        writeln!(out, "{}", self.verdict())
    }

    fn verdict(&self) -> String {
        let count = |degree| {
            let of = self.findings.iter().filter(|f| f.degree == degree);
            of.count()
        };
        let (errors, warnings) = (count(Degree::Error), count(Degree::Warning));
        let servers: usize = self.found.iter().map(|found| found.servers.len()).sum();
        let serving: usize = self.found.iter().map(|found| found.serving().len()).sum();
        let words = match (errors, warnings) {
            (0, 0) => "all is well".to_owned(),
            (0, warnings) => counted(warnings, "warning"),
            (errors, 0) => counted(errors, "error"),
            (errors, warnings) => {
                format!(
                    "{}, {}",
                    counted(errors, "error"),
                    counted(warnings, "warning")
                )
            }
        };
        format!("{serving} of {servers} servers serve; {words}")
    }

    fn server(&self, found: &Found, probe: &Probe) -> Vec<String> {
        let ensemble = &self.config.ensemble(found.id).name;
        let home = if found.id == self.config.home() {
            " (home)"
        } else {
            ""
        };
        let preferred = match probe.listed {
            Listed::First => " (preferred)",
            Listed::Other => "",
        };
        let facts = probe.facts();
        let connect = match &probe.reach {
            Reach::Connected { within, .. } => Some(*within),
            Reach::Failed(_) => None,
        };
        let (session, round_trip) = match &probe.session {
            Session::Opened { within, round_trip } => (Some(*within), Some(*round_trip)),
            Session::NotTried | Session::Failed(_) => (None, None),
        };
        let mode = match (&probe.reach, facts) {
            (Reach::Failed(_), _) => "down",
            (_, Some(facts)) => facts.role.map_or("unknown", |role| role.name()),
            (_, None) if probe.serves() => "not told",
            (_, None) => "not serving",
        };
        vec![
            format!("{ensemble}{home}"),
            format!("{}{preferred}", probe.server),
            mode.to_owned(),
            known(facts.map(|facts| facts.release().to_owned())),
            known(facts.map(|facts| clock(facts.zxid))),
            known(facts.and_then(|facts| behind(found, facts.zxid).map(|n| n.to_string()))),
            known(connect.map(milliseconds)),
            known(session.map(milliseconds)),
            known(round_trip.map(milliseconds)),
            known(facts.map(|facts| facts.latency.clone())),
        ]
    }

    fn mount(&self, mount: &Mount) -> Vec<String> {
        let place = |node: &Node| {
            let name = &self.config.ensemble(node.ensemble).name;
            [format!("{name} {}", node.path), words(&node.state)]
        };
        let [point, state] = place(&mount.point);
        let placeholder = mount.placeholder.as_ref();
        let [holder, holder_state] =
            placeholder.map_or_else(|| ["the same".to_owned(), String::new()], place);
        vec![mount.prefix.clone(), point, state, holder, holder_state]
    }

    /// One object, for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let ensembles = self.found.iter().map(|found| {
            let servers: Vec<Value> = found
                .servers
                .iter()
                .map(|probe| server_json(found, probe))
                .collect();
            json!({
                "name": self.config.ensemble(found.id).name,
                "home": found.id == self.config.home(),
                "serves": !found.serving().is_empty(),
                "servers": servers,
            })
        });
        let node = |node: &Node| {
            json!({
                "ensemble": self.config.ensemble(node.ensemble).name,
                "path": node.path,
                "state": words(&node.state),
            })
        };
        let routes = self.mounts.iter().map(|mount| {
            json!({
                "prefix": mount.prefix,
                "mount_point": node(&mount.point),
                "placeholder": mount.placeholder.as_ref().map(node),
            })
        });
        let findings = self.findings.iter().map(|finding| {
            json!({
                "degree": finding.degree.to_string(),
                "about": finding.about,
                "words": finding.words,
            })
        });
        json!({
            "verdict": self.degree().map_or_else(|| "ok".to_owned(), |degree| degree.to_string()),
            "fingerprint": self.config.fingerprint().to_string(),
            "ensembles": ensembles.collect::<Vec<Value>>(),
            "routes": routes.collect::<Vec<Value>>(),
            "findings": findings.collect::<Vec<Value>>(),
        })
    }
}

fn server_json(found: &Found, probe: &Probe) -> Value {
    let facts = probe.facts();
    let (address, connect) = match &probe.reach {
        Reach::Connected {
            address, within, ..
        } => (address.map(|address| address.to_string()), Some(*within)),
        Reach::Failed(_) => (None, None),
    };
    let (session, round_trip) = match &probe.session {
        Session::Opened { within, round_trip } => (Some(*within), Some(*round_trip)),
        Session::NotTried | Session::Failed(_) => (None, None),
    };
    let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs_f64());
    let addresses = probe.addresses.iter().map(ToString::to_string);
    json!({
        "server": probe.server.to_string(),
        "preferred": probe.listed == Listed::First,
        "serves": probe.serves(),
        "trouble": probe.trouble(),
        "addresses": addresses.collect::<Vec<String>>(),
        "address": address,
        "mode": facts.and_then(|facts| facts.role).map(|role| role.name()),
        "version": facts.map(|facts| facts.version.clone()),
        "epoch": facts.map(|facts| facts.zxid.epoch()),
        "counter": facts.map(|facts| facts.zxid.counter()),
        "behind": facts.and_then(|facts| behind(found, facts.zxid)),
        "nodes": facts.map(|facts| facts.nodes),
        "connect_seconds": seconds(connect),
        "session_seconds": seconds(session),
        "round_trip_seconds": seconds(round_trip),
    })
}

fn words(state: &State) -> String {
    match state {
        State::There => "exists".to_owned(),
        State::Missing | State::OutOfReach { .. } => "missing".to_owned(),
        State::Made { above: 0 } => "created".to_owned(),
        State::Made { above } => format!("created, and {above} above it"),
        State::Failed(_) => "not created".to_owned(),
        State::Unknown => "not known".to_owned(),
    }
}

/// How many transactions of its epoch a server has not seen that another of its ensemble has;
/// `None` where that one is in a later epoch.
fn behind(found: &Found, zxid: Zxid) -> Option<i64> {
    let all = found.servers.iter().filter_map(Probe::facts);
    let newest = all.map(|facts| facts.zxid).max()?;
    (newest.epoch() == zxid.epoch()).then(|| newest.counter() - zxid.counter())
}

fn clock(zxid: Zxid) -> String {
    format!("{}/{}", zxid.epoch(), zxid.counter())
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

fn known(value: Option<String>) -> String {
    value.unwrap_or_else(|| "-".to_owned())
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(ToString::to_string).collect()
}

/// Rows of the same length, columns as wide as they need to be; from column `numbers` on they end
/// below each other.
fn table(rows: &[Vec<String>], numbers: usize, out: &mut impl Write) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate();
        let padded = cells.map(|(column, (cell, width))| {
            if column < numbers {
                format!("{cell:width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        let line = padded.collect::<Vec<String>>().join("  ");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut out = Vec::new();
        let rows = [
            row(&["A", "LONGER", "", "B"]),
            row(&["long one", "x", "", "12"]),
        ];
        table(&rows, 3, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "A         LONGER     B\nlong one  x         12\n"
        );
    }

    #[test]
    fn counts_and_clocks() {
        assert_eq!(counted(1, "error"), "1 error");
        assert_eq!(counted(2, "error"), "2 errors");
        assert_eq!(clock(Zxid((3 << 32) + 7)), "3/7");
        assert_eq!(milliseconds(Duration::from_micros(1260)), "1.3 ms");
    }
}
