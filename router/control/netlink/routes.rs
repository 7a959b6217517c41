//! The kernel's routes, as its messages tell them.
//!
//! Before working here, read rtnetlink(7) and the kernel's `fib_dump_info()` and `rt6_fill_node()`.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHop, RouteNextHopFlags,
    RouteType, RouteVia,
};
use rtnetlink::packet_core::Parseable;

/// A route of the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelRoute {
    /// The destinations.
    pub to: IpNet,
    /// `RTA_PRIORITY`: of several to the same destinations the least wins.
    pub metric: u32,
    /// The routing table that it is in.
    pub table: u32,
    /// Who made it (`rtm_protocol`).
    pub protocol: u8,
    /// What it does.
    pub kind: Kind,
    /// Where a unicast route leads; empty if only `object` says it.
    pub hops: Vec<KernelHop>,
    /// The next-hop object that it leads through.
    pub object: Option<u32>,
}

/// What a route of the kernel does with packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// They go to one of its next hops.
    Unicast,
    /// Dropped without a word.
    Blackhole,
    /// Dropped, and the sender told "unreachable".
    Unreachable,
    /// Dropped, and the sender told "prohibited".
    Prohibit,
    /// They are for this machine.
    Local,
}

/// One next hop of a route or of a next-hop object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KernelHop {
    /// The gateway; None: the destinations are on the link.
    pub via: Option<IpAddr>,
    /// The device's number.
    pub device: u32,
    /// Its share of the flows.
    pub weight: u8,
    /// Its device is down.
    pub dead: bool,
    /// Packets get a header of a tunnel on the way (`RTA_ENCAP`).
    pub encapsulated: bool,
}

/// Why a route is not one of those that are forwarded by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsuitable {
    /// It is of a type that says nothing of packets in transit, such as `broadcast` and `throw`.
    Type(u8),
    /// It is for some packets only: by type of service or source address.
    Selective,
    /// It is the kernel's note on one flow (`RTM_F_CLONED`).
    Cloned,
    /// Its destinations are groups, or on every link.
    Destination,
    /// It makes no sense.
    Malformed,
}

impl KernelRoute {
    /// What stands in a message of the types `RTM_NEWROUTE` and `RTM_DELROUTE`.
    ///
    /// # Errors
    /// [`Unsuitable`].
    pub fn parse(payload: &[u8]) -> Result<Self, Unsuitable> {
        let message = RouteMessage::parse(payload).map_err(|_| Unsuitable::Malformed)?;
        Self::of(&message)
    }

    /// What the message means.
    ///
    /// # Errors
    /// [`Unsuitable`].
    pub fn of(message: &RouteMessage) -> Result<Self, Unsuitable> {
        let header = &message.header;
        let kind = kind(header.kind)?;
        if header.flags.contains(RouteFlags::Cloned) {
            return Err(Unsuitable::Cloned);
        }
        if header.tos != 0 || header.source_prefix_length != 0 {
            return Err(Unsuitable::Selective);
        }
        let mut route = Self {
            to: any_address(header.address_family, header.destination_prefix_length)?,
            metric: 0,
            table: u32::from(header.table),
            protocol: header.protocol.into(),
            kind,
            hops: Vec::new(),
            object: None,
        };
        let dead = header.flags.contains(RouteFlags::Dead);
        let mut only = KernelHop { via: None, device: 0, weight: 1, dead, encapsulated: false };
        for attribute in &message.attributes {
            route.read(attribute, &mut only)?;
        }
        let has_device = matches!(kind, Kind::Unicast | Kind::Local);
        if route.hops.is_empty() && only.device != 0 && has_device {
            route.hops.push(only);
        }
        if is_everywhere(route.to) { Err(Unsuitable::Destination) } else { Ok(route) }
    }

    fn read(&mut self, attribute: &RouteAttribute, only: &mut KernelHop) -> Result<(), Unsuitable> {
        match attribute {
            RouteAttribute::Destination(to) => {
                let to = address(to).ok_or(Unsuitable::Malformed)?;
                let net = IpNet::new(to, self.to.prefix_len());
                self.to = net.map_err(|_| Unsuitable::Malformed)?.trunc();
            }
            RouteAttribute::Priority(metric) => self.metric = *metric,
            RouteAttribute::Table(table) => self.table = *table,
            RouteAttribute::NhId(id) => self.object = Some(*id),
            RouteAttribute::Oif(device) => only.device = *device,
            RouteAttribute::MultiPath(hops) => self.hops = hops.iter().map(one_of_many).collect(),
            other => only.read(other),
        }
        Ok(())
    }
}

impl KernelHop {
    fn read(&mut self, attribute: &RouteAttribute) {
        match attribute {
            RouteAttribute::Gateway(gateway) => self.via = address(gateway),
            RouteAttribute::Via(RouteVia::Inet(gateway)) => self.via = Some((*gateway).into()),
            RouteAttribute::Via(RouteVia::Inet6(gateway)) => self.via = Some((*gateway).into()),
            RouteAttribute::EncapType(_) | RouteAttribute::Encap(_) => self.encapsulated = true,
            _ => {}
        }
    }
}

fn one_of_many(next: &RouteNextHop) -> KernelHop {
    let mut hop = KernelHop {
        via: None,
        device: next.interface_index,
        weight: next.hops.saturating_add(1), // rtnh_hops: the weight less one
        dead: next.flags.contains(RouteNextHopFlags::Dead),
        encapsulated: false,
    };
    next.attributes.iter().for_each(|attribute| hop.read(attribute));
    hop
}

fn kind(kind: RouteType) -> Result<Kind, Unsuitable> {
    match kind {
        RouteType::Unicast => Ok(Kind::Unicast),
        RouteType::BlackHole => Ok(Kind::Blackhole),
        RouteType::Unreachable => Ok(Kind::Unreachable),
        RouteType::Prohibit => Ok(Kind::Prohibit),
        RouteType::Local => Ok(Kind::Local),
        other => Err(Unsuitable::Type(other.into())),
    }
}

/// The default route of a family, cut to this length.
fn any_address(family: AddressFamily, length: u8) -> Result<IpNet, Unsuitable> {
    let any: IpAddr = match family {
        AddressFamily::Inet => [0; 4].into(),
        AddressFamily::Inet6 => [0; 16].into(),
        _ => return Err(Unsuitable::Malformed),
    };
    IpNet::new(any, length).map_err(|_| Unsuitable::Malformed)
}

fn address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

/// Groups, and the link-local subnet that every IPv6 link has (RFC 4291 2.5.6): no router passes
/// these on.
fn is_everywhere(to: IpNet) -> bool {
    let is_group = to.addr().is_multicast() && to.prefix_len() >= 4;
    let is_local = matches!(to, IpNet::V6(to) if to.addr().is_unicast_link_local());
    is_group || (is_local && to.prefix_len() >= 10)
}

#[cfg(test)]
mod tests;
