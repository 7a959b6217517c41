//! ICMP for IPv4 (RFC 792): the messages that a router knows, and the errors that it writes.
//!
//! When an error may be sent at all is decided elsewhere; see RFC 1812 4.3.2.7 first.
#![forbid(unsafe_code)]

use std::net::Ipv4Addr;

use super::{checksum, put, u16_at};

/// Length of the header of an error message, before the quote, and of an echo, before its data.
pub const HEADER: usize = 8;
/// Longest datagram that an error makes, in octets, its IP header included (RFC 1812 4.3.2.3).
pub const ERROR_DATAGRAM_MAX: usize = 576;

/// Message types (IANA "ICMP Type Numbers") that have a meaning here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Type {
    /// The answer to an echo request.
    EchoReply = 0,
    /// An error: see [`Unreachable`].
    Unreachable = 3,
    /// An error that nobody sends any more (RFC 6633).
    SourceQuench = 4,
    /// An error: there is a better first hop.
    Redirect = 5,
    /// Ping.
    EchoRequest = 8,
    /// What RFC 1256 calls a router advertisement.
    RouterAdvertisement = 9,
    /// The question for it.
    RouterSolicitation = 10,
    /// An error: the time to live, or that for reassembly, is over.
    TimeExceeded = 11,
    /// An error: a header field is wrong.
    ParameterProblem = 12,
    /// The time at the other end?
    TimestampRequest = 13,
    /// The answer.
    TimestampReply = 14,
}

impl Type {
    /// The type with this number, if it is one of those.
    pub fn new(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::EchoReply,
            3 => Self::Unreachable,
            4 => Self::SourceQuench,
            5 => Self::Redirect,
            8 => Self::EchoRequest,
            9 => Self::RouterAdvertisement,
            10 => Self::RouterSolicitation,
            11 => Self::TimeExceeded,
            12 => Self::ParameterProblem,
            13 => Self::TimestampRequest,
            14 => Self::TimestampReply,
            _ => return None,
        })
    }
}

/// Codes of [`Type::Unreachable`] (RFC 792, RFC 1812 5.2.7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Unreachable {
    /// There is no route.
    Net = 0,
    /// There is a route, but its last hop does not answer.
    Host = 1,
    /// The host does not know the protocol.
    Protocol = 2,
    /// The host does not listen there.
    Port = 3,
    /// Too long for the next link, and not to be fragmented (RFC 1191).
    FragmentationNeeded = 4,
    /// A source route cannot be followed.
    SourceRouteFailed = 5,
    /// Forbidden to this network.
    NetProhibited = 9,
    /// Forbidden to this host.
    HostProhibited = 10,
    /// Forbidden by a filter.
    CommunicationProhibited = 13,
}

/// Whether a message of this type reports an error; such a message never gets one in return
/// (RFC 1812 4.3.2.7).
#[inline]
pub fn is_error(message_type: u8) -> bool {
    matches!(message_type, 3 | 4 | 5 | 11 | 12)
}

/// Whether a message of this type is a known question or answer. One that is neither this nor an
/// error is unknown, and may well be an error: do not send one in return either (RFC 1122 3.2.2).
#[inline]
pub fn is_informational(message_type: u8) -> bool {
    matches!(message_type, 0 | 8..=10 | 13..=18 | 42 | 43)
}

/// A message with a whole header. Its checksum is *not* checked: that takes the whole message,
/// and a forwarding router has no business with it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    header: &'a [u8; HEADER],
    message: &'a [u8],
}

impl<'a> View<'a> {
    /// Look at the payload of a datagram as ICMP; nothing if it is shorter than 8 octets.
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

    /// Whether the checksum over the message is right.
    pub fn is_checksum_valid(&self) -> bool {
        checksum::is_valid(checksum::sum(self.message))
    }
}

/// An error that a router reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// Not delivered, for a reason that needs no number.
    Unreachable(Unreachable),
    /// Too long for the next link, whose MTU in octets it tells (RFC 1191 section 4).
    FragmentationNeeded {
        /// The link's MTU in octets.
        mtu: u16,
    },
    /// The time to live ended here.
    TimeExceeded,
    /// The octet at `pointer` of the header is wrong.
    ParameterProblem {
        /// Octets from the start of the IP header.
        pointer: u8,
    },
    /// There is a better first hop for this host (code 1; routers never send code 0, RFC 1812
    /// 5.2.7.2).
    Redirect {
        /// The better first hop.
        gateway: Ipv4Addr,
    },
}

