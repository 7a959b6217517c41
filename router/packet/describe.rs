//! One line of text for any frame, much as tcpdump would say it: for traces and for tests that
//! fail. Not for the packet path: it allocates.
#![forbid(unsafe_code)]

use super::ethernet::{self, ether_type};
use super::{arp, icmpv4, icmpv6, ipv4, ipv6, ndp, protocol, tcp, u16_at, udp};

/// Most tags and IP headers inside each other that are looked at.
const DEPTH_MAX: usize = 8;

/// Describe `frame`, which starts with an Ethernet header. Never panics, whatever the octets are.
pub fn describe(frame: &[u8]) -> String {
    let Some(view) = ethernet::View::new(frame) else {
        return format!("no Ethernet frame, length {}", frame.len());
    };
    let packet = describe_packet(view.ether_type(), view.payload(), DEPTH_MAX);
    format!("{} > {}, {packet}", view.source(), view.destination())
}

/// Describe the payload of a frame of this type.
fn describe_packet(ether_type: u16, payload: &[u8], depth: usize) -> String {
    match ether_type {
        ether_type::IPV4 => describe_ipv4(payload, depth),
        ether_type::IPV6 => describe_ipv6(payload, depth),
        ether_type::ARP => describe_arp(payload),
        ether_type::VLAN | ether_type::QINQ if payload.len() >= 4 && depth > 0 => {
            let inner = describe_packet(u16_at(payload, 2), &payload[4..], depth - 1);
            format!("vlan {}, {inner}", u16_at(payload, 0) & 0x0fff)
        }
        len if len < ether_type::MIN => format!("802.3, length {len}"),
        other => format!("ethertype {other:#06x}, length {}", payload.len()),
    }
}

fn describe_arp(payload: &[u8]) -> String {
    let packet = match arp::View::new(payload) {
        Ok(packet) => packet,
        Err(fault) => return format!("ARP, malformed: {fault:?}"),
    };
    let (sender, target) = (packet.sender_address(), packet.target_address());
    match packet.operation() {
        arp::Operation::Request if packet.is_gratuitous() => {
            format!("ARP, announcement {sender} is-at {}", packet.sender_mac())
        }
        arp::Operation::Request => format!("ARP, request who-has {target} tell {sender}"),
        arp::Operation::Reply => format!("ARP, reply {sender} is-at {}", packet.sender_mac()),
    }
}

fn describe_ipv4(payload: &[u8], depth: usize) -> String {
    let packet = match ipv4::View::new(payload) {
        Ok(packet) => packet,
        Err(fault) => return format!("IPv4, malformed: {fault:?}, length {}", payload.len()),
    };
    let head = format!("IPv4 {} > {} ttl {}", packet.source(), packet.destination(), packet.ttl());
    let piece = (packet.fragment_offset(), packet.more_fragments());
    let upper = describe_upper(packet.protocol(), packet.payload(), piece.0, depth);
    let fragment = if packet.is_fragment() {
        describe_piece(packet.id().into(), piece)
    } else {
        String::new()
    };
    format!("{head}{fragment}: {upper}")
}

fn describe_ipv6(payload: &[u8], depth: usize) -> String {
    let packet = match ipv6::View::new(payload) {
        Ok(packet) => packet,
        Err(fault) => return format!("IPv6, malformed: {fault:?}, length {}", payload.len()),
    };
    let head =
        format!("IPv6 {} > {} hlim {}", packet.source(), packet.destination(), packet.hop_limit());
    let upper = packet.upper_layer();
    if !upper.complete {
        return format!(
            "{head}: extension header {} at {} cut short",
            upper.protocol, upper.offset
        );
    }
    let piece = upper.fragment.map(|fragment| (fragment.id, (fragment.offset, fragment.more)));
    let fragment = piece.map_or_else(String::new, |(id, piece)| describe_piece(id, piece));
    let body = packet.packet().get(upper.offset..).unwrap_or_default();
    let text = match ndp::Message::parse(&packet) {
        Ok(message) => describe_ndp(&message),
        Err(_) => describe_upper(upper.protocol, body, piece.map_or(0, |(_, (at, _))| at), depth),
    };
    format!("{head}{fragment}: {text}")
}

