//! The checksum of TCP and UDP inside an IP packet: where it is, whether it is finished, and how
//! to finish it.
//!
//! A kernel that believes it is sending through a card that computes checksums leaves in the
//! field only the sum over the pseudo-header, folded and not inverted (`CHECKSUM_PARTIAL`, see
//! `include/linux/skbuff.h`). Behind a veth no such card exists, and the packet arrives as it is.
#![forbid(unsafe_code)]

use super::{checksum, ipv4, ipv6, protocol, put, tcp, u16_at, udp};

/// A checksum that somebody has still to compute, in the terms of `virtio_net_hdr`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unfinished {
    /// Where the transport header starts, in octets from the start of the IP packet.
    pub start: u16,
    /// Where the checksum is in the transport header, in octets.
    pub offset: u16,
}

/// The segment or datagram that a packet carries, and what its checksum is made of.
struct Transport {
    protocol: u8,
    /// Where the transport header starts and its data end, in octets from the packet's start.
    start: usize,
    end: usize,
    /// Where the checksum is, in octets from the packet's start.
    field: usize,
    /// The sum over the pseudo-header.
    pseudo: u32,
}

/// Whether the checksum field of `packet`, which starts with an IP header, holds what
/// `CHECKSUM_PARTIAL` leaves there: exactly the sum over the pseudo-header, folded, not inverted.
/// Never for a fragment, never for UDP over IPv4 without a checksum.
pub fn is_unfinished(packet: &[u8]) -> Option<Unfinished> {
    let transport = Transport::find(packet)?;
    let field = u16_at(packet, transport.field);
    if field == 0 || field != checksum::fold(transport.pseudo) {
        return None;
    }
    let start = u16::try_from(transport.start).ok()?;
    let offset = u16::try_from(transport.field - transport.start).ok()?;
    Some(Unfinished { start, offset })
}

/// Compute the checksum of the TCP segment or UDP datagram in `packet`, which starts with an IP
/// header, whatever the field holds now, and write it. False, and nothing is written, if there is
/// no whole segment or datagram in it.
pub fn finish(packet: &mut [u8]) -> bool {
    let Some(transport) = Transport::find(packet) else {
        return false;
    };
    put(packet, transport.field, &[0, 0]);
    let data = checksum::sum(&packet[transport.start..transport.end]);
    let checksum = match checksum::finish(checksum::combine(transport.pseudo, data)) {
        // RFC 768: an all zero transmitted checksum value means that there is none.
        0 if transport.protocol == protocol::UDP => 0xffff,
        checksum => checksum,
    };
    put(packet, transport.field, &checksum.to_be_bytes());
    true
}

/// Whether the checksum of the TCP segment or UDP datagram in `packet` is right; a UDP datagram
/// over IPv4 without one is. Nothing if there is no whole segment or datagram in it.
pub fn is_valid(packet: &[u8]) -> Option<bool> {
    let transport = Transport::find(packet)?;
    let none = transport.protocol == protocol::UDP && u16_at(packet, transport.field) == 0;
    let data = checksum::sum(&packet[transport.start..transport.end]);
    let valid = checksum::is_valid(checksum::combine(transport.pseudo, data));
    let is_v4 = packet[0] >> 4 == 4;
    Some(if none { is_v4 } else { valid })
}

