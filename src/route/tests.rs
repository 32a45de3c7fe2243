use std::collections::BTreeMap;

use arbitrary::Unstructured;

use super::*;

const US: EnsembleId = EnsembleId::new(0);
const EU: EnsembleId = EnsembleId::new(1);

fn entry(prefix: &str, ensemble: EnsembleId, root: &str) -> Entry {
    let root = (!root.is_empty()).then(|| root.as_bytes().to_vec());
    (prefix.as_bytes().to_vec(), ensemble, root)
}

fn map(entries: &[(&str, EnsembleId, &str)]) -> RouteMap {
    let entries = entries.iter().map(|(p, e, r)| entry(p, *e, r)).collect();
    RouteMap::new(US, entries).unwrap()
}

fn fault(entries: &[(&str, EnsembleId, &str)]) -> Option<RouteFault> {
    let entries = entries.iter().map(|(p, e, r)| entry(p, *e, r)).collect();
    RouteMap::new(US, entries).err()
}

fn owner<'m>(map: &'m RouteMap, path: &str) -> &'m str {
    std::str::from_utf8(map.route(path.as_bytes()).prefix()).unwrap()
}

#[test]
fn prefixes_own_whole_components() {
    let map = map(&[("/", US, ""), ("/us", EU, ""), ("/us/a-b", US, "")]);
    for (path, prefix) in [
        ("/us", "/us"),
        ("/us/", "/us"),
        ("/us/x", "/us"),
        ("/usa", "/"),
        ("/us/a", "/us"),
        ("/us/a-b", "/us/a-b"),
        ("/us/a-b/c", "/us/a-b"),
        ("/us/a-bc", "/us"),
        ("/us/../us/a-b", "/us"),
        ("", "/"),
        ("/", "/"),
        ("//us", "/"),
        ("us", "/"),
        ("us/x", "/"),
        ("/zookeeper", "/zookeeper"),
        ("/zookeeper/config", "/zookeeper"),
        ("/zookeepers", "/"),
    ] {
        assert_eq!(owner(&map, path), prefix, "{path:?}");
    }
    assert_eq!(map.route(b"/us\xff").prefix(), b"/");
    assert_eq!(map.route(b"/us/\xff").prefix(), b"/us");
}

#[test]
fn zookeeper_is_homes_even_where_the_top_is_not() {
    let map = map(&[("/", EU, "/app"), ("/us", US, "")]);
    let rule = map.route(b"/zookeeper/quota");
    assert_eq!(rule.ensemble(), US);
    assert_eq!(rule.to_real(b"/zookeeper/quota"), &b"/zookeeper/quota"[..]);
    let back = map.to_client(US, b"/zookeeper/quota");
    assert_eq!(back.as_deref(), Some(&b"/zookeeper/quota"[..]));
    assert_eq!(map.to_client(EU, b"/zookeeper/quota"), None);
}

#[test]
fn sequential_nodes_belong_to_the_owner_of_the_parent() {
    let map = map(&[("/", US, ""), ("/eu", EU, ""), ("/eu/q", US, "")]);
    for (path, prefix) in [
        ("/eu", "/"),
        ("/eu/", "/eu"),
        ("/eu/q", "/eu"),
        ("/eu/q-", "/eu"),
        ("/eu/q/", "/eu/q"),
        ("/eu/q/n-", "/eu/q"),
        ("/zookeeper", "/"),
        ("/", "/"),
        ("", "/"),
        ("eu", "/"),
    ] {
        let rule = map.route_sequential(path.as_bytes());
        assert_eq!(rule.prefix(), prefix.as_bytes(), "{path:?}");
        let made = format!("{path}0000000007");
        assert_eq!(owner(&map, &made), prefix, "{made:?}");
    }
}

#[test]
fn mounts_translate_both_ways() {
    let map = map(&[
        ("/", US, "/chroot"),
        ("/all", EU, "/"),
        ("/legacy", US, "/old/app"),
        ("/legacy/new", EnsembleId::new(2), ""),
    ]);
    assert!(fault(&[("/", US, ""), ("/all", EU, "/"), ("/b", EU, "/b/c")]).is_some());
    for (client, ensemble, real) in [
        ("/", US, "/chroot"),
        ("/x", US, "/chroot/x"),
        ("//", US, "/chroot//"),
        ("x", US, "x"),
        ("/all", EU, "/"),
        ("/all/", EU, "//"),
        ("/all//", EU, "///"),
        ("/all/x", EU, "/x"),
        ("/legacy", US, "/old/app"),
        ("/legacy/", US, "/old/app/"),
        ("/legacy/x", US, "/old/app/x"),
    ] {
        let rule = map.route(client.as_bytes());
        assert_eq!(rule.ensemble(), ensemble, "{client}");
        let there = rule.to_real(client.as_bytes());
        assert_eq!(std::str::from_utf8(&there).unwrap(), real);
        let back = map.to_client(ensemble, &there);
        assert_eq!(back.as_deref(), Some(client.as_bytes()), "{real}");
    }
    assert_eq!(map.to_client(US, b"/chroot/all/x"), None, "shadowed");
    assert_eq!(map.to_client(US, b"/old/app/new"), None, "shadowed");
    assert_eq!(map.to_client(US, b"/other"), None, "outside of all roots");
    assert_eq!(map.to_client(US, b"/chroots"), None, "another component");
}

