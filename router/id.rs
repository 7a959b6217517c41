//! Small numbers that everybody passes around, each with a type of its own.
#![forbid(unsafe_code)]

use std::num::NonZeroU16;

/// Most ports that one router can have. Port numbers index arrays of this length.
pub const PORTS_MAX: usize = 64;

/// A port: something with queues, a network card. Its number is its place in router.toml.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PortId(u8);

impl PortId {
    /// The port with this number, or nothing if the number is [`PORTS_MAX`] or more.
    pub fn new(number: usize) -> Option<Self> {
        u8::try_from(number).ok().filter(|&n| usize::from(n) < PORTS_MAX).map(Self)
    }

    /// The place of this port in an array of ports; always less than [`PORTS_MAX`].
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0) % PORTS_MAX
    }

    /// The same number as the XDP program and the shared tables write it.
    #[inline]
    pub fn octet(self) -> u8 {
        self.0
    }
}

/// Highest next-hop number: the FIB's 16-bit entries keep one bit for themselves.
pub const NEXT_HOP_ID_MAX: u16 = 0x7fff;

/// A next hop: what a route leads to. 1..=[`NEXT_HOP_ID_MAX`]; 0 in a table means "no route".
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct NextHopId(NonZeroU16);

impl NextHopId {
    /// The next hop with this number, or nothing if it is 0 or above [`NEXT_HOP_ID_MAX`].
    #[inline]
    pub fn new(number: u16) -> Option<Self> {
        if number > NEXT_HOP_ID_MAX {
            return None;
        }
        NonZeroU16::new(number).map(Self)
    }

    /// The number, as the tables store it.
    #[inline]
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        assert!(PortId::new(63).is_some() && PortId::new(64).is_none());
        assert!(NextHopId::new(0).is_none() && NextHopId::new(0x8000).is_none());
        assert_eq!(NextHopId::new(NEXT_HOP_ID_MAX).map(NextHopId::get), Some(0x7fff));
    }
}
