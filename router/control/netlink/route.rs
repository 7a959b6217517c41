//! Static routes for the kernel's own packets: a BGP session, `ping` on the router. Packets that
//! xrouter forwards do not see them.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use futures::TryStreamExt;
use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop,
    RouteNextHopFlags, RouteProtocol, RouteScope, RouteType, RouteVia,
};

use super::{Netlink, NetlinkError, PROTOCOL};

/// The metric of our routes. A route of another origin has another metric, so that ours never
/// replaces it; before 1 come only routes without a metric, put there by hand or by the kernel.
pub const METRIC: u32 = 1;

/// What becomes of packets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// They go to one of these, of which there is at least one.
    Via(Vec<Hop>),
    /// Dropped without a word.
    Blackhole,
    /// Dropped, and the sender told "unreachable".
    Unreachable,
    /// Dropped, and the sender told "prohibited".
    Prohibit,
}

/// A gateway behind a tap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hop {
    /// Its address. IPv6 for an IPv4 route is allowed (RFC 8950), the reverse is not.
    pub via: IpAddr,
    /// Index of the tap.
    pub index: u32,
    /// Its share of the flows; 0 counts as 1.
    pub weight: u8,
}

impl Netlink {
    /// Install a route, or replace ours to the same destinations. The kernel forgets it when a tap
    /// of its gateways is set down.
    ///
    /// # Errors
    /// [`NetlinkError`]; `ENETDOWN` if the tap is down.
    pub async fn install_route(&self, to: IpNet, target: &Target) -> Result<(), NetlinkError> {
        let done = self.handle.route().add(message(to, target)).replace().execute().await;
        done.map_err(|e| NetlinkError::new(format_args!("route {to}"), "install", e))
    }

    /// Withdraw our route to these destinations; that there is none is no error.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn withdraw_route(&self, to: IpNet) -> Result<(), NetlinkError> {
        let mut message = header(to);
        // For a removal: of whatever type and scope.
        message.header.scope = RouteScope::NoWhere;
        message.header.kind = RouteType::Unspec;
        let done = self.handle.route().del(message).execute().await;
        match done.map_err(|e| NetlinkError::new(format_args!("route {to}"), "withdraw", e)) {
            Err(error) if !error.is_absent() => Err(error),
            _ => Ok(()),
        }
    }

    /// Where our routes in the kernel lead.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn our_routes(&self) -> Result<Vec<IpNet>, NetlinkError> {
        let mut ours = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = RouteMessage::default();
            request.header.address_family = family;
            request.header.protocol = RouteProtocol::Other(PROTOCOL);
            let dump = self.handle.route().get(request).execute();
            let found: Result<Vec<RouteMessage>, _> = dump.try_collect().await;
            let messages = found.map_err(|e| NetlinkError::new("routes", "list", e))?;
            ours.extend(messages.iter().filter_map(destination));
        }
        // IPv6 tells of each gateway by itself to those who asked that way.
        ours.sort_unstable();
        ours.dedup();
        Ok(ours)
    }

    /// Withdraw those of our routes that lead elsewhere than `wanted`: at the start what an earlier
    /// run left behind, at the end all.
    ///
    /// # Errors
    /// [`NetlinkError`] of the first that failed.
    pub async fn withdraw_routes_but(&self, wanted: &[IpNet]) -> Result<(), NetlinkError> {
        for to in self.our_routes().await? {
            if !wanted.contains(&to) {
                self.withdraw_route(to).await?;
            }
        }
        Ok(())
    }
}

/// What all messages about our route to `to` have in common.
fn header(to: IpNet) -> RouteMessage {
    let to = to.trunc();
    let mut message = RouteMessage::default();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Other(PROTOCOL);
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    message.header.destination_prefix_length = to.prefix_len();
    let (family, address) = match to.addr() {
        IpAddr::V4(address) => (AddressFamily::Inet, RouteAddress::Inet(address)),
        IpAddr::V6(address) => (AddressFamily::Inet6, RouteAddress::Inet6(address)),
    };
    message.header.address_family = family;
    message.attributes =
        vec![RouteAttribute::Destination(address), RouteAttribute::Priority(METRIC)];
    message
}

