//! The notation, both ways.
#![forbid(unsafe_code)]

use proptest::prelude::*;

use super::*;

const ETH: &str = "eth 02:00:00:00:01:02 > 02:00:00:00:00:01";

fn frame(layers: &str) -> Vec<u8> {
    parse_line(&format!("lan < {ETH} / {layers}")).unwrap().2
}

/// The line of these layers, read and written again.
fn rewritten(layers: &str) -> String {
    let line = format_frame("lan", Direction::Arrives, &frame(layers));
    line.strip_prefix(&format!("lan < {ETH} / ")).unwrap_or(&line).to_owned()
}

#[test]
fn golden_udp() {
    let line =
        format!("lan < {ETH} / ip 10.1.0.2 > 10.2.0.2 ttl 64 id 7 df / udp 1000 > 2000 / data 8");
    let (port, direction, frame) = parse_line(&line).unwrap();
    assert_eq!((port.as_str(), direction), ("lan", Direction::Arrives));
    #[rustfmt::skip]
    let golden = [
        2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1, 2, 8, 0,
        0x45, 0, 0, 36, 0, 7, 0x40, 0, 64, 17, 0x26, 0xbc, 10, 1, 0, 2, 10, 2, 0, 2,
        0x03, 0xe8, 0x07, 0xd0, 0, 16, 0xd3, 0xff, 0, 1, 2, 3, 4, 5, 6, 7,
    ];
    assert_eq!(frame, golden);
    assert_eq!(format_frame("lan", Direction::Arrives, &frame), line);
}

#[test]
fn canonical_lines_stay_as_they_are() {
    let lines = [
        "arp request who 10.1.0.1 tell 10.1.0.2",
        "arp request who 10.1.0.1 tell 0.0.0.0 from 02:00:00:00:09:09 to 02:00:00:00:00:01",
        "arp reply 10.1.0.2 is-at 02:00:00:00:01:02 to 10.1.0.1 02:00:00:00:00:01 / pad 60",
        "arp request who 10.1.0.1 tell 10.1.0.2 op 3 htype 6 ptype 0x86dd hlen 8 plen 16",
        "ip 10.1.0.2 > 10.2.0.2 ttl 1 / icmp echo-request id 7 seq 1 / data 56",
        "ip 10.1.0.2 > 10.2.0.2 ttl 0 tos 0xb8 mf frag 100 / data 8",
        "ip 10.1.0.2 > 10.2.0.2 ttl 64 frag 185 proto 17 / data 16",
        "ip 10.1.0.2 > 10.2.0.2 ttl 64 rf len 9 sum 0xbeef / tcp 1000 > 80 seq 1 flags SA",
        "ip 10.1.0.2 > 10.2.0.2 ttl 64 ihl 4 version 5",
        "ip 10.1.0.2 > 10.2.0.2 ttl 64 opt 94040000 / udp 1 > 2 sum 0x0000 / pad 60",
        "ip 10.1.0.2 > 10.2.0.2 ttl 64 / \
         tcp 1 > 2 ack 9 flags FPC win 1 urg 2 opt 020405b4 / data 3",
        "ip 10.1.0.2 > 10.2.0.2 ttl 64 / tcp 1 > 2 flags - off 4 sum 0x0001",
        "ip 10.1.0.2 > 10.2.0.2 ttl 64 / ip 10.9.0.1 > 10.9.0.2 ttl 3 / udp 1 > 2",
        "ip 10.1.0.1 > 10.1.0.2 ttl 64 / icmp time-exceeded / quote / \
         ip 10.1.0.2 > 10.2.0.2 ttl 1 id 7 / udp 1000 > 2000 / data 8",
        "ip 10.1.0.1 > 10.1.0.2 ttl 64 / icmp unreachable 4 mtu 1280 / quote / \
         ip 10.1.0.2 > 10.2.0.2 ttl 64 df len 1400 / udp 1000 > 2000 len 1380 sum 0x1234 / data 20",
        "ip6 2001:db8:1::2 > 2001:db8:2::2 hlim 64 / udp 1000 > 2000 / data 8",
        "ip6 2001:db8:1::2 > 2001:db8:2::2 hlim 1 class 0xb8 flow 74565 / \
         icmp6 echo-reply id 1 seq 2",
        "ip6 2001:db8:1::2 > 2001:db8:2::2 hlim 64 next 59 len 9 version 7",
        "ip6 2001:db8:1::1 > 2001:db8:1::2 hlim 64 / icmp6 too-big mtu 1400 / quote / \
         ip6 2001:db8:1::2 > 2001:db8:2::2 hlim 64 / tcp 1 > 2 flags A",
        "ip6 fe80::1 > 2001:db8:1::2 hlim 255 / rd fe80::3 2001:db8:7::7 tlla 02:00:00:00:01:03 / \
         quote / ip6 2001:db8:1::2 > 2001:db8:7::7 hlim 63 / udp 1000 > 2000 / data 8",
        "ip6 fe80::1 > 2001:db8:1::2 hlim 255 / rd fe80::3 2001:db8:7::7 opt 0e010000",
        "ip6 fe80::2 > ff02::1:ff00:1 hlim 255 / ns fe80::1 slla 02:00:00:00:01:02",
        "ip6 fe80::2 > fe80::1 hlim 255 / na fe80::2 flags rso tlla 02:00:00:00:01:02 opt 0500",
        "ip6 fe80::2 > ff02::2 hlim 254 / rs code 1 sum 0x1234",
        "ip6 fe80::2 > fe80::1 hlim 64 / hbh 050200000100 / dstopt 010400000000 / \
         routing 000000000000 / fragment 0 mf id 9 / udp 1 > 2 / data 8",
        "ip6 fe80::2 > fe80::1 hlim 64 / fragment 185 id 9 next 17 / data 8",
        "vlan 10 prio 5 dei / ip 10.1.0.2 > 10.2.0.2 ttl 64 / udp 1 > 2 / pad 100 fill 170",
        "data 46",
        "hex 0a0b",
    ];
    for line in lines {
        assert_eq!(rewritten(line), line);
    }
}