impl Transport {
    /// Find it in `packet`; nothing for fragments, other protocols and cut headers.
    fn find(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::in_ipv4(&ipv4::View::new(packet).ok()?),
            6 => Self::in_ipv6(&ipv6::View::new(packet).ok()?),
            _ => None,
        }
    }

    fn in_ipv4(packet: &ipv4::View) -> Option<Self> {
        if packet.is_fragment() {
            return None;
        }
        let (protocol, start) = (packet.protocol(), packet.header_len());
        let (len, offset) = measure(protocol, packet.payload())?;
        let pseudo = checksum::pseudo_v4(packet.source(), packet.destination(), protocol, len);
        Some(Self::new(protocol, start, len, offset, pseudo))
    }

    fn in_ipv6(packet: &ipv6::View) -> Option<Self> {
        let upper = packet.upper_layer();
        // With segments left, the pseudo-header's destination is not the header's (RFC 8200 8.1).
        let under_way = upper.routing.is_some_and(|routing| routing.segments_left != 0);
        if upper.is_fragment() || under_way || !upper.complete {
            return None;
        }
        let (len, offset) = measure(upper.protocol, packet.packet().get(upper.offset..)?)?;
        let pseudo = checksum::pseudo_v6(
            packet.source(),
            packet.destination(),
            upper.protocol,
            u32::from(len),
        );
        Some(Self::new(upper.protocol, upper.offset, len, offset, pseudo))
    }

    fn new(protocol: u8, start: usize, len: u16, offset: usize, pseudo: u32) -> Self {
        Self { protocol, start, end: start + usize::from(len), field: start + offset, pseudo }
    }
}

