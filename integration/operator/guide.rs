//! The operator's guide, `config/README.md`, says nothing that is not so, as far as that can be
//! told: its commands and files are accepted, what it quotes is in the program, its links lead
//! somewhere, and each setting has its row.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::ZOONET;
use crate::testbed::scratch::Scratch;

const GUIDE: &str = "config/README.md";

fn tree() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn guide() -> String {
    fs::read_to_string(tree().join(GUIDE)).unwrap()
}

fn zoonet(arguments: &[&str]) -> Output {
    Command::new(ZOONET).args(arguments).output().unwrap()
}

/// The blocks of a text that are marked as being in this language.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let opening = format!("```{language}\n");
    let behind = text.split(opening.as_str()).skip(1);
    behind
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

/// The text without its blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// Whatever stands in backquotes in the prose, over line ends too.
fn quoted(text: &str) -> Vec<String> {
    let prose = prose(text);
    let quoted = prose.split('`').skip(1).step_by(2);
    quoted.map(|quote| quote.replace('\n', " ")).collect()
}

/// The program's source, line ends inside of strings undone.
fn source(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            source(&path, text);
        } else if path.extension().is_some_and(|end| end == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// Metrics, lines of the log and endpoints that the program does not have.
fn misquotes(text: &str) -> Vec<String> {
    let mut program = String::new();
    source(&tree().join("src"), &mut program);
    let is_command = |quote: &str| quote.starts_with("zoonet ") || quote.starts_with("cargo ");
    let is_setting = |quote: &str| !quote.split(": ").next().unwrap().contains(' ');
    let is_so = |quote: &String| {
        if quote.starts_with("zoonet_") {
            program.contains(&format!("\"{quote}\""))
        } else if !quote.contains(' ') || is_command(quote) || is_setting(quote) {
            true
        } else {
            program.contains(quote.trim_end_matches(" …"))
        }
    };
    let mut wrong: Vec<String> = quoted(text).into_iter().filter(|q| !is_so(q)).collect();
    let endpoints = rows(text, "Monitoring").into_iter();
    wrong.extend(endpoints.filter(|path| !program.contains(&format!("\"{path}\""))));
    wrong
}

/// What stands in backquotes at the beginning of each row of the tables of a section.
fn rows(text: &str, section: &str) -> Vec<String> {
    let section = text.split(&format!("\n## {section}\n")).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap().to_owned())
        .collect()
}

/// Commands of zoonet that it would not take.
fn bad_commands(text: &str) -> Vec<String> {
    let blocks = blocks(text, "sh");
    let lines = blocks.iter().flat_map(|block| block.lines());
    let quotes = quoted(text);
    let commands = lines.chain(quotes.iter().map(String::as_str));
    let mut bad = Vec::new();
    for command in commands.filter(|command| command.starts_with("zoonet ")) {
        let mut words = command.split_whitespace().skip(1);
        let first = words.next().unwrap();
        let help = match first.strip_prefix("--") {
            Some(_) => zoonet(&["--help"]),
            None => zoonet(&[first, "--help"]),
        };
        let text = String::from_utf8(help.stdout).unwrap();
        let known: BTreeSet<&str> = text.split([' ', ',', '\n']).collect();
        let mut options = words.chain([first]).filter(|word| word.starts_with("--"));
        if !help.status.success() || options.any(|option| !known.contains(option)) {
            bad.push(command.to_owned());
        }
    }
    bad
}

/// Links of the text to files or headings that are not there.
fn dead_links(text: &str) -> Vec<String> {
    let folder = tree().join(GUIDE).parent().unwrap().to_owned();
    let anchors = |text: &str| -> BTreeSet<String> {
        let headings = text.lines().filter(|line| line.starts_with('#'));
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        headings
            .map(|line| line.trim_start_matches('#').trim().to_lowercase())
            .map(|line| line.chars().filter(kept).collect::<String>())
            .map(|line| line.replace(' ', "-"))
            .collect()
    };
    let mut dead = Vec::new();
    for link in text.split("](").skip(1) {
        let link = link.split(')').next().unwrap();
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = match file {
            "" => Some(text.to_owned()),
            file if !folder.join(file).exists() => None,
            file => Some(fs::read_to_string(folder.join(file)).unwrap_or_default()),
        };
        let found = target.is_some_and(|text| anchor.is_empty() || anchors(&text).contains(anchor));
        if !found {
            dead.push(link.to_owned());
        }
    }
    dead
}

