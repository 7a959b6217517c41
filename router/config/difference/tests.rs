#![forbid(unsafe_code)]

use proptest::prelude::*;

use super::*;

use crate::config::setting::{AT_START, LIVE, OF_CARD, OF_PORT};
use crate::config::{Api, Kernel, Route, StaticNeighbour, Tables, police, policy};

const PORTS: &str = "
[[port]]
name = 'lan'
device = 'eth1'
addresses = ['10.1.0.1/24']
[[port]]
name = 'wan'
device = 'eth2'
addresses = ['10.2.0.1/24', '2001:db8:2::1/64']
";

fn parse(text: &str) -> Config {
    Config::parse(text, "r").unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

/// What an operator is shown of the way from one file to the other.
fn shown(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (parse(old), parse(new));
    let new = new.numbered_as(&old, old.ports.len()).unwrap();
    let changes = old.changes_to(&new).unwrap();
    lines(&changes, &old, &new).iter().map(Line::to_string).collect()
}

#[test]
fn the_same_is_no_difference_however_it_is_written() {
    let other = "[[port]]\ndevice = 'eth2'\nname = 'wan'\naddresses = ['10.2.0.1/24', \
                 '2001:db8:2:0::1/64']\n[[port]]\nname = 'lan'\ndevice = 'eth1'\nmode = 'auto'\n\
                 addresses = ['10.1.0.1/24']\n[router]\nring = 1024\n";
    assert_eq!(shown(PORTS, other), [""; 0]);
}

#[test]
fn each_change_as_it_is_shown() {
    let route = "[[route]]\nto = '10.9.0.0/16'\nvia =";
    let one = format!("{PORTS}{route} '10.2.0.2'\n");
    let two =
        format!("{PORTS}{route} [{{ via = '10.2.0.2', weight = 2 }}, {{ via = '10.2.0.3' }}]\n");
    assert_eq!(shown(PORTS, &one), ["+ route 10.9.0.0/16 via 10.2.0.2 port wan"]);
    assert_eq!(shown(&one, PORTS), ["- route 10.9.0.0/16 via 10.2.0.2 port wan"]);
    let both = "via 10.2.0.2 port wan weight 2 via 10.2.0.3 port wan";
    let line = format!("~ route 10.9.0.0/16: via 10.2.0.2 port wan -> {both}");
    assert_eq!(shown(&one, &two), [line]);
    let neighbour = "[[neighbour]]\naddress = '10.1.0.7'\nmac = '02:00:00:00:00:07'\nport = 'lan'";
    let neighbour = format!("{PORTS}{neighbour}");
    assert_eq!(shown(PORTS, &neighbour), ["+ neighbour 10.1.0.7 mac 02:00:00:00:00:07 port lan"]);
    let moved = PORTS.replace("10.1.0.1/24", "10.3.0.1/24");
    let lines = ["+ address 10.3.0.1/24 port lan", "- address 10.1.0.1/24 port lan"];
    assert_eq!(shown(PORTS, &moved), lines);
    let turned =
        PORTS.replace("'10.2.0.1/24', '2001:db8:2::1/64'", "'2001:db8:2::1/64', '10.2.0.1/24'");
    let lists = "10.2.0.1/24, 2001:db8:2::1/64 -> 2001:db8:2::1/64, 10.2.0.1/24";
    assert_eq!(shown(PORTS, &turned), [format!("~ port wan addresses: {lists}")]);
    let card = PORTS.replace("eth1", "eth7");
    assert_eq!(shown(PORTS, &card), ["- port lan device eth1", "+ port lan device eth7"]);
    let settings = format!("police.icmp_per_s = 7\nrouter.fastpath = 'off'\n{PORTS}");
    let lines = [
        "~ [router] fastpath: auto -> off",
        "~ [police] icmp_per_s: 1000 -> 7",
        "~ port lan fastpath: auto -> off",
        "~ port wan fastpath: auto -> off",
    ];
    assert_eq!(shown(PORTS, &settings), lines);
}

#[test]
fn what_is_read_at_start_only_is_named() {
    let new = parse(&format!("router.ring = 64\ntables.next_hops = 9000\n{PORTS}"));
    let refused = parse(PORTS).changes_to(&new).unwrap_err();
    assert_eq!(refused.0, ["[router] ring", "[tables] next_hops"]);
    let text = "needs a restart: [router] ring, [tables] next_hops; nothing was changed: restart \
                xrouter, or put back what was there";
    assert_eq!(refused.to_string(), text);
    let shown = lines_between(&parse(PORTS), new);
    assert_eq!(shown[0].to_string(), "~ [router] ring: 1024 -> 64");
}

/// A key that is in no list would be changed in the file and not in the router.
#[test]
fn every_key_is_in_one_of_the_lists() {
    let sections: [(&str, &[&str]); 7] = [
        ("[router]", RouterSection::KEYS),
        ("[policy]", policy::KEYS),
        ("[police]", police::KEYS),
        ("[tables]", Tables::KEYS),
        ("[resolution]", Resolution::KEYS),
        ("[kernel]", Kernel::KEYS),
        ("[api]", Api::KEYS),
    ];
    let all = sections
        .iter()
        .flat_map(|(section, keys)| keys.iter().map(move |key| format!("{section} {key}")));
    let listed = LIVE.iter().chain(AT_START).map(|(name, _)| (*name).to_owned());
    assert_eq!(listed.collect::<BTreeSet<_>>(), all.collect());
    let of_port = OF_CARD.iter().chain(OF_PORT).map(|(name, _)| *name);
    let of_port: BTreeSet<_> = of_port.chain(["name", "addresses"]).collect();
    assert_eq!(of_port, Port::KEYS.iter().copied().collect());
}

/// Each key with another value than its default, under its own name.
#[test]
fn every_key_shows_its_own_value() {
    let file = include_str!("every_key.toml");
    let (default, other) = (parse(PORTS), parse(&format!("{file}{PORTS}")));
    for (name, value) in LIVE.iter().chain(AT_START) {
        assert_ne!(value(&default), value(&other), "{name}");
        let (_, key) = name.split_once(' ').unwrap();
        let line = file.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
        let written = line.split_once(" = ").unwrap().1.replace('"', "");
        let shown = value(&other).replace('"', "");
        assert_eq!(shown, written, "{name}");
    }
}

#[test]
fn ports_keep_their_numbers_and_new_ones_get_those_that_nobody_had() {
    let old = parse(PORTS);
    let dmz = "[[port]]\nname = 'dmz'\ndevice = 'eth3'\n";
    let wan = PORTS.split_once("[[port]]\nname = 'wan'").unwrap().1;
    let new = parse(&format!("{dmz}[[port]]\nname = 'wan'{wan}"));
    let numbers = |config: &Config| -> Vec<_> {
        config.ports.iter().map(|port| (port.name.clone(), port.id.index())).collect()
    };
    let numbered = new.clone().numbered_as(&old, 5).unwrap();
    assert_eq!(numbers(&numbered), [("dmz".to_owned(), 5), ("wan".to_owned(), 1)]);
    let reused = new.clone().numbered_as(&old, PORTS_MAX).unwrap();
    assert_eq!(numbers(&reused)[0], ("dmz".to_owned(), 2));
    let many: String =
        (0..63).map(|n| format!("[[port]]\nname = 'p{n}'\ndevice = 'e{n}'\n")).collect();
    assert_eq!(parse(&many).numbered_as(&old, 2), None);
}

/// What a router does with a change, as far as its configuration goes. What the change says of
/// before must be so, and what it needs must be there.
fn carry_out(change: &Change, config: &mut Config) {
    match change.clone() {
        Change::Port { old, new } => {
            if let Some(old) = old {
                assert!(config.ports.iter().any(|port| port.id == old.id));
                config.ports.retain(|port| port.id != old.id);
            }
            if let Some(new) = new {
                let twin =
                    |p: &Port| p.id == new.id || p.name == new.name || p.device == new.device;
                assert!(!config.ports.iter().any(twin), "{new:?}");
                config.ports.push(*new);
            }
        }
        Change::Tuning { old, new } => replace(config, &old, *new),
        Change::Addresses { port, old, new } => {
            let known = config.port(port).unwrap().clone();
            assert_eq!(known.addresses, old);
            replace(config, &known, Port { addresses: new, ..known.clone() });
        }
        Change::Settings { old, new } => {
            assert_eq!(config.settings(), old);
            let Settings { router, policy, police, resolution } = *new;
            (config.router, config.policy) = (router, policy);
            (config.police, config.resolution) = (police, resolution);
        }
        Change::Neighbour { port, address, old, new } => {
            let all = &mut config.static_neighbours;
            let place = all.iter().position(|n| (n.port, n.address) == (port, address));
            assert_eq!(place.map(|place| all.remove(place).mac), old);
            all.extend(new.map(|mac| StaticNeighbour { address, mac, port }));
        }
        Change::Route { to, old, new } => {
            let place = config.routes.iter().position(|route| route.to == to);
            assert_eq!(place.map(|place| config.routes.remove(place).action), old);
            config.routes.extend(new.map(|action| Route { to, action }));
        }
    }
}

fn replace(config: &mut Config, old: &Port, new: Port) {
    let port = config.ports.iter_mut().find(|port| port.id == old.id).unwrap();
    assert_eq!(port, old);
    *port = new;
}

/// A route is set when its ports are there.
fn has_its_ports(change: &Change, config: &Config) -> bool {
    match change {
        Change::Route { new: Some(RouteAction::Via(via)), .. } => {
            via.iter().all(|next| config.port(next.port).is_some())
        }
        _ => true,
    }
}

/// The order in which things stand in a file means nothing.
fn sorted(mut config: Config) -> Config {
    config.ports.sort_by_key(|port| port.id);
    config.routes.sort_by_key(|route| route.to);
    config.static_neighbours.sort_by_key(|neighbour| (neighbour.port, neighbour.address));
    config
}

/// A file with some of four ports, each with some keys, and what leads by them. A subnet may be on
/// another port in another file, a card under another name.
fn file() -> impl Strategy<Value = String> {
    let port = (any::<bool>(), 0..3_u8, 1..4_u8, prop::option::of(1300..1400_u16));
    let ports = prop::collection::vec(port, 4);
    (ports, any::<bool>(), any::<bool>(), 0..3_u32).prop_map(|(ports, turned, more, rate)| {
        let mut text = format!("police.icmp_per_s = {}\n", 1 + rate);
        let mut lists = String::new();
        for (number, (there, addresses, mode, mtu)) in ports.into_iter().enumerate() {
            if !there {
                continue;
            }
            let subnet = if turned { 3 - number } else { number };
            let all: Vec<_> = (0..addresses).map(|n| format!("'10.{subnet}.{n}.1/24'")).collect();
            let (card, mode) =
                (number + usize::from(more), ["auto", "copy", "generic"][usize::from(mode) - 1]);
            text +=
                &format!("[[port]]\nname = 'p{number}'\ndevice = 'eth{card}'\nmode = '{mode}'\n");
            text += &format!("addresses = [{}]\n", all.join(", "));
            text += &mtu.map_or_else(String::new, |mtu| format!("mtu = {mtu}\n"));
            if addresses > 0 {
                let via = if more { 7 } else { 8 };
                lists +=
                    &format!("[[route]]\nto = '10.9.{number}.0/24'\nvia = '10.{subnet}.0.{via}'\n");
                lists += &format!(
                    "[[neighbour]]\naddress = '10.{subnet}.0.9'\nmac = '02:00:00:00:00:0{via}'\n\
                     port = 'p{number}'\n"
                );
            } else {
                lists += &format!("[[route]]\nto = '10.9.{number}.0/24'\ntype = 'blackhole'\n");
            }
        }
        text + &lists
    })
}

proptest! {
    #[test]
    fn the_changes_lead_from_one_to_the_other_and_back(old in file(), new in file()) {
        let old = parse(&old);
        let new = parse(&new).numbered_as(&old, old.ports.len()).unwrap();
        let changes = old.changes_to(&new).unwrap();
        let mut config = old.clone();
        for change in &changes {
            prop_assert!(has_its_ports(change, &config));
            carry_out(change, &mut config);
        }
        prop_assert_eq!(sorted(config.clone()), sorted(new.clone()));
        prop_assert_eq!(config.changes_to(&new).unwrap(), vec![]);
        changes.iter().rev().for_each(|change| carry_out(&change.undone(), &mut config));
        prop_assert_eq!(sorted(config), sorted(old));
    }
}
