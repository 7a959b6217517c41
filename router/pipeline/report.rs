//! What a worker says to control: facts about neighbours, over a bounded ring.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::verdict::Awaited;
use crate::id::PortId;
use crate::packet::ethernet::MacAddress;

/// One message to control.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Report {
    /// Packets wait for a neighbour's MAC.
    Wanted(Awaited),
    /// The kernel behind the tap of this port asked for a neighbour.
    AskedByKernel {
        /// The port whose tap the question came from.
        port: PortId,
        /// The neighbour asked for.
        address: IpAddr,
    },
    /// ARP or neighbour discovery was heard on this port.
    Heard {
        /// The port.
        port: PortId,
        /// What was said.
        said: Said,
    },
}

/// What ARP (RFC 826) or neighbour discovery (RFC 4861) said of a neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// A gratuitous ARP, request or reply: somebody tells all where he is.
    ArpAnnouncement {
        /// Sender protocol address.
        sender: Ipv4Addr,
        /// Sender hardware address.
        mac: MacAddress,
    },
    /// An ARP request.
    ArpRequest {
        /// Sender protocol address; unspecified in a probe (RFC 5227).
        sender: Ipv4Addr,
        /// Sender hardware address.
        mac: MacAddress,
        /// It asks for an address of this port.
        for_us: bool,
    },
    /// An ARP reply.
    ArpReply {
        /// Sender protocol address.
        sender: Ipv4Addr,
        /// Sender hardware address.
        mac: MacAddress,
        /// It was sent to this port's MAC and not to all.
        for_us: bool,
    },
    /// A neighbour solicitation.
    Solicitation {
        /// Source address; unspecified in duplicate address detection.
        source: Ipv6Addr,
        /// The source link-layer address option.
        mac: Option<MacAddress>,
        /// It asks for an address of this port.
        for_us: bool,
    },
    /// A neighbour advertisement.
    Advertisement {
        /// The address that it speaks of.
        target: Ipv6Addr,
        /// The target link-layer address option.
        mac: Option<MacAddress>,
        /// R flag.
        router: bool,
        /// S flag.
        solicited: bool,
        /// O flag.
        overrides: bool,
    },
}
