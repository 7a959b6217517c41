#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};

use super::*;
use crate::adopt::survey::Settings;
use crate::config::{self, Config, RouteAction};
use crate::control::netlink::belongings::Known;
use crate::control::netlink::link::Link;
use crate::control::netlink::routes::Kind;
use crate::packet::ethernet::MacAddress;
use crate::table::policy::SourceValidation;

fn card(index: u32, name: &str, addresses: &[&str]) -> Card {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.flags = LinkFlags::Up;
    message.attributes = vec![
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::Mtu(1400),
        LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]),
    ];
    let of = |text: &&str| Address {
        net: text.parse().unwrap(),
        permanent: true,
        ours: false,
        usable: true,
    };
    Card {
        link: Link::from(&message),
        driver: "veth".to_owned(),
        addresses: addresses.iter().map(of).collect(),
        routes: Vec::new(),
        counts: BTreeMap::new(),
        neighbours: Vec::new(),
        groups: 0,
        settings: Settings { rp_filter: 0, send_redirects: true, proxy_arp: false },
        above: Vec::new(),
        member_of: None,
    }
}

fn survey(cards: Vec<Card>) -> Survey {
    Survey {
        cards,
        belongings: Default::default(),
        forwards4: true,
        forwards6: true,
        rules: Vec::new(),
        filters: Vec::new(),
    }
}

fn route(to: &str, metric: u32, hops: &[(Option<&str>, u32, u8)]) -> KernelRoute {
    let hop = |&(via, device, weight): &(Option<&str>, u32, u8)| KernelHop {
        via: via.map(|via| via.parse().unwrap()),
        device,
        weight,
        dead: false,
        encapsulated: false,
    };
    KernelRoute {
        to: to.parse().unwrap(),
        metric,
        table: MAIN,
        protocol: 4,
        kind: Kind::Unicast,
        hops: hops.iter().map(hop).collect(),
        object: None,
    }
}

fn two_cards() -> Vec<Card> {
    let mut lan = card(2, "eth1", &["10.1.0.1/24", "fe80::ff:fe00:1/64", "fd00:1::1/64"]);
    lan.settings = Settings { rp_filter: 1, send_redirects: false, proxy_arp: true };
    lan.neighbours = vec![Known {
        address: "10.1.0.9".parse().unwrap(),
        mac: MacAddress([2, 0, 0, 0, 0, 9]),
        permanent: true,
    }];
    let mut wan = card(3, "eth2", &["10.2.0.1/24"]);
    let both = [(Some("10.1.0.7"), 2, 2), (Some("192.0.2.1"), 3, 1)];
    wan.routes = vec![
        route("0.0.0.0/0", 0, &[(Some("10.2.0.2"), 3, 1)]),
        route("0.0.0.0/0", 100, &[(Some("10.2.0.3"), 3, 1)]),
        route("10.8.0.0/16", 0, &both),
        route("10.9.0.0/16", 0, &[(None, 3, 1)]),
    ];
    lan.routes = vec![route("10.8.0.0/16", 0, &both)];
    wan.counts = BTreeMap::from([(4, 4), (12, 7)]);
    vec![lan, wan]
}

#[test]
fn what_is_written_is_a_good_configuration() {
    let text = to_keep(&survey(two_cards()));
    let config = Config::parse(&text, "composed").unwrap_or_else(|e| panic!("{e}\n{text}"));
    let (lan, wan) = (&config.ports[0], &config.ports[1]);
    assert_eq!((lan.name.as_str(), lan.device.as_str(), lan.mtu), ("xr-eth1", "eth1", Some(1400)));
    let addresses: Vec<_> = lan.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.1.0.1/24", "fd00:1::1/64"], "and a link-local one by itself");
    assert_eq!(lan.policy.source_validation, SourceValidation::Strict);
    assert_eq!(wan.policy.source_validation, SourceValidation::Off);
    assert_eq!((lan.policy.redirects, lan.policy.proxy_arp), (false, true));
    assert_eq!((wan.policy.redirects, wan.policy.proxy_arp), (true, false));
    assert_eq!(config.static_neighbours.len(), 1);
    let hops_of = |route: &config::Route| match &route.action {
        RouteAction::Via(hops) => {
            hops.iter().map(|hop| (hop.via.to_string(), hop.weight)).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let hops: Vec<_> = config.routes.iter().map(hops_of).collect();
    let hop = |via: &str, weight| (via.to_owned(), weight);
    assert_eq!(
        hops,
        [vec![hop("10.2.0.2", 1)], vec![hop("10.1.0.7", 2), hop("192.0.2.1", 1)]],
        "{text}"
    );
    assert!(text.contains("# Not written: 0.0.0.0/0 metric 100"), "{text}");
    assert!(text.contains("# Not written: 10.9.0.0/16 (static)"), "{text}");
    assert!(text.contains("# 7 routes by eth2 are bird's"), "{text}");
}

#[test]
fn what_runs_has_the_cards_names_on_its_ports() {
    let text = to_run(&survey(two_cards()), Path::new("/run/a \"b\".sock"));
    let config = Config::parse(&text, "composed").unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert!(config.router.taps_persist && config.routes.is_empty());
    assert_eq!(config.api.socket, Path::new("/run/a \"b\".sock"));
    let names: Vec<_> = config.ports.iter().map(|p| (p.name.as_str(), p.device.as_str())).collect();
    assert_eq!(names, [("eth1", "xr-eth1"), ("eth2", "xr-eth2")]);
}
