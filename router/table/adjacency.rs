//! What is done with a packet: 32 octets that a route leads to in the end.
#![forbid(unsafe_code)]

use crate::id::PortId;

/// 64-bit words of an adjacency in shared memory.
pub const ADJACENCY_WORDS: usize = 4;
/// Octets of an adjacency in shared memory.
pub const ADJACENCY_OCTETS: usize = ADJACENCY_WORDS * size_of::<u64>();

/// What an adjacency is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum AdjacencyKind {
    /// The neighbour's MAC is known: rewrite and send.
    Forward = 1,
    /// The subnet is ours, and the packet's own destination is to be resolved (RFC 1122 2.3.2).
    Glean = 2,
    /// An address of ours: to the kernel.
    Receive = 3,
    /// Drop, and say nothing.
    Blackhole = 4,
    /// Drop, and say that the destination is unreachable.
    Unreachable = 5,
    /// Drop, and say that it is prohibited.
    Prohibit = 6,
    /// A gateway whose MAC is not known (yet): it is to be resolved.
    Incomplete = 7,
}

impl AdjacencyKind {
    /// The kind with this number. What is none, an empty slot above all, drops the packet.
    #[inline]
    fn from_octet(octet: u8) -> Self {
        match octet {
            1 => Self::Forward,
            2 => Self::Glean,
            3 => Self::Receive,
            5 => Self::Unreachable,
            6 => Self::Prohibit,
            7 => Self::Incomplete,
            _ => Self::Blackhole,
        }
    }
}

/// In `Adjacency::engines`: XDP programs in a driver may send by it.
pub const BY_DRIVER: u8 = 1;
/// In `Adjacency::engines`: XDP programs in generic mode may send by it.
pub const BY_STACK: u8 = 2;

/// One adjacency. In shared memory it has this very form, and then a word that is reserved (`struct
/// xr_adjacency`). Nothing here stands for that word: copying it cost each packet two stalls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Adjacency {
    kind: u8,
    /// [`PortId::octet`] of the way out.
    pub port: u8,
    /// Largest IP packet that the way out takes, in octets.
    pub mtu: u16,
    /// The kernel's number of the device out, for the XDP program.
    pub ifindex: u32,
    /// What the Ethernet header begins with: destination, then source.
    pub rewrite: [u8; 12],
    /// Which XDP programs may send by it themselves: [`BY_DRIVER`], [`BY_STACK`]. Workers always
    /// may.
    engines: u8,
}

const _: () = assert!(size_of::<Adjacency>() == ADJACENCY_OCTETS - size_of::<u64>());

impl Adjacency {
    /// One that needs no port: receive, blackhole, unreachable, prohibit.
    pub fn plain(kind: AdjacencyKind) -> Self {
        Self { kind: kind as u8, port: 0, mtu: 0, ifindex: 0, rewrite: [0; 12], engines: 0 }
    }

    /// A way out whose neighbour is not known: glean or incomplete. `mtu` in octets of IP.
    pub fn unresolved(kind: AdjacencyKind, port: PortId, ifindex: u32, mtu: u16) -> Self {
        Self { port: port.octet(), mtu, ifindex, ..Self::plain(kind) }
    }

    /// To a neighbour with the MAC `destination`, from ours, `source`. `mtu` in octets of IP.
    pub fn forward(
        port: PortId,
        ifindex: u32,
        mtu: u16,
        destination: [u8; 6],
        source: [u8; 6],
    ) -> Self {
        let mut adjacency = Self::unresolved(AdjacencyKind::Forward, port, ifindex, mtu);
        adjacency.rewrite[..6].copy_from_slice(&destination);
        adjacency.rewrite[6..].copy_from_slice(&source);
        adjacency
    }

    /// The same, and these XDP programs may send by it.
    pub fn with_engines(self, engines: u8) -> Self {
        Self { engines, ..self }
    }

    /// What this adjacency is for.
    #[inline]
    pub fn kind(&self) -> AdjacencyKind {
        AdjacencyKind::from_octet(self.kind)
    }

    /// As the words that shared memory is made of. The last one is reserved: always 0.
    pub(super) fn to_words(self) -> [u64; ADJACENCY_WORDS] {
        let mut octets = [0; 24];
        octets[0] = self.kind;
        octets[1] = self.port;
        octets[2..4].copy_from_slice(&self.mtu.to_ne_bytes());
        octets[4..8].copy_from_slice(&self.ifindex.to_ne_bytes());
        octets[8..20].copy_from_slice(&self.rewrite);
        octets[20] = self.engines;
        let (words, _) = octets.as_chunks();
        [
            u64::from_ne_bytes(words[0]),
            u64::from_ne_bytes(words[1]),
            u64::from_ne_bytes(words[2]),
            0,
        ]
    }

    /// From the words before the reserved one, whatever they are.
    #[inline(always)]
    pub(super) fn from_words(words: [u64; ADJACENCY_WORDS - 1]) -> Self {
        let [kind, port, m0, m1, i0, i1, i2, i3] = words[0].to_ne_bytes();
        let mut rewrite = [0; 12];
        rewrite[..8].copy_from_slice(&words[1].to_ne_bytes());
        let [r0, r1, r2, r3, engines, ..] = words[2].to_ne_bytes();
        rewrite[8..].copy_from_slice(&[r0, r1, r2, r3]);
        Self {
            kind,
            port,
            mtu: u16::from_ne_bytes([m0, m1]),
            ifindex: u32::from_ne_bytes([i0, i1, i2, i3]),
            rewrite,
            engines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_back() {
        let port = PortId::new(5).unwrap();
        let there = Adjacency::forward(port, 0x0102_0304, 1500, [0xa5; 6], [0x5a; 6])
            .with_engines(BY_DRIVER | BY_STACK);
        let [a, b, c, reserved] = there.to_words();
        assert_eq!((Adjacency::from_words([a, b, c]), reserved), (there, 0));
        assert_eq!(there.kind(), AdjacencyKind::Forward);
    }

    #[test]
    fn every_kind_is_itself_and_garbage_drops() {
        for octet in 0..=255 {
            let kind = AdjacencyKind::from_octet(octet);
            assert!(kind as u8 == octet || kind == AdjacencyKind::Blackhole);
            assert_eq!(Adjacency::plain(kind).kind(), kind);
        }
        assert_eq!(Adjacency::from_words([0; 3]).kind(), AdjacencyKind::Blackhole);
    }
}
