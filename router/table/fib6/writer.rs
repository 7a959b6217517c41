//! The writer's side of the IPv6 table: how a route comes in and goes out while others read.
//!
//! What holds at any time, and makes small updates possible:
//! * every entry has the next hop of the longest prefix that covers all of its addresses and is
//!   not longer than the entry's own bits, or leads to a node or skip where longer ones are;
//! * all prefixes behind a skip lie in its key and are not shorter than it. A skip whose inside
//!   is a leaf stands for exactly one prefix: its key.
//!
//! A skip's key and length never change once it is named; its two ways are one word, and change
//! by one store, as a node's entries do. So a change of a short prefix needs no new memory
//! however many skips it has below, and cannot stop half way.
#![forbid(unsafe_code)]

mod build;

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::atomic::Ordering;

use ipnet::Ipv6Net;

use super::units::{Piece, Units};
use super::{Entry, Fib6, NODE, SKIP_WORDS, SKIPS_FROM, Skip, TOP, UNITS_OF_SECOND};
use crate::id::NextHopId;
use crate::table::TableFull;
use crate::table::prefixes::{Prefixes, Wide};
use crate::table::publish::{Grace, Slots};
use crate::table::shared::prefetch;

/// Owner of an entry that is no leaf.
const CHILD: u8 = 255;

#[derive(Debug)]
pub(crate) struct Writer {
    routes: Prefixes<Wide, NextHopId>,
    /// Those of them that can be behind a skip, in order: what is there may have to be made anew.
    long: BTreeMap<(u128, u8), NextHopId>,
    /// For each entry the length of the prefix that it has its next hop from; 0 also if it has
    /// none; or [`CHILD`].
    owners: Vec<u8>,
    /// The same for each skip's `otherwise`.
    skip_owners: Vec<u8>,
    units: Units,
    skips: Slots,
    /// What the update under way has taken; it goes back if the update fails.
    taken: Vec<Taken>,
}

#[derive(Clone, Copy, Debug)]
enum Taken {
    Piece(Piece),
    Skip(u32),
}

/// A prefix and what it leads to.
#[derive(Clone, Copy, Debug)]
struct Route {
    bits: u128,
    len: u8,
    entry: u32,
}

impl Route {
    fn new(to: Ipv6Net, hop: NextHopId) -> Self {
        Self { bits: to.network().into(), len: to.prefix_len(), entry: u32::from(hop.get()) }
    }

    fn leaf(self) -> Leaf {
        Leaf { entry: self.entry, owner: self.len }
    }

    /// Whether the route is for a part of the skip's key, or for just that.
    fn is_in(self, skip: &Skip) -> bool {
        u32::from(self.len) >= skip.len && skip.holds(self.bits)
    }
}

/// An entry without anything below, and the length of the prefix that it comes from.
#[derive(Clone, Copy, Debug)]
struct Leaf {
    entry: u32,
    owner: u8,
}

/// Where the owner's length is in `over` the leaf is written.
struct Paint {
    over: RangeInclusive<u8>,
    leaf: Leaf,
}

/// The first table, a second one, or a node.
#[derive(Clone, Copy, Debug)]
struct Table {
    /// Index of its first entry.
    first: usize,
    /// The bit of the address at which it begins.
    bit: u8,
}

impl Table {
    const FIRST: Self = Self { first: 0, bit: 0 };

    fn new(number: u32, bit: u8) -> Self {
        Self { first: TOP + NODE * number as usize, bit }
    }

    /// The bit after those that it decides on.
    fn end(self) -> u8 {
        self.bit + if self.bit < 32 { 16 } else { 8 }
    }

    fn all(self) -> Range<usize> {
        self.first..self.first + (1 << (self.end() - self.bit))
    }

    fn index(self, bits: u128) -> usize {
        let mask = (1 << (self.end() - self.bit)) - 1;
        let place = (bits >> (128 - self.end())) as usize & mask;
        self.first + place
    }

    /// The entries of a prefix that begins in this table and ends in it.
    fn range(self, route: Route) -> Range<usize> {
        let first = self.index(route.bits);
        first..first + (1 << (self.end() - route.len))
    }
}

