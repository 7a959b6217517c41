//! The kernel's messages about what devices have: which are of interest, and the same for another device.
#![forbid(unsafe_code)]

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage,
};
use netlink_packet_route::neighbour::{
    NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteMessage, RouteNextHopFlags, RouteProtocol, RouteType,
};
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_REPLACE};

use super::Known;
use crate::control::netlink::neighbour;
use crate::control::netlink::routes::KernelRoute;
use crate::packet::ethernet::MacAddress;

/// `RT_TABLE_LOCAL`: what is there comes with the addresses.
const LOCAL: u32 = 255;
/// `USER_HZ`: the kernel counts a route's time left in these.
const TICKS_PER_SECOND: u32 = 100;

// Addresses

/// Whether the kernel has made the route because of the address (`addrconf_prefix_route`,
/// `fib_add_ifaddr`).
pub(super) fn brings(address: &AddressMessage, route: &RouteMessage) -> bool {
    let without = AddressFlags::Noprefixroute;
    let has_none =
        |a: &AddressAttribute| matches!(a, AddressAttribute::Flags(f) if f.contains(without));
    if address.attributes.iter().any(has_none) || route.header.protocol != RouteProtocol::Kernel {
        return false;
    }
    let length = address.header.prefix_len;
    // With a peer, `Address` is the peer's, and the subnet is the peer's, too.
    let subnet = address.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address) => IpNet::new(*address, length).ok(),
        _ => None,
    });
    let to = KernelRoute::of(route).ok().map(|route| route.to);
    let everywhere = route.header.address_family == AddressFamily::Inet6 && to.is_none();
    let is_its_own = devices_of(route).all(|device| device == address.header.index);
    is_its_own && (everywhere || subnet.is_some_and(|subnet| to == Some(subnet.trunc())))
}

pub(super) fn without_detection(address: &AddressMessage) -> AddressMessage {
    let mut address = address.clone();
    address.header.flags |= AddressHeaderFlags::Nodad;
    for attribute in &mut address.attributes {
        if let AddressAttribute::Flags(flags) = attribute {
            *flags |= AddressFlags::Nodad;
        }
    }
    address
}

pub(super) fn label(address: &AddressMessage) -> Option<String> {
    address.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Label(label) => Some(label.clone()),
        _ => None,
    })
}

// Neighbours

pub(super) fn known(message: &NeighbourMessage) -> Option<Known> {
    let (_, address) = neighbour::key(message)?;
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(octets) => octets.as_slice().try_into().ok(),
        _ => None,
    });
    let mac = mac.map(MacAddress).filter(|mac| mac.is_unicast())?;
    let permanent =
        matches!(message.header.state, NeighbourState::Permanent | NeighbourState::Noarp);
    Some(Known { address, mac, permanent })
}

pub(super) fn is_known(message: &NeighbourMessage) -> bool {
    use NeighbourState::{Delay, Noarp, Permanent, Probe, Reachable, Stale};
    matches!(message.header.state, Delay | Noarp | Permanent | Probe | Reachable | Stale)
        && known(message).is_some()
}

/// What the kernel is told of it: a question that is under way is not.
pub(super) fn refresh(message: &mut NeighbourMessage) {
    let header = &mut message.header;
    if matches!(header.state, NeighbourState::Delay | NeighbourState::Probe) {
        header.state = NeighbourState::Stale;
    }
    header.flags &= NeighbourFlags::Router | NeighbourFlags::ExtLearned;
    message.attributes.retain(|attribute| {
        use NeighbourAttribute::{Destination, LinkLayerAddress, Protocol};
        matches!(attribute, Destination(_) | LinkLayerAddress(_) | Protocol(_))
    });
}

// Routes

/// The devices that a route leads through.
pub(super) fn devices_of(route: &RouteMessage) -> impl Iterator<Item = u32> {
    route.attributes.iter().flat_map(|attribute| match attribute {
        RouteAttribute::Oif(device) => vec![*device],
        RouteAttribute::MultiPath(hops) => hops.iter().map(|hop| hop.interface_index).collect(),
        _ => Vec::new(),
    })
}

pub(super) fn leads_through(route: &RouteMessage, devices: &[u32]) -> bool {
    let header = &route.header;
    let table = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    table.unwrap_or(header.table.into()) != LOCAL
        && header.kind == RouteType::Unicast
        && !header.flags.contains(RouteFlags::Cloned)
        && devices_of(route).any(|device| devices.contains(&device))
}

pub(super) fn object_of(route: &RouteMessage) -> Option<u32> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::NhId(id) => Some(*id),
        _ => None,
    })
}

pub(super) fn has_gateway(route: &RouteMessage) -> bool {
    use RouteAttribute::{Gateway, MultiPath, Via};
    route.attributes.iter().any(|a| matches!(a, Gateway(_) | MultiPath(_) | Via(_)))
}

/// Lead the route through other devices. What the kernel says of it beyond that is not said to it.
pub(super) fn redirect(route: &mut RouteMessage, to: impl Fn(u32) -> Option<u32>) {
    route.header.flags &= RouteFlags::Onlink;
    let mut expires = None;
    for attribute in &mut route.attributes {
        match attribute {
            RouteAttribute::Oif(device) => *device = to(*device).unwrap_or(*device),
            RouteAttribute::MultiPath(hops) => {
                for hop in hops {
                    hop.interface_index = to(hop.interface_index).unwrap_or(hop.interface_index);
                    hop.flags &= RouteNextHopFlags::Onlink;
                }
            }
            RouteAttribute::CacheInfo(info) if info.expires > 0 => expires = Some(info.expires),
            _ => {}
        }
    }
    route.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::CacheInfo(_)));
    route.attributes.extend(expires.map(|ticks| RouteAttribute::Expires(ticks / TICKS_PER_SECOND)));
}

/// IPv6 replaces the first route that is like this one, and of those without a gateway there is one
/// for each device: they are added, and the old one is removed.
pub(super) fn is_replaced(route: &RouteMessage) -> bool {
    route.header.address_family == AddressFamily::Inet || has_gateway(route)
}

pub(super) fn how_to_put(route: &RouteMessage) -> u16 {
    if is_replaced(route) { NLM_F_CREATE | NLM_F_REPLACE } else { NLM_F_CREATE }
}

pub(super) fn describe(route: &RouteMessage) -> String {
    match KernelRoute::of(route) {
        Ok(route) => format!("route {}", route.to),
        Err(_) => "route".to_owned(),
    }
}
