//! Records as pictures: for each cell and variant a mark at the median and a line from the least to
//! the most.
//!
//! # Decisions
//!
//! * Written by hand rather than by a crate: it is one kind of picture, and text stays text.
//! * Variants differ in colour, in shape and by their names beside them. The colours are those of
//!   Okabe and Ito, which colour-blind people can tell apart, darkened or lightened to stand out from
//!   the background. That follows the reader's choice of light or dark, with a background of its
//!   own: who shows the picture need not agree with the reader.

#![expect(
    clippy::as_conversions,
    reason = "numbers of rows and digits become places"
)]

use std::fmt::Write as _;

use super::figures::{Of, Records, Spread};
use super::part::{Part, Plot};
use super::table::number;

const WIDTH: f64 = 900.0;
/// Where the axis begins and ends.
const LEFT: f64 = 150.0;
const RIGHT: f64 = 790.0;
const TOP: f64 = 56.0;
const ROW: f64 = 17.0;
/// The name of a cell, above its rows.
const HEAD: f64 = 26.0;

/// Of how much more than the least the most is, from where on the axis is logarithmic.
const WIDE: f64 = 12.0;

/// Colours on light and on dark.
const COLOURS: [(&str, &str); 6] = [
    ("#666666", "#b0b0b0"),
    ("#0072b2", "#56b4e9"),
    ("#d55e00", "#ff8f52"),
    ("#00805d", "#2fd1a0"),
    ("#a3408f", "#e694cf"),
    ("#96690a", "#e69f00"),
];

/// Which variants have which of them, so that a name looks alike in all pictures.
const LOOKS: [&[&str]; 6] = [
    &["direct", "stretched", "alone"],
    &["relay", "rule", "other-sidecar"],
    &["haproxy", "haproxy-large", "rule-relay"],
    &["zoonet", "same-sidecar"],
    &["zoonet-map", "zoonet-elided"],
    &["zoonet-mix", "ceiling"],
];

/// The look of a variant; other builds of the sidecar take what is left.
fn look(variant: &str, nth: usize) -> usize {
    let known = LOOKS.iter().position(|names| names.contains(&variant));
    known.unwrap_or(nth % LOOKS.len())
}

/// One line of the picture.
struct Row<'a> {
    variant: &'a str,
    look: usize,
    spread: Spread,
}

/// The picture, if there is anything to be shown.
pub(crate) fn svg(part: &Part, plot: &Plot, records: &Records) -> Option<String> {
    let cells = cells(plot, records);
    let rows = cells.iter().flat_map(|(_, rows)| rows);
    let ends = rows.flat_map(|row| [row.spread.least, row.spread.most]);
    // What all is divided by is to be seen, too.
    let axis = Axis::over(ends.chain(plot.against.map(|_| 1.0)))?;
    let rows: usize = cells.iter().map(|(_, rows)| rows.len()).sum();
    if rows == 0 {
        return None;
    }
    let bottom = TOP + cells.len() as f64 * HEAD + rows as f64 * ROW + 8.0;
    let mut body = String::new();
    axis.draw(plot, bottom, &mut body);
    let mut y = TOP;
    for (cell, rows) in &cells {
        y += HEAD;
        text(&mut body, "head", 12.0, y - 6.0, "start", cell);
        for row in rows {
            row.draw(&axis, plot, y, &mut body);
            y += ROW;
        }
    }
    let height = bottom + 44.0;
    let (title, name) = (escaped(plot.title), part.name);
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
         font-family=\"system-ui, 'Helvetica Neue', Arial, sans-serif\">\n\
         <title>{title} ({name})</title>\n<style>\n{}</style>\n\
         <rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n\
         <text class=\"title\" x=\"12\" y=\"26\">{title}</text>\n\
         <text class=\"faint\" x=\"12\" y=\"44\">mark: median of the rounds; line: least to \
         most</text>\n{body}</svg>\n",
        style(),
    ))
}

