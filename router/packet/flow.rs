//! Which packets belong together: the key of a flow, and its hash.
//!
//! Everything that keeps packets of one flow on one path or in one entry uses this key, so that
//! they agree.
#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{ipv4, ipv6, protocol, u16_at};

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
/// a datagram have one key. The IPv6 flow label is not part of it, though RFC 6438 would use it:
/// hosts change it within a connection (Linux after each retransmission), and it is theirs to set.
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
}

impl FlowKey {
    /// The key of an IPv4 packet.
    #[inline]
    pub fn of_ipv4(packet: &ipv4::View) -> Self {
        let addresses =
            Addresses::V4 { source: packet.source(), destination: packet.destination() };
        let payload = if packet.is_fragment() { &[] } else { packet.payload() };
        Self::new(addresses, packet.protocol(), payload)
    }

    /// The key of an IPv6 packet.
    #[inline]
    pub fn of_ipv6(packet: &ipv6::View) -> Self {
        let addresses =
            Addresses::V6 { source: packet.source(), destination: packet.destination() };
        let upper = packet.upper_layer();
        match upper.fragment {
            // What the walk found after the header is in the first fragment only.
            Some(fragment) if upper.is_fragment() => {
                Self::new(addresses, fragment.next_header, &[])
            }
            _ if upper.complete => {
                let payload = packet.packet().get(upper.offset..).unwrap_or_default();
                Self::new(addresses, upper.protocol, payload)
            }
            _ => Self::new(addresses, upper.protocol, &[]),
        }
    }

    #[inline]
    fn new(addresses: Addresses, protocol: u8, payload: &[u8]) -> Self {
        let (source_port, destination_port) = ports(protocol, payload).unwrap_or_default();
        Self { addresses, protocol, source_port, destination_port }
    }

    /// A number that is the same for all packets of the flow, and whose every bit depends on every
    /// bit of the key and of `seed`. Routers with different seeds choose independently of each
    /// other (no polarisation).
    ///
    /// Wrapping 64-bit multiplications only, so that an XDP program can compute the same.
    #[inline]
    pub fn hash(&self, seed: u32) -> u32 {
        let ports = u64::from(self.source_port) << 16 | u64::from(self.destination_port);
        let last = u64::from(seed) << 40 ^ ports << 8 ^ u64::from(self.protocol);
        let state = mix(u64::from(seed), last);
        finalise(self.addresses.mix_into(state))
    }
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::packet::text;

    fn key(layers: &str) -> FlowKey {
        let line = format!("lan < eth 02:00:00:00:01:02 > 02:00:00:00:00:01 / {layers}");
        let frame = text::parse_line(&line).unwrap().2;
        match ipv4::View::new(&frame[14..]) {
            Ok(packet) => FlowKey::of_ipv4(&packet),
            Err(_) => FlowKey::of_ipv6(&ipv6::View::new(&frame[14..]).unwrap()),
        }
    }

    fn udp(source_port: u16) -> FlowKey {
        let addresses =
            Addresses::V4 { source: [10, 1, 0, 2].into(), destination: [10, 2, 0, 2].into() };
        FlowKey { addresses, protocol: 17, source_port, destination_port: 2000 }
    }

    #[test]
    fn ports_where_there_are_ports() {
        assert_eq!(key("ip 10.1.0.2 > 10.2.0.2 / udp 1000 > 2000"), udp(1000));
        assert_eq!(key("ip 10.1.0.2 > 10.2.0.2 opt 94040000 / udp 1 > 2000"), udp(1));
        let tcp = key("ip6 fe80::1 > fe80::2 flow 9 / hbh / dstopt / tcp 1000 > 80");
        assert_eq!(tcp, key("ip6 fe80::1 > fe80::2 / tcp 1000 > 80"));
        assert_eq!((tcp.protocol, tcp.source_port, tcp.destination_port), (6, 1000, 80));
        for layers in [
            "ip 10.1.0.2 > 10.2.0.2 proto 50 / data 8",
            "ip 10.1.0.2 > 10.2.0.2 / icmp echo-request id 7",
            "ip 10.1.0.2 > 10.2.0.2 proto 17 / hex 010203",
            "ip6 fe80::1 > fe80::2 next 60 / hex 06ff0001",
        ] {
            let key = key(layers);
            assert_eq!((key.source_port, key.destination_port), (0, 0), "{layers}");
        }
    }

