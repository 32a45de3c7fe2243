//! Completions as the shells take them, man pages as their formatter does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::ZOONET;
use crate::testbed::scratch::Scratch;

fn zoonet(arguments: &[&str]) -> Output {
    Command::new(ZOONET).args(arguments).output().unwrap()
}

/// What it printed, if it did well.
fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Has a shell run a script whose first argument is a file with its completions.
fn shell(command: &[&str], script: &str, completions: &Path) -> String {
    let (program, arguments) = command.split_first().unwrap();
    let file = completions.with_file_name("script");
    fs::write(&file, script).unwrap();
    let mut shell = Command::new("timeout");
    shell.args(["60", program]).args(arguments);
    shell.arg(file).arg(completions);
    shell.env("TERM", "dumb");
    shell.env("HOME", completions.parent().unwrap());
    printed(&shell.output().unwrap())
}

fn completions(shell: &str, scratch: &Scratch) -> PathBuf {
    scratch.write("completions", &printed(&zoonet(&["completions", shell])))
}

#[test]
fn bash_completes_commands_and_options() {
    let scratch = Scratch::new("bash");
    let script = r#"
        source "$1"
        complete -p zoonet >&2
        complete_words() {
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
            _zoonet zoonet "${@: -1}" "${@: -2:1}"
            echo "${COMPREPLY[*]}"
        }
        complete_words zoonet ch
        complete_words zoonet completions z
        complete_words zoonet run --c
    "#;
    let found = shell(&["bash"], script, &completions("bash", &scratch));
    assert_eq!(found, "check\nzsh\n--config\n");
}

#[test]
fn fish_completes_commands_with_what_they_do() {
    let scratch = Scratch::new("fish");
    let script = "source $argv[1]\ncomplete --do-complete 'zoonet ch'";
    let shown = shell(
        &["fish", "--no-config"],
        script,
        &completions("fish", &scratch),
    );
    assert!(shown.starts_with("check\tCheck a configuration"), "{shown}");
    assert_eq!(shown.lines().count(), 1, "{shown}");
}

/// Where the word is not completed there is nothing to read, and the shell is ended.
#[test]
fn zsh_completes_commands() {
    let scratch = Scratch::new("zsh");
    let script = r#"
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell "autoload -Uz compinit && compinit -D -u; source $1; print be''gin"
        zpty -r shell line '*begin*'
        zpty -w -n shell $'zoonet ch\t'
        zpty -r shell line '*zoonet check*'
        print completed
        zpty -d shell
    "#;
    let found = shell(&["zsh", "-f"], script, &completions("zsh", &scratch));
    assert_eq!(found, "completed\n");
}

/// What the formatter has to say about a page.
fn format(page: &Path) -> String {
    let output = Command::new("groff")
        .args(["-man", "-ww", "-Tutf8", "-z"])
        .arg(page)
        .output()
        .unwrap();
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn there_is_a_man_page_for_each_command_and_it_can_be_formatted() {
    let scratch = Scratch::new("man");
    let directory = scratch.path().join("man1");
    printed(&zoonet(&["man", directory.to_str().unwrap()]));
    let mut pages = BTreeSet::new();
    for entry in fs::read_dir(&directory).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(format(&entry.path()), "", "{entry:?}");
        pages.insert(entry.file_name().into_string().unwrap());
    }
    let help = printed(&zoonet(&["--help"]));
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let names = commands.filter_map(|line| line.split_whitespace().next());
    let mut expected: BTreeSet<String> = names
        .filter(|name| *name != "help")
        .map(|name| format!("zoonet-{name}.1"))
        .collect();
    assert!(expected.contains("zoonet-check.1"), "{help}");
    expected.insert("zoonet.1".to_owned());
    assert_eq!(pages, expected);

    let text = fs::read_to_string(directory.join("zoonet-run.1")).unwrap();
    let broken = scratch.write("broken.1", &text.replace(".SH OPTIONS", ".SHH OPTIONS"));
    assert_ne!(format(&broken), "", "an unknown macro is complained about");
}

#[test]
fn where_pages_cannot_be_written_is_said() {
    let output = zoonet(&["man", "/dev/null/man1"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let expected = "cannot write man pages to /dev/null/man1: ";
    assert!(said.starts_with(expected), "{said}");
}
