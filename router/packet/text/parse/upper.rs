//! From words to octets: what IP carries.
#![forbid(unsafe_code)]

use std::net::Ipv6Addr;

use super::{Octets, Outer, build, u16_of};
use crate::packet::ethernet::MacAddress;
use crate::packet::text::words::Words;
use crate::packet::{checksum, icmpv6, protocol, put, tcp, udp};

/// The layer `udp`.
pub fn udp(mut words: Words, inner: &[&str], outer: Outer) -> Octets {
    let (source, destination): (u16, u16) = words.pair()?;
    let payload = build(inner, Outer::None)?;
    let (mut len, mut sum) = (None, None);
    while let Some(word) = words.next() {
        match word {
            "len" => len = Some(words.number()?),
            "sum" => sum = Some(words.number()?),
            _ => return words.unknown(word),
        }
    }
    let len: u16 = len.map_or_else(|| u16_of(udp::HEADER + payload.len(), &words), Ok)?;
    let mut datagram = [source, destination, len, 0].map(u16::to_be_bytes).concat();
    datagram.extend(payload);
    let sum: u16 = sum.unwrap_or_else(|| transport_sum(outer, protocol::UDP, &datagram));
    put(&mut datagram, udp::CHECKSUM, &sum.to_be_bytes());
    Ok(datagram)
}

/// The layer `tcp`.
pub fn tcp(mut words: Words, inner: &[&str], outer: Outer) -> Octets {
    let (source, destination): (u16, u16) = words.pair()?;
    let (mut seq, mut ack, mut flags) = (0u32, 0u32, tcp::flag::SYN);
    let (mut window, mut urgent, mut offset, mut sum) = (0xffffu16, 0u16, None, None);
    let mut options = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "seq" => seq = words.number()?,
            "ack" => ack = words.number()?,
            "flags" => flags = tcp_flags(&mut words)?,
            "win" => window = words.number()?,
            "urg" => urgent = words.number()?,
            "off" => offset = Some(words.below(16)?),
            "opt" => options = words.hex()?,
            "sum" => sum = Some(words.number()?),
            _ => return words.unknown(word),
        }
    }
    options.resize(options.len().next_multiple_of(4), 0);
    let header_len = tcp::HEADER + options.len();
    let offset: u16 = offset.map_or_else(|| u16_of(header_len / 4, &words), Ok)?;
    if header_len > 60 {
        return Err(words.error("has room for 40 octets of options"));
    }
    let mut segment = [source, destination].map(u16::to_be_bytes).concat();
    segment.extend([seq, ack].map(u32::to_be_bytes).concat());
    segment.extend(
        [offset << 12 | u16::from(flags), window, 0, urgent].map(u16::to_be_bytes).concat(),
    );
    segment.extend(options);
    segment.extend(build(inner, Outer::None)?);
    let sum: u16 = sum.unwrap_or_else(|| transport_sum(outer, protocol::TCP, &segment));
    put(&mut segment, tcp::CHECKSUM, &sum.to_be_bytes());
    Ok(segment)
}

/// The control bits' letters, from the lowest bit on.
pub const TCP_FLAGS: [char; 8] = ['F', 'S', 'R', 'P', 'A', 'U', 'E', 'C'];

/// Letters, or `-` for none.
fn tcp_flags(words: &mut Words) -> Result<u8, String> {
    let word = words.take()?;
    let letters = if word == "-" { "" } else { word };
    letters.chars().try_fold(0, |flags, letter| {
        match TCP_FLAGS.iter().position(|&known| known == letter) {
            Some(bit) => Ok(flags | 1 << bit),
            None => words.unknown(word),
        }
    })
}

/// The checksum of `segment`, whose checksum field is zero.
pub fn transport_sum(outer: Outer, protocol: u8, segment: &[u8]) -> u16 {
    let len = u32::try_from(segment.len()).unwrap_or_default();
    let pseudo = match outer {
        Outer::V4(source, destination) => {
            let len = u16::try_from(len).unwrap_or_default();
            checksum::pseudo_v4(source, destination, protocol, len)
        }
        Outer::V6(source, destination) => checksum::pseudo_v6(source, destination, protocol, len),
        Outer::None | Outer::Ethernet(_) => 0,
    };
    match checksum::finish(checksum::combine(pseudo, checksum::sum(segment))) {
        0 if protocol == protocol::UDP => 0xffff,
        sum => sum,
    }
}