/// Length of the segment or datagram at the front of `payload`, and where in it the checksum is,
/// both in octets.
fn measure(protocol: u8, payload: &[u8]) -> Option<(u16, usize)> {
    let (len, offset) = match protocol {
        protocol::TCP => (tcp::View::new(payload).map(|_| payload.len())?, tcp::CHECKSUM),
        protocol::UDP => (udp::View::new(payload)?.datagram().len(), udp::CHECKSUM),
        _ => return None,
    };
    Some((u16::try_from(len).ok()?, offset))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::packet::text;

    /// The IP packet of these layers.
    fn packet(layers: &str) -> Vec<u8> {
        let line = format!("lan < eth 02:00:00:00:01:02 > 02:00:00:00:00:01 / {layers}");
        text::parse_line(&line).unwrap().2.split_off(14)
    }

    /// Every kind of packet that has a checksum here, and where it is.
    const WITH_CHECKSUM: [(&str, Unfinished); 6] = [
        ("ip 10.1.0.2 > 10.2.0.2 / udp 1 > 2 / data 9", Unfinished { start: 20, offset: 6 }),
        ("ip 10.1.0.2 > 10.2.0.2 / tcp 1 > 2 / data 9", Unfinished { start: 20, offset: 16 }),
        (
            "ip 10.1.0.2 > 10.2.0.2 opt 94040000 / tcp 1 > 2 opt 020405b4",
            Unfinished { start: 24, offset: 16 },
        ),
        ("ip6 fe80::1 > fe80::2 / udp 1 > 2 / data 8", Unfinished { start: 40, offset: 6 }),
        ("ip6 fe80::1 > fe80::2 / tcp 1 > 2 / data 7", Unfinished { start: 40, offset: 16 }),
        ("ip6 fe80::1 > fe80::2 / dstopt / udp 1 > 2", Unfinished { start: 48, offset: 6 }),
    ];

    /// Do to `packet` what a kernel does that leaves the rest to its card.
    fn unfinish(packet: &mut [u8], place: Unfinished) {
        let protocol = if place.offset == 16 { 6 } else { 17 };
        let len = u16::try_from(packet.len()).unwrap() - place.start;
        let addresses = if packet[0] >> 4 == 4 { &packet[12..20] } else { &packet[8..40] };
        let sum = checksum::sum(addresses) + protocol + u32::from(len);
        let at = usize::from(place.start + place.offset);
        put(packet, at, &checksum::fold(sum).to_be_bytes());
    }

    #[test]
    fn unfinished_is_seen_and_finished() {
        for (layers, place) in WITH_CHECKSUM {
            let whole = packet(layers);
            assert_eq!(is_unfinished(&whole), None, "{layers}");
            assert_eq!(is_valid(&whole), Some(true), "{layers}");
            let mut packet = whole.clone();
            unfinish(&mut packet, place);
            assert_eq!(is_unfinished(&packet), Some(place), "{layers}");
            assert_eq!(is_valid(&packet), Some(false), "{layers}");
            assert!(finish(&mut packet));
            assert_eq!(packet, whole, "{layers}");
        }
    }

    #[test]
    fn padding_is_no_data() {
        let (layers, place) = WITH_CHECKSUM[0];
        let mut packet = packet(layers);
        let whole = packet.clone();
        unfinish(&mut packet, place);
        packet.extend([0xaa; 9]);
        assert_eq!(is_unfinished(&packet), Some(place));
        assert!(finish(&mut packet));
        assert_eq!(packet[..whole.len()], whole);
        assert_eq!(packet[whole.len()..], [0xaa; 9]);
    }

    #[test]
    fn nothing_to_finish() {
        let none = [
            "ip 10.1.0.2 > 10.2.0.2 mf / udp 1 > 2 / data 8",
            "ip 10.1.0.2 > 10.2.0.2 frag 1 proto 6 / data 64",
            "ip 10.1.0.2 > 10.2.0.2 / icmp echo-request / data 9",
            "ip 10.1.0.2 > 10.2.0.2 / udp 1 > 2 len 9",
            "ip 10.1.0.2 > 10.2.0.2 / tcp 1 > 2 off 4",
            "ip 10.1.0.2 > 10.2.0.2 sum 1 / tcp 1 > 2",
            "ip6 fe80::1 > fe80::2 / fragment 0 mf / udp 1 > 2",
            "ip6 fe80::1 > fe80::2 / routing 0001 / udp 1 > 2",
            "ip6 fe80::1 > fe80::2 next 60 / hex 11ff",
            "hex",
            "hex 45",
            "hex 50",
        ];
        for layers in none {
            let mut packet = packet(layers);
            let before = packet.clone();
            assert_eq!(is_unfinished(&packet), None, "{layers}");
            assert_eq!(is_valid(&packet), None, "{layers}");
            assert!(!finish(&mut packet), "{layers}");
            assert_eq!(packet, before, "{layers}");
        }
    }

    #[test]
    fn udp_without_checksum() {
        let v4 = packet("ip 10.1.0.2 > 10.2.0.2 / udp 1 > 2 sum 0 / data 8");
        assert_eq!((is_unfinished(&v4), is_valid(&v4)), (None, Some(true)));
        let v6 = packet("ip6 fe80::1 > fe80::2 / udp 1 > 2 sum 0 / data 8");
        assert_eq!((is_unfinished(&v6), is_valid(&v6)), (None, Some(false)));
    }

    #[test]
    fn udp_zero_is_sent_as_ones() {
        // The two octets of data make the sum 0xffff, and so the checksum 0.
        let mut packet = packet("ip 10.1.0.2 > 10.2.0.2 / udp 1 > 2 / hex 0000");
        let without = u16_at(&packet, 26);
        put(&mut packet, 28, &without.to_be_bytes());
        assert!(finish(&mut packet));
        assert_eq!(u16_at(&packet, 26), 0xffff);
        assert_eq!(is_valid(&packet), Some(true));
    }

    proptest! {
        #[test]
        fn any_octets(
            mut octets in prop::collection::vec(any::<u8>(), 0..120), version in 3u8..8, ok: bool,
        ) {
            if let Some(first) = octets.first_mut() {
                *first = version << 4 | 5;
            }
            if ok && octets.len() >= 40 {
                octets[2] = 0;
                octets[4] = 0;
                octets[6] %= 64;
                octets[9] = if ok { 6 } else { 17 };
                if version == 4 {
                    ipv4::write_checksum(&mut octets[..20]);
                }
            }
            let _ = (is_unfinished(&octets), is_valid(&octets));
            if finish(&mut octets) {
                prop_assert_eq!(is_valid(&octets), Some(true));
            }
        }
    }
}
