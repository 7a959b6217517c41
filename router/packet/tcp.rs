//! The TCP header (RFC 9293 3.1): what a router reads of it.
#![forbid(unsafe_code)]

use super::{u16_at, u32_at};

/// Length of a header without options, in octets.
pub const HEADER: usize = 20;
/// Where the checksum is in the header, in octets.
pub const CHECKSUM: usize = 16;

/// The control bits.
pub mod flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers: a connection begins.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number is valid.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer is valid.
    pub const URG: u8 = 0x20;
    /// ECN echo (RFC 3168).
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced (RFC 3168).
    pub const CWR: u8 = 0x80;
}

/// A segment with a whole header.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    fixed: &'a [u8; HEADER],
    segment: &'a [u8],
}

impl<'a> View<'a> {
    /// Look at the payload of an IP packet as TCP; nothing if its header is shorter than 20 octets
    /// or not all there.
    #[inline]
    pub fn new(segment: &'a [u8]) -> Option<Self> {
        let view = Self { fixed: segment.first_chunk()?, segment };
        (HEADER..=segment.len()).contains(&view.header_len()).then_some(view)
    }

    /// The sender's port.
    #[inline]
    pub fn source_port(&self) -> u16 {
        u16_at(self.fixed, 0)
    }

    /// The receiver's port.
    #[inline]
    pub fn destination_port(&self) -> u16 {
        u16_at(self.fixed, 2)
    }

    /// Sequence number of the first octet of data.
    #[inline]
    pub fn sequence(&self) -> u32 {
        u32_at(self.fixed, 4)
    }

    /// The sequence number that the sender expects next.
    #[inline]
    pub fn acknowledgement(&self) -> u32 {
        u32_at(self.fixed, 8)
    }

    /// Length of the header with its options, in octets (the data offset).
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(self.fixed[12] >> 4) * 4
    }

    /// The control bits; see [`flag`].
    #[inline]
    pub fn flags(&self) -> u8 {
        self.fixed[13]
    }

    /// How many octets the sender is ready to take.
    #[inline]
    pub fn window(&self) -> u16 {
        u16_at(self.fixed, 14)
    }

    /// The checksum.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16_at(self.fixed, CHECKSUM)
    }

    /// The options as they stand there, 0 to 40 octets.
    #[inline]
    pub fn options(&self) -> &'a [u8] {
        &self.segment[HEADER..self.header_len()]
    }

    /// What the header carries.
    #[inline]
    pub fn data(&self) -> &'a [u8] {
        &self.segment[self.header_len()..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[rustfmt::skip]
    const SYN: [u8; 25] = [
        0x03, 0xe8, 0x00, 0x50, 0, 0, 0, 1, 0, 0, 0, 2, 0x60, 0x02, 0xff, 0xff,
        0xbe, 0xef, 0, 0, 2, 4, 5, 0xb4, 0x61,
    ];

    #[test]
    fn fields() {
        let view = View::new(&SYN).unwrap();
        assert_eq!((view.source_port(), view.destination_port()), (1000, 80));
        assert_eq!((view.sequence(), view.acknowledgement()), (1, 2));
        assert_eq!((view.header_len(), view.flags(), view.window()), (24, flag::SYN, 0xffff));
        assert_eq!((view.checksum(), view.data()), (0xbeef, &[0x61][..]));
        assert_eq!(view.options(), [2, 4, 5, 0xb4]);
    }

    #[test]
    fn the_data_offset_is_checked() {
        for len in 0..24 {
            assert!(View::new(&SYN[..len]).is_none());
        }
        for (offset, valid) in [(0x00, false), (0x40, false), (0x50, true), (0xf0, false)] {
            let mut segment = SYN;
            segment[12] = offset;
            assert_eq!(View::new(&segment).is_some(), valid);
        }
    }

    proptest! {
        #[test]
        fn any_octets(octets in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(view) = View::new(&octets) {
                prop_assert_eq!(HEADER + view.options().len() + view.data().len(), octets.len());
            }
        }
    }
}