fn message(to: IpNet, target: &Target) -> RouteMessage {
    let mut message = header(to);
    match target {
        Target::Blackhole => message.header.kind = RouteType::BlackHole,
        Target::Unreachable => message.header.kind = RouteType::Unreachable,
        Target::Prohibit => message.header.kind = RouteType::Prohibit,
        Target::Via(hops) => via(&mut message, to, hops),
    }
    message
}

/// On-link throughout: control has decided which port a gateway is behind, and the kernel need not
/// find it in a subnet of the tap, where it may come only later.
fn via(message: &mut RouteMessage, to: IpNet, hops: &[Hop]) {
    match hops {
        [hop] => {
            message.header.flags = RouteFlags::Onlink;
            message.attributes.extend([gateway(to, hop.via), RouteAttribute::Oif(hop.index)]);
        }
        _ => {
            let hops = hops.iter().map(|hop| next_hop(to, hop)).collect();
            message.attributes.push(RouteAttribute::MultiPath(hops));
        }
    }
}

fn next_hop(to: IpNet, hop: &Hop) -> RouteNextHop {
    let mut next_hop = RouteNextHop::default();
    next_hop.flags = RouteNextHopFlags::Onlink;
    next_hop.hops = hop.weight.saturating_sub(1); // rtnh_hops: the weight less one
    next_hop.interface_index = hop.index;
    next_hop.attributes = vec![gateway(to, hop.via)];
    next_hop
}

fn gateway(to: IpNet, via: IpAddr) -> RouteAttribute {
    match (to, via) {
        (IpNet::V4(_), IpAddr::V6(via)) => RouteAttribute::Via(RouteVia::Inet6(via)),
        (_, IpAddr::V6(via)) => RouteAttribute::Gateway(RouteAddress::Inet6(via)),
        (_, IpAddr::V4(via)) => RouteAttribute::Gateway(RouteAddress::Inet(via)),
    }
}

/// Nothing for a route that is not ours: kernels before 5.0 do not filter.
fn destination(message: &RouteMessage) -> Option<IpNet> {
    if u8::from(message.header.protocol) != PROTOCOL {
        return None;
    }
    let given = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    });
    let is_v4 = message.header.address_family == AddressFamily::Inet;
    let any: IpAddr = if is_v4 { [0; 4].into() } else { [0; 16].into() };
    IpNet::new(given.unwrap_or(any), message.header.destination_prefix_length).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn hop(via: &str, weight: u8) -> Hop {
        Hop { via: via.parse().unwrap(), index: 7, weight }
    }

    #[test]
    fn one_gateway() {
        let message = message(net("10.0.0.0/8"), &Target::Via(vec![hop("192.0.2.1", 1)]));
        assert_eq!(message.header.kind, RouteType::Unicast);
        assert_eq!(u8::from(message.header.protocol), PROTOCOL);
        let gateway = RouteAddress::Inet([192, 0, 2, 1].into());
        assert!(message.attributes.contains(&RouteAttribute::Gateway(gateway)));
        assert!(message.attributes.contains(&RouteAttribute::Oif(7)));
        assert_eq!(destination(&message), Some(net("10.0.0.0/8")));
    }

    #[test]
    fn several_gateways_with_their_weights() {
        let target = Target::Via(vec![hop("fe80::1", 3), hop("fe80::2", 0)]);
        let message = message(net("::/0"), &target);
        let hops = message.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::MultiPath(hops) => Some(hops.as_slice()),
            _ => None,
        });
        let weights: Vec<_> = hops.unwrap().iter().map(|hop| hop.hops).collect();
        assert_eq!(weights, [2, 0]);
    }

    #[test]
    fn ipv4_over_ipv6() {
        let found = gateway(net("0.0.0.0/0"), "fe80::1".parse().unwrap());
        assert!(matches!(found, RouteAttribute::Via(RouteVia::Inet6(_))));
    }

    #[test]
    fn routes_of_others_and_the_default_route() {
        let mut other = message(net("::/0"), &Target::Blackhole);
        assert_eq!(destination(&other), Some(net("::/0")));
        other.attributes.clear();
        assert_eq!(destination(&other), Some(net("::/0")));
        other.header.protocol = RouteProtocol::Static;
        assert_eq!(destination(&other), None);
    }
}
