//! IPv6: longest-prefix match by a trie of 16-16-8-8-... bits whose entries hold the answer
//! ("leaf-pushed", so the walk never goes back up), with *skips* from bit 48 on.
//!
//! A full table has no prefix longer than /48: at most four loads. What is longer lies alone or
//! in clusters far apart (a /128, a site's /64), and would be a chain of nodes with one way
//! through each. A skip stands for such a chain: if the address agrees with the skip's key the
//! walk goes on behind it, else the answer is what the skip has for all others. Layout and
//! entries: `bpf/shared.h`, fib6.
//!
//! Publication is as in `fib4`: new nodes and skips are filled before one store names them.
#![forbid(unsafe_code)]

mod units;
mod writer;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

pub(super) use writer::Writer;

use super::shared::{Region, prefetch};
use crate::id::NextHopId;

/// Entries of the first table: one for each /16.
pub const TOP: usize = 1 << 16;
/// Entries of a node, and the unit in which entries are handed out. The second table of a /16
/// has 65,536 entries: [`UNITS_OF_SECOND`] units in a row.
pub const NODE: usize = 256;
/// See [`NODE`].
pub const UNITS_OF_SECOND: u32 = 256;
/// In an entry, the two highest bits: the rest is the number of a node.
pub const IS_NODE: u32 = 0x8000_0000;
/// In an entry, the two highest bits: the rest is the number of a skip.
pub const IS_SKIP: u32 = 0xc000_0000;
/// Most nodes: 2 GiB.
pub const NODES_MAX: u32 = 1 << 21;
/// Most skips: 512 MiB.
pub const SKIPS_MAX: u32 = 1 << 24;
/// Before this bit a skip costs more than the chain that it saves.
pub const SKIPS_FROM: u8 = 48;
/// 64-bit words of a skip: key (two), inside and otherwise (one), length.
pub const SKIP_WORDS: usize = 4;
/// Octets of a skip.
pub const SKIP_OCTETS: usize = SKIP_WORDS * size_of::<AtomicU64>();

/// No walk through sound tables is longer: two levels to bit 32, two to bit 48, and from there
/// each step covers at least eight bits.
pub const STEPS_MAX: usize = 16;

/// Addresses that walk together.
const BATCH: usize = 64;

/// The readers' side.
#[derive(Debug)]
pub struct Fib6 {
    memory: Region,
    nodes: u32,
    skips: u32,
}

/// Octets from the start of the table to its first skip.
pub fn skips_offset(nodes: u32) -> usize {
    (TOP + NODE * nodes as usize) * size_of::<AtomicU32>()
}

/// Octets of the table with so many nodes and skips.
pub fn octets(nodes: u32, skips: u32) -> usize {
    skips_offset(nodes) + SKIP_OCTETS * skips as usize
}

/// The table's two arrays.
#[derive(Clone, Copy)]
struct View<'a> {
    entries: &'a [AtomicU32],
    skips: &'a [AtomicU64],
}

/// An entry, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Entry {
    /// A next hop, or 0.
    Leaf(u32),
    Node(u32),
    Skip(u32),
}

impl Entry {
    #[inline]
    fn of(entry: u32) -> Self {
        match entry & IS_SKIP {
            IS_SKIP => Self::Skip(entry & !IS_SKIP),
            IS_NODE => Self::Node(entry & !IS_SKIP),
            _ => Self::Leaf(entry),
        }
    }
}

/// A skip, as it is read.
#[derive(Clone, Copy, Debug)]
struct Skip {
    key: u128,
    /// Bits of `key` that count.
    len: u32,
    /// Where addresses that agree go on, at bit `len`.
    inside: u32,
    /// What the others have: always a leaf.
    otherwise: u32,
}

impl Skip {
    #[inline]
    fn holds(&self, address: u128) -> bool {
        (self.key ^ address).leading_zeros() >= self.len
    }
}

impl Fib6 {
    pub(super) fn new(memory: Region, nodes: u32, skips: u32) -> Self {
        Self { memory, nodes, skips }
    }

    #[inline]
    fn view(&self) -> View<'_> {
        let offset = skips_offset(self.nodes);
        View {
            entries: self.memory.words(0, TOP + NODE * self.nodes as usize),
            skips: self.memory.words(offset, SKIP_WORDS * self.skips as usize),
        }
    }

    /// The next hop for this address.
    #[inline]
    pub fn lookup(&self, address: u128) -> Option<NextHopId> {
        let view = self.view();
        let mut walk = Walk::begin(view, address);
        let mut steps = 0;
        while !walk.is_over() && steps < STEPS_MAX {
            walk.step(view, address);
            steps += 1;
        }
        walk.leaf()
    }

    /// The next hops for all addresses: `found[i]` for `addresses[i]`. What has no partner in the
    /// other slice is left alone.
    pub fn lookup_batch(&self, addresses: &[u128], found: &mut [Option<NextHopId>]) {
        let view = self.view();
        for (addresses, found) in addresses.chunks(BATCH).zip(found.chunks_mut(BATCH)) {
            walk_together(view, addresses, found);
        }
    }
}

