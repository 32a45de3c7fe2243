//! What was measured: one record per variant, cell and round, and what many of them say together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One variant in one cell in one round: a line of `raw.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) part: String,
    /// The conditions in words.
    pub(crate) cell: String,
    pub(crate) variant: String,
    pub(crate) round: usize,
    /// The conditions as numbers, such as `sessions`.
    pub(crate) conditions: BTreeMap<String, f64>,
    /// What came out, such as `per_second`.
    pub(crate) figures: BTreeMap<String, f64>,
}

/// A value for each round.
pub(crate) type Rounds = BTreeMap<usize, f64>;

/// Named numbers.
pub(crate) fn named<const N: usize>(pairs: [(&str, f64); N]) -> BTreeMap<String, f64> {
    let owned = pairs.map(|(name, value)| (name.to_owned(), value));
    BTreeMap::from(owned)
}

/// The same figure over the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of these values; of none there is no spread.
    pub(crate) fn of(rounds: &Rounds) -> Option<Self> {
        let mut values: Vec<f64> = rounds.values().copied().collect();
        values.sort_unstable_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(*values.get(middle.checked_sub(1)?)?, upper)
        } else {
            upper
        };
        Some(Self {
            median,
            least: *values.first()?,
            most: *values.last()?,
        })
    }
}

/// Some figure of some variant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Of<'a> {
    pub(crate) variant: &'a str,
    pub(crate) figure: &'a str,
}

/// All that was recorded of one part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Records(pub(crate) Vec<Record>);

impl Records {
    /// Reads what was written, one record a line.
    pub(crate) fn parse(text: &str) -> serde_json::Result<Self> {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        lines
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The cells, in the order in which they came.
    pub(crate) fn cells(&self) -> Vec<&str> {
        self.distinct(|record| &record.cell)
    }

    /// The variants, in the order in which they came.
    pub(crate) fn variants(&self) -> Vec<&str> {
        self.distinct(|record| &record.variant)
    }

    /// Those among them that a cell has.
    pub(crate) fn variants_of(&self, cell: &str) -> Vec<&str> {
        let mut variants = self.variants();
        let here = |variant: &str| {
            let mut records = self.0.iter();
            records.any(|record| record.cell == cell && record.variant == variant)
        };
        variants.retain(|variant| here(variant));
        variants
    }

    fn distinct<'a>(&'a self, of: impl Fn(&'a Record) -> &'a str) -> Vec<&'a str> {
        let mut seen = Vec::new();
        for name in self.0.iter().map(of) {
            if !seen.contains(&name) {
                seen.push(name);
            }
        }
        seen
    }

    /// The conditions of a cell as numbers.
    pub(crate) fn conditions(&self, cell: &str) -> BTreeMap<String, f64> {
        let record = self.0.iter().find(|record| record.cell == cell);
        record.map_or_else(BTreeMap::new, |record| record.conditions.clone())
    }

    /// A figure by round.
    pub(crate) fn by_round(&self, cell: &str, of: Of<'_>) -> Rounds {
        let here = |record: &&Record| record.cell == cell && record.variant == of.variant;
        self.0
            .iter()
            .filter(here)
            .filter_map(|record| Some((record.round, *record.figures.get(of.figure)?)))
            .collect()
    }

    /// A figure over all rounds.
    pub(crate) fn spread(&self, cell: &str, of: Of<'_>) -> Option<Spread> {
        Spread::of(&self.by_round(cell, of))
    }

    /// A figure divided by another of the same round: what made a whole round slow is in both and
    /// falls out.
    pub(crate) fn ratios(&self, (cell, of): (&str, Of<'_>), (other, by): (&str, Of<'_>)) -> Rounds {
        divided(&self.by_round(cell, of), &self.by_round(other, by))
    }
}

/// Each value by that of the same round; rounds that lack one of the two are left out.
pub(crate) fn divided(dividends: &Rounds, divisors: &Rounds) -> Rounds {
    let ratio = |(round, dividend): (&usize, &f64)| {
        let divisor = divisors.get(round).filter(|divisor| **divisor != 0.0)?;
        Some((*round, dividend / divisor))
    };
    dividends.iter().filter_map(ratio).collect()
}