/// What is shown: cells with their rows.
fn cells<'a>(plot: &Plot, records: &'a Records) -> Vec<(&'a str, Vec<Row<'a>>)> {
    let variants = records.variants();
    let row = |cell: &str, nth: usize, variant: &'a str| {
        let figure = plot.figure;
        let of = Of { variant, figure };
        let spread = match plot.against {
            Some(against) if against == variant => None,
            Some(variant) => {
                Spread::of(&records.ratios((cell, of), (cell, Of { variant, figure })))
            }
            None => records.spread(cell, of),
        }?;
        Some(Row {
            variant,
            look: look(variant, nth),
            spread,
        })
    };
    let cells = records.cells().into_iter();
    cells
        .filter(|cell| (plot.cells)(&records.conditions(cell)))
        .map(|cell| {
            let named = variants.iter().enumerate();
            let rows = named.filter_map(|(nth, variant)| row(cell, nth, variant));
            (cell, rows.collect::<Vec<_>>())
        })
        .filter(|(_, rows)| !rows.is_empty())
        .collect()
}

impl Row<'_> {
    fn draw(&self, axis: &Axis, plot: &Plot, top: f64, body: &mut String) {
        let middle = top + ROW / 2.0;
        let baseline = middle + 4.0;
        let class = format!("v{}", self.look);
        let [least, median, most] = [self.spread.least, self.spread.median, self.spread.most]
            .map(|value| axis.place(value));
        text(body, "name", LEFT - 10.0, baseline, "end", self.variant);
        let median_text = number(self.spread.median, plot.decimals);
        text(body, "name", WIDTH - 12.0, baseline, "end", &median_text);
        let (low, high) = (middle - 3.0, middle + 3.0);
        let line = format!(
            "M{least:.1} {middle:.1}H{most:.1}M{least:.1} {low:.1}V{high:.1}M{most:.1} \
             {low:.1}V{high:.1}"
        );
        let shape = shape(self.look, median, middle);
        body.push_str(&format!(
            "<path class=\"spread {class}\" d=\"{line}\"/><path class=\"mark {class}\" \
             d=\"{shape}\"/>\n"
        ));
    }
}

/// A circle, square, diamond, triangle or cross around a point.
fn shape(nth: usize, x: f64, y: f64) -> String {
    match nth {
        0 => format!(
            "M{:.1} {y:.1}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
            x - 4.5
        ),
        1 => format!("M{:.1} {:.1}h8v8h-8z", x - 4.0, y - 4.0),
        2 => format!("M{x:.1} {:.1}l5.5 5.5l-5.5 5.5l-5.5 -5.5z", y - 5.5),
        3 => format!("M{x:.1} {:.1}l5.5 9.5h-11z", y - 5.5),
        4 => format!("M{x:.1} {:.1}l5.5 -9.5h-11z", y + 5.5),
        _ => format!(
            "M{:.1} {:.1}h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5v-3h3.5z",
            x - 1.5,
            y - 5.0
        ),
    }
}

/// From values to places.
struct Axis {
    from: f64,
    to: f64,
    scale: Scale,
    ticks: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    Linear,
    Logarithmic,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let most = values.clone().max_by(f64::total_cmp)?;
        let least = values.min_by(f64::total_cmp)?;
        let is_wide = least > 0.0 && most / least > WIDE;
        let (scale, ticks) = if is_wide {
            (Scale::Logarithmic, decades(least, most))
        } else {
            (Scale::Linear, steps(most))
        };
        Some(Self {
            from: *ticks.first()?,
            to: *ticks.last()?,
            scale,
            ticks,
        })
    }

    fn place(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Logarithmic => (value / self.from).ln() / (self.to / self.from).ln(),
            Scale::Linear => (value - self.from) / (self.to - self.from),
        };
        LEFT + share * (RIGHT - LEFT)
    }

    fn draw(&self, plot: &Plot, bottom: f64, body: &mut String) {
        for tick in &self.ticks {
            let x = self.place(*tick);
            body.push_str(&format!(
                "<path class=\"grid\" d=\"M{x:.1} {TOP:.1}V{bottom:.1}\"/>\n"
            ));
            text(body, "faint", x, bottom + 15.0, "middle", &brief(*tick));
        }
        if plot.against.is_some() {
            let x = self.place(1.0);
            body.push_str(&format!(
                "<path class=\"one\" d=\"M{x:.1} {TOP:.1}V{bottom:.1}\"/>\n"
            ));
        }
        let scale = match self.scale {
            Scale::Logarithmic => " (logarithmic)",
            Scale::Linear => "",
        };
        let label = format!("{}{scale}", plot.axis);
        let middle = f64::midpoint(LEFT, RIGHT);
        text(body, "name", middle, bottom + 33.0, "middle", &label);
        text(body, "faint", WIDTH - 12.0, TOP + 6.0, "end", "median");
    }
}

