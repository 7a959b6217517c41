//! IPv6 on its way in: RFC 8200 (header), RFC 4291 2.5 (addresses), RFC 4007 (scopes).
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv6Addr};
use std::ops::ControlFlow::{Break, Continue};

use crate::frame::Frame;
use crate::packet::ethernet::{self, MacAddress};
use crate::packet::{icmpv6, ipv6, protocol};
use crate::table::interface::Interface;
use crate::table::policy::SourceValidation;

use super::ip4::note_unfinished;
use super::link::{Arrival, Audience};
use super::verdict::{DropReason, Step, Verdict};
use super::{Local, Packet, Tables, hop_by_hop, neighbour, source};

/// What the checks ask of a header.
#[derive(Clone, Copy, Debug)]
struct Asked {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    next_header: u8,
}

/// Check an IPv6 packet as far as that needs no route; what is for a group or for this link's own
/// address ends here, neighbour discovery included.
#[inline(always)]
pub(super) fn accept(
    frame: &mut Frame,
    interface: &Interface,
    arrival: Arrival,
    tables: &Tables,
    local: &mut Local,
) -> Step<Packet> {
    let Ok(view) = ipv6::View::new(&frame.bytes()[ethernet::HEADER..]) else {
        return Break(Verdict::Drop(DropReason::Ipv6Malformed));
    };
    let (asked, packet, total) = (Asked::of(&view), packet(&view), view.total_len());
    if total > usize::from(interface.mtu) {
        return Break(Verdict::Drop(DropReason::FrameTooLong));
    }
    frame.truncate(ethernet::HEADER + total);
    note_unfinished(frame, interface);
    if !is_plain(asked, interface, arrival, tables) {
        judge(frame, asked, interface, arrival, tables, local)?;
    }
    Continue(packet)
}

impl Asked {
    #[inline]
    fn of(view: &ipv6::View) -> Self {
        Self {
            source: view.source(),
            destination: view.destination(),
            next_header: view.next_header(),
        }
    }
}

/// Whether every check of [`judge`] is sure to pass: true for nearly all packets, in a few
/// comparisons. Where it is in doubt it says no, and the checks are made one by one.
#[inline]
fn is_plain(asked: Asked, interface: &Interface, arrival: Arrival, tables: &Tables) -> bool {
    let is_special = |address| tables.snapshot.may_be_special(IpAddr::V6(address));
    arrival.audience == Audience::Us
        && is_ordinary(asked.source)
        && is_ordinary(asked.destination)
        && asked.next_header != protocol::HOP_BY_HOP
        && interface.policy.source_validation == SourceValidation::Off
        && !is_special(asked.source)
        && !is_special(asked.destination)
}

/// Far from ::/8 (unspecified, loopback, IPv4-mapped), link-local addresses and groups.
#[inline]
fn is_ordinary(address: Ipv6Addr) -> bool {
    matches!(address.octets()[0], 0x01..=0xfd)
}

/// All checks, in their order.
#[inline(never)]
fn judge(
    frame: &mut Frame,
    asked: Asked,
    interface: &Interface,
    arrival: Arrival,
    tables: &Tables,
    local: &mut Local,
) -> Step {
    let Asked { source, destination, next_header } = asked;
    // Whoever has our address speaks from it, too: his discovery is not dropped unheard.
    let for_this_link = destination.is_multicast() || interface.has6(destination);
    let discovery = for_this_link && is_discovery(frame);
    check_source(source)?;
    if !discovery && is_ours(source, interface, tables) {
        return Break(Verdict::Drop(DropReason::SourceIsOurs));
    }
    if destination.is_multicast() {
        return group(frame, destination, interface, arrival, discovery, tables, local);
    }
    check_destination(destination)?;
    if arrival.audience != Audience::Us {
        return Break(Verdict::Drop(DropReason::BroadcastUnicast));
    }
    if discovery {
        return neighbour::discovery(frame, interface, tables, local);
    }
    if !ipv6::is_link_local(source) && !source.is_unspecified() {
        source::validate(IpAddr::V6(source), interface, tables)?;
    }
    if ipv6::is_link_local(destination) {
        return link_local(frame, destination, interface);
    }
    if source.is_unspecified() {
        return Break(Verdict::Drop(DropReason::SourceMartian));
    }
    if next_header == protocol::HOP_BY_HOP {
        hop_by_hop::accept(frame, tables)?;
    }
    Continue(())
}

