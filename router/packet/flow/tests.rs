#![forbid(unsafe_code)]

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
    FlowKey { addresses, protocol: 17, source_port, destination_port: 2000, label: 0 }
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
fn an_error_has_the_key_of_the_answers() {
    let answer = key("ip 10.2.0.2 > 10.1.0.2 / udp 2000 > 1000");
    let quote = "quote cut 28 / ip 10.1.0.2 > 10.2.0.2 / udp 1000 > 2000 / data 800";
    for error in ["unreachable 4 mtu 1280", "time-exceeded", "12"] {
        let line = format!("ip 192.0.2.9 > 10.1.0.2 / icmp {error} / {quote}");
        assert_eq!(key(&line), answer, "{error}");
    }
    let answer = key("ip6 fe80::2 > fe80::1 flow 7 / tcp 80 > 1000");
    let quote = "quote / ip6 fe80::1 > fe80::2 flow 9 / dstopt / tcp 1000 > 80 / data 8";
    for error in ["too-big mtu 1280", "unreachable 3"] {
        let line = format!("ip6 fe80::9 > fe80::1 / icmp6 {error} / {quote}");
        assert_eq!(key(&line), answer, "{error}");
    }
}

#[test]
fn what_quotes_nothing_has_its_own_key() {
    for layers in [
        "icmp unreachable 1 / hex 45000014",
        "icmp unreachable 1 / quote cut 19 / ip 10.1.0.2 > 10.2.0.2 / udp 1 > 2",
        "icmp unreachable 1 / quote / ip6 fe80::1 > fe80::2 / udp 1 > 2",
        "icmp echo-request id 7 / quote / ip 10.1.0.2 > 10.2.0.2 / udp 1 > 2",
    ] {
        let plain = key("ip 192.0.2.9 > 10.1.0.2 / icmp echo-reply id 1");
        assert_eq!(key(&format!("ip 192.0.2.9 > 10.1.0.2 / {layers}")), plain, "{layers}");
    }
    let whole = "ip 192.0.2.9 > 10.1.0.2 mf / icmp unreachable 1 / quote / \
                 ip 10.1.0.2 > 10.2.0.2 / udp 1 > 2 / data 4";
    assert_eq!(key(whole), key("ip 192.0.2.9 > 10.1.0.2 frag 5 proto 1 / data 8"));
}

#[test]
fn the_flow_label_counts_where_there_are_no_ports() {
    for layers in ["next 50 / data 8", "next 47 / data 8", "/ fragment 3 mf next 17 / data 8"] {
        let of = |label| key(&format!("ip6 fe80::1 > fe80::2 flow {label} {layers}"));
        assert_eq!((of(9).label, of(9)), (9, of(9)), "{layers}");
        assert_ne!(of(9).hash(1), of(8).hash(1), "{layers}");
    }
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

/// Checklist C146.
#[test]
fn two_routers_in_a_row_choose_independently() {
    // Four next hops each: were it not for the seeds, the second router would use but one of
    // them for the flows that the first one sends it.
    let mut paths = [[0u32; 4]; 4];
    for port in 0..=0xffff {
        let [first, second] = [1, 2].map(|seed| udp(port).hash(seed) as usize % 128 / 32);
        paths[first][second] += 1;
    }
    // 4096 expected in each; 5 standard deviations are 310.
    let even = paths.as_flattened().iter().all(|&flows| flows.abs_diff(4096) < 310);
    assert!(even, "{paths:?}");
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
        let (source_port, destination_port) = ports;
        FlowKey { addresses, protocol, source_port, destination_port, label: 0 }
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
