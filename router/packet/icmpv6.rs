//! ICMP for IPv6 (RFC 4443): the messages that a router knows, and the errors that it writes.
//!
//! When an error may be sent at all is decided elsewhere; see RFC 4443 2.4 (e) first. Neighbour
//! discovery has a module of its own, [`super::ndp`].
#![forbid(unsafe_code)]

use std::net::Ipv6Addr;

use super::{checksum, ipv6, protocol, put, u16_at};

/// Length of the header of an error message, before the quote, and of an echo, before its data.
pub const HEADER: usize = 8;
/// Longest packet that an error makes, in octets, its IPv6 header included (RFC 4443 2.4 (c)).
pub const ERROR_PACKET_MAX: usize = ipv6::MTU_MIN as usize;

/// Message types (IANA "ICMPv6 Parameters") that have a meaning here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Type {
    /// An error: see [`Unreachable`].
    Unreachable = 1,
    /// An error: longer than the next link's MTU.
    PacketTooBig = 2,
    /// An error: the hop limit, or the time for reassembly, is over.
    TimeExceeded = 3,
    /// An error: see [`ParameterProblem`].
    ParameterProblem = 4,
    /// Ping.
    EchoRequest = 128,
    /// The answer to it.
    EchoReply = 129,
    /// Who listens to which groups? (RFC 2710)
    ListenerQuery = 130,
    /// I listen (RFC 2710).
    ListenerReport = 131,
    /// I do not listen any more (RFC 2710).
    ListenerDone = 132,
    /// Which routers are there? (RFC 4861)
    RouterSolicitation = 133,
    /// I am a router.
    RouterAdvertisement = 134,
    /// Who has this address?
    NeighbourSolicitation = 135,
    /// I have.
    NeighbourAdvertisement = 136,
    /// There is a better first hop.
    Redirect = 137,
    /// I listen, version 2 (RFC 3810).
    ListenerReportV2 = 143,
}

impl Type {
    /// The type with this number, if it is one of those.
    pub fn new(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Unreachable,
            2 => Self::PacketTooBig,
            3 => Self::TimeExceeded,
            4 => Self::ParameterProblem,
            128 => Self::EchoRequest,
            129 => Self::EchoReply,
            130 => Self::ListenerQuery,
            131 => Self::ListenerReport,
            132 => Self::ListenerDone,
            133 => Self::RouterSolicitation,
            134 => Self::RouterAdvertisement,
            135 => Self::NeighbourSolicitation,
            136 => Self::NeighbourAdvertisement,
            137 => Self::Redirect,
            143 => Self::ListenerReportV2,
            _ => return None,
        })
    }
}

/// Codes of [`Type::Unreachable`] (RFC 4443 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Unreachable {
    /// There is no route.
    NoRoute = 0,
    /// Forbidden by a filter.
    Prohibited = 1,
    /// The source address has no meaning beyond its link.
    BeyondScope = 2,
    /// There is a route, but its last hop does not answer.
    Address = 3,
    /// The host does not listen there.
    Port = 4,
    /// The source address is filtered.
    SourcePolicy = 5,
    /// There is a route, which says: reject.
    RejectRoute = 6,
}

/// Codes of [`Type::ParameterProblem`] (RFC 4443 3.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ParameterProblem {
    /// A header field is wrong.
    Field = 0,
    /// A next header value is not known.
    NextHeader = 1,
    /// An option is not known, and wants this message.
    Option = 2,
}

/// Whether a message of this type reports an error: all below 128 do, known or not (RFC 4443 2.1).
#[inline]
pub fn is_error(message_type: u8) -> bool {
    message_type < 128
}

/// A message with a whole header. Its checksum is *not* checked; see [`is_checksum_valid`].
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    header: &'a [u8; HEADER],
    message: &'a [u8],
}

impl<'a> View<'a> {
    /// Look at an upper layer as ICMPv6; nothing if it is shorter than 8 octets.
    #[inline]
    pub fn new(message: &'a [u8]) -> Option<Self> {
        Some(Self { header: message.first_chunk()?, message })
    }

    /// The type, whether known to [`Type`] or not.
    #[inline]
    pub fn message_type(&self) -> u8 {
        self.header[0]
    }

    /// The code within the type.
    #[inline]
    pub fn code(&self) -> u8 {
        self.header[1]
    }

    /// The last four octets of the header; their meaning is the type's.
    #[inline]
    pub fn rest(&self) -> [u8; 4] {
        let [_, _, _, _, rest @ ..] = *self.header;
        rest
    }

    /// Identifier and sequence number of an echo.
    #[inline]
    pub fn echo(&self) -> (u16, u16) {
        (u16_at(self.header, 4), u16_at(self.header, 6))
    }

    /// What follows the header: the data of an echo, the quote of an error.
    #[inline]
    pub fn body(&self) -> &'a [u8] {
        &self.message[HEADER..]
    }
}

/// Whether the checksum of `message`, a whole ICMPv6 message, is right for these addresses.
pub fn is_checksum_valid(message: &[u8], source: Ipv6Addr, destination: Ipv6Addr) -> bool {
    checksum::is_valid(sum(message, source, destination))
}

/// Write the checksum over `message`, a whole ICMPv6 message, into its place. Shorter than 4
/// octets it stays as it is.
pub fn write_checksum(message: &mut [u8], source: Ipv6Addr, destination: Ipv6Addr) {
    if message.len() >= 4 {
        put(message, 2, &[0, 0]);
        let checksum = checksum::finish(sum(message, source, destination));
        put(message, 2, &checksum.to_be_bytes());
    }
}

