//! From octets to words: one function for each layer, each the mirror of one in `parse`.
//!
//! No function here has to be sure of its words: [`frame`] reads back what it is about to return,
//! and says less of it in words if that is not the frame.
#![forbid(unsafe_code)]

use std::fmt::{Display, LowerHex, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::parse::{
    self, ICMP_NAMES, ICMP6_NAMES, NDP_FLAGS, Outer, TCP_FLAGS, counting, ether_type_of,
    protocol_of, transport_sum,
};
use crate::packet::ethernet::{self, MacAddress, ether_type};
use crate::packet::{
    arp, checksum, icmpv4, icmpv6, ipv4, ipv6, octets_at, protocol, put, tcp, u16_at, u32_at, udp,
};

/// Most layers in words; what is deeper is written as octets.
const DEPTH_MAX: usize = 16;

/// The frame's layers as one text.
pub fn frame(frame: &[u8]) -> String {
    (0..=DEPTH_MAX)
        .rev()
        .map(|depth| layers(frame, depth).join(" / "))
        .find(|text| parse::frame(text).as_deref() == Ok(frame))
        .unwrap_or_else(|| hex_layer(frame))
}

fn layers(frame: &[u8], depth: usize) -> Vec<String> {
    let (unpadded, padding) = frame.split_at(unpadded_len(frame));
    let fill = padding.first().copied().unwrap_or_default();
    let is_padding = !padding.is_empty() && padding.iter().all(|&octet| octet == fill);
    if depth < 2 || !is_padding {
        return eth(frame, depth);
    }
    let mut layer = format!("pad {}", frame.len());
    option(&mut layer, "fill", fill, 0);
    let mut layers = eth(unpadded, depth);
    layers.push(layer);
    layers
}

/// Where the padding starts, if the packet in the frame says so.
fn unpadded_len(frame: &[u8]) -> usize {
    let mut at = ethernet::HEADER;
    while let Some(packet) = frame.get(at..) {
        let len = match u16_at(frame, at - 2) {
            ether_type::VLAN | ether_type::QINQ => {
                at += 4;
                continue;
            }
            ether_type::ARP => arp::PACKET,
            ether_type::IPV4 if packet.len() >= ipv4::HEADER => {
                match usize::from(u16_at(packet, 2)) {
                    len if len < ipv4_header_len(packet) => packet.len(),
                    len => len,
                }
            }
            ether_type::IPV6 if packet.len() >= ipv6::HEADER => {
                ipv6::HEADER + usize::from(u16_at(packet, 4))
            }
            _ => packet.len(),
        };
        return at + len.min(packet.len());
    }
    frame.len()
}

/// Add ` name value` to `layer` unless the value is the one that goes without saying.
fn option<T: PartialEq + Display>(layer: &mut String, name: &str, value: T, usual: T) {
    if value != usual {
        let _ = write!(layer, " {name} {value}");
    }
}

/// As [`option`], in hexadecimal with all digits that the type has.
fn option_hex<T: PartialEq + LowerHex>(layer: &mut String, name: &str, value: T, usual: T) {
    if value != usual {
        let width = 2 + 2 * size_of::<T>();
        let _ = write!(layer, " {name} {value:#0width$x}");
    }
}

fn option_octets(layer: &mut String, name: &str, octets: &[u8]) {
    if !octets.is_empty() {
        let _ = write!(layer, " {name} {}", hex(octets));
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

fn hex_layer(octets: &[u8]) -> String {
    format!("hex {}", hex(octets)).trim_end().to_owned()
}

fn chain(layer: String, mut inner: Vec<String>) -> Vec<String> {
    inner.insert(0, layer);
    inner
}

/// Octets without further meaning.
fn data(octets: &[u8]) -> Vec<String> {
    match octets.len() {
        0 => vec![],
        len if counting(len).eq(octets.iter().copied()) => vec![format!("data {len}")],
        _ => vec![hex_layer(octets)],
    }
}

fn eth(octets: &[u8], depth: usize) -> Vec<String> {
    let Some(view) = ethernet::View::new(octets).filter(|_| depth > 0) else {
        return vec![hex_layer(octets)];
    };
    let inner = network(view.ether_type(), view.payload(), view.source(), depth - 1);
    let mut layer = format!("eth {} > {}", view.source(), view.destination());
    option_hex(&mut layer, "type", view.ether_type(), ether_type_of(&inner));
    chain(layer, inner)
}

fn network(ether_type: u16, octets: &[u8], source: MacAddress, depth: usize) -> Vec<String> {
    if depth == 0 {
        return data(octets);
    }
    match ether_type {
        ether_type::VLAN | ether_type::QINQ if octets.len() >= 4 => vlan(octets, source, depth),
        ether_type::ARP if octets.len() >= arp::PACKET => arp(octets, source),
        ether_type::IPV4 => ip(octets, depth),
        ether_type::IPV6 => ip6(octets, depth),
        _ => data(octets),
    }
}

fn vlan(octets: &[u8], source: MacAddress, depth: usize) -> Vec<String> {
    let (control, ether_type) = (u16_at(octets, 0), u16_at(octets, 2));
    let inner = network(ether_type, &octets[4..], source, depth - 1);
    let mut layer = format!("vlan {}", control & 0xfff);
    option(&mut layer, "prio", control >> 13, 0);
    if control & 0x1000 != 0 {
        layer += " dei";
    }
    option_hex(&mut layer, "type", ether_type, ether_type_of(&inner));
    chain(layer, inner)
}

fn arp(octets: &[u8], source: MacAddress) -> Vec<String> {
    let mac = |at| MacAddress(octets_at(octets, at));
    let address = |at| Ipv4Addr::from_octets(octets_at(octets, at));
    let (sender_mac, sender, target_mac, target) = (mac(8), address(14), mac(18), address(24));
    let operation = u16_at(octets, 6);
    let mut layer = String::from("arp");
    if operation == 2 {
        let _ = write!(layer, " reply {sender} is-at {sender_mac} to {target} {target_mac}");
    } else {
        let _ = write!(layer, " request who {target} tell {sender}");
        option(&mut layer, "from", sender_mac, source);
        option(&mut layer, "to", target_mac, MacAddress::ZERO);
        option(&mut layer, "op", operation, 1);
    }
    option(&mut layer, "htype", u16_at(octets, 0), 1);
    option_hex(&mut layer, "ptype", u16_at(octets, 2), ether_type::IPV4);
    option(&mut layer, "hlen", octets[4], 6);
    option(&mut layer, "plen", octets[5], 4);
    chain(layer, data(&octets[arp::PACKET..]))
}

/// How much of `packet` is the header, also where its header length is not to be believed.
fn ipv4_header_len(packet: &[u8]) -> usize {
    let len = usize::from(packet[0] & 0x0f) * 4;
    if (ipv4::HEADER..=packet.len()).contains(&len) { len } else { ipv4::HEADER }
}

fn ip(packet: &[u8], depth: usize) -> Vec<String> {
    if packet.len() < ipv4::HEADER {
        return data(packet);
    }
    let (header, payload) = packet.split_at(ipv4_header_len(packet));
    let source = Ipv4Addr::from_octets(octets_at(header, 12));
    let destination = Ipv4Addr::from_octets(octets_at(header, 16));
    let fragment = u16_at(header, 6);
    let is_later = fragment & 0x1fff != 0;
    let outer = Outer::V4(source, destination);
    let inner = if is_later { data(payload) } else { upper(header[9], payload, outer, depth - 1) };
    let mut layer = format!("ip {source} > {destination} ttl {}", header[8]);
    option(&mut layer, "id", u16_at(header, 4), 0);
    option_hex(&mut layer, "tos", header[1], 0);
    for (bit, name) in [(0x8000, " rf"), (0x4000, " df"), (0x2000, " mf")] {
        layer += if fragment & bit != 0 { name } else { "" };
    }
    option(&mut layer, "frag", fragment & 0x1fff, 0);
    option(&mut layer, "proto", header[9], protocol_of(&inner));
    option(&mut layer, "len", usize::from(u16_at(header, 2)), packet.len());
    option(&mut layer, "ihl", usize::from(header[0] & 0x0f), header.len() / 4);
    option(&mut layer, "version", header[0] >> 4, 4);
    option_octets(&mut layer, "opt", &header[ipv4::HEADER..]);
    option_hex(&mut layer, "sum", u16_at(header, 10), checksum::of(&without_sum(header, 10)));
    chain(layer, inner)
}

/// A copy of `octets` with zeros where the checksum is.
fn without_sum(octets: &[u8], at: usize) -> Vec<u8> {
    let mut copy = octets.to_vec();
    put(&mut copy, at, &[0, 0]);
    copy
}

fn ip6(packet: &[u8], depth: usize) -> Vec<String> {
    let Some((header, payload)) = packet.split_at_checked(ipv6::HEADER) else {
        return data(packet);
    };
    let source = Ipv6Addr::from_octets(octets_at(header, 8));
    let destination = Ipv6Addr::from_octets(octets_at(header, 24));
    let inner = upper(header[6], payload, Outer::V6(source, destination), depth - 1);
    let first = u32_at(header, 0);
    let mut layer = format!("ip6 {source} > {destination} hlim {}", header[7]);
    option_hex(&mut layer, "class", header[0] << 4 | header[1] >> 4, 0);
    option(&mut layer, "flow", first & 0xf_ffff, 0);
    option(&mut layer, "next", header[6], protocol_of(&inner));
    option(&mut layer, "len", usize::from(u16_at(header, 4)), payload.len());
    option(&mut layer, "version", first >> 28, 6);
    chain(layer, inner)
}

/// What an IP header or an IPv6 extension header is followed by.
fn upper(protocol: u8, octets: &[u8], outer: Outer, depth: usize) -> Vec<String> {
    if depth == 0 {
        return data(octets);
    }
    let is_v6 = matches!(outer, Outer::V6(..));
    match protocol {
        protocol::UDP if octets.len() >= udp::HEADER => udp(octets, outer),
        protocol::TCP if octets.len() >= tcp::HEADER => tcp(octets, outer),
        protocol::ICMP if octets.len() >= icmpv4::HEADER => icmp(octets, depth),
        protocol::ICMPV6 if octets.len() >= icmpv6::HEADER => icmp6(octets, outer, depth),
        protocol::IPV4 => ip(octets, depth),
        protocol::IPV6 => ip6(octets, depth),
        protocol::HOP_BY_HOP if is_v6 => extension("hbh", octets, outer, depth),
        protocol::DESTINATION_OPTIONS if is_v6 => extension("dstopt", octets, outer, depth),
        protocol::ROUTING if is_v6 => extension("routing", octets, outer, depth),
        protocol::FRAGMENT if is_v6 && octets.len() >= 8 => fragment(octets, outer, depth),
        _ => data(octets),
    }
}

fn extension(name: &str, octets: &[u8], outer: Outer, depth: usize) -> Vec<String> {
    let len = octets.get(1).map_or(0, |&units| (usize::from(units) + 1) * 8);
    let Some((header, rest)) = octets.split_at_checked(len).filter(|_| len != 0) else {
        return data(octets);
    };
    let inner = upper(header[0], rest, outer, depth - 1);
    let mut layer = format!("{name} {}", hex(&header[2..]));
    option(&mut layer, "next", header[0], protocol_of(&inner));
    chain(layer, inner)
}

fn fragment(octets: &[u8], outer: Outer, depth: usize) -> Vec<String> {
    let (header, rest) = octets.split_at(8);
    let offset = u16_at(header, 2);
    let is_first = offset >> 3 == 0;
    let inner = if is_first { upper(header[0], rest, outer, depth - 1) } else { data(rest) };
    let mut layer = format!("fragment {}", offset >> 3);
    if offset & 1 != 0 {
        layer += " mf";
    }
    option(&mut layer, "id", u32_at(header, 4), 0);
    option(&mut layer, "next", header[0], protocol_of(&inner));
    chain(layer, inner)
}

fn udp(octets: &[u8], outer: Outer) -> Vec<String> {
    let mut layer = format!("udp {} > {}", u16_at(octets, 0), u16_at(octets, 2));
    option(&mut layer, "len", usize::from(u16_at(octets, 4)), octets.len());
    let right = transport_sum(outer, protocol::UDP, &without_sum(octets, udp::CHECKSUM));
    option_hex(&mut layer, "sum", u16_at(octets, udp::CHECKSUM), right);
    chain(layer, data(&octets[udp::HEADER..]))
}

fn tcp(octets: &[u8], outer: Outer) -> Vec<String> {
    let offset = usize::from(octets[12] >> 4);
    let is_possible = (tcp::HEADER..=octets.len()).contains(&(offset * 4));
    let header_len = if is_possible { offset * 4 } else { tcp::HEADER };
    let mut layer = format!("tcp {} > {}", u16_at(octets, 0), u16_at(octets, 2));
    option(&mut layer, "seq", u32_at(octets, 4), 0);
    option(&mut layer, "ack", u32_at(octets, 8), 0);
    let _ = write!(layer, " flags {}", tcp_flags(octets[13]));
    option(&mut layer, "win", u16_at(octets, 14), 0xffff);
    option(&mut layer, "urg", u16_at(octets, 18), 0);
    option(&mut layer, "off", offset, header_len / 4);
    option_octets(&mut layer, "opt", &octets[tcp::HEADER..header_len]);
    let right = transport_sum(outer, protocol::TCP, &without_sum(octets, tcp::CHECKSUM));
    option_hex(&mut layer, "sum", u16_at(octets, tcp::CHECKSUM), right);
    chain(layer, data(&octets[header_len..]))
}

fn tcp_flags(flags: u8) -> String {
    let set = |&(bit, _): &(usize, char)| flags & 1 << bit != 0;
    let letters: String =
        TCP_FLAGS.into_iter().enumerate().filter(set).map(|(_, letter)| letter).collect();
    if letters.is_empty() { "-".to_owned() } else { letters }
}

fn icmp(octets: &[u8], depth: usize) -> Vec<String> {
    let right = checksum::of(&without_sum(octets, 2));
    let with_mtu = octets[..2] == [3, 4];
    let layer = icmp_header("icmp", octets, &ICMP_NAMES, with_mtu, right);
    chain(layer, icmp_body(octets, icmpv4::is_error(octets[0]), depth))
}

fn icmp6(octets: &[u8], outer: Outer, depth: usize) -> Vec<String> {
    let right = transport_sum(outer, protocol::ICMPV6, &without_sum(octets, 2));
    if let Some(layers) = ndp(octets, right, depth) {
        return layers;
    }
    let layer = icmp_header("icmp6", octets, &ICMP6_NAMES, octets[0] == 2, right);
    chain(layer, icmp_body(octets, icmpv6::is_error(octets[0]), depth))
}

fn icmp_header(
    layer: &str,
    octets: &[u8],
    names: &[(&str, u8)],
    with_mtu: bool,
    right: u16,
) -> String {
    let name = names.iter().find(|&&(_, number)| number == octets[0]).map(|&(name, _)| name);
    let mut layer = match name {
        Some(name) => format!("{layer} {name}"),
        None => format!("{layer} {}", octets[0]),
    };
    if octets[1] != 0 {
        let _ = write!(layer, " {}", octets[1]);
    }
    let rest = u32_at(octets, 4);
    if name.is_some_and(|name| name.starts_with("echo")) {
        let _ = write!(layer, " id {} seq {}", rest >> 16, rest & 0xffff);
    } else if with_mtu {
        option(&mut layer, "mtu", rest, 0);
    } else if rest != 0 {
        let _ = write!(layer, " rest {rest:#010x}");
    }
    option_hex(&mut layer, "sum", u16_at(octets, 2), right);
    layer
}

fn icmp_body(octets: &[u8], is_error: bool, depth: usize) -> Vec<String> {
    let body = &octets[8..];
    let version = body.first().map(|first| first >> 4);
    match version {
        Some(4) if is_error && depth > 1 => chain("quote".to_owned(), ip(body, depth - 1)),
        Some(6) if is_error && depth > 1 => chain("quote".to_owned(), ip6(body, depth - 1)),
        _ => data(body),
    }
}

/// A solicitation, an advertisement or a redirect, with the options that it has.
fn ndp(octets: &[u8], right: u16, depth: usize) -> Option<Vec<String>> {
    let mut quote = Vec::new();
    let (mut layer, options) = match octets[0] {
        133 => ("rs".to_owned(), octets.get(8..)?),
        kind @ (135 | 136) => {
            let target = Ipv6Addr::from_octets(*octets.get(8..)?.first_chunk()?);
            let name = if kind == 135 { "ns" } else { "na" };
            (format!("{name} {target}"), octets.get(24..)?)
        }
        137 => {
            let target = Ipv6Addr::from_octets(*octets.get(8..)?.first_chunk()?);
            let destination = Ipv6Addr::from_octets(*octets.get(24..)?.first_chunk()?);
            let (options, packet) = split_redirected(octets.get(40..)?);
            if depth > 1 && !packet.is_empty() {
                quote = chain("quote".to_owned(), ip6(packet, depth - 1));
            }
            let options = if quote.is_empty() { &octets[40..] } else { options };
            (format!("rd {target} {destination}"), options)
        }
        _ => return None,
    };
    let flags: String =
        NDP_FLAGS.iter().filter(|&&(_, bit)| octets[4] & bit != 0).map(|&(flag, _)| flag).collect();
    if !flags.is_empty() {
        let _ = write!(layer, " flags {flags}");
    }
    ndp_options(&mut layer, options);
    option(&mut layer, "code", octets[1], 0);
    option_hex(&mut layer, "sum", u16_at(octets, 2), right);
    Some(chain(layer, quote))
}

/// The options before the redirected header (RFC 4861 4.6.3), and the packet that it quotes.
fn split_redirected(options: &[u8]) -> (&[u8], &[u8]) {
    let is_it = |at: &usize| {
        let whole = (options.len() - at) / 8;
        options[*at] == 4
            && usize::from(options[at + 1]) == whole
            && whole * 8 == options.len() - at
    };
    let heads = (0..options.len().saturating_sub(7)).step_by(8);
    match heads.take(3).find(is_it) {
        Some(at) => (&options[..at], &options[at + 8..]),
        None => (options, &[]),
    }
}

fn ndp_options(layer: &mut String, mut options: &[u8]) {
    while let Some((option, rest)) = options.split_first_chunk::<8>() {
        let name = match option[..2] {
            [1, 1] => "slla",
            [2, 1] => "tlla",
            _ => break,
        };
        let _ = write!(layer, " {name} {}", MacAddress(octets_at(option, 2)));
        options = rest;
    }
    option_octets(layer, "opt", options);
}
