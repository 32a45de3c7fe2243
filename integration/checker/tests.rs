//! Histories good and bad, by hand and by chance.

mod brute;
mod generate;

use arbtest::arbtest;

use super::graph::Hop;
use super::{History, Malformed, check};

/// One operation a line: `client invoke-return kind key [vVERSION] [zZXID] [=value] [?|!]`.
fn history(text: &str) -> Result<History, Malformed> {
    let mut rows: Vec<generate::Row> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        let (invoke, end) = words[1].split_once('-').unwrap();
        let find = |mark: char| words[4..].iter().find_map(|word| word.strip_prefix(mark));
        let outcome = match () {
            () if words.contains(&"?") => "unknown",
            () if words.contains(&"!") => "failed",
            () => "ok",
        };
        rows.push(generate::Row {
            client: words[0].to_owned(),
            index: u64::try_from(rows.len()).unwrap(),
            invoke: invoke.parse().unwrap(),
            returned: end.parse().ok(),
            ensemble: words[3][..2].to_owned(),
            key: words[3].to_owned(),
            kind: words[2].to_owned(),
            outcome: outcome.to_owned(),
            version: find('v').map(|version| version.parse().unwrap()),
            zxid: find('z').map(|zxid| zxid.parse().unwrap()),
            value: find('=').map(str::to_owned),
        });
    }
    History::read(generate::json(&rows).as_bytes())
}

/// Why the operations of the cycle come one before the other, or nothing if it is OSC(U).
fn cycle(text: &str) -> Vec<Hop> {
    let history = history(text).unwrap();
    let verdict = check(&history).unwrap();
    let expected = verdict.violation.is_none();
    if history.operations.len() < 12 && verdict.counts.unplaced == 0 {
        assert_eq!(brute::is_osc(&history), expected, "{verdict:?}");
    }
    let Some(violation) = verdict.violation else {
        return Vec::new();
    };
    assert!(violation.shortest);
    let mut hops: Vec<Hop> = violation.steps.iter().map(|&(_, hop)| hop).collect();
    hops.sort_unstable();
    hops
}

fn good(text: &str) {
    assert_eq!(cycle(text), []);
}

fn flaw(text: &str) -> String {
    let malformed = history(text).and_then(|history| check(&history).map(|_| ()));
    malformed.expect_err("it is malformed").to_string()
}

/// Both nodes exist; what follows them is the smallest counter-example of the design.
const BOTH: &str = "c0 0-1 create us/x v0 z1
                    c0 1-2 create eu/y v0 z1\n";

#[test]
fn two_clients_that_both_read_the_old_value_are_a_violation() {
    let one = "c1 10-20 write us/x v1 z2
               c1 20-30 read eu/y v0 z1\n";
    let two = "c2 10-20 write eu/y v1 z2
               c2 20-30 read us/x v0 z1\n";
    let hops = cycle(&format!("{BOTH}{one}{two}"));
    use Hop::{Program, ReadWrite};
    assert_eq!(hops, [Program, Program, ReadWrite, ReadWrite]);
    // One of them saw what the other wrote.
    good(&format!("{BOTH}{one}{}", two.replace("v0 z1", "v1 z2")));
    good(&format!("{BOTH}{one}"));
}

#[test]
fn a_client_reads_no_older_value_than_it_wrote_or_read() {
    let own = "c1 10-20 write us/x v1 z2
               c1 30-40 read us/x v0 z1";
    assert_eq!(
        cycle(&format!("{BOTH}{own}")),
        [Hop::Program, Hop::ReadWrite]
    );
    let back = "c1 10-20 write us/x v1 z2
                c2 10-20 read us/x v1 z2
                c2 20-30 read us/x v0 z1";
    assert_eq!(
        cycle(&format!("{BOTH}{back}")),
        [Hop::Program, Hop::WriteRead, Hop::ReadWrite]
    );
}

#[test]
fn old_reads_of_one_ensemble_alone_are_none() {
    good(&format!(
        "{BOTH}c1 10-20 write us/x v1 z2
               c2 1000-2000 read us/x v0 z1
               c2 2000-2001 read eu/y v0 z1"
    ));
}

#[test]
fn real_time_holds_between_updates_and_only_between_them() {
    let hops = cycle(&format!(
        "{BOTH}c1 10-20 write us/x v1 z2
               c2 30-40 write eu/y v1 z2
               c2 50-60 read us/x v0 z1"
    ));
    assert_eq!(hops, [Hop::Program, Hop::ReadWrite, Hop::RealTime]);
    // They overlap, if only for an instant.
    good(&format!(
        "{BOTH}c1 10-30 write us/x v1 z2
               c2 30-40 write eu/y v1 z2
               c2 50-60 read us/x v0 z1"
    ));
    // A sync by the client is no update.
    good(&format!(
        "{BOTH}c1 10-20 write us/x v1 z2
               c2 30-40 sync eu/y
               c2 50-60 read us/x v0 z1"
    ));
}

