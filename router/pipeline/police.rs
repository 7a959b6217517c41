//! What the kernel's stack is spared: the class of a packet for the router itself, and whether its
//! port still has some to give (`table/police.rs`).
//!
//! ARP and neighbour solicitations for our addresses are answered by the worker and never policed:
//! who floods the link with questions must not silence the answer to a genuine one.
#![forbid(unsafe_code)]

use std::ops::ControlFlow::{Break, Continue};

use crate::frame::Frame;
use crate::packet::ethernet::{self, ether_type};
use crate::packet::flow::FlowKey;
use crate::packet::{icmpv6, ipv4, ipv6, protocol};
use crate::table::police::Class;

use super::Local;
use super::verdict::{DropReason, Step, Verdict};

/// May `frame` go up the tap? Counted either way.
pub(super) fn admit(frame: &Frame, local: &Local) -> Step {
    let class = class_of(frame.bytes(), &local.policers.limits().management_ports);
    if !local.policers.admits(frame.ingress(), class, local.now) {
        return Break(Verdict::Drop(reason(class)));
    }
    local.counters.port(frame.ingress()).admitted[class.index()].add(1);
    Continue(())
}

/// Under which name a packet of the class is dropped.
pub fn reason(class: Class) -> DropReason {
    match class {
        Class::Neighbour => DropReason::PolicedNeighbour,
        Class::Routing => DropReason::PolicedRouting,
        Class::Management => DropReason::PolicedManagement,
        Class::Icmp => DropReason::PolicedIcmp,
        Class::Other => DropReason::PolicedOther,
    }
}

fn class_of(frame: &[u8], management_ports: &[u16]) -> Class {
    let Some(view) = ethernet::View::new(frame) else { return Class::Other };
    let flow = match view.ether_type() {
        ether_type::ARP => return Class::Neighbour,
        ether_type::IPV4 => ipv4::View::new(view.payload()).ok().map(|p| FlowKey::of_ipv4(&p)),
        _ => match ipv6::View::new(view.payload()) {
            Ok(packet) => match icmpv6_type(&packet) {
                Some(kind) => return class_of_icmpv6(kind),
                None => Some(FlowKey::of_ipv6(&packet)),
            },
            Err(_) => None,
        },
    };
    flow.map_or(Class::Other, |flow| class_of_flow(&flow, management_ports))
}

fn icmpv6_type(packet: &ipv6::View) -> Option<u8> {
    let upper = packet.upper_layer();
    let seen = upper.protocol == protocol::ICMPV6 && upper.complete && !upper.is_later_fragment();
    seen.then(|| packet.packet().get(upper.offset).copied()).flatten()
}

fn class_of_icmpv6(kind: u8) -> Class {
    use icmpv6::Type;
    const QUERY: u8 = Type::ListenerQuery as u8;
    const DONE: u8 = Type::ListenerDone as u8;
    const REPORT: u8 = Type::ListenerReportV2 as u8;
    const FIRST: u8 = Type::RouterSolicitation as u8;
    const LAST: u8 = Type::Redirect as u8;
    match kind {
        QUERY..=DONE | REPORT => Class::Routing,
        FIRST..=LAST => Class::Neighbour,
        _ => Class::Icmp,
    }
}

fn class_of_flow(flow: &FlowKey, management_ports: &[u16]) -> Class {
    /// IGMP, RSVP, EIGRP, OSPF, PIM, VRRP (IANA, Protocol Numbers).
    const ROUTING: [u8; 6] = [2, 46, 88, 89, 103, 112];
    /// BGP, RIP, RIPng, MSDP, LDP, HSRP, BFD (IANA, Service Names and Port Numbers).
    const ROUTING_PORTS: [u16; 9] = [179, 520, 521, 639, 646, 1985, 3784, 3785, 4784];
    let is_one_of = |list: &[u16]| {
        [flow.source_port, flow.destination_port].iter().any(|p| list.binary_search(p).is_ok())
    };
    match flow.protocol {
        protocol::ICMP | protocol::ICMPV6 => Class::Icmp,
        number if ROUTING.contains(&number) => Class::Routing,
        protocol::TCP | protocol::UDP if is_one_of(&ROUTING_PORTS) => Class::Routing,
        protocol::TCP | protocol::UDP if is_one_of(management_ports) => Class::Management,
        _ => Class::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::text::parse_line;

    fn class(packet: &str) -> Class {
        let line = format!("lan < eth 02:00:00:00:01:02 > 02:00:00:00:01:01 / {packet}");
        let (_, _, frame) = parse_line(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        class_of(&frame, &[22, 161])
    }

    #[test]
    fn each_packet_has_its_class() {
        let of = [
            ("arp request who 10.1.0.1 tell 10.1.0.2", Class::Neighbour),
            ("ip 10.1.0.2 > 10.1.0.1 / icmp echo-request id 1 seq 1", Class::Icmp),
            ("ip 10.1.0.2 > 10.1.0.1 / tcp 40000 > 22", Class::Management),
            ("ip 10.1.0.2 > 10.1.0.1 / tcp 22 > 40000", Class::Management),
            ("ip 10.1.0.2 > 10.1.0.1 / udp 40000 > 161 / data 8", Class::Management),
            ("ip 10.1.0.2 > 10.1.0.1 / tcp 40000 > 179", Class::Routing),
            ("ip 10.1.0.2 > 10.1.0.1 / udp 49152 > 3784 / data 24", Class::Routing),
            ("ip 10.1.0.2 > 224.0.0.5 proto 89 / data 44", Class::Routing),
            ("ip 10.1.0.2 > 224.0.0.18 proto 112 / data 20", Class::Routing),
            ("ip 10.1.0.2 > 10.1.0.1 / tcp 40000 > 5201", Class::Other),
            ("ip 10.1.0.2 > 10.1.0.1 proto 47 / data 20", Class::Other),
            ("ip 10.1.0.2 > 10.1.0.1 frag 8 proto 6 / data 20", Class::Other),
            ("ip6 2001:db8:1::2 > 2001:db8:1::1 / icmp6 echo-request id 1 seq 1", Class::Icmp),
            ("ip6 fe80::2 > ff02::2 hlim 255 / rs", Class::Neighbour),
            ("ip6 fe80::2 > ff02::5 hlim 1 next 89 / data 36", Class::Routing),
            ("ip6 2001:db8:1::2 > 2001:db8:1::1 / tcp 40000 > 22", Class::Management),
        ];
        for (packet, expected) in of {
            assert_eq!(class(packet), expected, "{packet}");
        }
    }

    #[test]
    fn every_class_has_a_drop_reason_of_its_own() {
        for class in Class::ALL {
            assert_eq!(reason(class).name(), format!("policed_{}", class.name()));
        }
    }
}
