//! The redirect of neighbour discovery (RFC 4861 4.5), as a router writes it. Nobody here reads one.
#![forbid(unsafe_code)]

use std::net::Ipv6Addr;

use super::ndp::Station;
use super::{icmpv6, put};

/// Length of the message before the quote, in octets, its two options' heads included.
pub const HEADER: usize = 56;
/// The quote's length is a multiple of this (RFC 4861 4.6: options are).
pub const QUOTE_UNIT: usize = 8;
/// The hop limit that proves that no router has forwarded a message (RFC 4861 8.1).
pub const HOP_LIMIT: u8 = 255;

const TARGET_LINK_LAYER: u8 = 2;
const REDIRECTED_HEADER: u8 = 4;

/// Write the message by which the router `source` tells `host` that `better` is a better first hop
/// for packets to `destination` to the front of `message`, behind whose first [`HEADER`] octets the
/// quote is in place already, and the checksum over all of it. Returns the length of the message;
/// nothing if there is no room, or the quote is no multiple of [`QUOTE_UNIT`] or too long.
pub fn write(
    message: &mut [u8],
    source: Ipv6Addr,
    host: Ipv6Addr,
    better: Station,
    destination: Ipv6Addr,
) -> Option<usize> {
    let quote = message.len().checked_sub(HEADER)?;
    if !quote.is_multiple_of(QUOTE_UNIT) {
        return None;
    }
    let units = u8::try_from(1 + quote / QUOTE_UNIT).ok()?;
    put(message, 0, &[icmpv6::Type::Redirect as u8, 0, 0, 0, 0, 0, 0, 0]);
    put(message, 8, &better.address.octets());
    put(message, 24, &destination.octets());
    put(message, 40, &[TARGET_LINK_LAYER, 1]);
    put(message, 42, &better.mac.octets());
    put(message, 48, &[REDIRECTED_HEADER, units, 0, 0, 0, 0, 0, 0]);
    icmpv6::write_checksum(message, source, host);
    Some(message.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::ethernet::MacAddress;

    const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const HOST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);
    const DESTINATION: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 7);
    const BETTER: Station = Station {
        mac: MacAddress([2, 0, 0, 0, 0, 3]),
        address: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 3),
    };

    #[test]
    fn golden() {
        let mut message = [0x60; HEADER + 8];
        assert_eq!(write(&mut message, ROUTER, HOST, BETTER, DESTINATION), Some(64));
        assert!(icmpv6::is_checksum_valid(&message, ROUTER, HOST));
        put(&mut message, 2, &[0, 0]);
        #[rustfmt::skip]
        let golden = [
            137, 0, 0, 0, 0, 0, 0, 0,
            0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3,
            0x20, 1, 0x0d, 0xb8, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7,
            2, 1, 2, 0, 0, 0, 0, 3,
            4, 2, 0, 0, 0, 0, 0, 0,
            0x60, 0x60, 0x60, 0x60, 0x60, 0x60, 0x60, 0x60,
        ];
        assert_eq!(message, golden);
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let mut message = [0; 4096];
        for length in [0, HEADER - 1, HEADER + 1, HEADER + 8 * 255] {
            let written = write(&mut message[..length], ROUTER, HOST, BETTER, DESTINATION);
            assert_eq!(written, None, "{length}");
        }
    }
}