#[test]
fn a_node_is_written_in_the_order_of_its_versions() {
    let backwards = "c0 0-1 create us/x v0
                     c1 10-40 write us/x v2
                     c1 20-40 write us/x v1";
    let hops = cycle(backwards);
    assert_eq!(hops, [Hop::Program, Hop::WriteWriteNode]);
    good(&backwards.replace("c1 20", "c2 20"));
    let hops = cycle(&backwards.replace("c1 20-40", "c2 50-60"));
    assert_eq!(hops, [Hop::WriteWriteNode, Hop::RealTime]);
}

#[test]
fn an_ensemble_is_written_in_the_order_of_its_zxids() {
    let hops = cycle(
        "c1 0-99 create us/a v0 z2
         c2 0-99 create us/b v0 z1
         c3 0-1 read us/a v0 z2
         c3 1-2 read us/b",
    );
    use Hop::{Program, ReadWrite, WriteRead, WriteWriteEnsemble};
    assert_eq!(hops, [Program, WriteRead, WriteWriteEnsemble, ReadWrite]);
    good(
        "c1 0-99 create us/a v0 z1
         c2 0-99 create us/b v0 z2
         c3 0-1 read us/a v0 z1
         c3 1-2 read us/b",
    );
}

#[test]
fn what_was_never_there_is_read_before_the_creation() {
    let hops = cycle(
        "c1 0-1 create us/a v0 z1
         c1 2-3 read us/a",
    );
    assert_eq!(hops, [Hop::Program, Hop::ReadWrite]);
    good("c1 0-1 read us/a\nc2 0-1 create us/a v0 z1");
}

#[test]
fn an_unknown_update_counts_once_somebody_read_it() {
    // The write of c1 was answered by nothing; c2 writes later, and c3 sees what c1 wrote.
    let given_up = "c1 10- write us/x =mine ?
                    c2 30-40 write eu/y v1 z2
                    c2 50-60 read us/x v0 z1\n";
    good(&format!("{BOTH}{given_up}"));
    // It may have happened after all of that.
    good(&format!("{BOTH}{given_up}c3 20-25 read us/x v1 z2 =mine"));
    // It was seen before, and so it did happen before.
    let seen = "c3 20-21 read us/x v1 z2 =mine
                c3 22-23 write eu/y v1 z2
                c2 50-60 read eu/y v1 z2
                c2 70-80 read us/x v0 z1";
    let hops = cycle(&format!("{BOTH}c1 10-11 write us/x =mine ?\n{seen}"));
    assert_eq!(hops.len(), 5, "{hops:?}");
}

#[test]
fn an_unknown_update_follows_what_its_client_did_before_it() {
    // Who sees it sees what its client wrote on the other ensemble before.
    let text = "c1 10-20 write eu/y v1 z2
                c1 20-30 write us/x =mine ?
                c2 40-50 read us/x v1 z2 =mine
                c2 50-60 read eu/y v0 z1\n";
    assert_eq!(cycle(&format!("{BOTH}{text}")).len(), 4);
    // Its client may not have been aware of it for long.
    good(&format!(
        "{BOTH}c1 20-30 write us/x =mine ?
               c1 40-50 read us/x v0 z1
               c2 40-50 read us/x v1 z2 =mine"
    ));
}

#[test]
fn a_missing_version_was_written_by_the_only_one_who_can_have() {
    let text = "c1 10-20 write eu/y v1 z2
                c1 20-30 write us/x ?
                c2 40-50 write us/x v2 z3
                c2 50-60 read eu/y v0 z1\n";
    assert_eq!(cycle(&format!("{BOTH}{text}")).len(), 3);
    // Not if there are two of them.
    good(&format!("{BOTH}{text}c3 0-1 write us/x ?").replace("40-50", "15-50"));
    let line = flaw(&format!("{BOTH}{}", text.replace('?', "!")));
    assert_eq!(
        line,
        "line 5: shows that version 1 was written, but nobody wrote it"
    );
}

#[test]
fn what_was_deleted_had_been_created() {
    let text = "c1 10-20 write eu/y v1 z2
                c1 20-30 create us/z ?
                c2 40-50 delete us/z z3
                c2 50-60 read eu/y v0 z1";
    assert_eq!(cycle(&format!("{BOTH}{text}")).len(), 3);
    assert!(flaw(&text.replace("create us/z ?", "create us/z !")).contains("nobody wrote it"));
}

