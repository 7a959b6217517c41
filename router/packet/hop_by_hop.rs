//! The options of an IPv6 hop-by-hop options header (RFC 8200 4.2, 4.3).
#![forbid(unsafe_code)]

use super::ipv6;

/// One octet of padding, without a length.
const PAD_1: u8 = 0;
/// Two or more octets of padding.
const PAD_N: u8 = 1;
/// Routers shall look closer (RFC 2711).
pub const ROUTER_ALERT: u8 = 5;
/// The packet is longer than the IPv6 header can say (RFC 2675).
pub const JUMBO_PAYLOAD: u8 = 0xc2;

/// Most octets of padding in a row: it aligns to 8, so more has another purpose (RFC 8504 5.3).
const PADDING_MAX: usize = 7;
const OPTION_HEADER: usize = 2;
const EXTENSION_HEADER: usize = 2;

/// What to do with an option that is not known, as its type says (RFC 8200 4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unknown {
    /// Go on with the next option.
    Skip,
    /// Drop the packet.
    Drop,
    /// Drop the packet and tell its sender.
    Report,
    /// The same, but say nothing about packets to a group.
    ReportUnlessGroup,
}

/// An option, padding excepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HopOption<'a> {
    /// The type.
    pub kind: u8,
    /// Where it starts, in octets from the start of the IPv6 header.
    pub offset: u16,
    /// What follows its length.
    pub data: &'a [u8],
}

impl HopOption<'_> {
    /// What is to be done if nobody knows this option.
    pub fn if_unknown(&self) -> Unknown {
        match self.kind >> 6 {
            0b00 => Unknown::Skip,
            0b01 => Unknown::Drop,
            0b10 => Unknown::Report,
            _ => Unknown::ReportUnlessGroup,
        }
    }
}

/// An option that ends beyond the header, more than seven octets of padding in a row, or padding
/// that is not zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// A walk over the options; each step passes at least one octet of at most 2046. Nothing follows
/// the first error.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Options<'a> {
    /// The options of `packet`; nothing if the header is not there or ends beyond the packet.
    pub fn of(packet: &ipv6::View<'a>) -> Option<Self> {
        packet.hop_by_hop_options().map(|octets| Self { octets, at: 0 })
    }

    /// The next option behind padding.
    fn step(&mut self) -> Result<Option<HopOption<'a>>, Malformed> {
        let mut padding = 0;
        while let Some(&kind) = self.octets.get(self.at) {
            let start = self.at;
            let octets = self.take(kind).ok_or(Malformed)?;
            let data = octets.get(OPTION_HEADER..).unwrap_or_default();
            if !matches!(kind, PAD_1 | PAD_N) {
                return Ok(Some(HopOption { kind, offset: offset(start), data }));
            }
            padding += octets.len();
            if padding > PADDING_MAX || data.iter().any(|&octet| octet != 0) {
                return Err(Malformed);
            }
        }
        Ok(None)
    }

    /// The octets of the option here, whose type is `kind`.
    fn take(&mut self, kind: u8) -> Option<&'a [u8]> {
        let rest = &self.octets[self.at..];
        let length = match kind {
            PAD_1 => 1,
            _ => OPTION_HEADER + usize::from(*rest.get(1)?),
        };
        self.at += length;
        rest.get(..length)
    }
}

/// The extension header has at most 2048 octets.
fn offset(start: usize) -> u16 {
    u16::try_from(ipv6::HEADER + EXTENSION_HEADER + start).unwrap_or(u16::MAX)
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<HopOption<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.at = self.octets.len();
        }
        step.transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::packet::protocol;

    /// A packet with these options and nothing behind them.
    fn packet(options: &[u8]) -> Vec<u8> {
        let length = u16::try_from(options.len() + EXTENSION_HEADER).unwrap();
        let (a, b) = (Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        let mut bytes = vec![0; ipv6::HEADER];
        ipv6::Header::new(a, b, protocol::HOP_BY_HOP, length).write(&mut bytes).unwrap();
        bytes.extend([protocol::NO_NEXT_HEADER, u8::try_from(length / 8 - 1).unwrap()]);
        bytes.extend(options);
        bytes
    }

    /// Type, offset and length of the data of each option; the last may be a mistake.
    fn read(options: &[u8]) -> Vec<Result<(u8, u16, usize), Malformed>> {
        let packet = packet(options);
        let options = Options::of(&ipv6::View::new(&packet).unwrap()).unwrap();
        options.map(|step| step.map(|o| (o.kind, o.offset, o.data.len()))).collect()
    }

    #[test]
    fn options_behind_padding() {
        let options = [0, 0, 5, 2, 0, 0, 1, 2, 0, 0, 0x1e, 0, 0, 0];
        assert_eq!(read(&options), [Ok((5, 44, 2)), Ok((0x1e, 52, 0))]);
        assert_eq!(read(&[0; 6]), []);
    }

    #[test]
    fn nothing_follows_a_mistake() {
        assert_eq!(read(&[5, 5, 0, 0, 0, 0]), [Err(Malformed)]);
        assert_eq!(read(&[0x1e, 3, 0, 0, 0, 5]), [Ok((0x1e, 42, 3)), Err(Malformed)]);
        assert_eq!(read(&[1, 4, 0, 0, 0, 9]), [Err(Malformed)]);
        assert_eq!(read(&[0; 14]), [Err(Malformed)]);
    }

    #[test]
    fn a_header_that_ends_beyond_the_packet_has_no_options() {
        let mut packet = packet(&[0; 6]);
        packet[ipv6::HEADER + 1] = 1;
        assert!(Options::of(&ipv6::View::new(&packet).unwrap()).is_none());
    }

    #[test]
    fn the_type_says_what_to_do_if_it_is_unknown() {
        let of = |kind| HopOption { kind, offset: 42, data: &[] }.if_unknown();
        assert_eq!([0x1e, 0x3f].map(of), [Unknown::Skip; 2]);
        assert_eq!([0x40, 0x7f].map(of), [Unknown::Drop; 2]);
        assert_eq!([0x80, 0xbf].map(of), [Unknown::Report; 2]);
        assert_eq!([0xc0, 0xff].map(of), [Unknown::ReportUnlessGroup; 2]);
    }

    proptest! {
        #[test]
        fn any_options_lie_in_their_header(
            units in 1usize..257,
            octets in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..9], 2048),
        ) {
            let options = &octets[..units * 8 - EXTENSION_HEADER];
            let steps = read(options);
            prop_assert!(steps.iter().rev().skip(1).all(|step| step.is_ok()));
            let mut end = ipv6::HEADER + EXTENSION_HEADER;
            for (_, offset, length) in steps.into_iter().flatten() {
                prop_assert!(usize::from(offset) >= end);
                end = usize::from(offset) + OPTION_HEADER + length;
            }
            prop_assert!(end <= ipv6::HEADER + EXTENSION_HEADER + options.len());
        }
    }
}
