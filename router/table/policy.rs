//! What is done where the RFCs leave the choice, or where Linux does otherwise than they say. The
//! defaults are Linux's or the RFC's; the comment at each says whose.
#![forbid(unsafe_code)]

/// The choices that hold for the whole router.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Whether a source in 240.0.0.0/4 may pass: Linux lets it, RFC 1812 4.2.2.11 does not.
    pub class_e: bool,
    /// Whether 169.254.0.0/16 is forwarded: Linux does it, RFC 3927 7 forbids it, and so do we.
    pub link_local4: bool,
    /// Whose address an ICMP error comes from.
    pub icmp_error_source: ErrorSource,
    /// Whether a TCP fragment may pass that begins behind the ports, and could change the flags that
    /// a filter has judged by the first one. Linux lets it, RFC 3128 would have filters drop it.
    pub tiny_fragments: bool,
    /// What is done with IPv4 options of packets that are not for the router: Linux processes them,
    /// and RFC 1812 5.3.13 wants it. Source-routed packets are always dropped (RFC 7126 4.3, 4.4).
    pub ipv4_options: OptionPolicy,
    /// The same for IPv6 hop-by-hop options: Linux processes them, RFC 8200 4.3 leaves it open.
    pub hop_by_hop: OptionPolicy,
}

/// The interface whose address is an ICMP error's source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorSource {
    /// The one that the error leaves by (RFC 1812 4.3.2.4).
    Egress,
    /// The one that the packet came in by (Linux: `icmp_errors_use_inbound_ifaddr`).
    Ingress,
}

/// What is done with options that are meant for every router on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OptionPolicy {
    /// What they ask for.
    Process,
    /// Nothing: the packet goes on with its options as they are.
    Ignore,
    /// The packet is dropped.
    Drop,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            class_e: true,
            link_local4: false,
            icmp_error_source: ErrorSource::Egress,
            tiny_fragments: true,
            ipv4_options: OptionPolicy::Process,
            hop_by_hop: OptionPolicy::Process,
        }
    }
}

/// The choices that each port has for itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortPolicy {
    /// Whether a packet from another port to the broadcast address of a subnet here is broadcast
    /// (RFC 2644: off unless asked for).
    pub directed_broadcast: bool,
    /// What is asked of the source of a packet that comes in here.
    pub source_validation: SourceValidation,
    /// Whether a host is told that its packet could have gone straight to a neighbour on its own
    /// link (Linux: `send_redirects`).
    pub redirects: bool,
    /// Whether ARP requests here for hosts behind other ports are answered with our MAC (RFC 1027).
    pub proxy_arp: bool,
}

impl Default for PortPolicy {
    fn default() -> Self {
        Self {
            directed_broadcast: false,
            source_validation: SourceValidation::Off,
            redirects: true,
            proxy_arp: false,
        }
    }
}

/// What the routes must say of a packet's source (BCP 38, BCP 84; Linux: `rp_filter`, off too).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SourceValidation {
    /// Nothing.
    Off,
    /// A route back leads out of the port that the packet came in by (RFC 3704 2.2). Of several
    /// next hops any one will do: each is a feasible path (RFC 3704 2.3).
    Strict,
    /// There is a route back to anywhere but a black hole (RFC 3704 2.4). As in Linux, a default
    /// route is one.
    Loose,
}