#[test]
fn what_failed_did_not_happen() {
    good(&format!(
        "{BOTH}c1 10-20 write us/x !
               c2 10-20 write us/x v1 z2
               c1 30-40 read us/x v0 z1"
    ));
}

#[test]
fn a_node_lives_several_times() {
    let lives = "c1 0-1 create us/a v0 z1
                 c1 2-3 write us/a v1 z2
                 c1 4-5 delete us/a z3
                 c2 6-7 create us/a v0 z4
                 c2 8-9 write us/a v1 z5\n";
    good(&format!(
        "{lives}c3 8-9 read us/a v1 z2\nc3 9-9 read us/a v0 z4"
    ));
    let hops = cycle(&format!(
        "{lives}c3 8-9 read us/a v0 z4\nc3 9-9 read us/a v1 z2"
    ));
    assert_eq!(hops, [Hop::Program, Hop::WriteRead, Hop::ReadWrite]);
    good(&lives.replace("create us/a v0 z4", "create us/a ?"));
    let absent = history(&format!("{lives}c3 8-9 read us/a")).unwrap();
    assert_eq!(check(&absent).unwrap().counts.unplaced, 1);
    // After a single life.
    good("c1 0-1 create us/a v0\nc1 1-2 read us/a v0\nc1 3-4 delete us/a");
    let hops = cycle("c1 0-1 create us/a v0\nc1 1-2 delete us/a\nc1 3-4 read us/a v0");
    assert_eq!(hops, [Hop::Program, Hop::ReadWrite]);
}

/// Histories no `ZooKeeper` can have answered, and what is said of them.
const FLAWS: &[(&str, &str)] = &[
    (
        "c1 0-1 create us/a v0\nc2 0-1 create us/a v0",
        "line 2: writes version 0, as line 1 does",
    ),
    (
        "c1 0-1 create us/a v0\nc2 0-1 read us/a v7",
        "line 2: shows that version 7 was written, but nobody wrote it",
    ),
    (
        "c1 5-1 create us/a v0",
        "line 1: returns before it was invoked",
    ),
    (
        "c1 5- create us/a v0",
        "line 1: says ok, but not when it returned",
    ),
    (
        "c1 5-6 write us/a",
        "line 1: a write that is ok names the version it wrote",
    ),
    (
        "c1 5-6 write us/a v0",
        "line 1: version 0 cannot be what this wrote",
    ),
    (
        "c1 5-6 read us/a\nc1 4-5 read us/a",
        "line 2: was invoked before line 1, which comes earlier in the order of its client",
    ),
    (
        "c1 0-1 create us/a v0 z9\nc2 0-1 create us/b v0 z9",
        "line 2: has zxid 0x9, as the update in line 1",
    ),
    (
        "c1 0-1 create us/a v0 z9\nc2 0-1 read us/a v0 z8",
        "line 2: version 0 has zxid 0x8 here, another in line 1",
    ),
    (
        "c1 0-1 create us/a v0 =a\nc2 0-1 read us/a v0 =b",
        "line 2: version 0 has another value here than in line 1",
    ),
    (
        "c1 0-1 create us/a v0 z9\nc2 0-1 write us/a v1 z8",
        "line 2: version and zxid do not follow from those in line 1",
    ),
];

#[test]
fn malformed_histories_name_the_line() {
    for &(text, said) in FLAWS {
        assert_eq!(flaw(text), said);
    }
}

#[test]
fn lines_that_are_no_operations_are_refused() {
    let json = r#"{"client":"c","index":1,"invoke":1,"ensemble":"e","key":"k","kind":"read","outcome":"ok","return":2}"#;
    let twice = format!("{json}\n\n{json}\n");
    let twice = History::read(twice.as_bytes()).unwrap();
    let said = check(&twice).unwrap_err().to_string();
    assert_eq!(said, "line 3: has the same client and index as line 1");
    for broken in [
        "{",
        "[]",
        "{\"client\":3}",
        "\u{0}",
        &json.replace("ok", "fine"),
    ] {
        let said = History::read(broken.as_bytes()).unwrap_err().to_string();
        assert!(said.starts_with("line 1: is not an operation: "), "{said}");
    }
    let said = History::read(&b"\xff\n"[..]).unwrap_err().to_string();
    assert!(said.starts_with("line 1: cannot be read: "), "{said}");
}

