//! What becomes of a frame, and the names of all the ways in which it can end badly.
#![forbid(unsafe_code)]

use std::net::IpAddr;
use std::ops::ControlFlow;

use crate::id::{NextHopId, PortId};
use crate::packet::icmpv6;

/// What becomes of a frame. Each frame gets exactly one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Leaves by this port, its Ethernet header already rewritten.
    Transmit(PortId),
    /// Leaves by this port, its Ethernet header already rewritten. It came in by the same one, so its
    /// sender may be told of a better first hop.
    TransmitBack {
        /// The port.
        port: PortId,
        /// The better first hop.
        next_hop: NextHopId,
    },
    /// Leaves by this port in pieces of at most `mtu` octets of IP.
    Fragment {
        /// The port that the pieces leave by.
        port: PortId,
        /// Largest IP packet of the port, in octets.
        mtu: u16,
    },
    /// For the kernel's own stack: goes up the tap of this port.
    Punt(PortId),
    /// Waits until a neighbour's MAC is known.
    Hold(Awaited),
    /// The frame has been rewritten into its answer (ARP reply, neighbour advertisement), which
    /// leaves by this port.
    Answer(PortId),
    /// What the frame said has been noted for control, and nothing else is to be done with it.
    Absorb,
    /// Is not forwarded, and its sender is told so if the rules and the error budget allow.
    Refuse(Refusal),
    /// Ends here.
    Drop(DropReason),
}

/// A step of the journey: go on with `T`, or the frame's fate is known.
pub type Step<T = ()> = ControlFlow<Verdict, T>;

/// Whose MAC a frame waits for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Awaited {
    /// The next hop that has no MAC yet.
    pub next_hop: NextHopId,
    /// For a connected subnet: the neighbour in it. None: the next hop's own gateway.
    pub neighbour: Option<IpAddr>,
}

/// A packet that is not forwarded, and what its sender is to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// TTL or hop limit used up: time exceeded (RFC 1812 5.3.1, RFC 8200 3).
    TimeExceeded,
    /// No route: network unreachable (RFC 1812 5.2.7.1, code 0), no route (RFC 4443 3.1).
    NoRoute,
    /// The neighbour did not answer, or the route is of type `unreachable`: host unreachable
    /// (RFC 1812 5.2.7.1, code 1), address unreachable (RFC 4443 3.1, code 3).
    HostUnreachable,
    /// The route is of type `prohibit`: administratively prohibited (codes 13 and 1).
    Prohibited,
    /// Longer than the way out can carry, and not to be fragmented (RFC 1191, RFC 8201).
    TooBig {
        /// Largest IP packet of the egress interface, in octets.
        mtu: u16,
    },
    /// A source address whose scope ends at this link (RFC 4443 3.1, code 2; IPv6 only).
    BeyondScope,
    /// An option that cannot be processed: parameter problem (RFC 1812 4.3.3.5, RFC 4443 3.4).
    ParameterProblem {
        /// Where it is wrong, in octets from the start of the IP header.
        pointer: u16,
        /// What is wrong there; ICMP for IPv4 does not tell.
        code: icmpv6::ParameterProblem,
        /// Under which name the packet is counted.
        reason: DropReason,
    },
}

impl Refusal {
    /// Under which name the packet is counted as dropped.
    pub fn reason(self) -> DropReason {
        match self {
            Self::TimeExceeded => DropReason::TtlExceeded,
            Self::NoRoute => DropReason::NoRoute,
            Self::HostUnreachable => DropReason::HostUnreachable,
            Self::Prohibited => DropReason::Prohibited,
            Self::TooBig { .. } => DropReason::TooBig,
            Self::BeyondScope => DropReason::BeyondScope,
            Self::ParameterProblem { reason, .. } => reason,
        }
    }
}

macro_rules! drop_reasons {
    ($($variant:ident $name:literal $what:literal $mend:literal)*) => {
        /// Why a frame was dropped. The name is the counter's name everywhere: in `show drops`,
        /// in the JSON, in the metrics.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum DropReason {
            $(#[doc = $what] $variant,)*
        }

        impl DropReason {
            /// All reasons, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The reason's name, `like_this`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $what),* }
            }

            /// What an operator can do about it.
            pub fn mend(self) -> &'static str {
                match self { $(Self::$variant => $mend),* }
            }
        }
    };
}