#[inline]
fn packet(view: &ipv6::View) -> Packet {
    Packet {
        destination: IpAddr::V6(view.destination()),
        hops_left: view.hop_limit(),
        may_fragment: false,
        scope_ends: ipv6::is_link_local(view.source()),
        stamp: None,
    }
}

/// Neighbour discovery that the router itself takes part in: solicitations and advertisements.
fn is_discovery(frame: &Frame) -> bool {
    const SOLICITATION: u8 = icmpv6::Type::NeighbourSolicitation as u8;
    const ADVERTISEMENT: u8 = icmpv6::Type::NeighbourAdvertisement as u8;
    ipv6::View::new(&frame.bytes()[ethernet::HEADER..]).is_ok_and(|packet| {
        packet.next_header() == protocol::ICMPV6
            && matches!(packet.payload().first(), Some(&(SOLICITATION | ADVERTISEMENT)))
    })
}

/// RFC 4291 2.5.2, 2.5.3, 2.7; 2.5.5.2 (IPv4-mapped) is never on a wire.
fn check_source(source: Ipv6Addr) -> Step {
    if source.is_multicast() || source.is_loopback() || is_mapped(source) {
        return Break(Verdict::Drop(DropReason::SourceMartian));
    }
    Continue(())
}

/// A link-local address means something on its own link only (RFC 4007 4).
pub(super) fn is_ours(address: Ipv6Addr, interface: &Interface, tables: &Tables) -> bool {
    address == interface.link_local || tables.snapshot.is_own6(address)
}

fn check_destination(destination: Ipv6Addr) -> Step {
    if destination.is_unspecified() || destination.is_loopback() || is_mapped(destination) {
        return Break(Verdict::Drop(DropReason::DestinationMartian));
    }
    Continue(())
}

fn is_mapped(address: Ipv6Addr) -> bool {
    address.to_ipv4_mapped().is_some()
}

/// A group that the kernel listens to, or the neighbour discovery of this link.
fn group(
    frame: &mut Frame,
    destination: Ipv6Addr,
    interface: &Interface,
    arrival: Arrival,
    discovery: bool,
    tables: &Tables,
    local: &mut Local,
) -> Step {
    let heard = match arrival.audience {
        Audience::Group => true,
        // RFC 6085: a group's packet may come in a frame for us alone.
        Audience::Us => interface.joined(MacAddress::for_ipv6_multicast(destination)),
        Audience::Broadcast => false,
    };
    // RFC 4291 2.7: scopes 0 (reserved) and 1 (this interface) are never on a wire.
    let on_wire = destination.octets()[1] & 0x0f > 1;
    if !heard || !on_wire {
        return Break(Verdict::Drop(DropReason::Multicast));
    }
    if discovery {
        return neighbour::discovery(frame, interface, tables, local);
    }
    Break(Verdict::Punt(frame.ingress()))
}

/// RFC 4291 2.5.6: a link-local destination is ours on this link, or nobody's beyond it. So is that
/// of any of the link's routers (RFC 4291 2.6.1).
fn link_local(frame: &Frame, destination: Ipv6Addr, interface: &Interface) -> Step {
    let is_ours = destination == interface.link_local || destination == ipv6::LINK_LOCAL_ANYCAST;
    Break(if is_ours {
        Verdict::Punt(frame.ingress())
    } else {
        Verdict::Drop(DropReason::LinkLocal)
    })
}
