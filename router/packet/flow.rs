//! Which packets belong together: the key of a flow, and its hash.
//!
//! Everything that keeps packets of one flow on one path or in one entry uses this key, so that
//! they agree.
#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{icmpv4, icmpv6, ipv4, ipv6, protocol, u16_at};

/// The addresses of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Addresses {
    /// Of an IPv4 packet.
    V4 {
        /// From.
        source: Ipv4Addr,
        /// To.
        destination: Ipv4Addr,
    },
    /// Of an IPv6 packet.
    V6 {
        /// From.
        source: Ipv6Addr,
        /// To.
        destination: Ipv6Addr,
    },
}

impl Addresses {
    fn reversed(self) -> Self {
        match self {
            Self::V4 { source, destination } => {
                Self::V4 { source: destination, destination: source }
            }
            Self::V6 { source, destination } => {
                Self::V6 { source: destination, destination: source }
            }
        }
    }

    #[inline]
    fn mix_into(self, state: u64) -> u64 {
        match self {
            Self::V4 { source, destination } => {
                mix(state, u64::from(source.to_bits()) << 32 | u64::from(destination.to_bits()))
            }
            Self::V6 { source, destination } => mix_ipv6(mix_ipv6(state, source), destination),
        }
    }
}

/// What is the same in all packets of a flow, and, it is hoped, of no other.
///
/// The ports are 0 where there are none, and in every fragment, also the first: all fragments of
/// a datagram have one key. Where an IPv6 packet shows no ports, the flow label is in the key
/// (RFC 6438 3). Where it does show ports the label is not: hosts change it within a connection
/// (Linux after a retransmission).
///
/// An ICMP error has the key of the packet that it quotes, turned round: it travels to that
/// packet's source, as the answers to it do, and so takes their path. Behind an anycast address it
/// reaches the one host that has the connection (RFC 7690 3.1; Linux hashes the quote, too).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlowKey {
    /// From and to.
    pub addresses: Addresses,
    /// IPv4 protocol, or the header that ended the walk over the IPv6 extension headers.
    pub protocol: u8,
    /// Port of the source.
    pub source_port: u16,
    /// Port of the destination.
    pub destination_port: u16,
    /// The IPv6 flow label, if there are no ports to tell flows apart by.
    pub label: u32,
}

impl FlowKey {
    /// The key of an IPv4 packet.
    #[inline]
    pub fn of_ipv4(packet: &ipv4::View) -> Self {
        match quoted4(packet) {
            Some(quoted) => Self::plain4(&quoted).reversed(),
            None => Self::plain4(packet),
        }
    }

    /// The key of an IPv6 packet.
    #[inline]
    pub fn of_ipv6(packet: &ipv6::View) -> Self {
        let upper = packet.upper_layer();
        match quoted6(packet, upper) {
            Some(quoted) => Self::plain6(&quoted, quoted.upper_layer()).reversed(),
            None => Self::plain6(packet, upper),
        }
    }

    #[inline]
    fn plain4(packet: &ipv4::View) -> Self {
        let addresses =
            Addresses::V4 { source: packet.source(), destination: packet.destination() };
        let payload = if packet.is_fragment() { &[] } else { packet.payload() };
        Self::new(addresses, packet.protocol(), payload, 0)
    }

    #[inline]
    fn plain6(packet: &ipv6::View, upper: ipv6::Upper) -> Self {
        let addresses =
            Addresses::V6 { source: packet.source(), destination: packet.destination() };
        let label = packet.flow_label();
        match upper.fragment {
            // What the walk found after the header is in the first fragment only.
            Some(fragment) if upper.is_fragment() => {
                Self::new(addresses, fragment.next_header, &[], label)
            }
            _ if upper.complete => {
                let payload = packet.packet().get(upper.offset..).unwrap_or_default();
                Self::new(addresses, upper.protocol, payload, label)
            }
            _ => Self::new(addresses, upper.protocol, &[], label),
        }
    }

    #[inline]
    fn new(addresses: Addresses, protocol: u8, payload: &[u8], label: u32) -> Self {
        let ports = ports(protocol, payload);
        let label = if ports.is_none() { label } else { 0 };
        let (source_port, destination_port) = ports.unwrap_or_default();
        Self { addresses, protocol, source_port, destination_port, label }
    }

    /// The key of the answers. Their label is their sender's, and unknown.
    fn reversed(self) -> Self {
        Self {
            addresses: self.addresses.reversed(),
            source_port: self.destination_port,
            destination_port: self.source_port,
            label: 0,
            ..self
        }
    }

    /// A number that is the same for all packets of the flow, and whose every bit depends on every
    /// bit of the key and of `seed`. Routers with different seeds choose independently of each
    /// other (no polarisation).
    ///
    /// Wrapping 64-bit multiplications only, so that an XDP program can compute the same.
    #[inline]
    pub fn hash(&self, seed: u32) -> u32 {
        let ports = u64::from(self.source_port) << 16 | u64::from(self.destination_port);
        // Ports or a label: never both.
        let last =
            u64::from(seed) << 40 ^ (ports ^ u64::from(self.label)) << 8 ^ u64::from(self.protocol);
        let state = mix(u64::from(seed), last);
        finalise(self.addresses.mix_into(state))
    }
}

/// The packet that an ICMP error tells of. Not of a fragment: the others have no quote.
fn quoted4<'a>(packet: &ipv4::View<'a>) -> Option<ipv4::View<'a>> {
    if packet.protocol() != protocol::ICMP || packet.is_fragment() {
        return None;
    }
    let message = icmpv4::View::new(packet.payload())?;
    let is_error = icmpv4::is_error(message.message_type());
    is_error.then(|| ipv4::View::quoted(message.body())).flatten()
}

/// The packet that an ICMPv6 error tells of.
fn quoted6<'a>(packet: &ipv6::View<'a>, upper: ipv6::Upper) -> Option<ipv6::View<'a>> {
    if upper.protocol != protocol::ICMPV6 || !upper.complete || upper.is_fragment() {
        return None;
    }
    let message = icmpv6::View::new(packet.packet().get(upper.offset..)?)?;
    let is_error = icmpv6::is_error(message.message_type());
    is_error.then(|| ipv6::View::quoted(message.body())).flatten()
}

/// The ports at the front of `payload`, for the protocols that have them there.
#[inline]
fn ports(protocol: u8, payload: &[u8]) -> Option<(u16, u16)> {
    use protocol::{DCCP, SCTP, TCP, UDP, UDP_LITE};
    let ports = payload.first_chunk::<4>()?;
    matches!(protocol, TCP | UDP | DCCP | SCTP | UDP_LITE)
        .then(|| (u16_at(ports, 0), u16_at(ports, 2)))
}

#[inline]
fn mix_ipv6(state: u64, address: Ipv6Addr) -> u64 {
    let bits = address.to_bits();
    #[expect(clippy::cast_possible_truncation, reason = "one half after the other")]
    let (upper, lower) = ((bits >> 64) as u64, bits as u64);
    mix(mix(state, upper), lower)
}

/// Take `word` into `state`: an odd multiplication carries each bit upwards, the rotation brings
/// the upper bits down again.
#[inline]
fn mix(state: u64, word: u64) -> u64 {
    (state ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

/// The finaliser of MurmurHash3: after it every output bit depends on every bit of `state`.
#[inline]
fn finalise(mut state: u64) -> u32 {
    state = (state ^ state >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    state = (state ^ state >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    #[expect(clippy::cast_possible_truncation, reason = "the lower half, with the upper in it")]
    let hash = (state ^ state >> 33) as u32;
    hash
}

#[cfg(test)]
mod tests;