/// The sum over pseudo-header and message (RFC 4443 2.3).
fn sum(message: &[u8], source: Ipv6Addr, destination: Ipv6Addr) -> u32 {
    // A longer message than this fits in no packet; its sum is wrong, and that is right.
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let pseudo = checksum::pseudo_v6(source, destination, protocol::ICMPV6, len);
    checksum::combine(pseudo, checksum::sum(message))
}

/// An error that a router reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// Not delivered.
    Unreachable(Unreachable),
    /// Too long for the next link, whose MTU in octets it tells.
    PacketTooBig {
        /// The link's MTU in octets, at least [`ipv6::MTU_MIN`].
        mtu: u32,
    },
    /// The hop limit ended here.
    TimeExceeded,
    /// Something at `pointer` cannot be processed.
    ParameterProblem {
        /// What is wrong there.
        code: ParameterProblem,
        /// Octets from the start of the IPv6 header.
        pointer: u32,
    },
}

impl Error {
    /// Type and code.
    pub fn type_and_code(self) -> (Type, u8) {
        match self {
            Self::Unreachable(code) => (Type::Unreachable, code as u8),
            Self::PacketTooBig { .. } => (Type::PacketTooBig, 0),
            Self::TimeExceeded => (Type::TimeExceeded, 0),
            Self::ParameterProblem { code, .. } => (Type::ParameterProblem, code as u8),
        }
    }

    fn rest(self) -> u32 {
        match self {
            Self::Unreachable(_) | Self::TimeExceeded => 0,
            // No node must reduce its path MTU below this (RFC 8201 section 4).
            Self::PacketTooBig { mtu } => mtu.max(u32::from(ipv6::MTU_MIN)),
            Self::ParameterProblem { pointer, .. } => pointer,
        }
    }

    /// Write the header of this error, sent from `source` to `destination`, to the front of
    /// `message`, behind whose first [`HEADER`] octets the quote is in place already, and the
    /// checksum over all of it. Returns the length of the message; nothing if there is no room
    /// for a header.
    pub fn write_header(
        self,
        message: &mut [u8],
        source: Ipv6Addr,
        destination: Ipv6Addr,
    ) -> Option<usize> {
        let header = message.first_chunk_mut::<HEADER>()?;
        let (message_type, code) = self.type_and_code();
        put(header, 0, &[message_type as u8, code, 0, 0]);
        put(header, 4, &self.rest().to_be_bytes());
        write_checksum(message, source, destination);
        Some(message.len())
    }

    /// Write this error with `quote` behind it to the front of `out`. Returns the length of the
    /// message; nothing if there is no room for all of it.
    pub fn write(
        self,
        out: &mut [u8],
        source: Ipv6Addr,
        destination: Ipv6Addr,
        quote: &[u8],
    ) -> Option<usize> {
        let message = out.get_mut(..HEADER + quote.len())?;
        put(message, HEADER, quote);
        self.write_header(message, source, destination)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
    const B: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);

    #[test]
    fn golden_packet_too_big() {
        let mut out = [0xa5; 16];
        let error = Error::PacketTooBig { mtu: 1400 };
        assert_eq!(error.write(&mut out, A, B, &[0x60, 0, 0, 0]), Some(12));
        assert_eq!(out, [2, 0, 0x3c, 0xca, 0, 0, 5, 0x78, 0x60, 0, 0, 0, 0xa5, 0xa5, 0xa5, 0xa5]);
        assert_eq!(error.write(&mut out, A, B, &[0; 9]), None);
    }

    #[test]
    fn type_code_and_rest() {
        let header = |error: Error| {
            let mut out = [0xa5; HEADER];
            error.write_header(&mut out, A, B).unwrap();
            assert!(is_checksum_valid(&out, A, B));
            let view = View::new(&out).unwrap();
            (view.message_type(), view.code(), u32::from_be_bytes(view.rest()))
        };
        assert_eq!(header(Error::Unreachable(Unreachable::Address)), (1, 3, 0));
        assert_eq!(header(Error::PacketTooBig { mtu: 576 }), (2, 0, 1280));
        assert_eq!(header(Error::TimeExceeded), (3, 0, 0));
        let code = ParameterProblem::Option;
        assert_eq!(header(Error::ParameterProblem { code, pointer: 42 }), (4, 2, 42));
    }

    #[test]
    fn kinds() {
        assert!(is_error(1) && is_error(127) && !is_error(128) && !is_error(255));
        for number in 0..=255 {
            assert!(Type::new(number).is_none_or(|known| known as u8 == number));
        }
    }

    proptest! {
        #[test]
        fn any_octets(octets in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(view) = View::new(&octets) {
                let _ = (view.message_type(), view.code(), view.rest(), view.echo());
                prop_assert_eq!(view.body().len() + HEADER, octets.len());
            }
            let _ = is_checksum_valid(&octets, A, B);
        }

        #[test]
        fn written_errors_are_valid(
            quote in prop::collection::vec(any::<u8>(), 0..1232), a: u128, b: u128,
        ) {
            let mut out = vec![0xa5; 1300];
            let len = Error::TimeExceeded.write(&mut out, a.into(), b.into(), &quote).unwrap();
            let other = etherparse::Icmpv6Slice::from_slice(&out[..len]).unwrap();
            prop_assert!(other.is_checksum_valid(a.to_be_bytes(), b.to_be_bytes()));
            prop_assert!(is_checksum_valid(&out[..len], a.into(), b.into()));
        }
    }
}
