//! The UDP header (RFC 768): what a router reads of it.
#![forbid(unsafe_code)]

use super::u16_at;

/// Length of the header in octets.
pub const HEADER: usize = 8;
/// Where the checksum is in the header, in octets.
pub const CHECKSUM: usize = 6;

/// A datagram with a whole header.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    header: &'a [u8; HEADER],
    /// Header and data, as long as the header says.
    datagram: &'a [u8],
}

impl<'a> View<'a> {
    /// Look at the payload of an IP packet as UDP; nothing if it is shorter than a header, or if
    /// the length in the header is shorter than a header or longer than the payload.
    #[inline]
    pub fn new(payload: &'a [u8]) -> Option<Self> {
        let header = payload.first_chunk::<HEADER>()?;
        let datagram = payload.get(..usize::from(u16_at(header, 4)))?;
        (datagram.len() >= HEADER).then_some(Self { header, datagram })
    }

    /// The sender's port.
    #[inline]
    pub fn source_port(&self) -> u16 {
        u16_at(self.header, 0)
    }

    /// The receiver's port.
    #[inline]
    pub fn destination_port(&self) -> u16 {
        u16_at(self.header, 2)
    }

    /// The checksum; 0 says over IPv4 that there is none.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16_at(self.header, CHECKSUM)
    }

    /// Header and data.
    #[inline]
    pub fn datagram(&self) -> &'a [u8] {
        self.datagram
    }

    /// What the header carries.
    #[inline]
    pub fn data(&self) -> &'a [u8] {
        &self.datagram[HEADER..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PING: [u8; 10] = [0x03, 0xe8, 0x07, 0xd0, 0, 10, 0xbe, 0xef, 1, 2];

    #[test]
    fn fields() {
        let view = View::new(&PING).unwrap();
        assert_eq!((view.source_port(), view.destination_port()), (1000, 2000));
        assert_eq!((view.checksum(), view.data()), (0xbeef, &[1, 2][..]));
    }

    #[test]
    fn the_length_is_checked() {
        for len in 0..PING.len() {
            assert!(View::new(&PING[..len]).is_none());
        }
        let with_len = |len: u8| {
            let mut datagram = PING;
            datagram[5] = len;
            View::new(&datagram).map(|view| view.data().len())
        };
        assert_eq!(with_len(7), None);
        assert_eq!(with_len(8), Some(0));
        assert_eq!(with_len(11), None);
    }

    proptest! {
        #[test]
        fn any_octets(octets in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(view) = View::new(&octets) {
                prop_assert!(view.datagram().len() <= octets.len());
                let _ = (view.source_port(), view.destination_port(), view.data());
            }
        }
    }
}
