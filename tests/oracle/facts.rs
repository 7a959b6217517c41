//! What can be said of a frame that went in and of what came out, and what can be blotted out.

use std::net::{Ipv4Addr, Ipv6Addr};

use xrouter::packet::ethernet::{self, HEADER, MacAddress, ether_type};
use xrouter::packet::{arp, icmpv4, icmpv6, ipv4, ipv6, protocol, transport};

use super::frame::{Frame, ROUTER_MACS};
pub use super::octets::*;
use super::pair::Outputs;

/// What stands for any global address of the router.
pub const ANY_OWN: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// One frame and what came of it, masked.
pub struct Case<'a> {
    pub frame: &'a Frame,
    pub outputs: &'a Outputs,
}

impl<'a> Case<'a> {
    pub fn only_kernel(&self) -> bool {
        self.outputs.xrouter.is_empty()
    }

    pub fn only_xrouter(&self) -> bool {
        self.outputs.kernel.is_empty()
    }

    pub fn kernel_all(&self, holds: fn(&[u8]) -> bool) -> bool {
        self.outputs.kernel.iter().all(|output| holds(&output.octets))
    }

    pub fn xrouter_all(&self, holds: fn(&[u8]) -> bool) -> bool {
        self.outputs.xrouter.iter().all(|output| holds(&output.octets))
    }

    /// The kernel sent an IPv6 packet of somebody else's, and nothing else.
    pub fn kernel_passes_on6(&self) -> bool {
        !self.only_xrouter() && self.kernel_all(is_of_others6)
    }

    pub fn xrouter_passes_on6(&self) -> bool {
        !self.only_kernel() && self.xrouter_all(is_of_others6)
    }

    /// Both did the same, but for what is blotted out.
    pub fn equal_but(&self, blot: fn(&mut Vec<u8>) -> bool) -> bool {
        let blotted = |frames: &[Frame]| {
            let mut frames = frames.to_vec();
            let mut blotted = false;
            for frame in &mut frames {
                blotted |= blot(&mut frame.octets);
            }
            frames.sort_unstable();
            (frames, blotted)
        };
        let (kernel, is_there) = blotted(&self.outputs.kernel);
        is_there && kernel == blotted(&self.outputs.xrouter).0
    }

    pub fn view4(&self) -> Option<ipv4::View<'a>> {
        view4(&self.frame.octets)
    }

    pub fn view6(&self) -> Option<ipv6::View<'a>> {
        view6(&self.frame.octets)
    }

    pub fn source4(&self) -> Option<Ipv4Addr> {
        self.view4().map(|view| view.source())
    }

    pub fn destination4(&self) -> Option<Ipv4Addr> {
        self.view4().map(|view| view.destination())
    }

    pub fn source6(&self) -> Option<Ipv6Addr> {
        self.view6().map(|view| view.source())
    }

    pub fn destination6(&self) -> Option<Ipv6Addr> {
        self.view6().map(|view| view.destination())
    }

    /// An octet of the packet in the frame.
    pub fn octet(&self, at: usize) -> Option<u8> {
        self.frame.octets.get(HEADER + at).copied()
    }

    pub fn receiver(&self) -> Option<MacAddress> {
        ethernet::View::new(&self.frame.octets).map(|header| header.destination())
    }

    pub fn impossible_sender(&self) -> bool {
        let sender = ethernet::View::new(&self.frame.octets).map(|header| header.source());
        let own = ROUTER_MACS[self.frame.port];
        sender.is_some_and(|sender| !sender.is_unicast() || sender.to_string() == own)
    }

    pub fn tagged_for_priority(&self) -> bool {
        let tag = self.frame.octets.get(HEADER - 2..HEADER + 2);
        tag.is_some_and(|tag| {
            matches!(tag, [0x81, 0, id, low] | [0x88, 0xa8, id, low] if id & 0x0f == 0 && *low == 0)
        })
    }

    pub fn is_arp(&self) -> bool {
        is_arp(&self.frame.octets)
    }

    pub fn claims_no_host(&self) -> bool {
        let packet = ethernet::View::new(&self.frame.octets)
            .filter(|header| header.ether_type() == ether_type::ARP);
        let view = packet.and_then(|header| arp::View::new(header.payload()).ok());
        view.is_some_and(|view| !view.packet().sender_mac.is_unicast())
    }

    /// No route, or one that says so.
    pub fn no_way(&self) -> bool {
        self.destination4().is_some_and(|address| {
            let octets = address.octets();
            (128..192).contains(&octets[0]) || octets[..3] == [203, 0, 113]
        })
    }

    pub fn unfinished(&self) -> bool {
        self.frame
            .octets
            .get(HEADER..)
            .is_some_and(|packet| transport::is_unfinished(packet).is_some())
    }

    /// Later fragments of ICMPv6, those that end before its type, and packets whose headers are cut
    /// short before what may be ICMPv6, or are too many.
    pub fn hides_icmp6(&self) -> bool {
        let Some(view) = self.view6() else { return false };
        let upper = view.upper_layer();
        let next = view.packet().get(upper.offset);
        let may_follow = |next| next == protocol::ICMPV6 || ipv6::is_extension(next);
        let no_type = upper.is_later_fragment() || next.is_none();
        (no_type && upper.protocol == protocol::ICMPV6)
            || (!upper.complete && next.is_some_and(|&next| may_follow(next)))
    }

    /// Both sent only ICMP errors, of the same kinds.
    pub fn errors_of_same_kinds4(&self) -> bool {
        let kinds = |frames: &[Frame]| {
            let kind = |frame: &Frame| view4(&frame.octets)?.payload().get(..2).map(<[u8]>::to_vec);
            let mut kinds: Vec<_> = frames.iter().map(kind).collect();
            kinds.sort_unstable();
            kinds
        };
        self.kernel_all(own_error4)
            && self.xrouter_all(own_error4)
            && kinds(&self.outputs.kernel) == kinds(&self.outputs.xrouter)
    }

    /// The kernel sent all that xrouter did, and more, all of which holds.
    pub fn kernel_adds(&self, holds: fn(&[u8]) -> bool) -> bool {
        let more = surplus(&self.outputs.kernel, &self.outputs.xrouter);
        let missing = surplus(&self.outputs.xrouter, &self.outputs.kernel);
        missing.is_empty() && more.iter().all(|output| holds(&output.octets))
    }

    /// The other way round.
    pub fn xrouter_adds(&self, holds: fn(&[u8]) -> bool) -> bool {
        let more = surplus(&self.outputs.xrouter, &self.outputs.kernel);
        let missing = surplus(&self.outputs.kernel, &self.outputs.xrouter);
        missing.is_empty() && more.iter().all(|output| holds(&output.octets))
    }

    /// One asks for the MAC of who sent the frame, and the other does no more else.
    pub fn sender_is_asked_for(&self) -> bool {
        let source = match (self.source4(), self.source6()) {
            (Some(source), _) => source.octets().to_vec(),
            (_, Some(source)) => source.octets().to_vec(),
            _ => return false,
        };
        let Outputs { kernel, xrouter } = self.outputs;
        let surplus = [surplus(kernel, xrouter), surplus(xrouter, kernel)];
        let asked = |Frame { octets, .. }: &Frame| {
            own_question(octets) && octets.windows(source.len()).any(|part| part == source)
        };
        surplus.iter().any(Vec::is_empty) && surplus.iter().flatten().all(asked)
    }
}

