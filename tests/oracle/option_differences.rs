//! What may differ besides, when ports validate sources or pass directed broadcasts on.

use super::differences::Difference;
use super::facts::{is_subnet_broadcast, own_error4, own_problem6, own_question, own_reply};
use super::network::{allows_broadcasts, validates};
use super::ways;

pub const OPTION_DIFFERENCES: &[Difference] = &[
    Difference {
        name: "ICMP error about a directed broadcast",
        reason: "RFC 1812 4.3.2.7: none about a packet for all; the kernel sends one if it forwards it",
        explains: |case| {
            case.only_kernel()
                && case.destination4().is_some_and(is_subnet_broadcast)
                && case.kernel_all(|octets| own_error4(octets) || own_question(octets))
        },
    },
    Difference {
        name: "directed broadcast to a port that allows none",
        reason: "RFC 2644 2: is for the subnet's port to say; the kernel asks the one that it came in by",
        explains: |case| {
            let to = case.destination4().filter(|&address| is_subnet_broadcast(address));
            case.only_kernel() && to.is_some_and(|address| !allows_broadcasts(address))
        },
    },
    Difference {
        name: "ARP from an address without a way back",
        reason: "RFC 826: is answered; the kernel's rp_filter is for ARP, too",
        explains: |case| {
            case.only_xrouter()
                && validates(case.frame.port)
                && case.is_arp()
                && case.xrouter_all(own_reply)
        },
    },
    Difference {
        name: "ICMP error about a packet without a way",
        reason: "RFC 2827: its source is looked at first; the kernel's only once there is a way",
        explains: |case| {
            case.only_kernel()
                && validates(case.frame.port)
                && case.no_way()
                && case.kernel_all(|octets| own_error4(octets) || own_question(octets))
        },
    },
    Difference {
        name: "IPv6 source behind several ports",
        reason: "RFC 3704 2.3: any way back will do; netfilter asks for one, by its hash",
        explains: |case| {
            let group = case.source6().and_then(|source| ways::group(source.into()));
            let ports = group.map(|group| group.ports()).unwrap_or_default();
            case.only_xrouter() && ports.len() > 1 && ports.contains(&case.frame.port)
        },
    },
    Difference {
        name: "hop-by-hop options from a source without a way back",
        reason: "RFC 2827: is dropped unread; netfilter comes after the kernel has read and refused them",
        explains: |case| {
            case.only_kernel() && validates(case.frame.port) && case.kernel_all(own_problem6)
        },
    },
];
