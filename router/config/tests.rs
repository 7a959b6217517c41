//! The messages are the product: each mistake has a test that compares all of its text.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use toml::de::DeTable;

use super::*;
use crate::table::policy::PortPolicy;

const PORTS: &str = r#"
[[port]]
name = "lan"
device = "eth1"
addresses = ["10.1.0.1/24", "2001:db8:1::1/64"]
[[port]]
name = "wan"
device = "eth2"
addresses = ["10.2.0.1/24", "2001:db8:2::1/64"]
"#;

fn errors(text: &str) -> String {
    Config::parse(text, "r.toml").expect_err("the text has mistakes").to_string()
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config")
}

fn reference() -> String {
    fs::read_to_string(directory().join("reference.toml")).unwrap()
}

#[test]
fn every_file_of_the_repository_loads() {
    let mut loaded = 0;
    for entry in fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            Config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
            loaded += 1;
        }
    }
    assert!(loaded >= 3);
}

#[test]
fn the_reference_has_every_key() {
    let text = reference();
    let tree = DeTable::parse(&text).unwrap();
    let known = [
        ("router", RouterSection::KEYS),
        ("policy", policy::KEYS),
        ("police", police::KEYS),
        ("tables", Tables::KEYS),
        ("resolution", Resolution::KEYS),
        ("kernel", Kernel::KEYS),
        ("api", Api::KEYS),
        ("port", Port::KEYS),
        ("route", Route::KEYS),
        ("neighbour", StaticNeighbour::KEYS),
    ];
    assert_eq!(known.map(|(name, _)| name), SECTIONS);
    for (name, keys) in known {
        let section = tree.get_ref().get(name).expect(name).get_ref();
        let tables: Vec<_> = match section.as_array() {
            Some(list) => list.iter().filter_map(|table| table.get_ref().as_table()).collect(),
            None => section.as_table().into_iter().collect(),
        };
        for key in keys {
            assert!(tables.iter().any(|table| table.contains_key(*key)), "{name}: {key}");
        }
    }
}

#[test]
fn the_reference_shows_the_defaults() {
    let shown = Config::parse(&reference(), "reference.toml").unwrap();
    let default = Config::default();
    let router = RouterSection { workers: None, frames: None, hash_seed: None, ..shown.router };
    assert_eq!(router, default.router);
    assert_eq!(shown.policy, default.policy);
    assert_eq!(shown.police, default.police);
    assert_eq!(shown.tables, default.tables);
    assert_eq!(shown.resolution, default.resolution);
    assert_eq!(shown.kernel, default.kernel);
    assert_eq!(shown.api.socket, default.api.socket);
    assert_eq!(Config::parse("", "empty").unwrap(), default);
}

#[test]
fn the_demo_means_what_it_says() {
    let config = Config::load(&directory().join("demo.toml")).unwrap();
    let (wan, port) = config.port_named("wan").unwrap();
    assert_eq!(port.device, "wan0");
    assert_eq!(config.port(wan), Some(port));
    assert_eq!(config.on_link("10.2.0.77".parse().unwrap()), Some(wan));
    assert_eq!(config.on_link("10.9.0.1".parse().unwrap()), None);
    assert!(config.is_own("2001:db8:1::1".parse().unwrap()));
    let connected: Vec<_> = config.connected().map(|(_, net)| net.to_string()).collect();
    assert_eq!(connected, ["10.1.0.0/24", "2001:db8:1::/64", "10.2.0.0/24", "2001:db8:2::/64"]);
    let via = "10.2.0.2".parse().unwrap();
    let hop = NextHop { via, port: wan, weight: 1 };
    assert_eq!(config.routes[0].action, RouteAction::Via(vec![hop]));
    assert_eq!(config.routes[4].action, RouteAction::Blackhole);
}

#[test]
fn a_port_says_less_and_inherits() {
    let config = Config::parse(&format!("router.fastpath = 'off'\n{PORTS}"), "r").unwrap();
    assert_eq!(config.ports[0].fastpath, FastPath::Off);
    assert_eq!(config.ports[0].mode, PortMode::Auto);
    assert_eq!((config.ports[0].mtu, config.ports[0].queues), (None, None));
    assert_eq!(config.ports[0].policy, PortPolicy::default());
}

