//! From words to octets: one function for each layer; here those of the link, in `internet` IP and
//! its extension headers, in `upper` what they carry. Layers are built from the inside out, and
//! each knows the addresses of the layer around it.
#![forbid(unsafe_code)]

mod internet;
mod upper;

use std::net::{Ipv4Addr, Ipv6Addr};

use super::words::Words;
use crate::packet::ethernet::{self, MacAddress, ether_type};
use crate::packet::{arp, protocol, put};

pub use upper::{ICMP_NAMES, ICMP6_NAMES, NDP_FLAGS, TCP_FLAGS, transport_sum};

/// Longest frame that a line can make, in octets: an IP datagram of full length, and its tags.
const FRAME_MAX: usize = 0x1_0040;

/// What a layer lies in: the addresses that its fields and its checksum may need.
#[derive(Clone, Copy)]
pub enum Outer {
    /// Nothing that has addresses.
    None,
    /// A frame from this station.
    Ethernet(MacAddress),
    /// An IPv4 packet.
    V4(Ipv4Addr, Ipv4Addr),
    /// An IPv6 packet.
    V6(Ipv6Addr, Ipv6Addr),
}

type Octets = Result<Vec<u8>, String>;

/// The frame that `text`, a line without port and direction, describes.
pub fn frame(text: &str) -> Octets {
    let mut layers: Vec<&str> = text.split('/').collect();
    let padding = layers.pop_if(|layer| name(layer) == "pad");
    let mut frame = build(&layers, Outer::None)?;
    if let Some(layer) = padding {
        pad(Words::new(layer), &mut frame)?;
    }
    Ok(frame)
}

fn pad(mut words: Words, frame: &mut Vec<u8>) -> Result<(), String> {
    words.expect("pad")?;
    let len: usize = words.number()?;
    let fill = match words.next() {
        None => 0,
        Some("fill") => words.number()?,
        Some(word) => return words.unknown(word),
    };
    if !(frame.len()..=FRAME_MAX).contains(&len) {
        return Err(words.error(&format!("the frame has {} octets already", frame.len())));
    }
    frame.resize(len, fill);
    words.end()
}

fn name(layer: &str) -> &str {
    layer.split_ascii_whitespace().next().unwrap_or_default()
}

/// Build the first of `layers` and all that is in it.
fn build(layers: &[&str], outer: Outer) -> Octets {
    let Some((layer, inner)) = layers.split_first() else {
        return Ok(Vec::new());
    };
    let mut words = Words::new(layer);
    match words.take()? {
        "eth" => eth(words, inner),
        "vlan" => vlan(words, inner, outer),
        "arp" => arp(words, inner, outer),
        "ip" => internet::ip(words, inner),
        "ip6" => internet::ip6(words, inner),
        "hbh" | "dstopt" | "routing" => internet::extension(words, inner, outer),
        "fragment" => internet::fragment(words, inner, outer),
        "udp" => upper::udp(words, inner, outer),
        "tcp" => upper::tcp(words, inner, outer),
        "icmp" => upper::icmp(words, inner, &ICMP_NAMES, Outer::None),
        "icmp6" => upper::icmp(words, inner, &ICMP6_NAMES, outer),
        kind @ ("ns" | "na" | "rs" | "rd") => upper::ndp(kind, words, inner, outer),
        "quote" => quote(words, inner),
        "data" => data(words, inner),
        "hex" => hex(words, inner),
        unknown => Err(format!("no layer is called `{unknown}`")),
    }
}

/// The Ethernet type that belongs to the layer `inner` begins with.
pub fn ether_type_of<T: AsRef<str>>(inner: &[T]) -> u16 {
    match inner.first().map_or("", |layer| name(layer.as_ref())) {
        "ip" => ether_type::IPV4,
        "ip6" => ether_type::IPV6,
        "arp" => ether_type::ARP,
        "vlan" => ether_type::VLAN,
        _ => ether_type::EXPERIMENT,
    }
}

/// The protocol or next header number that belongs to the layer `inner` begins with.
pub fn protocol_of<T: AsRef<str>>(inner: &[T]) -> u8 {
    match inner.first().map_or("", |layer| name(layer.as_ref())) {
        "udp" => protocol::UDP,
        "tcp" => protocol::TCP,
        "icmp" => protocol::ICMP,
        "icmp6" | "ns" | "na" | "rs" | "rd" => protocol::ICMPV6,
        "ip" => protocol::IPV4,
        "ip6" => protocol::IPV6,
        "hbh" => protocol::HOP_BY_HOP,
        "dstopt" => protocol::DESTINATION_OPTIONS,
        "routing" => protocol::ROUTING,
        "fragment" => protocol::FRAGMENT,
        _ => protocol::EXPERIMENT,
    }
}

