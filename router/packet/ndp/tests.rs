#![forbid(unsafe_code)]

use proptest::prelude::*;

use super::*;
use crate::packet::text;

const ROUTER_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const HOST_MAC: MacAddress = MacAddress([2, 0, 0, 0, 1, 2]);
const ROUTER_ADDRESS: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const HOST_ADDRESS: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const WE: Station = Station { mac: ROUTER_MAC, address: ROUTER_ADDRESS };
const HOST: Station = Station { mac: HOST_MAC, address: HOST_ADDRESS };

/// What the message in a frame of these layers means.
fn read(layers: &str) -> Result<Message, Malformed> {
    let line = format!("lan < eth {HOST_MAC} > {ROUTER_MAC} / {layers}");
    let (_, _, frame) = text::parse_line(&line).unwrap();
    Message::parse(&ipv6::View::new(&frame[14..]).unwrap())
}

/// The frame that `write` makes, in the notation.
fn written(write: impl Fn(&mut [u8]) -> Option<usize>) -> String {
    let mut out = [0xa5; FRAME_MAX + 8];
    let len = write(&mut out).unwrap();
    assert!(out[len..].iter().all(|&octet| octet == 0xa5));
    assert_eq!(write(&mut out[..len - 1]), None);
    text::format_frame("lan", text::Direction::Leaves, &out[..len])
}

#[test]
fn golden_solicitation() {
    let mut out = [0xa5; FRAME_MAX];
    assert_eq!(solicit(&mut out, WE, HOST_ADDRESS), Some(86));
    #[rustfmt::skip]
    let golden = [
        0x33, 0x33, 0xff, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd,
        0x60, 0, 0, 0, 0, 32, 58, 255,
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 2,
        135, 0, 0x7a, 0x97, 0, 0, 0, 0,
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
        1, 1, 2, 0, 0, 0, 0, 1,
    ];
    assert_eq!(out, golden);
}

#[test]
fn builders() {
    assert_eq!(
        written(|out| solicit(out, WE, HOST_ADDRESS)),
        "lan > eth 02:00:00:00:00:01 > 33:33:ff:00:00:02 / \
         ip6 fe80::1 > ff02::1:ff00:2 hlim 255 / ns fe80::2 slla 02:00:00:00:00:01"
    );
    assert_eq!(
        written(|out| probe(out, WE, HOST)),
        "lan > eth 02:00:00:00:00:01 > 02:00:00:00:01:02 / \
         ip6 fe80::1 > fe80::2 hlim 255 / ns fe80::2 slla 02:00:00:00:00:01"
    );
    assert_eq!(
        written(|out| detect_duplicate(out, ROUTER_MAC, ROUTER_ADDRESS)),
        "lan > eth 02:00:00:00:00:01 > 33:33:ff:00:00:01 / \
         ip6 :: > ff02::1:ff00:1 hlim 255 / ns fe80::1"
    );
    assert_eq!(
        written(|out| advertise(out, WE, HOST, true)),
        "lan > eth 02:00:00:00:00:01 > 02:00:00:00:01:02 / \
         ip6 fe80::1 > fe80::2 hlim 255 / na fe80::1 flags rso tlla 02:00:00:00:00:01"
    );
    assert_eq!(
        written(|out| announce(out, WE, false)),
        "lan > eth 02:00:00:00:00:01 > 33:33:00:00:00:01 / \
         ip6 fe80::1 > ff02::1 hlim 255 / na fe80::1 flags o tlla 02:00:00:00:00:01"
    );
}

#[test]
fn valid_messages() {
    assert_eq!(
        read("ip6 fe80::2 > ff02::1:ff00:1 / ns fe80::1 slla 02:00:00:00:01:02"),
        Ok(Message::NeighbourSolicitation(Solicitation {
            target: ROUTER_ADDRESS,
            source_mac: Some(HOST_MAC),
        }))
    );
    assert_eq!(
        read("ip6 :: > ff02::1:ff00:1 / ns fe80::1 opt 0e01000000000000"),
        Ok(Message::NeighbourSolicitation(Solicitation {
            target: ROUTER_ADDRESS,
            source_mac: None,
        }))
    );
    assert_eq!(
        read("ip6 fe80::2 > fe80::1 / na fe80::2 flags so tlla 02:00:00:00:01:02"),
        Ok(Message::NeighbourAdvertisement(Advertisement {
            target: HOST_ADDRESS,
            target_mac: Some(HOST_MAC),
            router: false,
            solicited: true,
            overrides: true,
        }))
    );
    let router = read("ip6 fe80::2 > ff02::2 / rs slla 02:00:00:00:01:02");
    assert_eq!(router, Ok(Message::RouterSolicitation { source_mac: Some(HOST_MAC) }));
    let advertisement = "ip6 fe80::2 > ff02::1 hlim 255 / icmp6 134 / data 8";
    assert_eq!(read(advertisement), Ok(Message::RouterAdvertisement));
    let redirect = "ip6 fe80::2 > fe80::1 hlim 255 / icmp6 137 / data 32";
    assert_eq!(read(redirect), Ok(Message::Redirect));
}

