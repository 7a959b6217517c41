//! What the kernel says over rtnetlink, as one read: routes, next-hop objects, links, addresses and
//! neighbours.
#![forbid(unsafe_code)]

use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use xrouter::control::netlink::address::Address;
use xrouter::control::netlink::link::Link;
use xrouter::control::netlink::object::Object;
use xrouter::control::netlink::routes::KernelRoute;
use xrouter::control::netlink::{feed, neighbour};

use super::octets::assert_within;

// Of `linux/socket.h` and `linux/rtnetlink.h`.
const AF_INET: u8 = 2;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
pub const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;

/// `octets` are messages with their headers, one after the other.
pub fn run(octets: &[u8]) {
    for message in feed::messages(octets) {
        assert_within(message.payload(), octets);
        match message.message_type() {
            RTM_NEWROUTE | RTM_DELROUTE => route(message.payload()),
            RTM_NEWNEXTHOP | RTM_DELNEXTHOP => object(message.payload()),
            _ => {
                let read = NetlinkMessage::<RouteNetlinkMessage>::deserialize(message.into_inner());
                read.into_iter().for_each(|message| device(&message.payload));
            }
        }
    }
}

/// What the rest of the router relies upon.
fn route(payload: &[u8]) {
    let Ok(route) = KernelRoute::parse(payload) else { return };
    assert_eq!(route.to, route.to.trunc());
    assert_eq!(route.to.addr().is_ipv4(), payload[0] == AF_INET);
    assert!(!route.to.addr().is_multicast() || route.to.prefix_len() < 4, "{route:?}");
    assert!(route.hops.iter().all(|hop| hop.weight > 0), "{route:?}");
}

fn object(payload: &[u8]) {
    let Ok((_, object)) = Object::parse(payload) else { return };
    match object {
        Object::Group(members) => assert!(members.iter().all(|(_, weight)| *weight > 0)),
        Object::Hop(hop) => assert_eq!(hop.weight, 1),
        Object::Blackhole => {}
    }
}

fn device(payload: &NetlinkPayload<RouteNetlinkMessage>) {
    let NetlinkPayload::InnerMessage(message) = payload else { return };
    match message {
        RouteNetlinkMessage::NewLink(message) => {
            let link = Link::from(message);
            assert!(link.up || !link.running, "{link:?}");
        }
        RouteNetlinkMessage::NewAddress(message) => {
            let Some(address) = Address::of(message) else { return };
            assert_eq!(address.net.prefix_len(), message.header.prefix_len);
        }
        RouteNetlinkMessage::NewNeighbour(message) => {
            let mac = neighbour::static_mac(message);
            assert!(mac.is_none_or(|mac| mac.is_unicast()));
            let key = neighbour::key(message);
            assert!(key.is_none_or(|(index, _)| index == message.header.ifindex));
        }
        _ => {}
    }
}