#[test]
fn defaults_need_no_words() {
    let short = "ip6 fe80::2 > ff02::1:ff00:1 / ns fe80::1";
    assert_eq!(rewritten(short), "ip6 fe80::2 > ff02::1:ff00:1 hlim 255 / ns fe80::1");
    let tcp = rewritten("ip 10.1.0.2 > 10.2.0.2 / tcp 1000 > 80");
    assert_eq!(tcp, "ip 10.1.0.2 > 10.2.0.2 ttl 64 / tcp 1000 > 80 flags S");
}

#[test]
fn a_quote_can_be_cut() {
    let whole =
        frame("ip 10.1.0.1 > 10.1.0.2 / icmp 11 / quote / ip 10.1.0.2 > 10.2.0.2 / data 64");
    let cut =
        frame("ip 10.1.0.1 > 10.1.0.2 / icmp 11 / quote cut 28 / ip 10.1.0.2 > 10.2.0.2 / data 64");
    assert_eq!(cut.len(), 14 + 20 + 8 + 28);
    assert_eq!(cut[42..], whole[42..70]);
}

#[test]
fn frames_without_words() {
    for frame in [&[][..], &[1, 2, 3], &[0; 13]] {
        let line = format_frame("wan", Direction::Leaves, frame);
        assert_eq!(parse_line(&line), Ok(("wan".into(), Direction::Leaves, frame.to_vec())));
    }
    assert_eq!(format_frame("wan", Direction::Leaves, &[1, 2]), "wan > hex 0102");
}

#[test]
fn complaints_name_the_layer() {
    let complaint = |layers: &str| parse_line(&format!("lan < {layers}")).unwrap_err();
    assert_eq!(complaint("ether"), "no layer is called `ether`");
    assert_eq!(
        complaint("ip 10.1.0.2 10.2.0.2"),
        "in `ip 10.1.0.2 10.2.0.2`: wants `>`, not `10.2.0.2`"
    );
    assert_eq!(complaint("udp 1 > 2 sum"), "in `udp 1 > 2 sum`: ends too early");
    assert_eq!(complaint("udp 1 > 2 tll 3"), "in `udp 1 > 2 tll 3`: does not know `tll`");
    assert!(complaint("ip 10.1.0.2 > 10.2.0.2 ttl 256").contains("`256` is no number"));
    assert!(complaint("data 8 / pad 4").contains("8 octets already"));
    assert!(parse_line("lan").is_err() && parse_line("lan = hex 00").is_err());
}