impl Writer {
    pub(crate) fn new(nodes: u32, skips: u32) -> Self {
        Self {
            routes: Prefixes::default(),
            long: BTreeMap::new(),
            owners: vec![0; TOP + NODE * nodes as usize],
            skip_owners: vec![0; skips as usize],
            units: Units::new(nodes),
            skips: Slots::new(skips),
            taken: Vec::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn hop_of(&self, to: Ipv6Net) -> Option<NextHopId> {
        self.routes.get(u128::from(to.trunc().network()).into(), to.prefix_len())
    }

    /// Nodes in use, and how many there are.
    pub(crate) fn nodes(&self) -> (u32, u32) {
        (self.units.used(), self.units.limit())
    }

    pub(crate) fn skips(&self) -> &Slots {
        &self.skips
    }

    pub(crate) fn reclaim(&mut self, grace: Grace) {
        self.units.reclaim(grace);
        self.skips.reclaim(grace);
    }

    /// Ask for the cache lines that a change of this prefix needs.
    pub(crate) fn prefetch(&self, fib: &Fib6, to: Ipv6Net) {
        let (bits, len) = (u128::from(to.network()), to.prefix_len());
        self.routes.prefetch(bits.into(), len);
        self.prefetch_entries(fib, bits, len);
    }

    /// The entries on the way to it and its own; of these the owners, too, if there are several.
    fn prefetch_entries(&self, fib: &Fib6, bits: u128, len: u8) {
        let mut table = Table::FIRST;
        while len > table.end()
            && let Entry::Node(number) = Entry::of(load(fib, table.index(bits)))
        {
            table = Table::new(number, table.end());
        }
        prefetch(fib.view().entries, table.index(bits));
        if len < table.end() {
            prefetch(&self.owners, table.index(bits));
        }
    }

    /// Route `to` by `hop`. The next hop that it had before, if any; an error leaves everything
    /// as it was.
    pub(crate) fn insert(
        &mut self,
        fib: &Fib6,
        to: Ipv6Net,
        hop: NextHopId,
    ) -> Result<Option<NextHopId>, TableFull> {
        let route = Route::new(to.trunc(), hop);
        self.prefetch_entries(fib, route.bits, route.len);
        let had = self.record(route, Some(hop));
        if had == Some(hop) {
            return Ok(had);
        }
        let done = self.announce(fib, route, had.is_none());
        if done.is_err() {
            self.undo(route, had);
        }
        self.taken.clear();
        done.map(|()| had)
    }

    /// Take the route to `to` away; its addresses fall to the next shorter prefix. The next hop
    /// that it had.
    pub(crate) fn remove(&mut self, fib: &Fib6, to: Ipv6Net) -> Option<NextHopId> {
        let (bits, len) = (u128::from(to.trunc().network()), to.prefix_len());
        let route = Route { bits, len, entry: 0 };
        let had = self.record(route, None)?;
        let (owner, entry) = self
            .routes
            .cover(bits.into(), len)
            .map_or((0, 0), |(len, hop)| (len, u32::from(hop.get())));
        let paint = Paint { over: len..=len, leaf: Leaf { entry, owner } };
        self.withdraw(fib, Table::FIRST, route, &paint);
        Some(had)
    }

    /// Note the next hop of a route, or that there is no such route; the one that it had.
    fn record(&mut self, route: Route, hop: Option<NextHopId>) -> Option<NextHopId> {
        let Route { bits, len, .. } = route;
        let had = match hop {
            Some(hop) => self.routes.insert(bits.into(), len, hop),
            None => self.routes.remove(bits.into(), len),
        };
        if len > SKIPS_FROM {
            match hop {
                Some(hop) => self.long.insert((bits, len), hop),
                None => self.long.remove(&(bits, len)),
            };
        }
        had
    }

    fn undo(&mut self, route: Route, had: Option<NextHopId>) {
        self.record(route, had);
        for taken in self.taken.drain(..) {
            match taken {
                Taken::Piece(piece) => self.units.give_back(piece),
                Taken::Skip(number) => self.skips.give_back(number),
            }
        }
    }

    fn announce(&mut self, fib: &Fib6, route: Route, is_new: bool) -> Result<(), TableFull> {
        let mut table = Table::FIRST;
        while route.len > table.end() {
            let at = table.index(route.bits);
            match Entry::of(load(fib, at)) {
                Entry::Node(number) => table = Table::new(number, table.end()),
                Entry::Leaf(entry) => {
                    let cover = Leaf { entry, owner: self.owners[at] };
                    let entry = self.grow(fib, table.end(), cover, route)?;
                    self.set(fib, at, Leaf { entry, owner: CHILD });
                    return Ok(());
                }
                Entry::Skip(number) => {
                    let skip = fib.view().skip(number);
                    match Entry::of(skip.inside) {
                        Entry::Node(node) if route.is_in(&skip) => {
                            table = Table::new(node, narrow(skip.len));
                        }
                        Entry::Leaf(_) if is_key(&skip, route) => {
                            set_ways(fib, number, route.entry, skip.otherwise);
                            return Ok(());
                        }
                        _ => return self.diverge(fib, table, at, number, route),
                    }
                }
            }
        }
        let at = table.index(route.bits);
        let is_own = !is_new && route.len == table.end();
        if is_own && matches!(Entry::of(load(fib, at)), Entry::Leaf(_)) {
            // Its only entry has it already: the owner stays.
            fib.view().entries[at].store(route.entry, Ordering::Release);
        } else {
            let paint = Paint { over: 0..=route.len, leaf: route.leaf() };
            self.paint(fib, table.range(route), table.end(), &paint);
        }
        Ok(())
    }

    /// Write entries of a table that nothing names yet.
    fn fill(&mut self, fib: &Fib6, range: Range<usize>, leaf: Leaf) {
        self.owners[range.clone()].fill(leaf.owner);
        for entry in &fib.view().entries[range] {
            entry.store(leaf.entry, Ordering::Relaxed);
        }
    }

    /// One entry, with all that was written before.
    fn set(&mut self, fib: &Fib6, at: usize, leaf: Leaf) {
        self.owners[at] = leaf.owner;
        fib.view().entries[at].store(leaf.entry, Ordering::Release);
    }

    /// Paint the entries of a table that ends at bit `end`, and all below them.
    fn paint(&mut self, fib: &Fib6, range: Range<usize>, end: u8, paint: &Paint) {
        for at in range {
            let owner = self.owners[at];
            if owner == CHILD {
                self.paint_below(fib, load(fib, at), end, paint);
            } else if paint.over.contains(&owner) {
                self.set(fib, at, paint.leaf);
            }
        }
    }

    fn paint_below(&mut self, fib: &Fib6, entry: u32, bit: u8, paint: &Paint) {
        match Entry::of(entry) {
            Entry::Leaf(_) => {}
            Entry::Node(number) => {
                let table = Table::new(number, bit);
                self.paint(fib, table.all(), table.end(), paint);
            }
            Entry::Skip(number) => {
                let skip = fib.view().skip(number);
                let owner = &mut self.skip_owners[number as usize];
                if paint.over.contains(owner) {
                    *owner = paint.leaf.owner;
                    set_ways(fib, number, skip.inside, paint.leaf.entry);
                }
                self.paint_below(fib, skip.inside, narrow(skip.len), paint);
            }
        }
    }

    /// Withdraw `route` from `table` and what is below; on the way back, what says one thing
    /// only goes.
    fn withdraw(&mut self, fib: &Fib6, table: Table, route: Route, paint: &Paint) {
        if route.len <= table.end() {
            return self.paint(fib, table.range(route), table.end(), paint);
        }
        let at = table.index(route.bits);
        match Entry::of(load(fib, at)) {
            Entry::Leaf(_) => debug_assert!(false, "a route is in the table"),
            Entry::Node(number) => {
                let child = Table::new(number, table.end());
                self.withdraw(fib, child, route, paint);
                if let Some(leaf) = self.only_leaf(fib, child) {
                    self.set(fib, at, leaf);
                    self.retire_table(number, child.bit);
                }
            }
            Entry::Skip(number) => self.withdraw_behind(fib, at, number, route, paint),
        }
    }

    /// The same, behind a skip that the entry `at` names.
    fn withdraw_behind(&mut self, fib: &Fib6, at: usize, number: u32, route: Route, paint: &Paint) {
        let skip = fib.view().skip(number);
        let mut left = None;
        if let Entry::Node(node) = Entry::of(skip.inside) {
            let child = Table::new(node, narrow(skip.len));
            self.withdraw(fib, child, route, paint);
            left = self.only_leaf(fib, child);
            if left.is_none() {
                return;
            }
            self.retire_table(node, child.bit);
        }
        match left.filter(|leaf| u32::from(leaf.owner) == skip.len) {
            Some(leaf) => set_ways(fib, number, leaf.entry, skip.otherwise),
            None => {
                let owner = self.skip_owners[number as usize];
                self.set(fib, at, Leaf { entry: skip.otherwise, owner });
                self.skips.retire(number);
            }
        }
    }

    /// What the table says everywhere, if no entry has anything of its own.
    fn only_leaf(&self, fib: &Fib6, table: Table) -> Option<Leaf> {
        let owners = &self.owners[table.all()];
        let own = |some: &[u8]| some.iter().fold(0, |longest, &owner| owner.max(longest));
        owners
            .chunks(NODE)
            .all(|some| own(some) <= table.bit)
            .then(|| Leaf { entry: load(fib, table.first), owner: owners[0] })
    }

    /// Give back all that an unlinked entry leads to.
    fn retire(&mut self, fib: &Fib6, entry: u32, bit: u8) {
        match Entry::of(entry) {
            Entry::Leaf(_) => {}
            Entry::Node(number) => {
                let table = Table::new(number, bit);
                for at in table.all().filter(|&at| self.owners[at] == CHILD).collect::<Vec<_>>() {
                    self.retire(fib, load(fib, at), table.end());
                }
                self.retire_table(number, bit);
            }
            Entry::Skip(number) => {
                let skip = fib.view().skip(number);
                self.retire(fib, skip.inside, narrow(skip.len));
                self.skips.retire(number);
            }
        }
    }

    fn retire_table(&mut self, number: u32, bit: u8) {
        let piece = if bit == 16 { Piece::Second(number) } else { Piece::Node(number) };
        self.units.retire(piece);
    }
}

fn load(fib: &Fib6, at: usize) -> u32 {
    fib.view().entries[at].load(Ordering::Relaxed)
}

/// Whether the route is for just the skip's key.
fn is_key(skip: &Skip, route: Route) -> bool {
    u32::from(route.len) == skip.len && skip.holds(route.bits)
}

fn set_ways(fib: &Fib6, number: u32, inside: u32, otherwise: u32) {
    let ways = u64::from(inside) << 32 | u64::from(otherwise);
    fib.view().skips[SKIP_WORDS * number as usize + 2].store(ways, Ordering::Release);
}

/// A number of bits, as a length.
fn narrow(bits: u32) -> u8 {
    u8::try_from(bits).unwrap_or(128)
}

const _: () = assert!(NODE * UNITS_OF_SECOND as usize == TOP);
