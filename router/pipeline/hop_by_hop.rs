//! IPv6 hop-by-hop options of packets in transit: RFC 8200 4.2 and 4.3, RFC 9673. The other
//! extension headers are nobody's business but the destination's (RFC 8200 4).
//!
//! What is for the router itself, and for groups, passes as it is: the kernel's stack looks at it.
#![forbid(unsafe_code)]

use std::ops::ControlFlow::{Break, Continue};

use crate::frame::Frame;
use crate::packet::hop_by_hop::{self, HopOption, Options, Unknown};
use crate::packet::icmpv6::ParameterProblem;
use crate::packet::{ethernet, ipv6};
use crate::table::policy::OptionPolicy;

use super::Tables;
use super::verdict::{DropReason, Refusal, Step, Verdict};

/// Most options of one packet, padding not counted: a router spends no more time on them (RFC 9673
/// 5.2 leaves the number open, RFC 8504 5.3 asks for 8, Linux takes 8).
const OPTIONS_MAX: usize = 8;

/// Look at an IPv6 packet that has such a header.
pub(super) fn accept(frame: &Frame, tables: &Tables) -> Step {
    let Ok(packet) = ipv6::View::new(&frame.bytes()[ethernet::HEADER..]) else {
        return Break(Verdict::Drop(DropReason::Internal));
    };
    if tables.snapshot.is_own6(packet.destination()) {
        return Continue(());
    }
    match tables.snapshot.policy.hop_by_hop {
        OptionPolicy::Process => process(&packet),
        OptionPolicy::Ignore => Continue(()),
        OptionPolicy::Drop => Break(Verdict::Drop(DropReason::HopByHop)),
    }
}

fn process(packet: &ipv6::View) -> Step {
    let Some(options) = Options::of(packet) else { return malformed() };
    for (number, option) in options.enumerate() {
        match option {
            Ok(option) if number < OPTIONS_MAX => obey(&option)?,
            _ => return malformed(),
        }
    }
    Continue(())
}

fn malformed<T>() -> Step<T> {
    Break(Verdict::Drop(DropReason::HopByHopMalformed))
}

fn obey(option: &HopOption) -> Step {
    match (option.kind, option.data.len()) {
        // RFC 6398: forwarded, not punted. What is for the router is addressed to it.
        (hop_by_hop::ROUTER_ALERT, 2) => Continue(()),
        (hop_by_hop::ROUTER_ALERT, _) => malformed(),
        (hop_by_hop::JUMBO_PAYLOAD, _) => refuse_jumbogram(option),
        _ => match option.if_unknown() {
            Unknown::Skip => Continue(()),
            Unknown::Drop => Break(Verdict::Drop(DropReason::HopByHopUnknown)),
            // No packet to a group comes this far.
            Unknown::Report | Unknown::ReportUnlessGroup => {
                Break(refuse(option.offset, ParameterProblem::Option, DropReason::HopByHopUnknown))
            }
        },
    }
}

/// RFC 2675 3: here the header has told a payload length already, or there would be no packet.
fn refuse_jumbogram(option: &HopOption) -> Step {
    let Ok(length) = <[u8; 4]>::try_from(option.data) else { return malformed() };
    // Its data are aligned to 4 octets.
    if option.offset % 4 != 2 {
        return malformed();
    }
    let too_short = u32::from_be_bytes(length) <= u32::from(u16::MAX);
    let pointer = if too_short { option.offset + 2 } else { option.offset };
    Break(refuse(pointer, ParameterProblem::Field, DropReason::HopByHopMalformed))
}

fn refuse(pointer: u16, code: ParameterProblem, reason: DropReason) -> Verdict {
    Verdict::Refuse(Refusal::ParameterProblem { pointer, code, reason })
}