#[test]
fn sequential_paths_keep_their_slash() {
    let map = map(&[("/", US, "/chroot"), ("/all", EU, "/")]);
    for (client, real) in [
        ("/", "/chroot/"),
        ("/n-", "/chroot/n-"),
        ("/all/", "/"),
        ("/all/n-", "/n-"),
        ("x", "x"),
        ("", ""),
    ] {
        let rule = map.route_sequential(client.as_bytes());
        let there = rule.to_real_sequential(client.as_bytes());
        assert_eq!(std::str::from_utf8(&there).unwrap(), real, "{client:?}");
    }
}

#[test]
fn below_is_strict_and_on_components() {
    let map = map(&[
        ("/", US, ""),
        ("/a", EU, ""),
        ("/a-b", EU, ""),
        ("/a/c", US, ""),
        ("/a/c/d", EU, ""),
    ]);
    let below = |path: &str| -> Vec<&str> {
        map.below(path.as_bytes())
            .map(|r| std::str::from_utf8(r.prefix()).unwrap())
            .collect()
    };
    assert_eq!(below("/"), ["/a", "/a-b", "/a/c", "/a/c/d"]);
    assert_eq!(below(""), below("/"));
    assert_eq!(below("/a"), ["/a/c", "/a/c/d"]);
    assert_eq!(below("/a/c"), ["/a/c/d"]);
    assert_eq!(below("/a/c/d"), Vec::<&str>::new());
    assert_eq!(below("/a/"), Vec::<&str>::new());
    assert_eq!(below("/a-"), Vec::<&str>::new());
}

#[test]
fn single_means_nothing_to_compose() {
    assert!(map(&[("/", US, "")]).is_single());
    assert!(map(&[("/", US, ""), ("/a", US, "/a")]).is_single());
    assert!(!map(&[("/", US, "/chroot")]).is_single());
    assert!(!map(&[("/", EU, "")]).is_single());
    assert!(!map(&[("/", US, ""), ("/eu", EU, "")]).is_single());
}

#[test]
fn bad_paths_are_refused() {
    for (path, expected) in [
        ("", PathFault::Empty),
        ("eu", PathFault::Relative),
        ("/eu/", PathFault::TrailingSlash),
        ("//", PathFault::TrailingSlash),
        ("/a//b", PathFault::EmptyComponent),
        ("/a/./b", PathFault::Dots),
        ("/a/..", PathFault::Dots),
        ("/a\u{1}", PathFault::Character('\u{1}')),
        ("/a\u{7f}", PathFault::Character('\u{7f}')),
        ("/a\u{e000}", PathFault::Character('\u{e000}')),
        ("/a\u{fff0}", PathFault::Character('\u{fff0}')),
        ("/a\u{1f600}", PathFault::Character('\u{1f600}')),
        ("/zookeeper", PathFault::System),
        ("/zookeeper/config", PathFault::System),
    ] {
        let prefix = vec![entry("/", US, ""), entry(path, EU, "")];
        let (entry, fault) = (1, expected);
        let found = RouteMap::new(US, prefix).unwrap_err();
        assert_eq!(found, RouteFault::Prefix { entry, fault }, "{path:?}");
        let root = (b"/x".to_vec(), EU, Some(path.as_bytes().to_vec()));
        let found = RouteMap::new(US, vec![self::entry("/", US, ""), root]).unwrap_err();
        assert_eq!(found, RouteFault::Root { entry, fault }, "{path:?}");
    }
    let not_text = (b"/a\xff".to_vec(), EU, None);
    let fault = RouteMap::new(US, vec![entry("/", US, ""), not_text]).unwrap_err();
    assert_eq!(fault.to_string(), "prefix of entry 1 is not UTF-8");
}

