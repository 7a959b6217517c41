//! IPv4 options of packets in transit: RFC 1812 5.2.4.1 and 5.3.13, RFC 7126, RFC 6398.
//!
//! They are judged on the way in, where a mistake is answered with the packet as it came, and
//! filled in on the way out, where the address to write is known. What is for the router itself
//! passes as it is: the kernel's stack looks at it.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow::{Break, Continue};

use crate::frame::Frame;
use crate::id::PortId;
use crate::packet::icmpv6::ParameterProblem;
use crate::packet::ipv4_options::{self, Requests};
use crate::packet::{ethernet, ipv4};
use crate::table::policy::OptionPolicy;

use super::verdict::{DropReason, Refusal, Step, Verdict};
use super::{Local, Packet, Tables};

/// Look at an IPv4 packet that has options. Returns the time to write into them, if that is to be.
pub(super) fn accept(frame: &Frame, tables: &Tables, local: &Local) -> Step<Option<u32>> {
    let Ok(packet) = ipv4::View::new(&frame.bytes()[ethernet::HEADER..]) else {
        return Break(Verdict::Drop(DropReason::Internal));
    };
    if tables.snapshot.is_own4(packet.destination()) {
        return Continue(None);
    }
    match tables.snapshot.policy.ipv4_options {
        OptionPolicy::Process => {
            judge(packet.options())?;
            Continue(Some(local.time_of_day()))
        }
        // RFC 7126 4.3.5: passed on unread, it would go where its sender did not want it.
        OptionPolicy::Ignore if ipv4_options::has_source_route(packet.options()) => {
            Break(Verdict::Drop(DropReason::SourceRoute))
        }
        OptionPolicy::Ignore => Continue(None),
        OptionPolicy::Drop => Break(Verdict::Drop(DropReason::Ipv4Options)),
    }
}

fn judge(options: &[u8]) -> Step {
    match Requests::read(options) {
        Ok(requests) if requests.source_route.is_none() => Continue(()),
        Ok(_) => Break(Verdict::Drop(DropReason::SourceRoute)),
        Err(at) => Break(Verdict::Refuse(Refusal::ParameterProblem {
            pointer: u16::try_from(ipv4::HEADER + at).unwrap_or_default(),
            code: ParameterProblem::Field,
            reason: DropReason::Ipv4OptionMalformed,
        })),
    }
}

/// Write into the options of a packet that leaves by `port` what they ask for.
pub(super) fn fill(frame: &mut Frame, packet: &Packet, port: PortId, tables: &Tables) {
    let (Some(time), IpAddr::V4(destination)) = (packet.stamp, packet.destination) else { return };
    let address = tables.snapshot.source4(port, destination).unwrap_or(Ipv4Addr::UNSPECIFIED);
    let datagram = &mut frame.bytes_mut()[ethernet::HEADER..];
    let Ok(length) = ipv4::View::new(datagram).map(|view| view.header_len()) else { return };
    let header = &mut datagram[..length];
    let is_own = |address| tables.snapshot.is_own4(address);
    ipv4_options::fill(&mut header[ipv4::HEADER..], address, time, is_own);
    ipv4::write_checksum(header);
}
