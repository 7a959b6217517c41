//! A packet on its way out: what the adjacency says is done.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow::{Break, Continue};

use crate::frame::Frame;
use crate::id::{NextHopId, PortId};
use crate::packet::ethernet::{self, MacAddress, ether_type};
use crate::packet::flow::FlowKey;
use crate::packet::{icmpv4, ipv4, ipv6, protocol};
use crate::table::policy::ErrorSource;
use crate::table::{Adjacency, AdjacencyKind};

use super::source::leads_somewhere;
use super::verdict::{Awaited, DropReason, Refusal, Step, Verdict};
use super::{Packet, Tables, options4, route};

/// Forward a packet whose route has been looked up.
// Inlined at any price, and so is what nearly all packets need: see `NextHops::adjacency`.
#[inline(always)]
pub(super) fn egress(
    frame: &mut Frame,
    packet: &Packet,
    next_hop: Option<NextHopId>,
    tables: &Tables,
) -> Verdict {
    let Some(next_hop) = next_hop else { return Verdict::Refuse(Refusal::NoRoute) };
    let (leaf, adjacency) = resolve(frame, next_hop, tables);
    if adjacency.kind() != AdjacencyKind::Forward {
        return stay(frame, packet, leaf, adjacency, tables);
    }
    match may_leave(frame, packet, adjacency.port, adjacency.mtu) {
        Continue(leaving) => send(frame, packet, leaf, adjacency, leaving, tables),
        Break(verdict) => verdict,
    }
}

/// Nobody is known to send the packet to: what is done instead.
#[inline(never)]
fn stay(
    frame: &mut Frame,
    packet: &Packet,
    leaf: NextHopId,
    adjacency: Adjacency,
    tables: &Tables,
) -> Verdict {
    match adjacency.kind() {
        AdjacencyKind::Forward | AdjacencyKind::Glean | AdjacencyKind::Incomplete => {
            match may_leave(frame, packet, adjacency.port, adjacency.mtu) {
                Continue(_) => hold(packet.destination, leaf, &adjacency),
                Break(verdict) => verdict,
            }
        }
        AdjacencyKind::Receive => deliver(frame),
        AdjacencyKind::Blackhole => black_hole(frame, packet, tables),
        AdjacencyKind::Unreachable => Verdict::Refuse(Refusal::HostUnreachable),
        AdjacencyKind::Prohibit => Verdict::Refuse(Refusal::Prohibited),
    }
}

/// Send a packet of the router's own: as it is, to wherever its destination's route leads.
pub(super) fn own(frame: &mut Frame, tables: &Tables) -> Verdict {
    let Some(destination) = destination(frame) else { return Verdict::Drop(DropReason::Internal) };
    // To a neighbour by its link-local address: its MAC was put there by who made the packet.
    if is_link_local(destination) {
        return Verdict::Transmit(frame.ingress());
    }
    let Some(next_hop) = route(destination, tables) else {
        return Verdict::Drop(DropReason::OwnEcho);
    };
    let (leaf, adjacency) = resolve(frame, next_hop, tables);
    match adjacency.kind() {
        AdjacencyKind::Forward => address_to(frame, leaf, adjacency, tables),
        AdjacencyKind::Glean | AdjacencyKind::Incomplete => hold(destination, leaf, &adjacency),
        _ => Verdict::Drop(DropReason::OwnEcho),
    }
}

/// What is done with packets for this next hop; of a group, the member that the flow belongs to.
#[inline(always)]
fn resolve(frame: &Frame, next_hop: NextHopId, tables: &Tables) -> (NextHopId, Adjacency) {
    let flow = || flow_hash(frame, tables.snapshot.hash_seed);
    tables.fib.next_hops.adjacency(next_hop, flow)
}

/// How a packet fits into the way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Leaving {
    Whole,
    InPieces,
}

