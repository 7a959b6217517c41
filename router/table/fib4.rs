//! IPv4: longest-prefix match in one or two loads (DIR-24-8: Gupta, Lin, McKeown, INFOCOM 1998).
//!
//! The first table has an entry for each /24; where longer prefixes exist the entry names a group
//! of 256, one for each address. Every entry already holds the answer ("leaf-pushed"), so there
//! is no way back up. Layout and entries: `bpf/shared.h`, fib4.
//!
//! One writer changes the tables under its readers' eyes: each change is one store of one entry,
//! and a group is filled before it is named. So an address has its old or its new next hop at any
//! moment, never a third. A change of a /8 is not one moment for all of its addresses.
#![forbid(unsafe_code)]

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU16, Ordering};

use ipnet::Ipv4Net;

use super::TableFull;
use super::prefixes::Prefixes;
use super::publish::{Grace, Slots};
use super::shared::{Region, prefetch};
use crate::id::NextHopId;

/// Entries of the first table: one for each /24.
pub const BASE: usize = 1 << 24;
/// Entries of a group.
pub const GROUP: usize = 256;
/// Most groups that 15 bits and this bit can name.
pub const GROUPS_MAX: u32 = 32_767;
/// In an entry of the first table: the rest is the number of a group.
pub const IS_GROUP: u16 = 0x8000;

/// How many addresses ahead a batch asks for its cache lines.
const AHEAD: usize = 16;

/// The readers' side.
#[derive(Debug)]
pub struct Fib4 {
    memory: Region,
    entries: usize,
}

/// Octets of the table with so many groups.
pub fn octets(groups: u32) -> usize {
    (BASE + GROUP * groups as usize) * size_of::<AtomicU16>()
}

impl Fib4 {
    pub(super) fn new(memory: Region, groups: u32) -> Self {
        Self { memory, entries: BASE + GROUP * groups as usize }
    }

    #[inline]
    fn entries(&self) -> &[AtomicU16] {
        self.memory.words(0, self.entries)
    }

    /// The next hop for this address (in host order).
    #[inline]
    pub fn lookup(&self, address: u32) -> Option<NextHopId> {
        look_up(self.entries(), address)
    }

    /// The next hops for all addresses: `found[i]` for `addresses[i]`. What has no partner in the
    /// other slice is left alone.
    #[inline]
    pub fn lookup_batch(&self, addresses: &[u32], found: &mut [Option<NextHopId>]) {
        let entries = self.entries();
        for &address in addresses.iter().take(AHEAD) {
            prefetch(entries, base_index(address));
        }
        for (i, (&address, found)) in addresses.iter().zip(found).enumerate() {
            if let Some(&ahead) = addresses.get(i + AHEAD) {
                prefetch(entries, base_index(ahead));
            }
            *found = look_up(entries, address);
        }
    }
}

#[inline]
fn look_up(entries: &[AtomicU16], address: u32) -> Option<NextHopId> {
    let mut entry = entries.get(base_index(address))?.load(Ordering::Acquire);
    if entry & IS_GROUP != 0 {
        let index = group_start(entry) + (address & 0xff) as usize;
        entry = entries.get(index)?.load(Ordering::Acquire);
    }
    NextHopId::new(entry)
}

#[inline]
fn base_index(address: u32) -> usize {
    (address >> 8) as usize
}

/// Where the group that `entry` names begins.
#[inline]
fn group_start(entry: u16) -> usize {
    BASE + GROUP * usize::from(entry & !IS_GROUP)
}

/// The writer's side: what readers need not know.
#[derive(Debug)]
pub(super) struct Writer {
    routes: Prefixes<u32, NextHopId>,
    /// For each entry the length of the prefix that it has its next hop from; 0 also if it has
    /// none, since a default route takes all of those.
    owners: Vec<u8>,
    groups: Slots,
}

/// What to write into the entries of a prefix: those whose owner's length is in `over` get
/// `entry` and the new owner.
struct Paint {
    over: RangeInclusive<u8>,
    entry: u16,
    owner: u8,
}

impl Writer {
    pub(super) fn new(groups: u32) -> Self {
        Self {
            routes: Prefixes::default(),
            owners: vec![0; BASE + GROUP * groups as usize],
            groups: Slots::new(groups),
        }
    }

    pub(super) fn groups(&self) -> &Slots {
        &self.groups
    }

    pub(super) fn reclaim(&mut self, grace: Grace) {
        self.groups.reclaim(grace);
    }

    /// Ask for the cache lines that a change of this prefix needs.
    pub(super) fn prefetch(&self, fib: &Fib4, to: Ipv4Net) {
        self.routes.prefetch(to.network().into(), to.prefix_len());
        self.prefetch_entries(fib, to);
    }

    fn prefetch_entries(&self, fib: &Fib4, to: Ipv4Net) {
        let base = base_index(to.network().into());
        prefetch(fib.entries(), base);
        if to.prefix_len() != 24 {
            prefetch(&self.owners, base);
        }
    }