fn eth(mut words: Words, inner: &[&str]) -> Octets {
    let (source, destination) = words.pair()?;
    let mut ether_type = ether_type_of(inner);
    while let Some(word) = words.next() {
        match word {
            "type" => ether_type = words.number()?,
            _ => return words.unknown(word),
        }
    }
    let mut frame = vec![0; ethernet::HEADER];
    ethernet::write(&mut frame, destination, source, ether_type);
    frame.extend(build(inner, Outer::Ethernet(source))?);
    Ok(frame)
}

fn vlan(mut words: Words, inner: &[&str], outer: Outer) -> Octets {
    let mut control = words.below(0x1000)?;
    let mut ether_type = ether_type_of(inner);
    while let Some(word) = words.next() {
        match word {
            "prio" => control |= words.below(8)? << 13,
            "dei" => control |= 1 << 12,
            "type" => ether_type = words.number()?,
            _ => return words.unknown(word),
        }
    }
    let mut tag = [control.to_be_bytes(), ether_type.to_be_bytes()].concat();
    tag.extend(build(inner, outer)?);
    Ok(tag)
}

fn arp(mut words: Words, inner: &[&str], outer: Outer) -> Octets {
    let packet = match words.take()? {
        "request" => arp_request(&mut words, outer)?,
        "reply" => arp_reply(&mut words)?,
        word => return words.unknown(word),
    };
    let mut octets = vec![0; arp::PACKET];
    packet.write(&mut octets);
    while let Some(word) = words.next() {
        match word {
            "from" => put(&mut octets, 8, &words.value::<MacAddress>()?.octets()),
            "to" => put(&mut octets, 18, &words.value::<MacAddress>()?.octets()),
            "op" => put(&mut octets, 6, &words.number::<u16>()?.to_be_bytes()),
            "htype" => put(&mut octets, 0, &words.number::<u16>()?.to_be_bytes()),
            "ptype" => put(&mut octets, 2, &words.number::<u16>()?.to_be_bytes()),
            "hlen" => octets[4] = words.number()?,
            "plen" => octets[5] = words.number()?,
            _ => return words.unknown(word),
        }
    }
    octets.extend(build(inner, Outer::None)?);
    Ok(octets)
}

/// `who ADDRESS tell ADDRESS`, from the frame's own sender.
fn arp_request(words: &mut Words, outer: Outer) -> Result<arp::Packet, String> {
    let sender_mac = match outer {
        Outer::Ethernet(mac) => mac,
        _ => MacAddress::ZERO,
    };
    words.expect("who")?;
    let target_address = words.value()?;
    words.expect("tell")?;
    Ok(arp::Packet {
        operation: arp::Operation::Request,
        sender_mac,
        sender_address: words.value()?,
        target_mac: MacAddress::ZERO,
        target_address,
    })
}

/// `ADDRESS is-at MAC to ADDRESS MAC`.
fn arp_reply(words: &mut Words) -> Result<arp::Packet, String> {
    let sender_address = words.value()?;
    words.expect("is-at")?;
    let sender_mac = words.value()?;
    words.expect("to")?;
    Ok(arp::Packet {
        operation: arp::Operation::Reply,
        sender_mac,
        sender_address,
        target_address: words.value()?,
        target_mac: words.value()?,
    })
}

/// A length as its field takes it.
fn u16_of(len: usize, words: &Words) -> Result<u16, String> {
    u16::try_from(len).map_err(|_| words.error("is longer than its length field can say"))
}

fn quote(mut words: Words, inner: &[&str]) -> Octets {
    let mut quote = build(inner, Outer::None)?;
    while let Some(word) = words.next() {
        match word {
            "cut" => quote.truncate(words.number()?),
            _ => return words.unknown(word),
        }
    }
    Ok(quote)
}

fn data(mut words: Words, inner: &[&str]) -> Octets {
    let len: usize = words.number()?;
    words.end()?;
    if len > FRAME_MAX {
        return Err(words.error("is too long"));
    }
    let mut octets: Vec<u8> = counting(len).collect();
    octets.extend(build(inner, Outer::None)?);
    Ok(octets)
}

/// 0, 1, 2, ... 255, 0, ...
pub fn counting(len: usize) -> impl Iterator<Item = u8> {
    (0..=255).cycle().take(len)
}

fn hex(mut words: Words, inner: &[&str]) -> Octets {
    let mut octets = words.next().map_or(Ok(Vec::new()), |word| words.as_hex(word))?;
    words.end()?;
    octets.extend(build(inner, Outer::None)?);
    Ok(octets)
}
