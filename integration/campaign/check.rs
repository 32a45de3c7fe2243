//! Whether the world is in order again, and has been.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::fault::Allowed;
use super::world::{World, top};

/// How long it may take: a session's timeout, its rounding up, and what a busy machine takes to find
/// servers again.
const BOUND: Duration = Duration::from_secs(20);

/// How long a request of a client that uses home only may take while only others are disturbed.
const SLOW: f64 = 3.0;

/// Waits until all is in order; what was noteworthy, or what is wrong.
pub(super) fn order(
    world: &World,
    number: usize,
    before: &[Value],
    allowed: &Allowed,
) -> Result<String, String> {
    let deadline = Instant::now() + BOUND;
    // What failed during the fault is in the first of these.
    let mut reports = world.reports();
    let marks: Vec<u64> = reports.iter().map(writes).collect();
    let mut failed = vec![0; world.clients.len()];
    let mut slowest = vec![0_f64; world.clients.len()];
    loop {
        for (at, report) in reports.iter().enumerate() {
            failed[at] += report["failed"].as_u64().unwrap_or(0);
            slowest[at] = slowest[at].max(report["slowest"].as_f64().unwrap_or(0.0));
            if let Some(wrong) = report["wrong"].as_array().filter(|wrong| !wrong.is_empty()) {
                return Err(format!("{} says {wrong:?}", world.clients[at].name()));
            }
        }
        unharmed(world, &reports, allowed)?;
        kept(world, before, &reports, allowed)?;
        let open = pending(world, number, &reports, &marks);
        if open.is_empty() {
            lost(world, before, &reports, allowed)?;
            acknowledged(world, &reports)?;
            let lost = allowed.must_lose.len();
            let quiet = world
                .clients
                .iter()
                .enumerate()
                .filter(|(_, client)| !client.spans);
            let calm = quiet.map(|(at, _)| slowest[at]).fold(0.0, f64::max);
            return Ok(format!(
                "{} requests failed, {lost} sessions lost as they should, at home {calm:.2} s at most",
                failed.iter().sum::<u64>()
            ));
        }
        if Instant::now() > deadline {
            return Err(format!(
                "not in order within {BOUND:?}: {}",
                open.join("; ")
            ));
        }
        thread::sleep(Duration::from_millis(100));
        reports = world.reports();
    }
}

fn writes(report: &Value) -> u64 {
    report["writes"].as_u64().unwrap_or(0)
}

/// Whoever is not concerned has seen nothing.
fn unharmed(world: &World, reports: &[Value], allowed: &Allowed) -> Result<(), String> {
    for (at, (client, report)) in world.clients.iter().zip(reports).enumerate() {
        let excused = allowed.struck == Some(at) || allowed.disturbed.contains(&client.region);
        if client.spans || excused {
            continue;
        }
        let slow = report["slowest"].as_f64().unwrap_or(0.0);
        if report["failed"] != 0 || slow > SLOW {
            return Err(format!(
                "{}, which uses its home only: a request took {slow} s, errors {}",
                client.name(),
                report["errors"]
            ));
        }
    }
    Ok(())
}

/// Sessions were lost only where they may be.
fn kept(
    world: &World,
    before: &[Value],
    reports: &[Value],
    allowed: &Allowed,
) -> Result<(), String> {
    for (at, (report, before)) in reports.iter().zip(before).enumerate() {
        let may = [&allowed.must_lose, &allowed.may_lose, &allowed.replaced];
        if report["lost"] != before["lost"] && !may.iter().any(|may| may.contains(&at)) {
            let name = world.clients[at].name();
            return Err(format!("{name} lost its session {}", before["session"]));
        }
    }
    Ok(())
}

/// Sessions were lost where they have to be.
fn lost(
    world: &World,
    before: &[Value],
    reports: &[Value],
    allowed: &Allowed,
) -> Result<(), String> {
    for at in &allowed.must_lose {
        if reports[*at]["lost"] == before[*at]["lost"] {
            let name = world.clients[*at].name();
            return Err(format!(
                "{name} kept its session and its ephemerals are gone"
            ));
        }
    }
    Ok(())
}

/// What is not in order yet.
fn pending(world: &World, number: usize, reports: &[Value], marks: &[u64]) -> Vec<String> {
    let mut open = Vec::new();
    for (at, (client, report)) in world.clients.iter().zip(reports).enumerate() {
        let name = client.name();
        if report["ready"] != true || report["connected"] != true {
            open.push(format!("{name} is not connected with its ephemerals"));
        }
        if writes(report) < marks[at] + 4 {
            open.push(format!("{name} does not write"));
        }
        for region in (0..2).filter(|region| client.uses(*region)) {
            let seen = &report["view"][format!("{}/watched", top(region))];
            if *seen != number {
                open.push(format!(
                    "{name} watches {} and has seen {seen}",
                    top(region)
                ));
            }
        }
    }
    if !open.is_empty() {
        return open;
    }
    for region in 0..2 {
        let found = world.ask(region, &format!("children {}/own", top(region)));
        let found: BTreeSet<String> = found.split_whitespace().map(str::to_owned).collect();
        let clients = world.clients.iter().filter(|client| client.uses(region));
        let expected: BTreeSet<String> = clients.map(super::world::Client::name).collect();
        if found != expected {
            open.push(format!(
                "ephemerals on {}: {found:?}, not {expected:?}",
                top(region)
            ));
        }
        for (client, report) in world.clients.iter().zip(reports) {
            if client.region == region {
                let owner = world.ask(
                    region,
                    &format!("owner {}/own/{}", top(region), client.name()),
                );
                let session = report["session"].as_i64().unwrap_or(0);
                if owner != format!("{session:x}") {
                    open.push(format!("{}'s ephemeral is owned by {owner}", client.name()));
                }
            }
        }
    }
    open
}

/// Each ensemble holds at least what it acknowledged.
fn acknowledged(world: &World, reports: &[Value]) -> Result<(), String> {
    for report in reports {
        for (path, acked) in report["acked"].as_object().into_iter().flatten() {
            let region = usize::from(path.starts_with("/eu"));
            world.ask(region, &format!("sync {path}"));
            let found = world.ask(region, &format!("get {path}"));
            let acked = acked.as_u64().unwrap_or(0);
            if found.parse::<u64>().is_ok_and(|found| found >= acked) {
                continue;
            }
            return Err(format!("{path} is {found}, {acked} was acknowledged"));
        }
    }
    Ok(())
}
