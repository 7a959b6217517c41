//! IPv4 on its way in: RFC 1812 5.2.2 (validation), 5.3.7 (martians), 5.2.3 (local delivery).
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow::{Break, Continue};

use crate::frame::Frame;
use crate::packet::ipv4::{self, Malformed};
use crate::packet::transport;
use crate::packet::{ethernet, protocol};
use crate::table::interface::Interface;

use super::link::{Arrival, Audience};
use super::verdict::{DropReason, Step, Verdict};
use super::{Local, Packet, Tables, options4, source};

/// Check an IPv4 packet as far as that needs no route; what is for a group or for all ends here.
pub(super) fn accept(
    frame: &mut Frame,
    interface: &Interface,
    arrival: Arrival,
    tables: &Tables,
    local: &Local,
) -> Step<Packet> {
    let view = match ipv4::View::new(&frame.bytes()[ethernet::HEADER..]) {
        Ok(view) => view,
        Err(fault) => return Break(Verdict::Drop(reason(fault))),
    };
    let (source, destination, total) = (view.source(), view.destination(), view.total_len());
    let has_options = view.header_len() > ipv4::HEADER;
    let (packet, tiny) = (packet(&view), is_tiny_fragment(&view));
    if total > usize::from(interface.mtu) {
        return Break(Verdict::Drop(DropReason::FrameTooLong));
    }
    // Padding goes no further: what a sender left there is nobody's business (CVE-2003-0001).
    frame.truncate(ethernet::HEADER + total);
    check_source(source, tables)?;
    // 0.0.0.0/8 has no route: whoever speaks from it is judged below.
    if !destination.is_multicast() && source.octets()[0] != 0 {
        source::validate(IpAddr::V4(source), interface, tables)?;
    }
    if tiny && !tables.snapshot.policy.tiny_fragments {
        return Break(Verdict::Drop(DropReason::TinyFragment));
    }
    local_groups(frame, destination, interface, arrival)?;
    check_destination(destination)?;
    check_scope(source, destination, tables)?;
    // RFC 1812 5.3.4: a unicast packet in a group's frame is not forwarded, and gets no answer.
    // 0.0.0.0 speaks to groups only, as a DHCP client does.
    if arrival.audience != Audience::Us {
        return Break(Verdict::Drop(DropReason::BroadcastUnicast));
    }
    if source.octets()[0] == 0 {
        return Break(Verdict::Drop(DropReason::SourceMartian));
    }
    note_unfinished(frame, interface);
    if has_options {
        return Continue(Packet { stamp: options4::accept(frame, tables, local)?, ..packet });
    }
    Continue(packet)
}

/// A host behind a veth leaves its transport checksums to its "card".
#[inline]
pub(super) fn note_unfinished(frame: &mut Frame, interface: &Interface) {
    if interface.unfinished_checksums {
        let unfinished = transport::is_unfinished(&frame.bytes()[ethernet::HEADER..]).is_some();
        frame.mark_unfinished(unfinished);
    }
}

#[inline]
fn packet(view: &ipv4::View) -> Packet {
    Packet {
        destination: IpAddr::V4(view.destination()),
        hops_left: view.ttl(),
        may_fragment: !view.dont_fragment(),
        scope_ends: false,
        stamp: None,
    }
}

fn reason(fault: Malformed) -> DropReason {
    match fault {
        Malformed::Truncated => DropReason::Ipv4Truncated,
        Malformed::Version => DropReason::Ipv4Version,
        Malformed::HeaderLength => DropReason::Ipv4HeaderLength,
        Malformed::TotalLength => DropReason::Ipv4TotalLength,
        Malformed::Checksum => DropReason::Ipv4Checksum,
    }
}

/// RFC 3128 2: a fragment that begins in the middle of the TCP header.
fn is_tiny_fragment(packet: &ipv4::View) -> bool {
    packet.fragment_offset() == 8 && packet.protocol() == protocol::TCP
}

fn check_source(source: Ipv4Addr, tables: &Tables) -> Step {
    if is_martian(source, tables) {
        return Break(Verdict::Drop(DropReason::SourceMartian));
    }
    if tables.snapshot.is_own4(source) {
        return Break(Verdict::Drop(DropReason::SourceIsOurs));
    }
    Continue(())
}

/// Whether no host has this address (RFC 1812 5.3.7, 4.2.3.1). What 0.0.0.0/8 means is for the caller
/// to say.
pub(super) fn is_martian(source: Ipv4Addr, tables: &Tables) -> bool {
    source.is_loopback()
        || source.is_multicast()
        || source.is_broadcast()
        || (source.octets()[0] >= 240 && !tables.snapshot.policy.class_e)
        || tables.snapshot.is_broadcast(source)
}

/// Groups and broadcasts: to the kernel if it listens, else nowhere; never forwarded.
fn local_groups(
    frame: &mut Frame,
    destination: Ipv4Addr,
    interface: &Interface,
    arrival: Arrival,
) -> Step {
    let for_all = destination.is_broadcast() || interface.is_broadcast(destination);
    if !for_all && !destination.is_multicast() {
        return Continue(());
    }
    Break(match arrival.audience {
        Audience::Group if destination.is_multicast() => punt(frame, interface),
        Audience::Broadcast if for_all => punt(frame, interface),
        // Our own subnet's broadcast in a frame to us alone: RFC 1812 5.3.5.2 leaves it to us.
        _ if for_all => Verdict::Drop(DropReason::DirectedBroadcast),
        _ => Verdict::Drop(DropReason::Multicast),
    })
}

fn punt(frame: &mut Frame, interface: &Interface) -> Verdict {
    note_unfinished(frame, interface);
    Verdict::Punt(frame.ingress())
}

/// RFC 3927 7: nobody speaks for his link alone through a router.
#[inline]
fn check_scope(source: Ipv4Addr, destination: Ipv4Addr, tables: &Tables) -> Step {
    let beyond = source.is_link_local() || destination.is_link_local();
    if beyond && !tables.snapshot.policy.link_local4 && !tables.snapshot.is_own4(destination) {
        return Break(Verdict::Drop(DropReason::LinkLocal));
    }
    Continue(())
}

fn check_destination(destination: Ipv4Addr) -> Step {
    if destination.octets()[0] == 0 || destination.is_loopback() {
        return Break(Verdict::Drop(DropReason::DestinationMartian));
    }
    Continue(())
}