    /// Route `to` by `hop`. The next hop that it had before, if any; an error leaves everything
    /// as it was.
    pub(super) fn insert(
        &mut self,
        fib: &Fib4,
        to: Ipv4Net,
        hop: NextHopId,
    ) -> Result<Option<NextHopId>, TableFull> {
        let (to, len) = (to.trunc(), to.prefix_len());
        self.prefetch_entries(fib, to);
        let paint = Paint { over: 0..=len, entry: hop.get(), owner: len };
        if len > 24 {
            self.paint_long(fib, to, &paint)?;
            return Ok(self.routes.insert(to.network().into(), len, hop));
        }
        let had = self.routes.insert(to.network().into(), len, hop);
        if had.is_none() || !replace_one(fib, to, hop) {
            self.paint(fib, base_range(to), &paint);
        }
        Ok(had)
    }

    /// Take the route to `to` away; its addresses fall to the next shorter prefix. The next hop
    /// that it had.
    pub(super) fn remove(&mut self, fib: &Fib4, to: Ipv4Net) -> Option<NextHopId> {
        let (to, len) = (to.trunc(), to.prefix_len());
        let had = self.routes.remove(to.network().into(), len)?;
        let cover = self.routes.cover(to.network().into(), len);
        let (owner, entry) = cover.map_or((0, 0), |(len, hop)| (len, hop.get()));
        let paint = Paint { over: len..=len, entry, owner };
        let base = base_index(to.network().into());
        let named = fib.entries()[base].load(Ordering::Relaxed);
        if len <= 24 {
            self.paint(fib, base_range(to), &paint);
        } else if named & IS_GROUP != 0 {
            self.paint(fib, group_range(named, to), &paint);
            self.merge(fib, base, named);
        }
        Some(had)
    }

    /// Paint entries, and the groups that they name.
    fn paint(&mut self, fib: &Fib4, range: std::ops::Range<usize>, paint: &Paint) {
        let entries = fib.entries();
        for index in range {
            let entry = entries[index].load(Ordering::Relaxed);
            if index < BASE && entry & IS_GROUP != 0 {
                let start = group_start(entry);
                self.paint(fib, start..start + GROUP, paint);
            } else if paint.over.contains(&self.owners[index]) {
                self.owners[index] = paint.owner;
                entries[index].store(paint.entry, Ordering::Release);
            }
        }
    }

    /// Paint a prefix longer than /24, in the group of its /24, or in a new one.
    fn paint_long(&mut self, fib: &Fib4, to: Ipv4Net, paint: &Paint) -> Result<(), TableFull> {
        let base = base_index(to.network().into());
        let entries = fib.entries();
        let mut named = entries[base].load(Ordering::Relaxed);
        let is_new = named & IS_GROUP == 0;
        if is_new {
            named = self.make_group(entries, named, self.owners[base])?;
        }
        self.paint(fib, group_range(named, to), paint);
        if is_new {
            entries[base].store(named, Ordering::Release);
        }
        Ok(())
    }

    /// A group that says everywhere what its /24 says; an entry that names it.
    fn make_group(
        &mut self,
        entries: &[AtomicU16],
        entry: u16,
        owner: u8,
    ) -> Result<u16, TableFull> {
        let number = self.groups.allocate().ok_or(TableFull)?;
        let number = u16::try_from(number).map_err(|_| TableFull)?;
        let start = group_start(number);
        self.owners[start..start + GROUP].fill(owner);
        for inner in &entries[start..start + GROUP] {
            inner.store(entry, Ordering::Relaxed);
        }
        Ok(number | IS_GROUP)
    }

    /// A group without prefixes longer than /24 says one thing only: the /24 can say it itself.
    fn merge(&mut self, fib: &Fib4, base: usize, named: u16) {
        let entries = fib.entries();
        let start = group_start(named);
        if self.owners[start..start + GROUP].iter().any(|&owner| owner > 24) {
            return;
        }
        self.owners[base] = self.owners[start];
        entries[base].store(entries[start].load(Ordering::Relaxed), Ordering::Release);
        self.groups.retire(u32::from(named & !IS_GROUP));
    }
}

/// Another next hop for a /24 that has one: its only entry, unless that names a group, is its own,
/// whatever its owner is. Whether that was all.
fn replace_one(fib: &Fib4, to: Ipv4Net, hop: NextHopId) -> bool {
    let entry = &fib.entries()[base_index(to.network().into())];
    let is_own = to.prefix_len() == 24 && entry.load(Ordering::Relaxed) & IS_GROUP == 0;
    if is_own {
        entry.store(hop.get(), Ordering::Release);
    }
    is_own
}

/// The entries of a prefix of at most 24 bits.
fn base_range(to: Ipv4Net) -> std::ops::Range<usize> {
    let first = base_index(to.network().into());
    first..first + (1 << (24 - to.prefix_len()))
}

/// The entries of a longer prefix, in the group that its /24 names.
fn group_range(named: u16, to: Ipv4Net) -> std::ops::Range<usize> {
    let first = group_start(named) + (u32::from(to.network()) & 0xff) as usize;
    first..first + (1 << (32 - to.prefix_len()))
}

#[cfg(test)]
mod tests;
