//! What the kernel's own stack writes to a port's tap.
//!
//! It leaves as it is, and control is told when it says which groups the kernel listens to. But for
//! one thing: when the kernel asks for a neighbour's MAC, control is asked instead. If our own table knows it, the kernel is told at once and nothing is sent; if
//! not, our own resolution asks on the wire, and the answer is punted to the kernel as well. So
//! one exchange teaches both, and a host sees one router.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use crate::frame::{Frame, Pool};
use crate::packet::ethernet::{self, ether_type};
use crate::packet::ndp::Message;
use crate::packet::{arp, ipv4, ipv6, protocol};
use crate::table::interface::Interface;

use super::report::Report;
use super::verdict::{DropReason, Verdict};
use super::{Local, Outbox, Tables, settle};

/// Take a frame that the kernel wrote to the tap of the port that is the frame's ingress.
pub fn from_kernel<'umem>(
    frame: Frame<'umem>,
    tables: &Tables,
    local: &mut Local,
    pool: &mut Pool<'umem>,
    out: &mut Outbox<'umem>,
) {
    let port = frame.ingress();
    local.counters.port(port).from_kernel.add(1);
    let verdict = match tables.snapshot.interface(port) {
        None => Verdict::Drop(DropReason::PortDown),
        Some(interface) => match question(&frame, interface) {
            Some(address) => {
                local.report(Report::AskedByKernel { port, address });
                Verdict::Absorb
            }
            None => {
                if tells_of_groups(&frame) {
                    local.report(Report::GroupsChanged(port));
                }
                Verdict::Transmit(port)
            }
        },
    };
    settle(frame, verdict, tables, local, pool, out);
}

/// The neighbour that the kernel asks for, if that is what this frame does. Probes for duplicate
/// addresses, announcements, and questions in the name of an address that is not ours are none of
/// it: they are meant for the wire. So is what a macvlan on the tap asks: its answers have to come
/// back to its own MAC.
fn question(frame: &Frame, interface: &Interface) -> Option<IpAddr> {
    let header = ethernet::View::new(frame.bytes())?;
    if header.source() != interface.mac {
        return None;
    }
    match header.ether_type() {
        ether_type::ARP => {
            let packet = arp::View::new(header.payload()).ok()?;
            let asks = packet.operation() == arp::Operation::Request
                && interface.has4(packet.sender_address())
                && !packet.is_gratuitous();
            asks.then_some(IpAddr::V4(packet.target_address()))
        }
        ether_type::IPV6 => {
            let packet = ipv6::View::new(header.payload()).ok()?;
            if packet.next_header() != protocol::ICMPV6 || !interface.has6(packet.source()) {
                return None;
            }
            match Message::parse(&packet).ok()? {
                Message::NeighbourSolicitation(asked) => Some(IpAddr::V6(asked.target)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether the kernel tells the link here that it listens to other groups than before: IGMP, or
/// MLD, whose hop-by-hop option (RFC 2711) hardly anything else has. Which groups, control asks the
/// kernel itself.
fn tells_of_groups(frame: &Frame) -> bool {
    let Some(header) = ethernet::View::new(frame.bytes()) else { return false };
    match header.ether_type() {
        ether_type::IPV4 => ipv4::View::new(header.payload())
            .is_ok_and(|packet| packet.protocol() == protocol::IGMP),
        ether_type::IPV6 => ipv6::View::new(header.payload())
            .is_ok_and(|packet| packet.next_header() == protocol::HOP_BY_HOP),
        _ => false,
    }
}