fn describe_piece(id: u32, (offset, more): (usize, bool)) -> String {
    format!(" frag {id}:{offset}{}", if more { "+" } else { "" })
}

fn describe_ndp(message: &ndp::Message) -> String {
    match message {
        ndp::Message::RouterSolicitation { .. } => "ND, router solicitation".to_owned(),
        ndp::Message::RouterAdvertisement => "ND, router advertisement".to_owned(),
        ndp::Message::Redirect => "ND, redirect".to_owned(),
        ndp::Message::NeighbourSolicitation(what) => format!("ND, who has {}", what.target),
        ndp::Message::NeighbourAdvertisement(what) => {
            let mac = what.target_mac.map_or_else(String::new, |mac| format!(" is-at {mac}"));
            let set = [(what.router, 'R'), (what.solicited, 'S'), (what.overrides, 'O')];
            let flags: String = set.iter().filter(|&&(on, _)| on).map(|&(_, flag)| flag).collect();
            format!("ND, {}{mac}, flags [{flags}]", what.target)
        }
    }
}

/// Describe what an IP packet carries. `offset` is that of a fragment: without its start there is
/// nothing to be read.
fn describe_upper(protocol: u8, payload: &[u8], offset: usize, depth: usize) -> String {
    let text = match protocol {
        _ if offset != 0 => None,
        protocol::UDP => describe_udp(payload),
        protocol::TCP => describe_tcp(payload),
        protocol::ICMP => describe_icmpv4(payload, depth),
        protocol::ICMPV6 => describe_icmpv6(payload, depth),
        protocol::IPV4 if depth > 0 => Some(describe_ipv4(payload, depth - 1)),
        protocol::IPV6 if depth > 0 => Some(describe_ipv6(payload, depth - 1)),
        _ => None,
    };
    text.unwrap_or_else(|| format!("{}, length {}", protocol_name(protocol), payload.len()))
}

fn protocol_name(protocol: u8) -> String {
    let name = match protocol {
        protocol::UDP => "UDP",
        protocol::TCP => "TCP",
        protocol::ICMP => "ICMP",
        protocol::ICMPV6 => "ICMPv6",
        protocol::ESP => "ESP",
        protocol::SCTP => "SCTP",
        protocol::NO_NEXT_HEADER => "no next header",
        other => return format!("protocol {other}"),
    };
    name.to_owned()
}

/// As whole as a fragment or a quote has it: only the ports have to be there.
fn describe_udp(payload: &[u8]) -> Option<String> {
    let header = payload.first_chunk::<{ udp::HEADER }>()?;
    let (source, destination, len) = (u16_at(header, 0), u16_at(header, 2), u16_at(header, 4));
    let data = usize::from(len).saturating_sub(udp::HEADER);
    Some(format!("UDP {source} > {destination}, length {data}"))
}

fn describe_tcp(payload: &[u8]) -> Option<String> {
    let view = tcp::View::new(payload)?;
    let flags = [
        (tcp::flag::FIN, 'F'),
        (tcp::flag::SYN, 'S'),
        (tcp::flag::RST, 'R'),
        (tcp::flag::PSH, 'P'),
        (tcp::flag::URG, 'U'),
        (tcp::flag::ECE, 'E'),
        (tcp::flag::CWR, 'W'),
        (tcp::flag::ACK, '.'),
    ];
    let flags: String =
        flags.iter().filter(|&&(bit, _)| view.flags() & bit != 0).map(|&(_, name)| name).collect();
    Some(format!(
        "TCP {} > {}, flags [{flags}], seq {}, ack {}, length {}",
        view.source_port(),
        view.destination_port(),
        view.sequence(),
        view.acknowledgement(),
        view.data().len(),
    ))
}