/// A level at a time for all addresses that are still on their way, so that they wait for memory
/// together.
#[inline]
fn walk_together(view: View<'_>, addresses: &[u128], found: &mut [Option<NextHopId>]) {
    let mut lanes = [(0, Walk::default()); BATCH];
    let mut active = 0;
    for (place, (&address, found)) in addresses.iter().zip(&mut *found).enumerate() {
        let walk = Walk::begin(view, address);
        *found = walk.leaf();
        if !walk.is_over() {
            walk.prefetch(view, address);
            lanes[active] = (place, walk);
            active += 1;
        }
    }
    for _ in 0..STEPS_MAX {
        for lane in 0..std::mem::take(&mut active) {
            let (place, mut walk) = lanes[lane];
            walk.step(view, addresses[place]);
            if walk.is_over() {
                found[place] = walk.leaf();
            } else {
                walk.prefetch(view, addresses[place]);
                lanes[active] = (place, walk);
                active += 1;
            }
        }
    }
}

/// Where an address is on its way through the table.
#[derive(Clone, Copy, Default)]
struct Walk {
    entry: u32,
    /// Bits of the address that are used up.
    bit: u32,
}

impl Walk {
    #[inline]
    fn begin(view: View<'_>, address: u128) -> Self {
        Self { entry: view.entry((address >> 112) as usize), bit: 16 }
    }

    #[inline]
    fn is_over(self) -> bool {
        self.entry & IS_NODE == 0
    }

    /// The answer, if the walk is over and there is one.
    #[inline]
    fn leaf(self) -> Option<NextHopId> {
        u16::try_from(self.entry).ok().and_then(NextHopId::new)
    }

    #[inline]
    fn step(&mut self, view: View<'_>, address: u128) {
        if let Entry::Skip(number) = Entry::of(self.entry) {
            let skip = view.skip(number);
            if skip.holds(address) {
                *self = Self { entry: skip.inside, bit: skip.len };
            } else {
                self.entry = skip.otherwise;
            }
        } else {
            self.entry = view.entry(self.index(address));
            self.bit += if self.bit == 16 { 16 } else { 8 };
        }
    }

    /// Ask for what the next step reads.
    #[inline]
    fn prefetch(self, view: View<'_>, address: u128) {
        match Entry::of(self.entry) {
            Entry::Skip(number) => prefetch(view.skips, SKIP_WORDS * number as usize),
            _ => prefetch(view.entries, self.index(address)),
        }
    }

    /// The address's place in the node that `entry` names.
    #[inline]
    fn index(self, address: u128) -> usize {
        let first = TOP + NODE * (self.entry & !IS_SKIP) as usize;
        let half = if self.bit < 64 { address >> 64 } else { address };
        #[expect(clippy::cast_possible_truncation, reason = "the half that is meant")]
        let ahead = (half as u64) << (self.bit & 63);
        let bits = if self.bit == 16 { ahead >> 48 } else { ahead >> 56 };
        #[expect(clippy::cast_possible_truncation, reason = "16 bits at most")]
        let place = bits as usize;
        first + place
    }
}

impl View<'_> {
    /// The entry, or 0 if there is no such place.
    #[inline]
    fn entry(self, index: usize) -> u32 {
        self.entries.get(index).map_or(0, |entry| entry.load(Ordering::Acquire))
    }

    /// The skip, or one that leads nowhere if there is no such number.
    #[inline]
    fn skip(self, number: u32) -> Skip {
        let first = SKIP_WORDS * number as usize;
        let Some([high, low, ways, len]) = self.skips.get(first..).and_then(|s| s.first_chunk())
        else {
            return Skip { key: 0, len: 0, inside: 0, otherwise: 0 };
        };
        let key = u128::from(high.load(Ordering::Relaxed)) << 64;
        let ways = ways.load(Ordering::Acquire);
        #[expect(clippy::cast_possible_truncation, reason = "two halves of a word")]
        let (inside, otherwise) = ((ways >> 32) as u32, ways as u32);
        Skip {
            key: key | u128::from(low.load(Ordering::Relaxed)),
            len: u32::try_from(len.load(Ordering::Relaxed)).unwrap_or(u32::MAX),
            inside,
            otherwise,
        }
    }
}

#[cfg(test)]
mod tests;