/// Names of ICMP types.
pub const ICMP_NAMES: [(&str, u8); 6] = [
    ("echo-reply", 0),
    ("unreachable", 3),
    ("redirect", 5),
    ("echo-request", 8),
    ("time-exceeded", 11),
    ("parameter-problem", 12),
];

/// Names of ICMPv6 types.
pub const ICMP6_NAMES: [(&str, u8); 6] = [
    ("unreachable", 1),
    ("too-big", 2),
    ("time-exceeded", 3),
    ("parameter-problem", 4),
    ("echo-request", 128),
    ("echo-reply", 129),
];

/// The layers `icmp` and `icmp6`, which differ in their names and in what they sum.
pub fn icmp(mut words: Words, inner: &[&str], names: &[(&str, u8)], outer: Outer) -> Octets {
    let word = words.take()?;
    let named = names.iter().find(|&&(name, _)| name == word).map(|&(_, number)| number);
    let number = named.map_or_else(|| words.as_number(word), Ok)?;
    let (mut code, mut rest, mut sum) = (0, 0u32, None);
    while let Some(word) = words.next() {
        match word {
            "id" => rest |= u32::from(words.number::<u16>()?) << 16,
            "seq" => rest |= u32::from(words.number::<u16>()?),
            "rest" | "mtu" => rest = words.number()?,
            "sum" => sum = Some(words.number()?),
            word => code = words.as_number(word)?,
        }
    }
    let mut message = vec![number, code, 0, 0];
    message.extend(rest.to_be_bytes());
    message.extend(build(inner, Outer::None)?);
    set_icmp_sum(&mut message, sum, outer);
    Ok(message)
}

fn set_icmp_sum(message: &mut [u8], sum: Option<u16>, outer: Outer) {
    let sum = sum.unwrap_or_else(|| transport_sum(outer, protocol::ICMPV6, message));
    put(message, 2, &sum.to_be_bytes());
}

/// The layers `ns`, `na` and `rs`.
pub fn ndp(kind: &str, mut words: Words, inner: &[&str], outer: Outer) -> Octets {
    let kind = match kind {
        "rs" => icmpv6::Type::RouterSolicitation,
        "ns" => icmpv6::Type::NeighbourSolicitation,
        "rd" => icmpv6::Type::Redirect,
        _ => icmpv6::Type::NeighbourAdvertisement,
    };
    let mut message = vec![kind as u8, 0, 0, 0, 0, 0, 0, 0];
    if kind != icmpv6::Type::RouterSolicitation {
        message.extend(words.value::<Ipv6Addr>()?.octets());
    }
    if kind == icmpv6::Type::Redirect {
        message.extend(words.value::<Ipv6Addr>()?.octets());
    }
    let mut sum = None;
    while let Some(word) = words.next() {
        match word {
            "flags" => message[4] = ndp_flags(&mut words)?,
            "slla" => link_layer_option(&mut message, 1, words.value()?),
            "tlla" => link_layer_option(&mut message, 2, words.value()?),
            "opt" => message.extend(words.hex()?),
            "code" => message[1] = words.number()?,
            "sum" => sum = Some(words.number()?),
            _ => return words.unknown(word),
        }
    }
    let inner = build(inner, Outer::None)?;
    if kind == icmpv6::Type::Redirect && !inner.is_empty() {
        redirected_header(&mut message, inner.len(), &words)?;
    }
    message.extend(inner);
    set_icmp_sum(&mut message, sum, outer);
    Ok(message)
}

/// The head of the option that quotes the packet (RFC 4861 4.6.3).
fn redirected_header(message: &mut Vec<u8>, quote: usize, words: &Words) -> Result<(), String> {
    let units = u8::try_from(1 + quote / 8).ok().filter(|_| quote.is_multiple_of(8));
    let units = units.ok_or_else(|| words.error("quotes no multiple of 8 octets, or too many"))?;
    message.extend([4, units, 0, 0, 0, 0, 0, 0]);
    Ok(())
}

fn link_layer_option(message: &mut Vec<u8>, kind: u8, mac: MacAddress) {
    message.extend([kind, 1]);
    message.extend(mac.octets());
}

/// The flags of an advertisement, from the highest bit on: router, solicited, override.
pub const NDP_FLAGS: [(char, u8); 3] = [('r', 0x80), ('s', 0x40), ('o', 0x20)];

fn ndp_flags(words: &mut Words) -> Result<u8, String> {
    let word = words.take()?;
    word.chars().try_fold(0, |flags, letter| {
        match NDP_FLAGS.iter().find(|&&(known, _)| known == letter) {
            Some(&(_, bit)) => Ok(flags | bit),
            None => words.unknown(word),
        }
    })
}
