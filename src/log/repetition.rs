//! Lines that strangers can cause at will: the first of a kind are written, the rest is summed up.
//!
//! A kind is the place in the program where a line is written, with the fields below, whose values
//! are from closed sets; so what is remembered is bounded. Its interval begins with its first line and
//! ends by itself, and whatever was held back is told then, or when the sidecar stops: no line goes
//! without being counted. Metrics count by themselves and know nothing of this.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use tracing::callsite::Identifier;

use super::line::{Line, Sum};

/// How many lines of a kind are written in an interval.
pub(super) const WRITTEN: u64 = 10;

/// How long an interval is.
pub(super) const INTERVAL: Duration = Duration::from_secs(30);

/// The fields that tell kinds apart.
const TELLING: [&str; 2] = ["ensemble", "outcome"];

/// What was written, and what was not.
#[derive(Debug, Default)]
pub(super) struct Repetition(HashMap<Kind, Interval>);

type Kind = (Identifier, Vec<String>);

#[derive(Debug)]
struct Interval {
    began: Instant,
    lines: u64,
    /// The first line that was held back, without what it says of one client.
    held_back: Option<Line>,
}

impl Repetition {
    /// What is to be written now that there is this line.
    pub(super) fn take(&mut self, place: Identifier, line: Line, now: Instant) -> Vec<Line> {
        let kind = (place, kind_of(&line));
        let mut told = Vec::new();
        if let Some(interval) = self.0.get(&kind)
            && interval.is_over(now)
        {
            told.extend(interval.sum(now));
            self.0.remove(&kind);
        }
        let interval = self.0.entry(kind).or_insert_with(|| Interval {
            began: now,
            lines: 0,
            held_back: None,
        });
        interval.lines += 1;
        if interval.lines <= WRITTEN {
            told.push(line);
        } else if interval.held_back.is_none() {
            let fields = line.fields.only(&TELLING);
            interval.held_back = Some(Line { fields, ..line });
        }
        told
    }

    /// The sums of those whose interval is over.
    pub(super) fn ended(&mut self, now: Instant) -> Vec<Line> {
        let over = self.0.extract_if(|_, interval| interval.is_over(now));
        over.filter_map(|(_, interval)| interval.sum(now)).collect()
    }

    /// The sums of all.
    pub(super) fn finish(&mut self, now: Instant) -> Vec<Line> {
        let all = self.0.drain();
        all.filter_map(|(_, interval)| interval.sum(now)).collect()
    }
}

fn kind_of(line: &Line) -> Vec<String> {
    let telling = line.fields.only(&TELLING);
    telling.iter().map(|field| format!("{field:?}")).collect()
}

impl Interval {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.began) >= INTERVAL
    }

    /// What stands for the lines that were held back, if there are any.
    fn sum(&self, now: Instant) -> Option<Line> {
        let line = self.held_back.clone()?;
        let lasted = now.duration_since(self.began);
        let sum = Sum {
            more: self.lines - WRITTEN,
            seconds: lasted.as_secs().max(1),
        };
        Some(Line {
            sum: Some(sum),
            ..line
        })
    }
}