/// 1, 2, 5, 10 and so on around these.
fn decades(least: f64, most: f64) -> Vec<f64> {
    let first = least.log10().floor() as i32;
    let last = most.log10().ceil() as i32;
    let all =
        (first..=last).flat_map(|decade| [1.0, 2.0, 5.0].map(|step| step * 10_f64.powi(decade)));
    let all: Vec<f64> = all.collect();
    let start = all.iter().rposition(|tick| *tick <= least).unwrap_or(0);
    let end = all
        .iter()
        .position(|tick| *tick >= most)
        .unwrap_or(all.len() - 1);
    all.get(start..=end).unwrap_or_default().to_vec()
}

/// Even steps from nothing to at least `most`, some five to ten of them.
fn steps(most: f64) -> Vec<f64> {
    if most <= 0.0 {
        return vec![0.0, 1.0];
    }
    let decade = 10_f64.powf((most / 5.0).log10().floor());
    let fits = |step: &f64| most / (step * decade) <= 10.0;
    let step = [1.0, 2.0, 5.0].into_iter().find(fits).unwrap_or(10.0) * decade;
    let count = (most / step).ceil().max(1.0) as u32;
    (0..=count).map(|nth| f64::from(nth) * step).collect()
}

/// A number as short as it can be said.
fn brief(value: f64) -> String {
    let (value, unit) = match value {
        million if million >= 1e6 => (million / 1e6, " M"),
        thousand if thousand >= 1e4 => (thousand / 1e3, " k"),
        plain => (plain, ""),
    };
    // Steps are sums of fractions that have no exact form.
    format!("{}{unit}", (value * 1e4).round() / 1e4)
}

fn text(body: &mut String, class: &str, x: f64, y: f64, anchor: &str, words: &str) {
    let words = escaped(words);
    writeln!(
        body,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"
    )
    .expect("a string takes all");
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('"', "&quot;")
}

/// What things look like, on light and on dark.
fn style() -> String {
    let colours = |of: fn(&(&'static str, &'static str)) -> &'static str| {
        let each = COLOURS.iter().map(of).enumerate();
        each.map(|(nth, colour)| format!(".v{nth}{{fill:{colour};stroke:{colour}}}\n"))
            .collect::<String>()
    };
    let ground = |ground, ink, faint, grid| {
        format!(
            ".ground{{fill:{ground}}}\n.head{{stroke:{ground}}}\n.title,.head,.name{{fill:{ink}}}\n.faint{{fill:{faint}}}\n\
             .grid{{stroke:{grid}}}\n.one{{stroke:{ink}}}\n"
        )
    };
    format!(
        ".title{{font-size:15px;font-weight:600}}\n.head{{font-size:12px;font-weight:600;\
         paint-order:stroke;stroke-width:5px}}\n\
         .name{{font-size:12px}}\n.faint{{font-size:11px}}\n.spread{{fill:none!important;\
         stroke-width:1.6}}\n.mark{{stroke:none}}\n.grid{{stroke-width:1}}\n\
         .one{{stroke-width:1.4;stroke-dasharray:5 3}}\n{}{}\
         @media (prefers-color-scheme: dark){{\n{}{}}}\n",
        ground("#ffffff", "#1f2328", "#59636e", "#e3e6ea"),
        colours(|(light, _)| light),
        ground("#0d1117", "#e6edf3", "#9198a1", "#2a313c"),
        colours(|(_, dark)| dark),
    )
}