/// Hop limit, then length: a packet gets one error, and time exceeded comes first.
#[inline]
fn may_leave(frame: &Frame, packet: &Packet, port: u8, mtu: u16) -> Step<Leaving> {
    if packet.hops_left <= 1 {
        return Break(Verdict::Refuse(Refusal::TimeExceeded));
    }
    // RFC 4007 9: the zone of a link-local source ends where the packet would leave its link.
    if packet.scope_ends && port != frame.ingress().octet() {
        return Break(Verdict::Refuse(Refusal::BeyondScope));
    }
    if frame.len() - ethernet::HEADER <= usize::from(mtu) {
        return Continue(Leaving::Whole);
    }
    if packet.may_fragment {
        return Continue(Leaving::InPieces);
    }
    Break(Verdict::Refuse(Refusal::TooBig { mtu }))
}

#[inline(always)]
fn send(
    frame: &mut Frame,
    packet: &Packet,
    leaf: NextHopId,
    adjacency: Adjacency,
    leaving: Leaving,
    tables: &Tables,
) -> Verdict {
    let header = &mut frame.bytes_mut()[ethernet::HEADER..];
    let left = match packet.destination {
        IpAddr::V4(_) => ipv4::decrement_ttl(header),
        IpAddr::V6(_) => ipv6::decrement_hop_limit(header),
    };
    debug_assert!(left.is_some(), "may_leave() has looked");
    let verdict = address_to(frame, leaf, adjacency, tables);
    if packet.stamp.is_some()
        && let Verdict::Transmit(port) = verdict
    {
        options4::fill(frame, packet, port, tables);
    }
    match (verdict, leaving) {
        // Also back out of its own port: the next packet that fits brings the redirect.
        (Verdict::Transmit(port), Leaving::InPieces) => {
            Verdict::Fragment { port, mtu: adjacency.mtu }
        }
        (Verdict::Transmit(port), Leaving::Whole) if port == frame.ingress() => {
            Verdict::TransmitBack { port, next_hop: leaf }
        }
        (verdict, _) => verdict,
    }
}

/// Write the neighbour's MAC and ours, and note that this neighbour is in use.
#[inline(always)]
fn address_to(
    frame: &mut Frame,
    leaf: NextHopId,
    adjacency: Adjacency,
    tables: &Tables,
) -> Verdict {
    let Some(port) = PortId::new(usize::from(adjacency.port)) else {
        return Verdict::Drop(DropReason::Internal);
    };
    frame.bytes_mut()[..adjacency.rewrite.len()].copy_from_slice(&adjacency.rewrite);
    tables.fib.used.mark(leaf);
    Verdict::Transmit(port)
}

/// To the kernel, but for IPv4 redirects: no router listens to them (RFC 1812 5.2.7.2). The tap's
/// `accept_redirects` = 0 does not keep the kernel from it where it forwards nothing itself and that
/// of `all` is 1, as it is by default (`IN_DEV_RX_REDIRECTS`). For IPv6 the tap's own setting counts.
fn deliver(frame: &Frame) -> Verdict {
    let is_redirect = ipv4::View::new(&frame.bytes()[ethernet::HEADER..]).is_ok_and(|packet| {
        packet.protocol() == protocol::ICMP
            && packet.fragment_offset() == 0
            && packet.payload().first() == Some(&(icmpv4::Type::Redirect as u8))
    });
    if is_redirect {
        return Verdict::Drop(DropReason::Redirect);
    }
    Verdict::Punt(frame.ingress())
}

fn hold(destination: IpAddr, leaf: NextHopId, adjacency: &Adjacency) -> Verdict {
    let neighbour = (adjacency.kind() == AdjacencyKind::Glean).then_some(destination);
    Verdict::Hold(Awaited { next_hop: leaf, neighbour })
}

fn black_hole(frame: &mut Frame, packet: &Packet, tables: &Tables) -> Verdict {
    match packet.destination {
        IpAddr::V4(address) if tables.snapshot.is_broadcast(address) => {
            directed_broadcast(frame, packet, address, tables)
        }
        _ => Verdict::Drop(DropReason::Blackhole),
    }
}

