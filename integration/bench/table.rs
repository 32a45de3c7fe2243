//! Records as Markdown: medians, with the least and the most in parentheses.

use super::figures::{Of, Records, Spread};
use super::part::Part;

/// What stands where there is no figure.
const NONE: &str = "–";

/// A table per cell; columns that nobody filled are left out.
pub(crate) fn text(part: &Part, records: &Records) -> String {
    let tables = records.cells().into_iter();
    let tables = tables.map(|cell| table(part, records, cell));
    tables.fold(String::new(), |text, table| text + "\n" + &table)
}

fn table(part: &Part, records: &Records, cell: &str) -> String {
    let variants = records.variants_of(cell);
    let mut columns = columns(part, records, cell, &variants);
    columns.retain(|column| column.iter().skip(1).any(|value| value != NONE));
    let row = |first: &str, nth: usize| {
        let values = columns.iter().filter_map(|column| column.get(nth));
        let line = values.fold(format!("| {first}"), |line, value| line + " | " + value);
        line + " |\n"
    };
    let rule = format!("| --- |{}\n", " --: |".repeat(columns.len()));
    let rows = variants
        .iter()
        .zip(1..)
        .map(|(variant, nth)| row(variant, nth));
    rows.fold(row(cell, 0) + &rule, |text, row| text + &row)
}

/// Each with its title first, then a value per variant.
fn columns(part: &Part, records: &Records, cell: &str, variants: &[&str]) -> Vec<Vec<String>> {
    let figures = part.columns.iter().map(|column| {
        let value = |variant: &&str| {
            let figure = column.figure;
            let spread = records.spread(cell, Of { variant, figure });
            with_spread(spread, column.decimals)
        };
        let values = variants.iter().map(value);
        std::iter::once(column.title.to_owned())
            .chain(values)
            .collect()
    });
    let ratios = part.ratios.iter().map(|ratio| {
        let figure = ratio.figure;
        let by = Of {
            variant: ratio.against,
            figure,
        };
        let value = |variant: &&str| {
            if *variant == ratio.against {
                return NONE.to_owned();
            }
            let ratios = records.ratios((cell, Of { variant, figure }), (cell, by));
            with_spread(Spread::of(ratios), 2)
        };
        let values = variants.iter().map(value);
        std::iter::once(ratio.title.to_owned())
            .chain(values)
            .collect()
    });
    figures.chain(ratios).collect()
}

/// `median (least–most)`.
pub(crate) fn with_spread(spread: Option<Spread>, decimals: usize) -> String {
    spread.map_or_else(
        || NONE.to_owned(),
        |spread| {
            let [median, least, most] =
                [spread.median, spread.least, spread.most].map(|value| number(value, decimals));
            if least == most {
                median
            } else {
                format!("{median} ({least}–{most})")
            }
        },
    )
}

/// A number with commas between thousands.
pub(crate) fn number(value: f64, decimals: usize) -> String {
    let plain = format!("{value:.decimals$}");
    let (whole, rest) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut text = String::new();
    for (at, digit) in whole.chars().enumerate() {
        let left = whole.len() - at;
        if at > 0 && left.is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}