impl Error {
    /// Type and code.
    pub fn type_and_code(self) -> (Type, u8) {
        match self {
            Self::Unreachable(code) => (Type::Unreachable, code as u8),
            Self::FragmentationNeeded { .. } => {
                (Type::Unreachable, Unreachable::FragmentationNeeded as u8)
            }
            Self::TimeExceeded => (Type::TimeExceeded, 0),
            Self::ParameterProblem { .. } => (Type::ParameterProblem, 0),
            Self::Redirect { .. } => (Type::Redirect, 1),
        }
    }

    fn rest(self) -> [u8; 4] {
        match self {
            Self::Unreachable(_) | Self::TimeExceeded => [0; 4],
            Self::FragmentationNeeded { mtu } => u32::from(mtu).to_be_bytes(),
            Self::ParameterProblem { pointer } => [pointer, 0, 0, 0],
            Self::Redirect { gateway } => gateway.octets(),
        }
    }

    /// Write the header of this error to the front of `message`, behind whose first [`HEADER`]
    /// octets the quote is in place already, and the checksum over all of it. Returns the length
    /// of the message; nothing if there is no room for a header.
    pub fn write_header(self, message: &mut [u8]) -> Option<usize> {
        let header = message.first_chunk_mut::<HEADER>()?;
        let (message_type, code) = self.type_and_code();
        put(header, 0, &[message_type as u8, code, 0, 0]);
        put(header, 4, &self.rest());
        write_checksum(message);
        Some(message.len())
    }

    /// Write this error with `quote` behind it to the front of `out`. Returns the length of the
    /// message; nothing if there is no room for all of it.
    pub fn write(self, out: &mut [u8], quote: &[u8]) -> Option<usize> {
        let message = out.get_mut(..HEADER + quote.len())?;
        put(message, HEADER, quote);
        self.write_header(message)
    }
}

/// Write the checksum over `message`, a whole ICMP message, into its place. Shorter than 4 octets
/// it stays as it is.
pub fn write_checksum(message: &mut [u8]) {
    if message.len() >= 4 {
        put(message, 2, &[0, 0]);
        let checksum = checksum::of(message);
        put(message, 2, &checksum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn golden_fragmentation_needed() {
        let mut out = [0xa5; 16];
        let error = Error::FragmentationNeeded { mtu: 1280 };
        assert_eq!(error.write(&mut out, &[0x45, 0, 5, 0x78]), Some(12));
        // 0x0304 + 0x0500 + 0x4500 + 0x0578 = 0x527c
        assert_eq!(out[..12], [3, 4, 0xad, 0x83, 0, 0, 5, 0, 0x45, 0, 5, 0x78]);
        assert_eq!(out[12..], [0xa5; 4]);
        assert_eq!(error.write(&mut out, &[0; 9]), None);
    }

    #[test]
    fn type_code_and_rest() {
        let header = |error: Error| {
            let mut out = [0xa5; HEADER];
            error.write_header(&mut out).unwrap();
            let view = View::new(&out).unwrap();
            assert!(view.is_checksum_valid());
            (view.message_type(), view.code(), view.rest())
        };
        assert_eq!(header(Error::Unreachable(Unreachable::Host)), (3, 1, [0; 4]));
        let prohibited = Unreachable::CommunicationProhibited;
        assert_eq!(header(Error::Unreachable(prohibited)), (3, 13, [0; 4]));
        assert_eq!(header(Error::TimeExceeded), (11, 0, [0; 4]));
        assert_eq!(header(Error::ParameterProblem { pointer: 20 }), (12, 0, [20, 0, 0, 0]));
        let gateway = Ipv4Addr::new(10, 1, 0, 3);
        assert_eq!(header(Error::Redirect { gateway }), (5, 1, [10, 1, 0, 3]));
    }

    #[test]
    fn kinds() {
        for number in 0..=255 {
            assert!(!(is_error(number) && is_informational(number)));
            if let Some(known) = Type::new(number) {
                assert_eq!(known as u8, number);
                assert!(is_error(number) || is_informational(number));
            }
        }
    }

    proptest! {
        #[test]
        fn any_octets(octets in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(view) = View::new(&octets) {
                let _ = (view.message_type(), view.code(), view.rest(), view.echo());
                prop_assert_eq!(view.body().len() + HEADER, octets.len());
            }
        }

        #[test]
        fn written_errors_are_valid(quote in prop::collection::vec(any::<u8>(), 0..600), mtu: u16) {
            let mut out = vec![0xa5; 700];
            let len = Error::FragmentationNeeded { mtu }.write(&mut out, &quote).unwrap();
            let view = View::new(&out[..len]).unwrap();
            prop_assert!(view.is_checksum_valid());
            prop_assert_eq!(view.body(), &quote[..]);
            let other = etherparse::Icmpv4Slice::from_slice(&out[..len]).unwrap();
            prop_assert_eq!(other.payload(), &quote[..]);
        }
    }
}