#[test]
fn lines_are_what_etherparse_reads() {
    for layers in [
        "ip 10.1.0.2 > 10.2.0.2 id 7 / udp 1000 > 2000 / data 9",
        "ip 10.1.0.2 > 10.2.0.2 opt 94040000 / tcp 1 > 2 opt 020405b4 / data 3",
        "ip6 fe80::1 > fe80::2 / hbh 050200000100 / udp 1 > 2 / data 1",
    ] {
        let frame = frame(layers);
        let other = etherparse::PacketHeaders::from_ethernet_slice(&frame).unwrap();
        let (net, payload) = (other.net.unwrap(), other.payload.slice());
        let sum = match (&net, other.transport.unwrap()) {
            (etherparse::NetHeaders::Ipv4(ip, _), etherparse::TransportHeader::Udp(udp)) => {
                assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                (udp.checksum, udp.calc_checksum_ipv4(ip, payload).unwrap())
            }
            (etherparse::NetHeaders::Ipv4(ip, _), etherparse::TransportHeader::Tcp(tcp)) => {
                (tcp.checksum, tcp.calc_checksum_ipv4(ip, payload).unwrap())
            }
            (etherparse::NetHeaders::Ipv6(ip, _), etherparse::TransportHeader::Udp(udp)) => {
                (udp.checksum, udp.calc_checksum_ipv6(ip, payload).unwrap())
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(sum.0, sum.1, "{layers}");
    }
}

/// A frame that looks like one, with a few octets changed.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let layers = prop::sample::select(vec![
        "arp request who 10.1.0.1 tell 10.1.0.2 / pad 60",
        "ip 10.1.0.2 > 10.2.0.2 opt 94040000 / tcp 1000 > 80 opt 020405b4 / data 9",
        "ip 10.1.0.1 > 10.1.0.2 / icmp time-exceeded / quote / ip 10.1.0.2 > 10.2.0.2 / udp 1 > 2",
        "ip6 fe80::2 > fe80::1 / hbh / routing / fragment 0 mf / udp 1 > 2 / data 8 / pad 130",
        "ip6 fe80::2 > ff02::1:ff00:1 / ns fe80::1 slla 02:00:00:00:01:02",
        "ip6 fe80::1 > fe80::2 / icmp6 too-big mtu 1400 / quote / ip6 fe80::2 > fe80::9 / data 9",
        "vlan 10 / vlan 20 / ip 10.1.0.2 > 10.2.0.2 / ip6 fe80::2 > fe80::1 / udp 1 > 2",
    ]);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (layers, changes, any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(layers, changes, end, whole)| {
            let mut frame = frame(layers);
            for (at, octet) in changes {
                let at = at.index(frame.len());
                frame[at] = octet;
            }
            frame.truncate(if whole { frame.len() } else { end.index(frame.len()) });
            frame
        },
    )
}

proptest! {
    #[test]
    fn any_frame_comes_back(frame in prop::collection::vec(any::<u8>(), 0..120)) {
        let line = format_frame("p0", Direction::Leaves, &frame);
        prop_assert_eq!(parse_line(&line), Ok(("p0".into(), Direction::Leaves, frame)));
    }

    #[test]
    fn any_damaged_frame_comes_back(frame in damaged()) {
        let line = format_frame("p0", Direction::Arrives, &frame);
        prop_assert_eq!(parse_line(&line), Ok(("p0".into(), Direction::Arrives, frame)));
    }

    #[test]
    fn any_line_is_read_or_refused(
        line in "lan [<>] (eth|ip|udp|icmp|quote|hex|pad|[0-9a-f/> ]){0,12}",
    ) {
        let _ = parse_line(&line);
    }
}
