//! `README.md` says which test shows what; here it is kept true.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const README: &str = include_str!("README.md");

/// The tests of all files below `folder`, by their names as `cargo test` prints them.
fn tests_below(folder: &Path, module: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let module = match stem {
            "lib" | "main" => module.to_owned(),
            stem => format!("{module}{stem}::"),
        };
        if path.is_dir() {
            tests_below(&path, &module, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            tests_in(&fs::read_to_string(&path).unwrap(), &module, found);
        }
    }
}

fn tests_in(text: &str, module: &str, found: &mut BTreeSet<String>) {
    let mut inner = "";
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line == "mod tests {" {
            inner = "tests::";
        } else if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((before, name)) = line.split_once("fn ")
            && matches!(before, "" | "async ")
            && std::mem::take(&mut is_test)
        {
            let name = name.split('(').next().unwrap();
            found.insert(format!("{module}{inner}{name}"));
        }
    }
}

/// Whatever stands in backquotes.
fn quoted() -> impl Iterator<Item = &'static str> {
    let lines = README.lines().filter(|line| !line.starts_with("```"));
    lines.flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn every_test_the_readme_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    tests_below(&root.join("src"), "", &mut tests);
    tests_below(&root.join("integration"), "", &mut tests);
    assert!(tests.contains("map::every_test_the_readme_names_exists"));
    let mut named = 0;
    for name in quoted().filter(|word| word.contains("::")) {
        // `module::` or `module::tests` stands for all in it.
        let whole = tests.contains(name);
        let prefix = format!("{}::", name.trim_end_matches(':'));
        let group = tests.iter().any(|test| test.starts_with(&prefix));
        assert!(whole || group, "no test is called {name}");
        named += usize::from(whole);
    }
    assert!(named > 150);
}

#[test]
fn every_item_of_the_contract_and_every_trap_has_a_row() {
    let has = |row: &str| {
        README
            .lines()
            .any(|line| line.starts_with(&format!("| {row} ")))
    };
    for trap in 1..=60 {
        assert!(has(&format!("T{trap}")), "T{trap}");
    }
    for item in 1..=11 {
        assert!(has(&format!("3.{item}")), "3.{item}");
    }
    let rows = |section: &str| {
        let start = format!("| {section} ");
        README
            .lines()
            .filter(|line| line.starts_with(&start))
            .count()
    };
    assert!(rows("4") >= 11, "the table of section 4");
    assert!(rows("6") >= 4, "the commands of section 6");
    // Each row names a test or says why there is none.
    let starts = ["| T", "| 1 ", "| 2 ", "| 3.", "| 4 ", "| 5 ", "| 6 "];
    for row in README
        .lines()
        .filter(|row| starts.iter().any(|start| row.starts_with(start)))
    {
        let shown = row.split('|').nth(2).unwrap();
        let says = shown.contains("::") || shown.contains("issue") || shown.contains("no test");
        assert!(says, "{row}");
    }
}