#[test]
fn structural_mistakes_are_refused() {
    assert_eq!(fault(&[("/eu", EU, "")]), Some(RouteFault::NoTop));
    let (entry, first) = (2, 1);
    assert_eq!(
        fault(&[("/", US, ""), ("/eu", EU, ""), ("/eu", US, "")]),
        Some(RouteFault::Duplicate { entry, first })
    );
    let sequential = PathFault::Sequential;
    assert_eq!(
        fault(&[("/", US, ""), ("/us/west-0000000001", EU, "")]),
        Some(RouteFault::Prefix {
            entry: 1,
            fault: sequential
        })
    );
    assert_eq!(fault(&[("/", US, ""), ("/x", EU, "/n-0000000001")]), None);
    assert_eq!(fault(&[("/", US, ""), ("/n-000000001", EU, "")]), None);

    let overlap = Some(RouteFault::Overlap { entry, first });
    for (one, other) in [
        (("/a", EU, "/r"), ("/b", EU, "/r")),
        (("/a", EU, "/r"), ("/b", EU, "/r/s")),
        (("/a", EU, "/r/s"), ("/b", EU, "/r")),
        (("/a", EU, "/b"), ("/b", EU, "")),
        (("/a", EU, "/"), ("/b", EU, "")),
    ] {
        let found = fault(&[("/", US, ""), one, other]);
        assert_eq!(found, overlap, "{one:?} {other:?}");
    }
    for (one, other) in [
        (("/a", EU, "/r"), ("/b", EU, "/rs")),
        (("/a", EU, "/r"), ("/b", EnsembleId::new(2), "/r")),
        (("/a", EU, ""), ("/a/b", EU, "")),
        (("/a", EU, "/r-s"), ("/b", EU, "/r")),
    ] {
        assert_eq!(fault(&[("/", US, ""), one, other]), None, "{one:?}");
    }
}

#[test]
fn all_faults_are_found() {
    let entries = [
        entry("/a/", US, ""),
        entry("b", US, "/zookeeper"),
        entry("/c", US, ""),
        entry("/c", US, ""),
    ];
    assert_eq!(RouteMap::faults(&entries).len(), 5);
}

#[test]
fn fingerprints_name_the_routing() {
    let names = ["us", "eu"];
    let one = map(&[("/", US, ""), ("/eu", EU, ""), ("/x", EU, "/y")]);
    let print = one.fingerprint(&names);
    // Pinned: another value here means that sidecars of two versions disagree.
    assert_eq!(print.to_string(), "6dffb668333d27da");

    let other_order = map(&[("/x", EU, "/y"), ("/eu", EU, "/eu"), ("/", US, "")]);
    assert_eq!(other_order.fingerprint(&names), print);
    let swapped = vec![
        entry("/", EU, ""),
        entry("/eu", US, ""),
        entry("/x", US, "/y"),
    ];
    let other_region = RouteMap::new(US, swapped).unwrap();
    assert_eq!(other_region.fingerprint(&["eu", "us"]), print);

    let redundant = [("/us", US, ""), ("/eu/a", EU, ""), ("/eu/a/b", EU, "")];
    let routes = [("/", US, ""), ("/eu", EU, ""), ("/x", EU, "/y")];
    let redundant = map(&[&routes[..], &redundant].concat());
    assert_eq!(redundant.fingerprint(&names), print);
    let needed = map(&[&routes[..], &[("/eu/a", US, "")]].concat());
    assert_ne!(needed.fingerprint(&names), print);

    assert_ne!(one.fingerprint(&["us", "ap"]), print);
    assert_ne!(other_region.fingerprint(&names), print);
    let moved = map(&[("/", US, ""), ("/eu", EU, ""), ("/x", EU, "/z")]);
    assert_ne!(moved.fingerprint(&names), print);
}

/// A path over an alphabet so small that prefixes and paths meet often.
fn any_path(u: &mut Unstructured<'_>, max: usize) -> arbitrary::Result<String> {
    let mut path = String::new();
    for _ in 0..u.int_in_range(0..=max)? {
        path.push('/');
        path.push_str(u.choose(&["a", "b", "ab", "a-b", "z", "b0", "zookeeper"])?);
    }
    if path.is_empty() {
        path.push('/');
    }
    Ok(path)
}

/// Paths that clients send although they should not, too.
fn any_wild_path(u: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    let mut path = String::new();
    for _ in 0..u.int_in_range(0..=9)? {
        path.push_str(u.choose(&["/", "/", "a", "b", "ab", "-", "..", "zookeeper"])?);
    }
    Ok(path)
}

/// A map of what is sound among many random entries.
fn any_map(u: &mut Unstructured<'_>) -> arbitrary::Result<RouteMap> {
    let mut entries = vec![(b"/".to_vec(), EnsembleId::new(u.int_in_range(0..=2)?), None)];
    if u.ratio(1, 4)? {
        entries[0].2 = Some(any_path(u, 2)?.into_bytes());
    }
    if RouteMap::new(US, entries.clone()).is_err() {
        entries[0].2 = None;
    }
    for _ in 0..u.int_in_range(0..=40)? {
        let root = u.ratio(1, 3)?.then(|| any_path(u, 3)).transpose()?;
        let ensemble = EnsembleId::new(u.int_in_range(0..=3)?);
        let prefix = any_path(u, 4)?.into_bytes();
        entries.push((prefix, ensemble, root.map(String::into_bytes)));
        if RouteMap::new(US, entries.clone()).is_err() {
            entries.pop();
        }
    }
    Ok(RouteMap::new(US, entries).unwrap())
}