const WRONG: [(&str, Malformed); 18] = [
    ("ip6 fe80::2 > fe80::1 / icmp6 echo-request", Malformed::Foreign),
    ("ip6 fe80::2 > fe80::1 / udp 1 > 2", Malformed::Foreign),
    ("ip6 fe80::2 > fe80::1 / fragment 0 / ns fe80::1", Malformed::Fragment),
    ("ip6 fe80::2 > fe80::1 hlim 254 / ns fe80::1", Malformed::HopLimit),
    ("ip6 fe80::2 > fe80::1 / ns fe80::1 sum 0x1234", Malformed::Checksum),
    ("ip6 fe80::2 > fe80::1 hlim 255 next 58 / hex 8500000000", Malformed::Checksum),
    ("ip6 fe80::2 > fe80::1 / ns fe80::1 code 1", Malformed::Code),
    ("ip6 fe80::2 > fe80::1 hlim 255 / icmp6 135 / data 15", Malformed::Length),
    ("ip6 fe80::2 > fe80::1 / ns ff02::1", Malformed::TargetMulticast),
    ("ip6 fe80::2 > fe80::1 / na ff02::1", Malformed::TargetMulticast),
    ("ip6 fe80::2 > fe80::1 / ns fe80::1 opt 0100", Malformed::OptionLength),
    ("ip6 fe80::2 > fe80::1 / ns fe80::1 opt 01", Malformed::OptionLength),
    ("ip6 fe80::2 > fe80::1 / na fe80::1 opt 0202000000000000", Malformed::OptionLength),
    (
        "ip6 :: > ff02::1:ff00:1 / ns fe80::1 slla 02:00:00:00:01:02",
        Malformed::UnspecifiedWithLinkLayer,
    ),
    ("ip6 :: > ff02::2 / rs slla 02:00:00:00:01:02", Malformed::UnspecifiedWithLinkLayer),
    ("ip6 :: > ff02::1 / ns fe80::1", Malformed::UnspecifiedNotSolicitedNode),
    ("ip6 fe80::2 > ff02::1 / na fe80::2 flags s", Malformed::SolicitedMulticast),
    ("ip6 2001:db8::2 > fe80::1 hlim 255 / icmp6 134 / data 8", Malformed::SourceNotLinkLocal),
];

#[test]
fn each_check_has_its_name() {
    for (layers, fault) in WRONG {
        assert_eq!(read(layers), Err(fault), "{layers}");
    }
}

proptest! {
    #[test]
    fn any_message(
        kind in 133u8..=137, body in prop::collection::vec(any::<u8>(), 0..100), sum: bool,
    ) {
        let mut packet = vec![0; ipv6::HEADER];
        let mut message = vec![kind, 0, 0, 0];
        message.extend(body);
        if sum {
            icmpv6::write_checksum(&mut message, HOST_ADDRESS, ROUTER_ADDRESS);
        }
        let len = u16::try_from(message.len()).unwrap();
        let header = ipv6::Header::new(HOST_ADDRESS, ROUTER_ADDRESS, protocol::ICMPV6, len);
        ipv6::Header { hop_limit: 255, ..header }.write(&mut packet).unwrap();
        packet.extend(message);
        let _ = Message::parse(&ipv6::View::new(&packet).unwrap());
    }

    #[test]
    fn what_is_advertised_is_read(
        mac: [u8; 6], to_mac: [u8; 6], address: u128, to: u128, router: bool,
    ) {
        prop_assume!(address >> 120 != 0xff && to >> 120 != 0xff);
        let from = Station { mac: MacAddress(mac), address: address.into() };
        let to = Station { mac: MacAddress(to_mac), address: to.into() };
        let mut out = [0xa5; FRAME_MAX];
        let len = advertise(&mut out, from, to, router).unwrap();
        let read = Message::parse(&ipv6::View::new(&out[14..len]).unwrap());
        let expected = Advertisement {
            target: from.address,
            target_mac: Some(from.mac),
            router,
            solicited: true,
            overrides: true,
        };
        prop_assert_eq!(read, Ok(Message::NeighbourAdvertisement(expected)));
    }
}
