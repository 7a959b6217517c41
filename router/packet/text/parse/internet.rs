//! From words to octets: IP and its extension headers.
#![forbid(unsafe_code)]

use super::{Octets, Outer, build, name, protocol_of, u16_of};
use crate::packet::text::words::Words;
use crate::packet::{checksum, ipv4, put};

/// The layer `ip`.
pub fn ip(mut words: Words, inner: &[&str]) -> Octets {
    let (source, destination) = words.pair()?;
    let payload = build(inner, Outer::V4(source, destination))?;
    let (mut version, mut ihl, mut len, mut sum) = (4, None, None, None);
    let (mut tos, mut id, mut fragment) = (0, 0u16, 0);
    let (mut ttl, mut protocol) = (64, protocol_of(inner));
    let mut options = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "ttl" => ttl = words.number()?,
            "id" => id = words.number()?,
            "tos" => tos = words.number()?,
            "rf" => fragment |= 0x8000,
            "df" => fragment |= 0x4000,
            "mf" => fragment |= 0x2000,
            "frag" => fragment |= words.below(0x2000)?,
            "proto" => protocol = words.number()?,
            "len" => len = Some(words.number()?),
            "ihl" => ihl = Some(words.below(16)?),
            "version" => version = words.below(16)?,
            "opt" => options = words.hex()?,
            "sum" => sum = Some(words.number()?),
            _ => return words.unknown(word),
        }
    }
    options.resize(options.len().next_multiple_of(4), 0);
    let header_len = ipv4::HEADER + options.len();
    if header_len > ipv4::HEADER_MAX {
        return Err(words.error("has room for 40 octets of options"));
    }
    let len = len.map_or_else(|| u16_of(header_len + payload.len(), &words), Ok)?;
    let ihl = ihl.map_or_else(|| u16_of(header_len / 4, &words), Ok)?;
    let mut packet = (version << 12 | ihl << 8 | tos).to_be_bytes().to_vec();
    packet.extend([len.to_be_bytes(), id.to_be_bytes(), fragment.to_be_bytes()].concat());
    packet.extend([ttl, protocol, 0, 0]);
    packet.extend([source.octets(), destination.octets()].concat());
    packet.extend(options);
    let sum: u16 = sum.unwrap_or_else(|| checksum::of(&packet));
    put(&mut packet, 10, &sum.to_be_bytes());
    packet.extend(payload);
    Ok(packet)
}

/// The layer `ip6`.
pub fn ip6(mut words: Words, inner: &[&str]) -> Octets {
    let (source, destination) = words.pair()?;
    let payload = build(inner, Outer::V6(source, destination))?;
    let (mut version, mut class, mut flow) = (6, 0u8, 0u32);
    let (mut len, mut next, mut hop_limit) = (None, protocol_of(inner), hop_limit_for(inner));
    while let Some(word) = words.next() {
        match word {
            "hlim" => hop_limit = words.number()?,
            "class" => class = words.number()?,
            "flow" => flow = words.number()?,
            "next" => next = words.number()?,
            "len" => len = Some(words.number()?),
            "version" => version = words.below(16)?,
            _ => return words.unknown(word),
        }
    }
    let len: u16 = len.map_or_else(|| u16_of(payload.len(), &words), Ok)?;
    let first = u32::from(version) << 28 | u32::from(class) << 20 | flow & 0xf_ffff;
    let mut packet = first.to_be_bytes().to_vec();
    packet.extend(len.to_be_bytes());
    packet.extend([next, hop_limit]);
    packet.extend([source.octets(), destination.octets()].concat());
    packet.extend(payload);
    Ok(packet)
}

/// RFC 4861 7.1: its messages carry 255.
fn hop_limit_for(inner: &[&str]) -> u8 {
    let is_ndp =
        inner.first().is_some_and(|layer| matches!(name(layer), "ns" | "na" | "rs" | "rd"));
    if is_ndp { 255 } else { 64 }
}

/// The layers `hbh`, `dstopt` and `routing`.
pub fn extension(mut words: Words, inner: &[&str], outer: Outer) -> Octets {
    let (mut body, mut next, mut len) = (Vec::new(), protocol_of(inner), None);
    while let Some(word) = words.next() {
        match word {
            "next" => next = words.number()?,
            "len" => len = Some(words.number()?),
            hex => body = words.as_hex(hex)?,
        }
    }
    body.resize((body.len() + 2).next_multiple_of(8) - 2, 0);
    let units = u8::try_from(body.len() / 8).map_err(|_| words.error("is too long"))?;
    let mut packet = vec![next, len.unwrap_or(units)];
    packet.extend(body);
    packet.extend(build(inner, outer)?);
    Ok(packet)
}

/// The layer `fragment`.
pub fn fragment(mut words: Words, inner: &[&str], outer: Outer) -> Octets {
    let (mut offset, mut id, mut next) = (words.below(0x2000)? << 3, 0u32, protocol_of(inner));
    while let Some(word) = words.next() {
        match word {
            "mf" => offset |= 1,
            "id" => id = words.number()?,
            "next" => next = words.number()?,
            _ => return words.unknown(word),
        }
    }
    let mut packet = vec![next, 0];
    packet.extend(offset.to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend(build(inner, outer)?);
    Ok(packet)
}