/// The same answer from the definition: whole components, the longest wins.
fn naive<'m>(map: &'m RouteMap, path: &str) -> &'m Rule {
    let path: Vec<&str> = path.split('/').collect();
    let mut rules: Vec<&Rule> = map.rules().iter().chain([map.system()]).collect();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.prefix().len()));
    rules
        .into_iter()
        .find(|rule| {
            let prefix = std::str::from_utf8(rule.prefix()).unwrap();
            let prefix: Vec<&str> = prefix.split('/').collect();
            rule.prefix() == b"/" || path.starts_with(&prefix)
        })
        .unwrap()
}

#[test]
fn the_longest_prefix_wins() {
    arbtest::arbtest(|u| {
        let map = any_map(u)?;
        for _ in 0..16 {
            let path = any_wild_path(u)?;
            let rule = naive(&map, &path);
            assert_eq!(map.route(path.as_bytes()), rule, "{path:?}");
            let found = map.search(path.as_bytes());
            let found = found.unwrap_or_else(|| map.top(path.as_bytes()));
            assert_eq!(found, rule, "{path:?}");
            let sequential = map.route_sequential(path.as_bytes());
            let made = format!("{path}0123456789");
            assert_eq!(sequential, naive(&map, &made), "{path:?} {map:?}");
        }
        Ok(())
    });
}

#[test]
fn paths_that_begin_alike_have_one_owner_or_a_prefix_is_among_them() {
    let (mut alike, mut apart) = (0, 0);
    arbtest::arbtest(|u| {
        let map = any_map(u)?;
        for _ in 0..16 {
            let path = any_wild_path(u)?.into_bytes();
            let start = &path[..u.int_in_range(0..=path.len())?];
            let mut prefixes = map.rules().iter().chain([map.system()]).map(Rule::prefix);
            let found = prefixes.any(|prefix| prefix.starts_with(start));
            assert_eq!(map.is_alike_below(start), !found, "{start:?} {map:?}");
            if found {
                apart += 1;
                continue;
            }
            alike += 1;
            let longer = [start, any_wild_path(u)?.as_bytes()].concat();
            assert_eq!(map.route(&longer), map.route(start), "{longer:?} {map:?}");
            assert_eq!(map.route(&path), map.route(start), "{path:?} {map:?}");
        }
        Ok(())
    });
    assert!(alike > 0 && apart > 0, "{alike} {apart}");
}

#[test]
fn translation_is_reversible_and_never_collides() {
    arbtest::arbtest(|u| {
        let map = any_map(u)?;
        let mut names: BTreeMap<(EnsembleId, Vec<u8>), String> = BTreeMap::new();
        for _ in 0..24 {
            let mut path = if u.arbitrary()? {
                any_path(u, 5)?
            } else {
                any_wild_path(u)?
            };
            if path.is_empty() {
                path.push('/'); // the one alias there is
            }
            let rule = map.route(path.as_bytes());
            let real = rule.to_real(path.as_bytes()).into_owned();
            let whole = rule.root() == Some(b"/");
            if whole && below_or_at(&real, SYSTEM).is_some() {
                continue; // see Decisions
            }
            let back = map.to_client(rule.ensemble(), &real);
            assert_eq!(back.as_deref(), Some(path.as_bytes()), "{path} {map:?}");
            let key = (rule.ensemble(), real);
            let other = names.entry(key).or_insert_with(|| path.clone());
            assert_eq!(*other, path);
        }
        Ok(())
    });
}

#[test]
fn what_comes_back_goes_there() {
    arbtest::arbtest(|u| {
        let map = any_map(u)?;
        for _ in 0..24 {
            let real = any_wild_path(u)?;
            let ensemble = EnsembleId::new(u.int_in_range(0..=3)?);
            if let Some(client) = map.to_client(ensemble, real.as_bytes()) {
                let rule = map.route(&client);
                assert_eq!(rule.ensemble(), ensemble);
                assert_eq!(rule.to_real(&client), real.as_bytes(), "{map:?}");
            }
        }
        Ok(())
    });
}

#[test]
fn below_is_what_routes_away_or_deeper() {
    arbtest::arbtest(|u| {
        let map = any_map(u)?;
        let path = any_path(u, 3)?;
        let parent = if path == "/" { "" } else { &path };
        let expected: Vec<&Rule> = map
            .rules()
            .iter()
            .filter(|r| r.prefix().starts_with(format!("{parent}/").as_bytes()))
            .filter(|r| r.prefix() != b"/")
            .collect();
        assert!(map.below(path.as_bytes()).eq(expected));
        Ok(())
    });
}