    #[test]
    fn fragments_have_one_key() {
        let first = key("ip 10.1.0.2 > 10.2.0.2 mf / udp 1000 > 2000 / data 8");
        let last = key("ip 10.1.0.2 > 10.2.0.2 frag 2 proto 17 / data 8");
        assert_eq!((first.source_port, first), (0, last));
        let first = key("ip6 fe80::1 > fe80::2 / fragment 0 mf / dstopt / udp 1 > 2 / data 8");
        let last = key("ip6 fe80::1 > fe80::2 / fragment 3 next 60 / data 8");
        assert_eq!((first.protocol, first), (60, last));
        let atomic = key("ip6 fe80::1 > fe80::2 / fragment 0 / udp 1 > 2");
        assert_eq!(atomic, key("ip6 fe80::1 > fe80::2 / udp 1 > 2"));
    }

    #[test]
    fn low_bits_are_even_over_ports() {
        let mut buckets = [0u32; 128];
        for port in 0..=0xffff {
            buckets[udp(port).hash(7) as usize % 128] += 1;
        }
        // 512 expected in each; 5 standard deviations are 113.
        assert!(buckets.iter().all(|&count| count.abs_diff(512) < 113), "{buckets:?}");
    }

    #[test]
    fn seeds_choose_independently() {
        let same = (0..=0xffff).filter(|&port| (udp(port).hash(1) ^ udp(port).hash(2)) & 1 == 0);
        assert!(same.count().abs_diff(0x8000) < 640);
    }

    prop_compose! {
        fn any_key()(
            v4: bool, short: [u32; 2], source: u128, destination: u128,
            protocol: u8, ports: (u16, u16),
        ) -> FlowKey {
            let addresses = if v4 {
                Addresses::V4 { source: short[0].into(), destination: short[1].into() }
            } else {
                Addresses::V6 { source: source.into(), destination: destination.into() }
            };
            FlowKey { addresses, protocol, source_port: ports.0, destination_port: ports.1 }
        }
    }

    /// `key` with the `bit`th bit of what it is made of changed.
    fn flip(key: FlowKey, bit: u32) -> FlowKey {
        let mut key = key;
        match bit {
            0..16 => key.source_port ^= 1 << bit,
            16..32 => key.destination_port ^= 1 << (bit - 16),
            32..40 => key.protocol ^= 1 << (bit - 32),
            _ => match &mut key.addresses {
                Addresses::V4 { source, .. } if bit < 72 => {
                    *source = Ipv4Addr::from_bits(source.to_bits() ^ 1 << (bit - 40));
                }
                Addresses::V4 { destination, .. } => {
                    *destination = Ipv4Addr::from_bits(destination.to_bits() ^ 1 << (bit % 32));
                }
                Addresses::V6 { source, .. } if bit < 168 => {
                    *source = Ipv6Addr::from_bits(source.to_bits() ^ 1 << (bit - 40));
                }
                Addresses::V6 { destination, .. } => {
                    *destination = Ipv6Addr::from_bits(destination.to_bits() ^ 1 << (bit % 128));
                }
            },
        }
        key
    }

    #[test]
    fn every_bit_reaches_every_bit() {
        // Avalanche: over many keys each change of one input bit changes each output bit in about
        // half of them.
        const KEYS: u32 = 1000;
        for (width, addresses) in [
            (104, udp(0).addresses),
            (296, Addresses::V6 { source: ALL_ONES, destination: Ipv6Addr::UNSPECIFIED }),
        ] {
            for bit in 0..width {
                let mut changed = [0u32; 32];
                for number in 0..KEYS {
                    let [_, _, high, low] = number.wrapping_mul(0x9e37_79b9).to_be_bytes();
                    let source_port = u16::from_be_bytes([high, low]);
                    let key = FlowKey { addresses, source_port, ..udp(0) };
                    let difference = key.hash(number) ^ flip(key, bit).hash(number);
                    for (out, count) in changed.iter_mut().enumerate() {
                        *count += difference >> out & 1;
                    }
                }
                // 500 expected; six standard deviations are 95.
                let even = changed.iter().all(|&count| count.abs_diff(KEYS / 2) < 95);
                assert!(even, "bit {bit}: {changed:?}");
            }
        }
    }

    const ALL_ONES: Ipv6Addr = Ipv6Addr::from_bits(u128::MAX);

    proptest! {
        #[test]
        fn hash_is_a_function_of_key_and_seed(key in any_key(), seed: u32) {
            let same = key;
            prop_assert_eq!(key.hash(seed), same.hash(seed));
        }

        #[test]
        fn any_octets(mut octets in prop::collection::vec(any::<u8>(), 40..120), v4: bool) {
            octets[0] = if v4 { 0x45 } else { 0x60 };
            octets[2] = 0;
            octets[4] = 0;
            octets[5] %= 80;
            octets[6] %= 64;
            ipv4::write_checksum(&mut octets[..if v4 { 20 } else { 0 }]);
            let _ = ipv4::View::new(&octets).map(|packet| FlowKey::of_ipv4(&packet));
            let _ = ipv6::View::new(&octets).map(|packet| FlowKey::of_ipv6(&packet));
        }
    }
}
