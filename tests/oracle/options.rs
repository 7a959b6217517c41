//! What can be said of the IPv4 options and of the IPv6 hop-by-hop options of a packet.

use std::net::Ipv4Addr;

use xrouter::packet::ethernet::HEADER;
use xrouter::packet::ipv4_options::{Walk, kind};
use xrouter::packet::{hop_by_hop, icmpv4, ipv4};

use super::facts::{Case, blot4, own_error4, view4};

/// The commercial IP security option (FIPS 188).
pub const CIPSO: u8 = 134;
/// What Linux reads of a hop-by-hop header and xrouter does not: labels (RFC 5570), and data of the
/// operator's own (RFC 9486).
const READ_BY_LINUX: [u8; 2] = [7, 0x31];

const TIMESTAMP_HEADER: usize = 4;
const WITH_ADDRESS: u8 = 1;
const PRESPECIFIED: u8 = 3;

impl Case<'_> {
    pub fn has_options(&self) -> bool {
        self.view4().is_some_and(|view| !view.options().is_empty())
    }

    /// Whether one of the IPv4 options, as far as they can be walked over, is so.
    pub fn has_option(&self, holds: fn(&[u8]) -> bool) -> bool {
        let options = self.view4().map(|view| view.options()).unwrap_or_default();
        places(options).into_iter().any(|(start, end)| holds(&options[start..end]))
    }

    pub fn has_source_route(&self) -> bool {
        self.has_option(|option| {
            matches!(option[0], kind::LOOSE_SOURCE_ROUTE | kind::STRICT_SOURCE_ROUTE)
        })
    }

    /// Whether a route is to be recorded or to be followed that has no room for whole addresses.
    pub fn has_odd_route(&self) -> bool {
        self.has_option(|option| {
            let is_route = matches!(
                option[0],
                kind::RECORD_ROUTE | kind::LOOSE_SOURCE_ROUTE | kind::STRICT_SOURCE_ROUTE
            );
            is_route && option.len() % 4 != 3
        })
    }

    pub fn has_hop_option_of_linux(&self) -> bool {
        let options = self.view6().and_then(|view| hop_by_hop::Options::of(&view));
        let mut known = options.into_iter().flatten().filter_map(Result::ok);
        known.any(|option| READ_BY_LINUX.contains(&option.kind))
    }
}

/// Where each option begins and ends.
fn places(options: &[u8]) -> Vec<(usize, usize)> {
    let mut walk = Walk::default();
    let places = std::iter::from_fn(|| walk.step(options).ok().flatten());
    places.map(|place| (place.start, place.end)).collect()
}

/// A time stamp that goes with the address of who writes it.
pub fn is_stamp_with_address(option: &[u8]) -> bool {
    stamp(option).is_some_and(|(mode, _)| mode == WITH_ADDRESS)
}

/// A time stamp whose next one is for an address that is no host's.
pub fn is_stamp_for_nobody(option: &[u8]) -> bool {
    let Some((PRESPECIFIED, slot)) = stamp(option) else { return false };
    let named = option.get(slot..).and_then(<[u8]>::first_chunk::<4>).copied();
    named.map(Ipv4Addr::from).is_some_and(|named| {
        let [first, .., last] = named.octets();
        first == 0 || first == 127 || first >= 224 || last == 255
    })
}

/// What a time stamp option asks for, and where the next one goes.
fn stamp(option: &[u8]) -> Option<(u8, usize)> {
    let [kind::TIMESTAMP, _, pointer, flags, ..] = *option else { return None };
    Some((flags & 0x0f, usize::from(pointer).saturating_sub(1)))
}

/// All options of a packet that is forwarded.
pub fn blot_options(octets: &mut [u8]) -> bool {
    let length = view4(octets).filter(|_| !own_error4(octets)).map(|view| view.options().len());
    length.is_some_and(|length| blot4(octets, ipv4::HEADER, length))
}

/// The times in a packet's time stamp options.
pub fn blot_times(octets: &mut [u8]) -> bool {
    blot_stamps(octets, |option| {
        let (mode, _) = stamp(option).unwrap_or_default();
        let with_address = matches!(mode, WITH_ADDRESS | PRESPECIFIED);
        for (number, word) in option[TIMESTAMP_HEADER..].chunks_mut(4).enumerate() {
            if !with_address || number % 2 == 1 {
                word.fill(0);
            }
        }
    })
}

/// All that routers write into a packet's time stamp options.
pub fn blot_stamps_whole(octets: &mut [u8]) -> bool {
    blot_stamps(octets, |option| option[2..].fill(0))
}

fn blot_stamps(octets: &mut [u8], blot: fn(&mut [u8])) -> bool {
    let Some(length) = view4(octets).map(|view| view.header_len()) else { return false };
    let options = &mut octets[HEADER + ipv4::HEADER..HEADER + length];
    let stamps: Vec<_> =
        places(options).into_iter().filter(|&(s, e)| stamp(&options[s..e]).is_some()).collect();
    stamps.iter().for_each(|&(start, end)| blot(&mut options[start..end]));
    !stamps.is_empty() && blot4(octets, 10, 2)
}

/// The options of an ICMP error, which quotes the less the more it has. What is left is the quoted
/// header without its own options, and 8 octets.
pub fn without_options(octets: &mut Vec<u8>) -> bool {
    let Some(start) = view4(octets).map(|view| view.header_len()) else { return false };
    if !own_error4(octets) {
        return false;
    }
    octets.drain(HEADER + ipv4::HEADER..HEADER + start);
    let (header, message) = octets[HEADER..].split_at_mut(ipv4::HEADER);
    header[0] = 0x45;
    header[2..4].fill(0);
    ipv4::write_checksum(header);
    message[2..4].fill(0);
    let quote = &mut message[icmpv4::HEADER..];
    let length = quote.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    quote.get_mut(ipv4::HEADER..length).into_iter().for_each(|options| options.fill(0));
    // Its hops and its length, too: it may have waited for a neighbour (without_quoted_way).
    for field in [2..4, 6..9, 10..12] {
        quote.get_mut(field).into_iter().for_each(|field| field.fill(0));
    }
    octets.truncate(HEADER + ipv4::HEADER + icmpv4::HEADER + length + 8);
    true
}
