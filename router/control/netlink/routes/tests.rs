#![forbid(unsafe_code)]

use netlink_packet_route::route::{RouteHeader, RouteProtocol};
use proptest::prelude::*;
use rtnetlink::packet_core::Emitable;

use super::*;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn header(family: AddressFamily, length: u8) -> RouteHeader {
    RouteHeader {
        address_family: family,
        destination_prefix_length: length,
        table: 254,
        protocol: RouteProtocol::Bird,
        kind: RouteType::Unicast,
        ..RouteHeader::default()
    }
}

fn octets(header: RouteHeader, attributes: Vec<RouteAttribute>) -> Vec<u8> {
    let mut message = RouteMessage::default();
    (message.header, message.attributes) = (header, attributes);
    let mut octets = vec![0; message.buffer_len()];
    message.emit(&mut octets);
    octets
}

fn destination(address: &str) -> RouteAttribute {
    RouteAttribute::Destination(address.parse::<IpAddr>().unwrap().into())
}

fn gateway(address: &str) -> RouteAttribute {
    RouteAttribute::Gateway(address.parse::<IpAddr>().unwrap().into())
}

fn hop(via: &str, device: u32, weight: u8) -> KernelHop {
    let via = via.parse().ok();
    KernelHop { via, device, weight, dead: false, encapsulated: false }
}

#[test]
fn one_gateway() {
    let octets = octets(
        header(AddressFamily::Inet, 8),
        vec![
            RouteAttribute::Table(1000),
            destination("10.0.0.0"),
            RouteAttribute::Priority(32),
            gateway("192.0.2.1"),
            RouteAttribute::Oif(3),
        ],
    );
    let route = KernelRoute::parse(&octets).unwrap();
    assert_eq!((route.to, route.metric, route.table), (net("10.0.0.0/8"), 32, 1000));
    assert_eq!((route.protocol, route.kind), (12, Kind::Unicast));
    assert_eq!(route.hops, [hop("192.0.2.1", 3, 1)]);
}

#[test]
fn the_default_route_over_a_gateway_of_the_other_family() {
    let via = RouteAttribute::Via(RouteVia::Inet6("fe80::1".parse().unwrap()));
    let octets = octets(header(AddressFamily::Inet, 0), vec![via, RouteAttribute::Oif(3)]);
    let route = KernelRoute::parse(&octets).unwrap();
    assert_eq!((route.to, route.metric, route.table), (net("0.0.0.0/0"), 0, 254));
    assert_eq!(route.hops, [hop("fe80::1", 3, 1)]);
}

#[test]
fn several_gateways_of_which_one_is_dead_and_one_tunnelled() {
    let next = |via: &str, device, hops, flags| {
        let mut next = RouteNextHop::default();
        (next.interface_index, next.hops, next.flags) = (device, hops, flags);
        next.attributes = vec![gateway(via)];
        next
    };
    let none = RouteNextHopFlags::empty();
    let mut all = vec![
        next("2001:db8::1", 3, 0, none),
        next("2001:db8::2", 4, 9, RouteNextHopFlags::Dead),
        next("2001:db8::3", 5, 255, none),
    ];
    let encap = netlink_packet_route::route::RouteLwEnCapType::Mpls;
    all[2].attributes.push(RouteAttribute::EncapType(encap));
    let octets = octets(
        header(AddressFamily::Inet6, 32),
        vec![destination("2001:db8::"), RouteAttribute::MultiPath(all)],
    );
    let route = KernelRoute::parse(&octets).unwrap();
    let dead = KernelHop { dead: true, ..hop("2001:db8::2", 4, 10) };
    let tunnelled = KernelHop { encapsulated: true, ..hop("2001:db8::3", 5, 255) };
    assert_eq!(route.hops, [hop("2001:db8::1", 3, 1), dead, tunnelled]);
}

#[test]
fn a_route_that_leads_nowhere_has_no_next_hop() {
    let mut header = header(AddressFamily::Inet6, 48);
    header.kind = RouteType::Unreachable;
    // IPv6 says `dev lo`.
    let octets = octets(header, vec![destination("2001:db8:1::"), RouteAttribute::Oif(1)]);
    let route = KernelRoute::parse(&octets).unwrap();
    assert_eq!((route.kind, route.hops.len()), (Kind::Unreachable, 0));
}

#[test]
fn an_object_instead_of_next_hops() {
    let octets = octets(header(AddressFamily::Inet, 0), vec![RouteAttribute::NhId(7)]);
    let route = KernelRoute::parse(&octets).unwrap();
    assert_eq!((route.object, route.hops), (Some(7), vec![]));
}

#[test]
fn what_is_not_for_transit() {
    let why = |change: fn(&mut RouteHeader), to: &str| {
        let family = if to.contains(':') { AddressFamily::Inet6 } else { AddressFamily::Inet };
        let mut header = header(family, 24);
        change(&mut header);
        KernelRoute::parse(&octets(header, vec![destination(to), RouteAttribute::Oif(3)])).err()
    };
    assert_eq!(why(|_| {}, "10.0.0.0"), None);
    assert_eq!(why(|h| h.kind = RouteType::Local, "10.0.0.0"), None);
    assert_eq!(why(|h| h.kind = RouteType::Broadcast, "10.0.0.0"), Some(Unsuitable::Type(3)));
    assert_eq!(why(|h| h.kind = RouteType::Throw, "10.0.0.0"), Some(Unsuitable::Type(9)));
    assert_eq!(why(|h| h.tos = 8, "10.0.0.0"), Some(Unsuitable::Selective));
    assert_eq!(why(|h| h.source_prefix_length = 8, "2001:db8::"), Some(Unsuitable::Selective));
    assert_eq!(why(|h| h.flags = RouteFlags::Cloned, "10.0.0.0"), Some(Unsuitable::Cloned));
    assert_eq!(why(|_| {}, "224.0.0.0"), Some(Unsuitable::Destination));
    assert_eq!(why(|_| {}, "ff00::"), Some(Unsuitable::Destination));
    assert_eq!(why(|_| {}, "fe80::"), Some(Unsuitable::Destination));
    assert_eq!(why(|h| h.destination_prefix_length = 33, "10.0.0.0"), Some(Unsuitable::Malformed));
}

proptest! {
    #[test]
    fn no_octets_are_too_odd(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let _any_answer = KernelRoute::parse(&octets);
        let _any_answer = super::super::object::Object::parse(&octets);
    }

    #[test]
    fn nor_is_a_route_with_some_octets_changed(
        changes in prop::collection::vec((0usize..100, any::<u8>()), 1..4),
    ) {
        let mut next = RouteNextHop::default();
        next.attributes = vec![gateway("10.0.0.1")];
        let hops = RouteAttribute::MultiPath(vec![next.clone(), next]);
        let whole = vec![destination("10.0.0.0"), gateway("10.0.0.1"), hops];
        let mut octets = octets(header(AddressFamily::Inet, 8), whole);
        for (place, value) in changes {
            let place = place % octets.len();
            octets[place] = value;
        }
        let _any_answer = KernelRoute::parse(&octets);
    }
}