fn describe_icmpv4(payload: &[u8], depth: usize) -> Option<String> {
    let view = icmpv4::View::new(payload)?;
    let (number, code) = (view.message_type(), view.code());
    let name = icmpv4::Type::new(number).map(|name| format!("{name:?}"));
    let quoted = icmpv4::is_error(number) && depth > 0;
    let quote = if quoted { quoted_ipv4(view.body()) } else { String::new() };
    let is_echo = matches!(number, 0 | 8);
    let numbers =
        describe_numbers(is_echo.then(|| view.echo()), (number, code) == (3, 4), view.rest());
    Some(format!("ICMP {}{numbers}{quote}", describe_type(name, number, code)))
}

fn describe_icmpv6(payload: &[u8], depth: usize) -> Option<String> {
    let view = icmpv6::View::new(payload)?;
    let (number, code) = (view.message_type(), view.code());
    let name = icmpv6::Type::new(number).map(|name| format!("{name:?}"));
    let quoted = icmpv6::is_error(number) && depth > 0;
    let quote = if quoted { quoted_ipv6(view.body()) } else { String::new() };
    let is_echo = matches!(number, 128 | 129);
    let numbers = describe_numbers(is_echo.then(|| view.echo()), number == 2, view.rest());
    Some(format!("ICMPv6 {}{numbers}{quote}", describe_type(name, number, code)))
}

fn describe_type(name: Option<String>, number: u8, code: u8) -> String {
    let name = name.unwrap_or_else(|| format!("type {number}"));
    if code == 0 { name } else { format!("{name} code {code}") }
}

fn describe_numbers(echo: Option<(u16, u16)>, has_mtu: bool, rest: [u8; 4]) -> String {
    match echo {
        Some((id, sequence)) => format!(", id {id}, seq {sequence}"),
        None if has_mtu => format!(", mtu {}", u32::from_be_bytes(rest)),
        None => String::new(),
    }
}

/// A quote is cut, so that no view takes it: its addresses must do.
fn quoted_ipv4(quote: &[u8]) -> String {
    quote.first_chunk::<{ ipv4::HEADER }>().map_or_else(String::new, |&header| {
        let [.., a, b, c, d, e, f, g, h] = header;
        format!(", for {a}.{b}.{c}.{d} > {e}.{f}.{g}.{h} {}", protocol_name(header[9]))
    })
}