/// Those of `many` that are not in `few`.
pub fn surplus(many: &[Frame], few: &[Frame]) -> Vec<Frame> {
    let mut more = many.to_vec();
    for output in few {
        if let Some(place) = more.iter().position(|other| other == output) {
            more.swap_remove(place);
        }
    }
    more
}

pub fn is_subnet_broadcast(address: Ipv4Addr) -> bool {
    matches!(address.octets(), [10, 1 | 2 | 4, 0, 255])
}

/// A subnet's own address: any of its routers.
pub fn is_anycast(address: Ipv6Addr) -> bool {
    matches!(
        address.segments(),
        [0x2001, 0xdb8, 1 | 2 | 4, 0, 0, 0, 0, 0] | [0xfe80, 0, 0, 0, 0, 0, 0, 0]
    )
}

fn is_arp(octets: &[u8]) -> bool {
    octets.get(HEADER - 2..HEADER) == Some(&ether_type::ARP.to_be_bytes())
}

/// A packet of the router's own.
pub fn own4(octets: &[u8]) -> Option<ipv4::View<'_>> {
    view4(octets).filter(|view| matches!(view.source().octets(), [10, 1 | 2 | 4, 0, 1]))
}

pub fn own6(octets: &[u8]) -> Option<ipv6::View<'_>> {
    view6(octets).filter(|view| {
        matches!(
            view.source().segments(),
            [0x2001, 0xdb8, 1 | 2 | 4, 0, 0, 0, 0, 1]
                | [0xfe80, 0, 0, 0, 0, 0x0aff, 0xfe01 | 0xfe02 | 0xfe04, 1]
        )
    })
}

/// An ICMP error of the router's own, its checksum right.
pub fn own_error4(octets: &[u8]) -> bool {
    let is_error = |message: icmpv4::View| {
        icmpv4::is_error(message.message_type()) && message.is_checksum_valid()
    };
    own4(octets).is_some_and(|view| {
        view.protocol() == protocol::ICMP && icmpv4::View::new(view.payload()).is_some_and(is_error)
    })
}

/// A parameter problem of the router's own, or that it asks for the MAC of whom it would tell.
pub fn own_problem4(octets: &[u8]) -> bool {
    let kind = own4(octets).and_then(|view| view.payload().first());
    let is_problem = kind == Some(&(icmpv4::Type::ParameterProblem as u8));
    (own_error4(octets) && is_problem) || own_question(octets)
}

pub fn own_problem6(octets: &[u8]) -> bool {
    own_message6(octets, |kind| kind == icmpv6::Type::ParameterProblem as u8)
        || own_question(octets)
}