drop_reasons! {
    Runt "runt"
        "The frame is shorter than an Ethernet header."
        "Look at the cable or the sender's driver."
    NotForUs "not_for_us"
        "The destination MAC is neither the port's, nor broadcast, nor a group that it joined."
        "Nothing, if few: a switch floods now and then. Many: a loop, or a wrong static MAC."
    SourceMac "source_mac"
        "The source MAC is a group's, the port's own, or all zeros."
        "The sender is broken or forges; if it is our own MAC, look for a loop."
    VlanUnknown "vlan_unknown"
        "The frame carries a VLAN tag and the port has no VLANs."
        "Make the switch port untagged."
    EtherTypeUnknown "ether_type_unknown"
        "Neither IPv4, IPv6 nor ARP."
        "Nothing: such frames have no use here."
    FrameTooLong "frame_too_long"
        "The packet is longer than the MTU of the port that it came in by."
        "Give both ends of the link the same MTU."
    ArpMalformed "arp_malformed"
        "An ARP packet whose fields are not those of Ethernet and IPv4 (RFC 826)."
        "Find the sender by its MAC."
    Ipv4Truncated "ipv4_truncated"
        "Shorter than an IPv4 header (RFC 1812 5.2.2 check 1)."
        "The sender is broken."
    Ipv4Version "ipv4_version"
        "The version field is not 4 (RFC 1812 5.2.2 check 3)."
        "The sender is broken."
    Ipv4HeaderLength "ipv4_header_length"
        "The header length is below 20 octets or beyond the packet (RFC 1812 5.2.2 check 4)."
        "The sender is broken."
    Ipv4TotalLength "ipv4_total_length"
        "The total length is shorter than the header or longer than the frame (RFC 1812 5.2.2 check 5)."
        "The sender is broken, or something on the way cuts frames short."
    Ipv4Checksum "ipv4_checksum"
        "The IPv4 header checksum is wrong (RFC 1812 5.2.2 check 2)."
        "Look at cables and cards on the way: bits were changed."
    TinyFragment "tiny_fragment"
        "A TCP fragment with an offset of 8 octets, which no honest sender makes (RFC 3128)."
        "Somebody tries filters. See [policy] tiny_fragments."
    Ipv6Malformed "ipv6_malformed"
        "The IPv6 header is cut short, of another version, or its payload length exceeds the frame."
        "The sender is broken."
    SourceMartian "source_martian"
        "A source address that no packet may carry (RFC 1812 5.3.7, RFC 4291 2.5)."
        "The sender forges, or is not configured yet."
    SourceIsOurs "source_is_ours"
        "The source address is one of this router's own."
        "Somebody forges it, or two machines have one address."
    SourceUnreachable "source_unreachable"
        "No route, or none by the port it came in by, leads back to the source address (BCP 84)."
        "The sender forges, or the way back is another: see [[port]] source_validation."
    AddressConflict "address_conflict"
        "Somebody says in ARP or neighbour discovery that an address of this router's is his."
        "Give one of the two another address: `show ports` and the log name the other's MAC."
    DestinationMartian "destination_martian"
        "A destination address that cannot be routed (RFC 1812 5.3.7, RFC 4291 2.5)."
        "The sender is misconfigured."
    LinkLocal "link_local"
        "A link-local address that would have to leave its link (RFC 3927 7, RFC 4291 2.5.6)."
        "Give the hosts routable addresses."
    Multicast "multicast"
        "A multicast group that nobody here listens to; multicast is not routed."
        "Nothing: it is not meant for this router."
    BroadcastUnicast "broadcast_unicast"
        "A unicast packet in a broadcast or multicast frame (RFC 1122 3.3.6, RFC 1812 5.3.4)."
        "The sender is broken."
    DirectedBroadcast "directed_broadcast"
        "To the broadcast address of a subnet, from elsewhere or in a frame for us alone (RFC 2644)."
        "Nothing: forwarding these makes an amplifier. If it is wanted: [[port]] directed_broadcast."
    Ipv4Options "ipv4_options"
        "The packet carries IPv4 options."
        "That is what [policy] ipv4_options asks for."
    Ipv4OptionMalformed "ipv4_option_malformed"
        "An IPv4 option contradicts itself or its header (RFC 791 3.1); the sender is told."
        "The sender is broken, or tries what routers do."
    SourceRoute "source_route"
        "The sender wants to choose the packet's way itself (RFC 791 3.1, RFC 7126 4.3 and 4.4)."
        "Nothing: source routes are for getting round filters."
    HopByHop "hop_by_hop"
        "The packet carries IPv6 hop-by-hop options."
        "That is what [policy] hop_by_hop asks for."
    HopByHopMalformed "hop_by_hop_malformed"
        "Hop-by-hop options that are cut short, wrong or too many (RFC 8504 5.3), or a jumbogram."
        "The sender is broken, or tries what routers do."
    HopByHopUnknown "hop_by_hop_unknown"
        "A hop-by-hop option that is not known here and whose type forbids passing it on (RFC 8200 4.2)."
        "If its use is legitimate: [policy] hop_by_hop = \"ignore\"."
    NdpInvalid "ndp_invalid"
        "A neighbour discovery message that fails the checks of RFC 4861 6.1 and 7.1."
        "Somebody off the link forges it, or the sender is broken."
    Redirect "redirect"
        "An IPv4 redirect for this router, which listens to none (RFC 1812 5.2.7.2)."
        "Somebody forges it, or a neighbour that is a next hop here has a better way: look at the routes."
    NoRoute "no_route"
        "No route to the destination."
        "Add a route, or a default route."
    TtlExceeded "ttl_exceeded"
        "TTL or hop limit used up."
        "A traceroute does this; many without one mean a routing loop."
    TooBig "too_big"
        "Longer than the egress MTU and not to be fragmented; the sender is told."
        "Nothing, if path MTU discovery works; else raise the MTU or clamp the MSS."
    HostUnreachable "host_unreachable"
        "The neighbour did not answer ARP or NDP, its link is down, or the route says unreachable."
        "Look whether the host and its link are up: `show neighbours`, `show ports`."
    Prohibited "prohibited"
        "The route says prohibit."
        "That is what the configuration asks for."
    BeyondScope "beyond_scope"
        "A link-local source address and a destination beyond the link (RFC 4443 3.1)."
        "Give the host a routable address."
    Blackhole "blackhole"
        "The route says blackhole."
        "That is what the configuration asks for."
    HoldOverflow "hold_overflow"
        "More packets waited for a neighbour's MAC than are kept; the oldest goes."
        "Nothing: the newest are sent once the neighbour answers. See [tables] hold_packets."
    HoldExpired "hold_expired"
        "Waited for a neighbour's MAC longer than resolution may take."
        "Look at `show workers`: control may be overloaded."
    NeighboursFull "neighbours_full"
        "The table of neighbours, or of packets that wait for one, is full."
        "A scan of a connected subnet does this. See [tables] neighbours."
    NoFrame "no_frame"
        "No free chunk in the UMEM for a fragment, or a packet from the kernel or another worker."
        "Raise [router] frames."
    TransmitFull "transmit_full"
        "The port's transmit ring was full: it is slower than what is sent to it."
        "Overload. Raise [router] ring against bursts."
    PortDown "port_down"
        "The port that the packet came in by, or should leave by, is gone or shut."
        "Look at the cable and at `show ports`; if it is shut, `ip link set dev PORT up`."
    PolicedNeighbour "policed_neighbour"
        "More ARP or neighbour discovery for the kernel than `neighbour_per_s` allows."
        "Somebody scans or floods the link: find the sender by its MAC."
    PolicedRouting "policed_routing"
        "More packets of routing protocols for the kernel than `routing_per_s` allows."
        "A flood, if not a burst of updates: then raise [police] routing_per_s."
    PolicedManagement "policed_management"
        "More packets from or to management ports than `management_per_s` allows."
        "A flood, if not a large transfer to the router: then raise [police] management_per_s."
    PolicedIcmp "policed_icmp"
        "More ICMP for the kernel than `icmp_per_s` allows."
        "Somebody floods the router with pings."
    PolicedOther "policed_other"
        "More other packets for the kernel than `other_per_s` allows."
        "A flood, or a service whose port should stand in [police] management_ports."
    TapFull "tap_full"
        "The kernel did not take packets from the tap's queue fast enough."
        "The router's own services are overloaded or flooded."
    TapDown "tap_down"
        "The tap was set down or is gone."
        "`ip link set dev PORT up`."
    HandoverFull "handover_full"
        "The worker that owns the egress port's queue could not take the packet."
        "Give the port as many queues as there are workers."
    OffloadMalformed "offload_malformed"
        "The kernel's segmentation request on the tap made no sense."
        "Report it: the kernel and xrouter disagree."
    OwnEcho "own_echo"
        "An answer of our own that has nowhere to go."
        "Nothing: the packet that asked for it came from nowhere we know."
    Internal "internal"
        "The router contradicted itself; the frame was dropped to be safe."
        "Report it."
}

impl DropReason {
    /// How many reasons there are: the length of an array of their counters.
    pub const COUNT: usize = Self::ALL.len();

    /// The place of this reason's counter.
    #[inline]
    pub fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_indices_in_order() {
        let names: HashSet<_> = DropReason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), DropReason::COUNT);
        assert!(DropReason::ALL.iter().enumerate().all(|(i, r)| r.index() == i));
    }

    #[test]
    fn a_verdict_is_small() {
        assert!(size_of::<Verdict>() <= 24);
    }
}