/// As [`quoted_ipv4`].
fn quoted_ipv6(quote: &[u8]) -> String {
    quote.first_chunk::<{ ipv6::HEADER }>().map_or_else(String::new, |header| {
        let address = |at| std::net::Ipv6Addr::from_octets(super::octets_at(header, at));
        format!(", for {} > {} {}", address(8), address(24), protocol_name(header[6]))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::packet::text;

    /// The description of a frame of these layers, without its MAC addresses.
    fn packet(layers: &str) -> String {
        let line = format!("lan < eth 02:00:00:00:01:02 > 02:00:00:00:00:01 / {layers}");
        let (_, _, frame) = text::parse_line(&line).unwrap();
        let text = describe(&frame);
        text.strip_prefix("02:00:00:00:01:02 > 02:00:00:00:00:01, ").unwrap().to_owned()
    }

    #[test]
    fn lines() {
        let lines = [
            (
                "arp request who 10.1.0.1 tell 10.1.0.2",
                "ARP, request who-has 10.1.0.1 tell 10.1.0.2",
            ),
            (
                "arp request who 10.1.0.2 tell 10.1.0.2",
                "ARP, announcement 10.1.0.2 is-at 02:00:00:00:01:02",
            ),
            ("arp request who 10.1.0.1 tell 10.1.0.2 op 9", "ARP, malformed: Operation"),
            (
                "ip 10.1.0.2 > 10.2.0.2 / udp 1000 > 2000 / data 8 / pad 60",
                "IPv4 10.1.0.2 > 10.2.0.2 ttl 64: UDP 1000 > 2000, length 8",
            ),
            (
                "ip 10.1.0.2 > 10.2.0.2 id 7 mf frag 2 proto 17 / data 8",
                "IPv4 10.1.0.2 > 10.2.0.2 ttl 64 frag 7:16+: UDP, length 8",
            ),
            (
                "vlan 10 / ip 10.1.0.2 > 10.2.0.2 / tcp 1 > 80 seq 9 flags SA",
                "vlan 10, IPv4 10.1.0.2 > 10.2.0.2 ttl 64: \
                 TCP 1 > 80, flags [S.], seq 9, ack 0, length 0",
            ),
            (
                "ip 10.1.0.1 > 10.1.0.2 / icmp unreachable 4 mtu 1280 / quote / \
                 ip 10.1.0.2 > 10.2.0.2 / udp 1 > 2",
                "IPv4 10.1.0.1 > 10.1.0.2 ttl 64: ICMP Unreachable code 4, mtu 1280, \
                 for 10.1.0.2 > 10.2.0.2 UDP",
            ),
            ("ip 10.1.0.2 > 10.2.0.2 sum 0", "IPv4, malformed: Checksum, length 20"),
            (
                "ip6 fe80::2 > fe80::1 / icmp6 echo-request id 1 seq 2",
                "IPv6 fe80::2 > fe80::1 hlim 64: ICMPv6 EchoRequest, id 1, seq 2",
            ),
            (
                "ip6 fe80::2 > fe80::1 / na fe80::2 flags so tlla 02:00:00:00:01:02",
                "IPv6 fe80::2 > fe80::1 hlim 255: ND, fe80::2 is-at 02:00:00:00:01:02, flags [SO]",
            ),
            (
                "ip6 fe80::2 > fe80::1 next 60 / hex 11ff",
                "IPv6 fe80::2 > fe80::1 hlim 64: extension header 60 at 40 cut short",
            ),
            ("data 3", "ethertype 0x88b5, length 3"),
        ];
        for (layers, text) in lines {
            assert_eq!(packet(layers), text);
        }
        assert_eq!(describe(&[0; 13]), "no Ethernet frame, length 13");
    }

    #[test]
    fn every_truncation() {
        for layers in [
            "vlan 10 / ip 10.1.0.2 > 10.2.0.2 opt 94040000 / tcp 1 > 80 opt 020405b4",
            "ip 10.1.0.1 > 10.1.0.2 / icmp 11 / quote / ip 10.1.0.2 > 10.2.0.2 / udp 1 > 2",
            "ip6 fe80::2 > fe80::1 / hbh / routing / fragment 0 / udp 1 > 2 / data 8",
            "ip6 fe80::2 > ff02::1:ff00:1 / ns fe80::1 slla 02:00:00:00:01:02",
            "arp request who 10.1.0.1 tell 10.1.0.2",
        ] {
            let line = format!("lan < eth 02:00:00:00:01:02 > 02:00:00:00:00:01 / {layers}");
            let (_, _, frame) = text::parse_line(&line).unwrap();
            for len in 0..frame.len() {
                let text = describe(&frame[..len]);
                let is_named = ["no Ethernet", "malformed", "length"];
                assert!(is_named.iter().any(|word| text.contains(word)), "{len}: {text}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_octets(
            mut octets in prop::collection::vec(any::<u8>(), 0..120),
            ether_type in prop::sample::select(vec![0x0800u16, 0x0806, 0x86dd, 0x8100, 0x0026]),
            first: u8,
        ) {
            if octets.len() >= 15 {
                octets[12..14].copy_from_slice(&ether_type.to_be_bytes());
                octets[14] = 0x45 | first & 0x20;
            }
            prop_assert!(!describe(&octets).contains('\n'));
        }

        #[test]
        fn any_ipv4_payload(
            protocol in prop::sample::select(vec![1u8, 4, 6, 17, 41, 58, 132]),
            payload in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let mut frame = vec![0; 34];
            let len = u16::try_from(payload.len()).unwrap();
            let (source, destination) = ([10, 1, 0, 2].into(), [10, 2, 0, 2].into());
            let header = ipv4::Header::new(source, destination, protocol, len);
            frame[12] = 8;
            header.write(&mut frame[14..]).unwrap();
            frame.extend(payload);
            prop_assert!(describe(&frame).contains("10.1.0.2 > 10.2.0.2"));
        }
    }
}