#[test]
fn what_is_allowed() {
    let several = r#"
        [[port]]
        name = "a"
        device = "b"
        addresses = ["10.0.0.1/24", "10.0.0.2/24", "192.0.2.0/31", "192.0.2.9/32", "fe80::1/64"]
        [[port]]
        name = "c"
        device = "d"
        addresses = ["fe80::1/64", "2001:db8::/127"]
        [[route]]
        to = "10.7.0.0/16"
        via = "2001:db8::1"
        [[neighbour]]
        address = "fe80::9"
        mac = "02:00:00:00:00:09"
        port = "c"
    "#;
    let config = Config::parse(several, "r").unwrap_or_else(|errors| panic!("{errors}"));
    let connected: Vec<_> = config.connected().map(|(_, net)| net.to_string()).collect();
    assert_eq!(connected, ["10.0.0.0/24", "192.0.2.0/31", "192.0.2.9/32", "2001:db8::/127"]);
}

#[test]
fn a_file_that_is_not_there() {
    let error = Config::load(std::path::Path::new("/nowhere/r.toml")).unwrap_err();
    let expected = "error: cannot read /nowhere/r.toml: No such file or directory (os error 2)\n   \
                    = help: name a readable file: -c FILE";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn more_mistakes_than_anybody_reads() {
    let shown = errors(&"[[port]]\nname = 7\n".repeat(200));
    assert_eq!(shown.matches("this is a whole number").count(), 50);
    assert!(shown.ends_with("\n\nerror: 301 more mistakes are not shown"), "{shown}");
}

/// mistakes.txt: `===== title`, a file, `-----`, what the operator is told. A file without ports has
/// [`PORTS`] behind it. `UPDATE_CASES=1 cargo test` writes the answers anew; review the difference.
#[test]
fn each_mistake_is_explained() {
    let path = PathBuf::from(file!()).with_file_name("mistakes.txt");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    let cases = fs::read_to_string(&path).unwrap();
    let (head, cases_only) = cases.split_once("===== ").unwrap();
    let answered: Vec<String> = cases_only.split("\n===== ").map(answer).collect();
    let answered = format!("{head}===== {}\n", answered.join("\n===== "));
    if std::env::var_os("UPDATE_CASES").is_some() {
        fs::write(&path, &answered).unwrap();
    }
    for (found, expected) in answered.split("\n===== ").zip(cases.split("\n===== ")) {
        assert_eq!(found.trim_end(), expected.trim_end());
    }
}

/// The case as it should stand in mistakes.txt.
fn answer(case: &str) -> String {
    let (title, rest) = case.split_once('\n').unwrap();
    let (text, _) = rest.split_once("-----").unwrap();
    let file = if text.contains("[[port]]") { text.to_owned() } else { format!("{text}{PORTS}") };
    format!("{title}\n{text}-----\n{}\n", errors(&file))
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = Config::parse(&text, "r.toml").map_err(|errors| errors.to_string());
    }

    #[test]
    fn no_change_of_the_reference_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..40, "\\PC{0,9}"), 1..6),
    ) {
        let mut text = reference();
        for (at, length, new) in changes {
            let start = text.floor_char_boundary(at.index(text.len()));
            let end = text.ceil_char_boundary((start + length).min(text.len()));
            text.replace_range(start..end, &new);
        }
        let _ = Config::parse(&text, "r.toml").map_err(|errors| errors.to_string());
    }

    #[test]
    fn no_value_panics(
        line in any::<prop::sample::Index>(),
        value in "[-0-9]{1,20}|\"[0-9a-f:./]{0,20}\"|\\[[0-9,\"a.]{0,9}\\]|\\{ ?via ?= ?[\"0-9.]{0,9}\\}",
    ) {
        let text = reference();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let settings: Vec<usize> =
            (0..lines.len()).filter(|&n| lines[n].contains(" = ") && !lines[n].starts_with('#')).collect();
        let chosen = settings[line.index(settings.len())];
        let key = lines[chosen].split(" = ").next().unwrap_or_default().to_owned();
        lines[chosen] = format!("{key} = {value}");
        let _ = Config::parse(&lines.join("\n"), "r.toml").map_err(|errors| errors.to_string());
    }
}
