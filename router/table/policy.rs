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
    /// What is done with IPv4 options of packets that are not for the router: Linux processes them,
    /// and RFC 1812 5.3.13 wants it. Source-routed packets are always dropped (RFC 7126 4.3, 4.4).
    pub ipv4_options: OptionPolicy,
    /// The same for IPv6 hop-by-hop options: Linux processes them, RFC 8200 4.3 leaves it open.
    pub hop_by_hop: OptionPolicy,
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
            ipv4_options: OptionPolicy::Process,
            hop_by_hop: OptionPolicy::Process,
        }
    }
}

/// The choices that each port has for itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PortPolicy {
    /// Whether a packet from another port to the broadcast address of a subnet here is broadcast
    /// (RFC 2644: off unless asked for).
    pub directed_broadcast: bool,
}