/// The router tells its link who it is, unasked.
pub fn own_announcement(octets: &[u8]) -> bool {
    let gratuitous = |packet: &[u8]| packet.get(14..18) == packet.get(24..28);
    let advertises = own_advertisement(octets);
    let to_all = view6(octets).is_some_and(|view| view.destination().is_multicast());
    (is_arp(octets) && gratuitous(&octets[HEADER..])) || (advertises && to_all)
}

pub fn own_advertisement(octets: &[u8]) -> bool {
    own_message6(octets, |kind| kind == icmpv6::Type::NeighbourAdvertisement as u8)
}

/// The router asks for a neighbour's MAC.
pub fn own_question(octets: &[u8]) -> bool {
    let is_request = octets.get(HEADER + 6..HEADER + 8) == Some(&[0, 1]);
    (is_arp(octets) && is_request) || own_message6(octets, |kind| kind == SOLICITATION)
}

/// The router tells one neighbour its MAC by ARP.
pub fn own_reply(octets: &[u8]) -> bool {
    is_arp(octets) && octets.get(HEADER + 6..HEADER + 8) == Some(&[0, 2])
}

/// The router asks a neighbour that it knows whether it is still there.
pub fn own_probe(octets: &[u8]) -> bool {
    let to_one = ethernet::View::new(octets).is_some_and(|to| to.destination().is_unicast());
    to_one && own_question(octets)
}

pub fn is_to_link_local(octets: &[u8]) -> bool {
    view6(octets).is_some_and(|view| ipv6::is_link_local(view.destination()))
}

/// An IPv6 packet of somebody else's, passed on.
fn is_of_others6(octets: &[u8]) -> bool {
    view6(octets).is_some() && own6(octets).is_none()
}

/// An ICMPv6 error of the router's own.
pub fn own_error6(octets: &[u8]) -> bool {
    own_message6(octets, icmpv6::is_error)
}

/// The same, or that it asks for the MAC of whom it would send one.
pub fn own_error6_or_question(octets: &[u8]) -> bool {
    own_message6(octets, |kind| icmpv6::is_error(kind) || kind == SOLICITATION)
}

/// An ICMPv6 message of the router's own, also by an anycast address, of a type, with a right
/// checksum.
pub fn own_message6(octets: &[u8], is_type: fn(u8) -> bool) -> bool {
    let from_anycast = || view6(octets).filter(|view| is_anycast(view.source()));
    own6(octets).or_else(from_anycast).is_some_and(|view| {
        let message = view.payload();
        view.next_header() == protocol::ICMPV6
            && message.first().is_some_and(|&kind| is_type(kind))
            && icmpv6::is_checksum_valid(message, view.source(), view.destination())
    })
}

/// The checksum that a host left to its card, also in what is quoted.
pub fn finish(octets: &mut [u8]) -> bool {
    octets.get_mut(HEADER..).is_some_and(transport::finish)
}

/// What the header quoted in host unreachable says of the packet's length and hops.
pub fn without_quoted_way(octets: &mut [u8]) -> bool {
    const HOP_LIMIT: usize = ipv6::HEADER + icmpv6::HEADER + 7;
    let code = own4(octets).map(|view| (view.header_len(), view.payload().get(..2)));
    let Some((start, code)) = code else {
        let code = own6(octets).and_then(|view| view.payload().get(..2));
        return own_error6(octets) && code == Some(&[1, 3]) && set6(octets, HOP_LIMIT, &[0]);
    };
    if !own_error4(octets) || code != Some(&[icmpv4::Type::Unreachable as u8, 1]) {
        return false;
    }
    let message = &mut octets[HEADER + start..];
    let Some(quoted) = message.get_mut(icmpv4::HEADER..icmpv4::HEADER + 12) else { return false };
    quoted[2..4].fill(0);
    quoted[6..9].fill(0);
    quoted[10..].fill(0);
    icmpv4::write_checksum(message);
    true
}

pub fn without_receiver(octets: &mut [u8]) -> bool {
    octets[..6].fill(0);
    true
}

/// Take the option with the target's MAC, and the flag that goes with it, from a solicited
/// advertisement of the router's.
pub fn without_target_mac(octets: &mut Vec<u8>) -> bool {
    const FLAGS: usize = ipv6::HEADER + 4;
    const TARGET_END: usize = HEADER + ipv6::HEADER + 24;
    if own_advertisement(octets) && octets.len() >= TARGET_END {
        octets.truncate(TARGET_END);
        without_receiver(octets);
        octets[HEADER + 4..][..2].copy_from_slice(&24_u16.to_be_bytes());
        return set6(octets, FLAGS, &[0xc0]);
    }
    false
}

/// The source and the flow label of an ICMPv6 error of the router's.
pub fn without_own_source6(octets: &mut [u8]) -> bool {
    own_error6(octets) && blot_flow(octets) && set6(octets, SOURCE6, &ANY_OWN)
}