/// A packet to all hosts of another port's subnet (RFC 1812 5.3.5.2, RFC 2644). Nobody is told of
/// one that is not sent: `icmp.rs` says nothing about a packet to all (RFC 1812 4.3.2.7).
fn directed_broadcast(
    frame: &mut Frame,
    packet: &Packet,
    address: Ipv4Addr,
    tables: &Tables,
) -> Verdict {
    let to = tables.snapshot.present().find(|interface| interface.is_broadcast(address));
    let Some(to) = to.filter(|to| to.policy.directed_broadcast) else {
        return Verdict::Drop(DropReason::DirectedBroadcast);
    };
    let leaving = match may_leave(frame, packet, to.port.octet(), to.mtu) {
        Continue(leaving) => leaving,
        Break(verdict) => return verdict,
    };
    let bytes = frame.bytes_mut();
    let written = ethernet::write(bytes, MacAddress::BROADCAST, to.mac, ether_type::IPV4);
    if written.and(ipv4::decrement_ttl(&mut bytes[ethernet::HEADER..])).is_none() {
        return Verdict::Drop(DropReason::Internal);
    }
    options4::fill(frame, packet, to.port, tables);
    match leaving {
        Leaving::Whole => Verdict::Transmit(to.port),
        Leaving::InPieces => Verdict::Fragment { port: to.port, mtu: to.mtu },
    }
}

fn destination(frame: &Frame) -> Option<IpAddr> {
    let packet = frame.bytes().get(ethernet::HEADER..)?;
    match packet.first()? >> 4 {
        4 => ipv4::View::new(packet).ok().map(|view| view.destination().into()),
        6 => ipv6::View::new(packet).ok().map(|view| view.destination().into()),
        _ => None,
    }
}

/// RFC 2992: all packets of a flow take one path.
fn flow_hash(frame: &Frame, seed: u32) -> u32 {
    let packet = &frame.bytes()[ethernet::HEADER..];
    let key = match packet.first().map(|octet| octet >> 4) {
        Some(4) => ipv4::View::new(packet).ok().map(|view| FlowKey::of_ipv4(&view)),
        _ => ipv6::View::new(packet).ok().map(|view| FlowKey::of_ipv6(&view)),
    };
    key.map_or(0, |key| key.hash(seed))
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if ipv6::is_link_local(address))
}

/// The port by which a packet to `peer` would leave.
pub(super) fn egress_port(peer: IpAddr, tables: &Tables) -> Option<PortId> {
    let (_, adjacency) = tables.fib.next_hops.adjacency(route(peer, tables)?, || 0);
    leads_somewhere(&adjacency).then(|| PortId::new(usize::from(adjacency.port))).flatten()
}

/// The port whose address an error to `peer` comes from. None if no way leads there: then there is
/// no error.
fn speaking_port(peer: IpAddr, arrived_by: PortId, tables: &Tables) -> Option<PortId> {
    let leaves_by = egress_port(peer, tables)?;
    Some(match tables.snapshot.policy.icmp_error_source {
        ErrorSource::Egress => leaves_by,
        ErrorSource::Ingress => arrived_by,
    })
}

/// The source of an error to `peer`, whose packet came in by `arrived_by`. A port without addresses
/// borrows another's (RFC 1812 4.3.2.4: the router-id).
pub(super) fn error_source4(
    peer: Ipv4Addr,
    arrived_by: PortId,
    tables: &Tables,
) -> Option<Ipv4Addr> {
    let port = speaking_port(peer.into(), arrived_by, tables)?;
    tables.snapshot.source4(port, peer)
}

/// The same for IPv6: to a link-local peer with the address of the link, to any other with one
/// that means something to it (RFC 4443 2.2).
pub(super) fn error_source6(
    peer: Ipv6Addr,
    arrived_by: PortId,
    tables: &Tables,
) -> Option<Ipv6Addr> {
    if ipv6::is_link_local(peer) {
        return Some(tables.snapshot.interface(arrived_by)?.link_local);
    }
    let port = speaking_port(peer.into(), arrived_by, tables)?;
    let own = tables.snapshot.interface(port)?.beyond_link6(peer);
    own.or_else(|| tables.snapshot.present().find_map(|other| other.beyond_link6(peer)))
}
