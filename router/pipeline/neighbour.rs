//! ARP (RFC 826) and neighbour discovery (RFC 4861) as they come off the wire.
//!
//! What asks for an address of ours is answered here, in the frame itself. What tells of a
//! neighbour is reported to control, which owns the neighbour table. The rest goes to the kernel:
//! it may have asked, or may hold an address that we do not know (keepalived's, say).
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv6Addr};
use std::ops::ControlFlow::Break;

use crate::frame::{Frame, NoRoom};
use crate::packet::ndp::{self, Message, Solicitation, Station};
use crate::packet::{arp, ethernet, ipv6};
use crate::table::interface::Interface;
use crate::table::{Adjacency, AdjacencyKind};

use super::ip4::is_martian;
use super::ip6::is_ours;
use super::report::Said;
use super::source::leads_somewhere;
use super::verdict::{DropReason, Step, Verdict};
use super::{Local, Packet, Tables, route};

/// An ARP packet.
pub(super) fn arp(
    frame: &mut Frame,
    interface: &Interface,
    tables: &Tables,
    local: &mut Local,
) -> Step<Packet> {
    let Ok(view) = arp::View::new(&frame.bytes()[ethernet::HEADER..]) else {
        return Break(Verdict::Drop(DropReason::ArpMalformed));
    };
    let packet = view.packet();
    // RFC 1812 3.3.2: a reply that claims a broadcast or multicast address must not be believed.
    if !packet.sender_mac.is_unicast() {
        return Break(Verdict::Drop(DropReason::ArpMalformed));
    }
    let (sender, mac) = (packet.sender_address, packet.sender_mac);
    // RFC 1812 5.3.7: nobody has such an address. Only a probe may be without one (RFC 5227 1.1).
    let of_this_network = sender.octets()[0] == 0 && !view.is_probe();
    if of_this_network || is_martian(sender, tables) {
        return Break(Verdict::Drop(DropReason::SourceMartian));
    }
    let to_us = interface.has4(packet.target_address);
    let for_us = match packet.operation {
        arp::Operation::Request => to_us,
        arp::Operation::Reply => ethernet::View::new(frame.bytes())
            .is_some_and(|header| interface.takes(header.destination())),
    };
    let said = match packet.operation {
        _ if view.is_gratuitous() => Said::ArpAnnouncement { sender, mac },
        arp::Operation::Request => Said::ArpRequest { sender, mac, for_us },
        arp::Operation::Reply => Said::ArpReply { sender, mac, for_us },
    };
    local.hear(frame.ingress(), said);
    if tables.snapshot.is_own4(sender) {
        return Break(Verdict::Drop(DropReason::AddressConflict));
    }
    let asks = packet.operation == arp::Operation::Request;
    if asks && (to_us || is_proxied(&packet, interface, tables)) {
        return Break(answer_arp(frame, interface));
    }
    Break(Verdict::Punt(frame.ingress()))
}

/// Whether the address asked for is one that we answer for in another's name (RFC 1027): packets to
/// it leave by other ports, or end here. Who asks for himself is left alone (RFC 5227).
fn is_proxied(asked: &arp::Packet, interface: &Interface, tables: &Tables) -> bool {
    let (sender, target) = (asked.sender_address, asked.target_address);
    let for_himself = sender.is_unspecified() || sender == target;
    let is_host = target.octets()[0] != 0 && !target.is_loopback() && target.octets()[0] < 224;
    if !interface.policy.proxy_arp || for_himself || !is_host {
        return false;
    }
    let here = |way: &Adjacency| leads_somewhere(way) && way.port == interface.port.octet();
    let away = |way: &Adjacency| leads_somewhere(way) || way.kind() == AdjacencyKind::Receive;
    let next_hops = &tables.fib.next_hops;
    route(IpAddr::V4(target), tables)
        .is_some_and(|hop| next_hops.any(hop, away) && !next_hops.any(hop, here))
}

fn answer_arp(frame: &mut Frame, interface: &Interface) -> Verdict {
    let mut answer = [0; arp::FRAME];
    let written = arp::View::new(&frame.bytes()[ethernet::HEADER..]).ok().and_then(|request| {
        let mac = interface.mac_of(request.target_address().into());
        arp::reply(&mut answer, mac, &request)
    });
    match written.map(|length| replace(frame, &answer[..length])) {
        Some(Ok(())) => Verdict::Answer(frame.ingress()),
        _ => Verdict::Drop(DropReason::Internal),
    }
}

/// A neighbour solicitation or advertisement that is for this link.
pub(super) fn discovery(
    frame: &mut Frame,
    interface: &Interface,
    tables: &Tables,
    local: &mut Local,
) -> Step {
    let message = ipv6::View::new(&frame.bytes()[ethernet::HEADER..])
        .ok()
        .and_then(|packet| Some((packet.source(), Message::parse(&packet).ok()?)));
    let Some((source, message)) = message else {
        return Break(Verdict::Drop(DropReason::NdpInvalid));
    };
    Break(match message {
        Message::NeighbourSolicitation(asked) => {
            solicited(frame, interface, source, asked, tables, local)
        }
        Message::NeighbourAdvertisement(told) => {
            let said = Said::Advertisement {
                target: told.target,
                mac: told.target_mac,
                router: told.router,
                solicited: told.solicited,
                overrides: told.overrides,
            };
            local.hear(frame.ingress(), said);
            match [source, told.target].iter().any(|&a| is_ours(a, interface, tables)) {
                true => Verdict::Drop(DropReason::AddressConflict),
                false => Verdict::Punt(frame.ingress()),
            }
        }
        _ => Verdict::Punt(frame.ingress()),
    })
}

fn solicited(
    frame: &mut Frame,
    interface: &Interface,
    source: Ipv6Addr,
    asked: Solicitation,
    tables: &Tables,
    local: &mut Local,
) -> Verdict {
    let for_us = interface.has6(asked.target);
    let said = Said::Solicitation { source, mac: asked.source_mac, for_us };
    local.hear(frame.ingress(), said);
    if is_ours(source, interface, tables) {
        return Verdict::Drop(DropReason::AddressConflict);
    }
    if !for_us {
        return Verdict::Punt(frame.ingress());
    }
    let Some(header) = ethernet::View::new(frame.bytes()) else {
        return Verdict::Drop(DropReason::Internal);
    };
    let we = Station { mac: interface.mac_of(asked.target.into()), address: asked.target };
    let asker = Station { mac: asked.source_mac.unwrap_or(header.source()), address: source };
    let mut answer = [0; ndp::FRAME_MAX];
    // RFC 4861 7.2.4: an answer to duplicate address detection goes to all nodes.
    let written = if source.is_unspecified() {
        ndp::announce(&mut answer, we, true)
    } else {
        ndp::advertise(&mut answer, we, asker, true)
    };
    match written.map(|length| replace(frame, &answer[..length])) {
        Some(Ok(())) => Verdict::Answer(frame.ingress()),
        _ => Verdict::Drop(DropReason::Internal),
    }
}

/// Put `answer` in the place of what the frame holds. It may be longer: a solicitation can lack
/// the option that its answer has.
fn replace(frame: &mut Frame, answer: &[u8]) -> Result<(), NoRoom> {
    let missing = answer.len().saturating_sub(frame.len());
    frame.prepend(u16::try_from(missing).map_err(|_| NoRoom)?)?;
    frame.truncate(answer.len());
    frame.bytes_mut().copy_from_slice(answer);
    Ok(())
}
