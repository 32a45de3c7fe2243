//! What the kernel says of the process, under the names that all Prometheus clients use.
//!
//! # Decisions
//! * 2026-11: five files of `/proc` are read here rather than by the crate's feature `process`, which
//!   brings procfs and five more crates for the same numbers. Where `/proc` is not as on Linux,
//!   these metrics are left out.

use std::fs;

use super::catalogue;
use super::page::Page;

/// Microseconds in one tick of the times in `/proc/self/stat`: the kernel shows them with 100 ticks
/// in a second, however long its own are.
const CLOCK_TICK: u64 = 10_000;

/// Adds what there is.
pub(super) fn show(page: &mut Page) {
    if let Some(kilobytes) = line("/proc/self/status", "VmRSS:").and_then(|rest| first(&rest)) {
        page.number(&catalogue::MEMORY, &[], kilobytes * 1024);
    }
    if let Some(open) = open_files() {
        page.number(&catalogue::OPEN_FDS, &[], open);
    }
    if let Some(most) = most_open_files() {
        page.number(&catalogue::MAX_FDS, &[], most);
    }
    if let Some(ticks) = processor_time() {
        page.seconds(&catalogue::CPU, &[], ticks * CLOCK_TICK);
    }
}

/// How many file descriptors are open.
pub(crate) fn open_files() -> Option<u64> {
    let entries = fs::read_dir("/proc/self/fd").ok()?;
    // One of them is for looking.
    Some(super::count::size(entries.count().saturating_sub(1)))
}

/// How many may be.
pub(crate) fn most_open_files() -> Option<u64> {
    line("/proc/self/limits", "Max open files").and_then(|rest| first(&rest))
}

/// What follows `start` on its line of a file.
fn line(file: &str, start: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(start))
        .map(str::to_owned)
}

/// The first word, as a number.
fn first(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Ticks spent in user and kernel mode: the 14th and 15th field, the second of which is the name in
/// parentheses and may hold anything.
fn processor_time() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some(user + kernel)
}
