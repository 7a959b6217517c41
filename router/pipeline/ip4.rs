//! IPv4 on its way in: RFC 1812 5.2.2 (validation), 5.3.7 (martians), 5.2.3 (local delivery).
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow::{Break, Continue};

use crate::frame::Frame;
use crate::packet::ipv4::{self, Malformed};
use crate::packet::transport;
use crate::packet::{ethernet, protocol};
use crate::table::interface::Interface;
use crate::table::policy::SourceValidation;

use super::link::{Arrival, Audience};
use super::verdict::{DropReason, Step, Verdict};
use super::{Local, Packet, Tables, options4, source};

/// What the checks ask of a header.
#[derive(Clone, Copy, Debug)]
struct Asked {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    has_options: bool,
    tiny: bool,
}

/// Check an IPv4 packet as far as that needs no route; what is for a group or for all ends here.
#[inline(always)]
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
    let (asked, packet, total) = (Asked::of(&view), packet(&view), view.total_len());
    if total > usize::from(interface.mtu) {
        return Break(Verdict::Drop(DropReason::FrameTooLong));
    }
    // Padding goes no further: what a sender left there is nobody's business (CVE-2003-0001).
    frame.truncate(ethernet::HEADER + total);
    note_unfinished(frame, interface);
    if is_plain(asked, interface, arrival, tables) {
        return Continue(packet);
    }
    let stamp = judge(frame, asked, interface, arrival, tables, local)?;
    Continue(Packet { stamp, ..packet })
}

impl Asked {
    #[inline]
    fn of(view: &ipv4::View) -> Self {
        Self {
            source: view.source(),
            destination: view.destination(),
            has_options: view.header_len() > ipv4::HEADER,
            tiny: is_tiny_fragment(view),
        }
    }
}

/// Whether every check of [`judge`] is sure to pass: true for nearly all packets, in a few
/// comparisons. Where it is in doubt it says no, and the checks are made one by one.
#[inline]
fn is_plain(asked: Asked, interface: &Interface, arrival: Arrival, tables: &Tables) -> bool {
    let is_special = |address| tables.snapshot.may_be_special(IpAddr::V4(address));
    arrival.audience == Audience::Us
        && is_ordinary(asked.source)
        && is_ordinary(asked.destination)
        && !asked.has_options
        && !asked.tiny
        && interface.policy.source_validation == SourceValidation::Off
        && !is_special(asked.source)
        && !is_special(asked.destination)
}

/// Far from this network, loopback, link-local, groups and class E: 0, 127, 169.254, 224 and up.
#[inline]
fn is_ordinary(address: Ipv4Addr) -> bool {
    matches!(address.octets()[0], 1..=126 | 128..=168 | 170..=223)
}

/// All checks, in their order; when to stamp the options, if there are any to be filled in.
#[inline(never)]
fn judge(
    frame: &Frame,
    asked: Asked,
    interface: &Interface,
    arrival: Arrival,
    tables: &Tables,
    local: &Local,
) -> Step<Option<u32>> {
    let Asked { source, destination, has_options, tiny } = asked;
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
    if has_options { options4::accept(frame, tables, local) } else { Continue(None) }
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
#[inline]
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
    frame: &Frame,
    destination: Ipv4Addr,
    interface: &Interface,
    arrival: Arrival,
) -> Step {
    let for_all = destination.is_broadcast() || interface.is_broadcast(destination);
    if !for_all && !destination.is_multicast() {
        return Continue(());
    }
    Break(match arrival.audience {
        Audience::Group if destination.is_multicast() => Verdict::Punt(frame.ingress()),
        Audience::Broadcast if for_all => Verdict::Punt(frame.ingress()),
        // Our own subnet's broadcast in a frame to us alone: RFC 1812 5.3.5.2 leaves it to us.
        _ if for_all => Verdict::Drop(DropReason::DirectedBroadcast),
        _ => Verdict::Drop(DropReason::Multicast),
    })
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
