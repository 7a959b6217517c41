#![forbid(unsafe_code)]

use ipnet::IpNet;
use netlink_packet_route::address::AddressFlags;
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourState};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteNextHop, RouteNextHopFlags, RouteProtocol,
    RouteScope, RouteType,
};

use super::messages::*;
use super::*;

const MOVES: [Move; 2] = [(2, 12), (3, 13)];

fn address(text: &str, device: u32) -> AddressMessage {
    let net: IpNet = text.parse().unwrap();
    let mut message = AddressMessage::default();
    message.header.index = device;
    message.header.prefix_len = net.prefix_len();
    let is_v4 = net.addr().is_ipv4();
    message.header.family = if is_v4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.attributes = vec![
        AddressAttribute::Address(net.addr()),
        AddressAttribute::Flags(AddressFlags::Permanent),
    ];
    message
}

fn route(to: &str, protocol: RouteProtocol, attributes: Vec<RouteAttribute>) -> RouteMessage {
    let net: IpNet = to.parse().unwrap();
    let mut message = RouteMessage::default();
    let (family, to) = match net.addr() {
        IpAddr::V4(to) => (AddressFamily::Inet, RouteAddress::Inet(to)),
        IpAddr::V6(to) => (AddressFamily::Inet6, RouteAddress::Inet6(to)),
    };
    message.header.address_family = family;
    message.header.destination_prefix_length = net.prefix_len();
    message.header.table = 254;
    message.header.protocol = protocol;
    message.header.scope = RouteScope::Link;
    message.header.kind = RouteType::Unicast;
    message.attributes = vec![RouteAttribute::Destination(to)];
    message.attributes.extend(attributes);
    message
}

#[test]
fn a_route_of_several_next_hops_moves_with_all_of_its_devices() {
    let hop = |device| {
        let mut hop = RouteNextHop::default();
        hop.interface_index = device;
        hop.flags = RouteNextHopFlags::Onlink | RouteNextHopFlags::Linkdown;
        hop
    };
    let hops = RouteAttribute::MultiPath([2, 3, 9].map(hop).to_vec());
    let mut told = route("10.0.0.0/8", RouteProtocol::Bird, vec![hops]);
    told.header.flags = RouteFlags::Linkdown;
    let all = Belongings { routes: vec![told], ..Belongings::default() };
    let moved = all.moved(&MOVES);
    let devices: Vec<u32> = devices_of(&moved.routes[0]).collect();
    assert_eq!(devices, [12, 13, 9]);
    assert!(moved.routes[0].header.flags.is_empty());
    assert_eq!(moved.routes[0].header.protocol, RouteProtocol::Bird);
    let RouteAttribute::MultiPath(hops) = &moved.routes[0].attributes[1] else { panic!() };
    assert!(hops.iter().all(|hop| hop.flags == RouteNextHopFlags::Onlink));
}

#[test]
fn routes_to_a_gateway_come_before_those_by_it() {
    let by = RouteAttribute::Gateway(RouteAddress::Inet([10, 0, 0, 1].into()));
    let routes = vec![
        route("0.0.0.0/0", RouteProtocol::Static, vec![by, RouteAttribute::Oif(2)]),
        route("10.0.0.1/32", RouteProtocol::Static, vec![RouteAttribute::Oif(2)]),
    ];
    let moved = Belongings { routes, ..Belongings::default() }.moved(&MOVES);
    assert_eq!(describe(&moved.routes[0]), "route 10.0.0.1/32");
    assert!(moved.routes.iter().all(|route| devices_of(route).all(|device| device == 12)));
}

#[test]
fn what_an_address_brings_is_not_moved() {
    let own = address("10.1.0.1/24", 2);
    let by = |device| vec![RouteAttribute::Oif(device)];
    let brought = |route: &RouteMessage| brings(&own, route);
    assert!(brought(&route("10.1.0.0/24", RouteProtocol::Kernel, by(2))));
    assert!(!brought(&route("10.1.0.0/24", RouteProtocol::Kernel, by(3))));
    assert!(!brought(&route("10.1.0.0/24", RouteProtocol::Static, by(2))));
    assert!(!brought(&route("10.2.0.0/24", RouteProtocol::Kernel, by(2))));
    let mut without = own.clone();
    without.attributes[1] = AddressAttribute::Flags(AddressFlags::Noprefixroute);
    assert!(!brings(&without, &route("10.1.0.0/24", RouteProtocol::Kernel, by(2))));
    let v6 = address("2001:db8::1/64", 2);
    assert!(brings(&v6, &route("fe80::/64", RouteProtocol::Kernel, by(2))), "each link's");
}

#[test]
fn addresses_keep_their_order_and_their_labels() {
    let mut first = address("10.1.0.1/24", 2);
    first.attributes.push(AddressAttribute::Label("eth1:old".into()));
    let others = ["10.1.0.2/24", "2001:db8::1/64", "2001:db8::2/64"].map(|a| address(a, 2));
    let before = Belongings { addresses: vec![first.clone()], ..Belongings::default() };
    let mut now = Belongings { addresses: vec![first], ..Belongings::default() };
    now.addresses.extend(others);
    now.addresses[0].attributes[2] = AddressAttribute::Label("xr-eth1".into());
    let moved = now.labelled_as(&before).moved(&MOVES);
    assert_eq!(label(&moved.addresses[0]).as_deref(), Some("eth1:old"));
    let nets: Vec<_> = moved.addresses(12).iter().map(|a| a.net.to_string()).collect();
    assert_eq!(nets, ["10.1.0.1/24", "10.1.0.2/24", "2001:db8::2/64", "2001:db8::1/64"]);
}

#[test]
fn a_question_that_is_under_way_is_not_asked_again() {
    let mut probed = NeighbourMessage::default();
    probed.header.ifindex = 2;
    probed.header.state = NeighbourState::Probe;
    probed.header.flags = NeighbourFlags::Router | NeighbourFlags::Use;
    probed.attributes = vec![
        NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, 9]),
        NeighbourAttribute::Probes(2),
    ];
    let all = Belongings { neighbours: vec![probed], ..Belongings::default() };
    let moved = &all.moved(&MOVES).neighbours[0];
    assert_eq!((moved.header.ifindex, moved.header.state), (12, NeighbourState::Stale));
    assert_eq!(moved.header.flags, NeighbourFlags::Router);
    assert_eq!(moved.attributes.len(), 1);
}
