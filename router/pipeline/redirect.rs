//! Redirects: a packet leaves by the port that it came in by, so its sender could have sent it there
//! itself, and is told (RFC 792, RFC 1812 5.2.7.2; RFC 4861 8.2). The packet goes on all the same.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;

use crate::frame::{Frame, Pool};
use crate::id::NextHopId;
use crate::packet::ethernet;
use crate::packet::ndp::Station;
use crate::packet::redirect::{HEADER, HOP_LIMIT, QUOTE_UNIT};
use crate::packet::{icmpv4, icmpv6, ipv4, ipv6, protocol, redirect};
use crate::table::interface::Interface;

use super::budget::Kind;
use super::forward::egress_port;
use super::icmp::{enclose, may_answer4, may_answer6, write4};
use super::{Local, Tables};

/// What a redirect says: who to whom, and of which first hop.
enum Redirect {
    V4 { from: Ipv4Addr, to: Ipv4Addr, gateway: Ipv4Addr },
    V6 { from: Ipv6Addr, to: Ipv6Addr, better: Station, destination: Ipv6Addr },
}

/// The redirect about `frame`, which is ready to leave by the port that it came in by, to
/// `next_hop`. None if there is no reason for one, the host has had enough of them, or no chunk is
/// free.
pub(super) fn about<'umem>(
    frame: &Frame,
    next_hop: NextHopId,
    tables: &Tables,
    local: &mut Local,
    pool: &mut Pool<'umem>,
) -> Option<Frame<'umem>> {
    let (port, seed) = (frame.ingress(), tables.snapshot.hash_seed);
    let interface = tables.snapshot.interface(port).filter(|port| port.policy.redirects)?;
    let redirect = due(frame, tables.fib.gateways.get(next_hop)?, interface)?;
    let host = redirect.receiver();
    if egress_port(host, tables) != Some(port)
        || !local.icmp_errors.take(local.now, Kind::Redirect, port, host, seed)
    {
        return None;
    }
    let mut made = pool.copy_of(frame.bytes(), port).ok()?;
    made.mark_own();
    match redirect.write(&mut made, local) {
        Some(()) => Some(made),
        None => {
            pool.give(made);
            None
        }
    }
}

fn due(frame: &Frame, better: IpAddr, interface: &Interface) -> Option<Redirect> {
    let packet = frame.bytes().get(ethernet::HEADER..)?;
    match better {
        IpAddr::V4(gateway) => due4(&ipv4::View::new(packet).ok()?, gateway, interface),
        IpAddr::V6(address) => {
            let mac = ethernet::View::new(frame.bytes())?.destination();
            due6(&ipv6::View::new(packet).ok()?, Station { mac, address }, interface)
        }
    }
}

/// RFC 1812 5.2.7.2: the sender is in the next hop's subnet. Source-routed packets do not get here.
fn due4(packet: &ipv4::View, gateway: Ipv4Addr, interface: &Interface) -> Option<Redirect> {
    let to = packet.source();
    let shared = |net: &&Ipv4Net| net.contains(&to) && net.contains(&gateway);
    let from = interface.addresses4.iter().find(shared)?.addr();
    let due = to != gateway && may_answer4(packet);
    due.then_some(Redirect::V4 { from, to, gateway })
}

/// RFC 4861 8.2: the sender is a neighbour. A router is named by its link-local address; if the
/// route gives another, there is nothing to say.
fn due6(packet: &ipv6::View, better: Station, interface: &Interface) -> Option<Redirect> {
    let (to, destination) = (packet.source(), packet.destination());
    let has_name = better.address == destination || ipv6::is_link_local(better.address);
    let due = has_name && to != better.address && interface.on_link6(to) && may_answer6(packet);
    due.then_some(Redirect::V6 { from: interface.link_local, to, better, destination })
}

impl Redirect {
    fn receiver(&self) -> IpAddr {
        match self {
            Self::V4 { to, .. } => IpAddr::V4(*to),
            Self::V6 { to, .. } => IpAddr::V6(*to),
        }
    }

    /// Turn `frame`, a copy of the packet, into this redirect. RFC 4861 4.5 has it quote the packet
    /// that triggered it; over IPv4 a hop that is counted already may stay so (RFC 1812 4.3.2.3).
    fn write(self, frame: &mut Frame, local: &mut Local) -> Option<()> {
        match self {
            Self::V4 { from, to, gateway } => {
                write4(frame, from, to, icmpv4::Error::Redirect { gateway }, local)
            }
            Self::V6 { from, to, better, destination } => {
                ipv6::restore_hop_limit(frame.bytes_mut().get_mut(ethernet::HEADER..)?)?;
                let units = (frame.len() - ethernet::HEADER) / QUOTE_UNIT;
                frame.truncate(ethernet::HEADER + units * QUOTE_UNIT);
                let packet = enclose(frame, ipv6::HEADER + HEADER, icmpv6::ERROR_PACKET_MAX)?;
                let (header, message) = packet.split_at_mut_checked(ipv6::HEADER)?;
                let length = u16::try_from(message.len()).ok()?;
                let ip = ipv6::Header::new(from, to, protocol::ICMPV6, length);
                ipv6::Header { hop_limit: HOP_LIMIT, ..ip }.write(header)?;
                redirect::write(message, from, to, better, destination).map(drop)
            }
        }
    }
}
