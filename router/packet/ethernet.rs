//! Ethernet II: MAC addresses and the 14 octets before every packet (RFC 894, RFC 2464).
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::{octets_at, put, u16_at};

/// Length of the header in octets.
pub const HEADER: usize = 14;

/// What the payload of a frame is (IANA "ETHER TYPES"). Values below 0x0600 are lengths (802.3).
pub mod ether_type {
    /// IPv4 (RFC 894).
    pub const IPV4: u16 = 0x0800;
    /// ARP (RFC 826).
    pub const ARP: u16 = 0x0806;
    /// A VLAN tag follows (802.1Q).
    pub const VLAN: u16 = 0x8100;
    /// IPv6 (RFC 2464).
    pub const IPV6: u16 = 0x86dd;
    /// A service VLAN tag follows (802.1ad).
    pub const QINQ: u16 = 0x88a8;
    /// For local experiments (802.1).
    pub const EXPERIMENT: u16 = 0x88b5;
    /// The smallest value that is a type and not an 802.3 length.
    pub const MIN: u16 = 0x0600;
}

/// A 48-bit hardware address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// Every station on the link: ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// All zeros: nobody, or "not known" in an ARP request.
    pub const ZERO: Self = Self([0; 6]);

    /// The six octets in the order sent.
    #[inline]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Whether this is a group address; the broadcast address is one of them.
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether this is the broadcast address.
    #[inline]
    pub fn is_broadcast(self) -> bool {
        self == Self::BROADCAST
    }

    /// Whether a station may send from this address: neither a group nor all zeros.
    #[inline]
    pub fn is_unicast(self) -> bool {
        !self.is_multicast() && self != Self::ZERO
    }

    /// The group address that an IPv4 multicast address maps to (RFC 1112 6.4).
    pub const fn for_ipv4_multicast(group: Ipv4Addr) -> Self {
        let [_, b, c, d] = group.octets();
        Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
    }

    /// The group address that an IPv6 multicast address maps to (RFC 2464 7).
    pub const fn for_ipv6_multicast(group: Ipv6Addr) -> Self {
        let [.., a, b, c, d] = group.octets();
        Self([0x33, 0x33, a, b, c, d])
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is not a MAC address: six octets of two hexadecimal digits with colons between them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotMacAddress;

impl fmt::Display for NotMacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a MAC address; write it like 02:00:00:00:00:01")
    }
}

impl Error for NotMacAddress {}

impl FromStr for MacAddress {
    type Err = NotMacAddress;

    fn from_str(text: &str) -> Result<Self, NotMacAddress> {
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            *octet = parts.next().and_then(hex_octet).ok_or(NotMacAddress)?;
        }
        if parts.next().is_some() { Err(NotMacAddress) } else { Ok(Self(octets)) }
    }
}

/// Exactly two hexadecimal digits; `from_str_radix` alone would also take a sign.
fn hex_octet(text: &str) -> Option<u8> {
    let two_digits = text.len() == 2 && text.bytes().all(|c| c.is_ascii_hexdigit());
    if two_digits { u8::from_str_radix(text, 16).ok() } else { None }
}

/// The header of a frame, as values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Who shall receive the frame.
    pub destination: MacAddress,
    /// Who sent it.
    pub source: MacAddress,
    /// What its payload is; see [`ether_type`].
    pub ether_type: u16,
}

/// A frame with a whole Ethernet header.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    header: &'a [u8; HEADER],
    payload: &'a [u8],
}

impl<'a> View<'a> {
    /// Look at `frame` as Ethernet; nothing if it is shorter than a header.
    #[inline]
    pub fn new(frame: &'a [u8]) -> Option<Self> {
        let (header, payload) = frame.split_first_chunk()?;
        Some(Self { header, payload })
    }

    /// Who shall receive the frame.
    #[inline]
    pub fn destination(&self) -> MacAddress {
        MacAddress(octets_at(self.header, 0))
    }

    /// Who sent the frame.
    #[inline]
    pub fn source(&self) -> MacAddress {
        MacAddress(octets_at(self.header, 6))
    }

    /// What the payload is; see [`ether_type`].
    #[inline]
    pub fn ether_type(&self) -> u16 {
        u16_at(self.header, 12)
    }

    /// All three fields.
    #[inline]
    pub fn header(&self) -> Header {
        Header {
            destination: self.destination(),
            source: self.source(),
            ether_type: self.ether_type(),
        }
    }

    /// Everything after the header, padding included.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// Write a header to the front of `out`. Returns its length, [`HEADER`]; nothing if `out` is
/// shorter, and then nothing is written.
#[inline]
pub fn write(
    out: &mut [u8],
    destination: MacAddress,
    source: MacAddress,
    ether_type: u16,
) -> Option<usize> {
    let header = out.first_chunk_mut::<HEADER>()?;
    put(header, 0, &destination.octets());
    put(header, 6, &source.octets());
    put(header, 12, &ether_type.to_be_bytes());
    Some(HEADER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: MacAddress = MacAddress([2, 0, 0, 0, 0, 0x0a]);
    const B: MacAddress = MacAddress([2, 0, 0, 0, 0, 0x0b]);

    #[test]
    fn golden_header() {
        let mut out = [0xa5; 16];
        assert_eq!(write(&mut out, B, A, ether_type::IPV6), Some(14));
        assert_eq!(out, [2, 0, 0, 0, 0, 0x0b, 2, 0, 0, 0, 0, 0x0a, 0x86, 0xdd, 0xa5, 0xa5]);
        let view = View::new(&out).unwrap();
        assert_eq!(view.header(), Header { destination: B, source: A, ether_type: 0x86dd });
        assert_eq!(view.payload(), [0xa5, 0xa5]);
    }

    #[test]
    fn a_short_frame_is_no_frame_and_a_short_buffer_stays_untouched() {
        let mut out = [0xa5; 13];
        assert!(View::new(&out).is_none());
        assert_eq!(write(&mut out, A, B, ether_type::ARP), None);
        assert_eq!(out, [0xa5; 13]);
    }

    #[test]
    fn text_form() {
        let mac = MacAddress([0, 0x1b, 0x21, 0xff, 0, 0x0a]);
        assert_eq!(mac.to_string(), "00:1b:21:ff:00:0a");
        assert_eq!("00:1B:21:ff:00:0a".parse(), Ok(mac));
        for wrong in [
            "",
            "00:1b:21:ff:00",
            "00:1b:21:ff:00:0a:01",
            "0:1b:21:ff:00:0a",
            "00:1b:21:ff:00:+a",
            "00-1b-21-ff-00-0a",
            "00:1b:21:ff:00:0g",
        ] {
            assert_eq!(wrong.parse::<MacAddress>(), Err(NotMacAddress), "{wrong}");
        }
    }

    #[test]
    fn groups() {
        let group = MacAddress::for_ipv4_multicast(Ipv4Addr::new(239, 129, 2, 3));
        assert_eq!(group.to_string(), "01:00:5e:01:02:03");
        let group = MacAddress::for_ipv6_multicast("ff02::1:ff00:1234".parse().unwrap());
        assert_eq!(group.to_string(), "33:33:ff:00:12:34");
        assert!(group.is_multicast() && !group.is_broadcast() && !group.is_unicast());
        assert!(MacAddress::BROADCAST.is_multicast() && MacAddress::BROADCAST.is_broadcast());
        assert!(A.is_unicast() && !MacAddress::ZERO.is_unicast());
    }
}
