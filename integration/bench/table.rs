//! Records as Markdown: medians, with the least and the most in parentheses.

use super::figures::{Of, Records, Spread};
use super::part::{Part, Ratio};

/// What stands where there is no figure.
const NONE: &str = "–";

/// Two tables per cell, of figures and of ratios; columns that nobody filled are left out.
pub(crate) fn text(part: &Part, records: &Records) -> String {
    let mut text = String::new();
    for cell in records.cells() {
        let variants = records.variants_of(cell);
        let figures = part.columns.iter().map(|column| {
            let value = |variant: &str| {
                let figure = column.figure;
                let spread = records.spread(cell, Of { variant, figure });
                with_spread(spread, column.decimals)
            };
            (column.title, variants.iter().copied().map(value).collect())
        });
        text += &table(cell, &variants, figures.collect());
        let ratios = part.ratios.iter().map(|ratio| {
            let value = |variant: &str| ratio_of(records, cell, ratio, variant);
            (ratio.title, variants.iter().copied().map(value).collect())
        });
        text += &table("", &variants, ratios.collect());
    }
    text
}

fn ratio_of(records: &Records, cell: &str, ratio: &Ratio, variant: &str) -> String {
    let (figure, against) = (ratio.figure, ratio.against);
    if variant == against {
        return NONE.to_owned();
    }
    let by = Of {
        variant: against,
        figure,
    };
    let ratios = records.ratios((cell, Of { variant, figure }), (cell, by));
    with_spread(Spread::of(&ratios), 2)
}

/// Columns with their titles, a value for each row.
fn table(head: &str, rows: &[&str], mut columns: Vec<(&str, Vec<String>)>) -> String {
    columns.retain(|(_, values)| values.iter().any(|value| value != NONE));
    if columns.is_empty() {
        return String::new();
    }
    let mut text = format!("\n| {head} |");
    for (title, _) in &columns {
        text += &format!(" {title} |");
    }
    text += &format!("\n| --- |{}\n", " --: |".repeat(columns.len()));
    for (nth, row) in rows.iter().enumerate() {
        text += &format!("| {row} |");
        for value in columns.iter().filter_map(|(_, values)| values.get(nth)) {
            text += &format!(" {value} |");
        }
        text.push('\n');
    }
    text
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
