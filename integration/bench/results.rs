//! Where results go: raw data first, then everything that can be made of it.

use std::fs::{self, File};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::figures::{Record, Records};
use super::part::{PARTS, Part};
use super::{goal, plot, table};

/// Every single result, as it comes.
pub(crate) struct Raw {
    part: &'static Part,
    file: Option<File>,
    records: Records,
}

impl Raw {
    /// Of a part; written to a file if there is to be one.
    pub(crate) fn new(part: &'static Part, file: Option<&Path>) -> anyhow::Result<Self> {
        Ok(Self {
            part,
            file: file.map(File::create).transpose()?,
            records: Records::default(),
        })
    }

    pub(crate) fn part(&self) -> &'static str {
        self.part.name
    }

    pub(crate) fn add(&mut self, record: Record) -> anyhow::Result<()> {
        if let Some(file) = &mut self.file {
            writeln!(file, "{}", serde_json::to_string(&record)?)?;
        }
        self.records.0.push(record);
        Ok(())
    }

    /// Tells those who wait how far it is.
    pub(crate) fn round_done(&self, done: usize, of: usize) {
        let part = self.part.name;
        if std::io::stderr().is_terminal() {
            eprint!("\r{part}: round {done} of {of}");
            if done == of {
                eprintln!();
            }
        } else {
            eprintln!("{part}: round {done} of {of}");
        }
    }

    /// What came in, as tables and judged.
    pub(crate) fn text(&self) -> String {
        let judged = goal::text(&goal::judge(self.part.name, &self.records));
        format!("{}\n{judged}", table::text(self.part, &self.records))
    }
}

/// A directory of results, one below it for each part.
pub(crate) struct Results {
    directory: PathBuf,
}

impl Results {
    pub(crate) fn in_directory(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Begins a part anew; `about` says of which build, machine and time its figures are.
    pub(crate) fn begin(&self, part: &'static Part, about: &str) -> anyhow::Result<Raw> {
        let below = self.directory.join(part.name);
        fs::create_dir_all(&below).with_context(|| format!("{}", below.display()))?;
        fs::write(below.join("about.txt"), about)?;
        Raw::new(part, Some(&below.join("raw.jsonl")))
    }

    /// Makes tables, plots and verdicts of all raw data there is.
    pub(crate) fn render(&self) -> anyhow::Result<PathBuf> {
        let mut judged = Vec::new();
        let mut text = String::new();
        for part in &PARTS {
            let below = self.directory.join(part.name);
            let Ok(raw) = fs::read_to_string(below.join("raw.jsonl")) else {
                continue;
            };
            let records = Records::parse(&raw).with_context(|| format!("{}", below.display()))?;
            let about = fs::read_to_string(below.join("about.txt")).unwrap_or_default();
            judged.extend(goal::judge(part.name, &records));
            text += &format!("\n## {}\n\n{}\n\n{about}\n", part.title, part.explanation);
            for wanted in part.plots {
                let Some(svg) = plot::svg(part, wanted, &records) else {
                    continue;
                };
                let name = format!("{}/{}.svg", part.name, wanted.file);
                fs::write(self.directory.join(&name), svg)?;
                text += &format!("\n![{}]({name})\n", wanted.title);
            }
            let tables = table::text(part, &records);
            fs::write(below.join("table.md"), &tables)?;
            text += &tables;
        }
        let goals = goal::text(&judged);
        let report = self.directory.join("report.md");
        fs::create_dir_all(&self.directory)?;
        fs::write(&report, format!("# Measured\n\n## Goals\n{goals}{text}"))?;
        Ok(report)
    }
}