#[test]
fn a_violation_is_told_in_words_and_pictures() {
    let text = format!(
        "{BOTH}c1 10000-20000 write us/x v1 z2
               c2 30000-40000 write eu/y v1 z2
               c2 50000-60000 read us/x v0 z1"
    );
    let history = history(&text).unwrap();
    let violation = check(&history).unwrap().violation.unwrap();
    let said = violation.to_string();
    for part in [
        "not OSC(U): no order of all operations has these 3 in it",
        "client c2 read version 0 of us/x on us (0.050 to 0.060 ms; line 5, operation 4, zxid 0x1)",
        "although it does not show, and so must come before:",
        "client c1 wrote version 1 of us/x on us",
        "and had been answered before the beginning of:",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(violation.dot().matches("->").count(), 3);
    let svg = violation.svg();
    assert_eq!(svg.matches("marker-end").count(), 3, "{svg}");
    assert!(svg.contains("write eu/y v1") && svg.ends_with("</svg>\n"));
}

#[test]
fn it_agrees_with_brute_force_on_small_histories() {
    let (mut good, mut bad, mut malformed, mut open) = (0, 0, 0, 0);
    arbtest(|u| {
        let rows = generate::any(u)?;
        let text = generate::json(&rows);
        let history = History::read(text.as_bytes()).expect("each line is fine");
        let possible = brute::is_osc(&history);
        match check(&history) {
            Err(fault) => {
                assert!(!possible, "{fault}\n{text}");
                malformed += 1;
            }
            Ok(verdict) => {
                let judged = verdict.violation.is_none();
                if verdict.counts.unplaced > 0 {
                    assert!(judged || !possible, "invented\n{text}");
                    open += 1;
                } else {
                    assert_eq!(judged, possible, "{:?}\n{text}", verdict.violation);
                    *(if judged { &mut good } else { &mut bad }) += 1;
                }
            }
        }
        Ok(())
    })
    .budget_ms(5000);
    println!("{good} good, {bad} bad, {malformed} malformed, {open} partly placed");
    assert!(good > 50 && bad > 20 && malformed > 5 && open > 0);
}

/// Of so many mutants with so many operations, how many were made and how many caught. Good
/// histories pass, and small mutants are judged as brute force judges them.
fn caught(mutation: &generate::Mutation, operations: usize, rounds: usize) -> (usize, usize) {
    let rng = &mut fastrand::Rng::with_seed(4);
    let (mut made, mut caught) = (0, 0);
    for _ in 0..rounds {
        let mut rows = generate::good(rng, operations);
        let text = generate::json(&rows);
        let history = History::read(text.as_bytes()).unwrap();
        let verdict = check(&history).expect("it is well formed");
        if let Some(violation) = verdict.violation {
            panic!("{violation}\n{text}");
        }
        if !(mutation.apply)(rng, &mut rows) {
            continue;
        }
        made += 1;
        let text = generate::json(&rows);
        let history = History::read(text.as_bytes()).unwrap();
        let survives = check(&history).is_ok_and(|verdict| verdict.violation.is_none());
        assert!(
            operations > 9 || survives == brute::is_osc(&history),
            "{text}"
        );
        caught += usize::from(!survives);
    }
    (made, caught)
}

#[test]
fn mutants_of_good_histories_are_caught() {
    for mutation in generate::MUTATIONS {
        let (small, caught_small) = caught(mutation, 9, 200);
        let (large, caught_large) = caught(mutation, 400, 30);
        println!(
            "{}: caught {caught_small} of {small} small ones, the rest is OSC(U); {caught_large} \
             of {large} large ones",
            mutation.name
        );
        assert!(large >= 20 && caught_large * 4 >= large);
    }
}

#[test]
fn large_histories_take_seconds() {
    let operations = if cfg!(debug_assertions) {
        50_000
    } else {
        1_000_000
    };
    let rng = &mut fastrand::Rng::with_seed(1);
    let mut rows = generate::good(rng, operations);
    for bad in [false, true] {
        if bad {
            let lag = &generate::MUTATIONS[0];
            assert!((lag.apply)(rng, &mut rows));
        }
        let text = generate::json(&rows);
        let begun = std::time::Instant::now();
        let history = History::read(text.as_bytes()).unwrap();
        let read = begun.elapsed();
        let verdict = check(&history).unwrap();
        println!(
            "{operations} operations: read in {read:?}, checked in {:?}",
            begun.elapsed() - read
        );
        assert_eq!(verdict.violation.is_some(), bad);
        if let Some(violation) = verdict.violation {
            println!("{violation}");
        }
        assert!(begun.elapsed().as_secs() < 60);
    }
}