/// Keys as the program knows them: those of the top, of an ensemble, of a route.
fn keys() -> BTreeSet<String> {
    let rejected = tree().join("config/rejected");
    let mut keys = BTreeSet::new();
    for (file, above) in [
        ("unknown-key", ""),
        ("unknown-ensemble-key", "ensembles.NAME."),
        ("unknown-route-key", "routes.PREFIX."),
    ] {
        let file = rejected.join(file).with_extension("yaml");
        let output = zoonet(&["check", file.to_str().unwrap()]);
        let said = String::from_utf8(output.stderr).unwrap();
        let (_, allowed) = said
            .lines()
            .next()
            .unwrap()
            .split_once("Allowed here: ")
            .unwrap();
        keys.extend(allowed.split(", ").map(|key| format!("{above}{key}")));
    }
    // The other way of writing what a route leads to; `routes` has it.
    keys.remove("routes.PREFIX.ensemble");
    keys
}

/// Keys that have a row in the table of settings.
fn explained(text: &str) -> BTreeSet<String> {
    rows(text, "Settings").into_iter().collect()
}

#[test]
fn what_it_says_of_the_program_is_so() {
    let text = guide();
    assert_eq!(misquotes(&text), [""; 0]);
    assert_eq!(bad_commands(&text), [""; 0]);
    assert_eq!(dead_links(&text), [""; 0]);
    assert_eq!(explained(&text), keys());
}

#[test]
fn its_files_are_accepted() {
    let scratch = Scratch::new("guide");
    let text = guide();
    let files = blocks(&text, "yaml");
    assert!(!files.is_empty());
    for block in files {
        let file = scratch.write("zoonet.yaml", block);
        let output = zoonet(&["check", file.to_str().unwrap()]);
        assert!(output.status.success(), "{block}{output:?}");
    }
}

#[test]
fn the_worst_case_it_states_is_the_programs() {
    let scratch = Scratch::new("guide");
    let text = guide();
    // Two ensembles and no bound of its own.
    let file = scratch.write("zoonet.yaml", blocks(&text, "yaml")[0]);
    let output = zoonet(&["check", file.to_str().unwrap()]);
    let said = String::from_utf8(output.stdout).unwrap();
    let (_, said) = said.split_once(", of at most ").unwrap();
    let (mebibytes, _) = said.split_once("MiB").unwrap();
    let stated = format!("two ensembles that is {mebibytes} MiB");
    assert!(text.contains(&stated), "{stated}");
}

/// Such a slip would be found.
#[test]
fn what_is_not_so_would_be_noticed() {
    let text = guide();
    for slip in ["`zoonet_switch_total`", "`leg is gone`", "`leg\nis gone`"] {
        assert_eq!(misquotes(&format!("{text}{slip}")).len(), 1, "{slip}");
    }
    for slip in [
        "```sh\nzoonet chek FILE\n```\n",
        "`zoonet health --alive`",
        "`zoonet --vers`",
    ] {
        assert_eq!(bad_commands(&format!("{text}{slip}")).len(), 1, "{slip}");
    }
    for slip in ["[a](none.yaml)", "[a](#none)", "[a](../README.md#none)"] {
        assert_eq!(dead_links(&format!("{text}{slip}")).len(), 1, "{slip}");
    }
    let slip = text.replace("| `/readyz` |", "| `/ready` |");
    assert_eq!(misquotes(&slip), ["/ready"]);
    let row = "| `look_ahead` |";
    assert!(text.contains(row));
    assert_ne!(explained(&text.replace(row, "| `look_back` |")), keys());
}
