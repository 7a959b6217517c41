//! New nodes and skips: filled first, then named by one store.
#![forbid(unsafe_code)]

use std::sync::atomic::Ordering;

use super::{CHILD, Leaf, Route, Table, Taken, Writer, load, narrow, set_ways};
use crate::table::TableFull;
use crate::table::fib6::units::Piece;
use crate::table::fib6::{Entry, Fib6, IS_NODE, IS_SKIP, SKIP_WORDS, SKIPS_FROM, Skip};

impl Writer {
    /// Something new behind the bits before `bit`, where there was only `cover`: the entry that
    /// leads to it.
    pub(super) fn grow(
        &mut self,
        fib: &Fib6,
        bit: u8,
        cover: Leaf,
        route: Route,
    ) -> Result<u32, TableFull> {
        if bit >= SKIPS_FROM {
            return self.make_skip(fib, route.bits, route.len, route.entry, cover);
        }
        let (entry, table) = self.make_table(fib, bit, cover)?;
        if route.len <= table.end() {
            self.fill(fib, table.range(route), route.leaf());
        } else {
            let entry = self.grow(fib, table.end(), cover, route)?;
            self.set(fib, table.index(route.bits), Leaf { entry, owner: CHILD });
        }
        Ok(entry)
    }

    /// A route that has no place behind the skip that the entry `at` names.
    pub(super) fn diverge(
        &mut self,
        fib: &Fib6,
        table: Table,
        at: usize,
        number: u32,
        route: Route,
    ) -> Result<(), TableFull> {
        let skip = fib.view().skip(number);
        let common = (skip.key ^ route.bits).leading_zeros();
        if common < skip.len.min(u32::from(route.len)) {
            self.fork(fib, table, at, number, route)
        } else {
            self.rebuild(fib, table, at, number, route)
        }
    }

    /// Neither lies in the other: a node where they part, with the skip (the very same, however
    /// much is behind it) in one of its entries, and the route in another.
    fn fork(
        &mut self,
        fib: &Fib6,
        table: Table,
        at: usize,
        number: u32,
        route: Route,
    ) -> Result<(), TableFull> {
        let skip = fib.view().skip(number);
        let cover = Leaf { entry: skip.otherwise, owner: self.skip_owners[number as usize] };
        let parting = narrow((skip.key ^ route.bits).leading_zeros() & !7);
        let (mut entry, node) = self.make_table(fib, parting, cover)?;
        if route.len <= node.end() {
            self.fill(fib, node.range(route), route.leaf());
        } else {
            let entry = self.grow(fib, node.end(), cover, route)?;
            self.set(fib, node.index(route.bits), Leaf { entry, owner: CHILD });
        }
        if parting > table.end() {
            entry = self.make_skip(fib, skip.key, parting, entry, cover)?;
        }
        let is_kept = self.place_skip(fib, node, number, &skip);
        self.set(fib, at, Leaf { entry, owner: CHILD });
        if !is_kept {
            self.skips.retire(number);
        }
        Ok(())
    }

    /// What is behind a skip, in a node further down; whether the skip is still needed for it.
    fn place_skip(&mut self, fib: &Fib6, node: Table, number: u32, skip: &Skip) -> bool {
        let len = narrow(skip.len);
        if len > node.end() {
            let entry = IS_SKIP | number;
            self.set(fib, node.index(skip.key), Leaf { entry, owner: CHILD });
            return true;
        }
        match Entry::of(skip.inside) {
            Entry::Leaf(entry) => {
                let alone = Route { bits: skip.key, len, entry };
                self.fill(fib, node.range(alone), alone.leaf());
            }
            _ => self.set(fib, node.index(skip.key), Leaf { entry: skip.inside, owner: CHILD }),
        }
        false
    }

    /// One lies in the other: all that is behind the entry `at` is made anew from the routes, and
    /// takes the old one's place with one store.
    fn rebuild(
        &mut self,
        fib: &Fib6,
        table: Table,
        at: usize,
        skip: u32,
        route: Route,
    ) -> Result<(), TableFull> {
        let old = load(fib, at);
        let otherwise = fib.view().skip(skip).otherwise;
        let cover = Leaf { entry: otherwise, owner: self.skip_owners[skip as usize] };
        let routes = self.routes_behind(route.bits, table.end());
        let entry = self.build(fib, table.end(), cover, &routes)?;
        self.set(fib, at, Leaf { entry, owner: CHILD });
        self.retire(fib, old, table.end());
        Ok(())
    }

    /// All routes that agree with the first `len` bits and are longer, each before those in it.
    fn routes_behind(&self, bits: u128, len: u8) -> Vec<Route> {
        let rest = u128::MAX >> len;
        let behind = self.long.range((bits & !rest, 0)..=(bits | rest, u8::MAX));
        let longer = behind.filter(|((_, long), _)| *long > len);
        longer.map(|(&(bits, len), hop)| Route { bits, len, entry: u32::from(hop.get()) }).collect()
    }

    /// The entry for `routes`, which are all longer than `bit`, agree before it, and are sorted.
    fn build(
        &mut self,
        fib: &Fib6,
        bit: u8,
        cover: Leaf,
        routes: &[Route],
    ) -> Result<u32, TableFull> {
        let [first, .., last] = routes else {
            let Some(only) = routes.first() else { return Ok(cover.entry) };
            return self.make_skip(fib, only.bits, only.len, only.entry, cover);
        };
        let shortest = routes.iter().map(|route| u32::from(route.len)).min();
        let common = (first.bits ^ last.bits).leading_zeros().min(shortest.unwrap_or(0));
        let common = narrow(common & !7);
        if common <= bit {
            return self.build_node(fib, bit, cover, routes);
        }
        // If one route is for all that they have in common, it sorts first.
        let (inner, rest) = match first.len == common {
            true => (first.leaf(), &routes[1..]),
            false => (cover, routes),
        };
        let inside = self.build_node(fib, common, inner, rest)?;
        self.make_skip(fib, first.bits, common, inside, cover)
    }

    fn build_node(
        &mut self,
        fib: &Fib6,
        bit: u8,
        cover: Leaf,
        mut routes: &[Route],
    ) -> Result<u32, TableFull> {
        let (entry, table) = self.make_table(fib, bit, cover)?;
        while let Some((&route, rest)) = routes.split_first() {
            if route.len <= table.end() {
                self.fill(fib, table.range(route), route.leaf());
                routes = rest;
                continue;
            }
            let at = table.index(route.bits);
            let here = routes.partition_point(|route| table.index(route.bits) <= at);
            let cover = Leaf { entry: load(fib, at), owner: self.owners[at] };
            let entry = self.build(fib, table.end(), cover, &routes[..here])?;
            self.set(fib, at, Leaf { entry, owner: CHILD });
            routes = &routes[here..];
        }
        Ok(entry)
    }

    /// A node (or a second table) that says `cover` everywhere; the entry that names it.
    fn make_table(&mut self, fib: &Fib6, bit: u8, cover: Leaf) -> Result<(u32, Table), TableFull> {
        let (number, piece) = if bit == 16 {
            let number = self.units.second().ok_or(TableFull)?;
            (number, Piece::Second(number))
        } else {
            let number = self.units.node().ok_or(TableFull)?;
            (number, Piece::Node(number))
        };
        self.taken.push(Taken::Piece(piece));
        let table = Table::new(number, bit);
        self.fill(fib, table.all(), cover);
        Ok((IS_NODE | number, table))
    }

    fn make_skip(
        &mut self,
        fib: &Fib6,
        key: u128,
        len: u8,
        inside: u32,
        cover: Leaf,
    ) -> Result<u32, TableFull> {
        let number = self.skips.allocate().ok_or(TableFull)?;
        self.taken.push(Taken::Skip(number));
        self.skip_owners[number as usize] = cover.owner;
        let words = &fib.view().skips[SKIP_WORDS * number as usize..][..SKIP_WORDS];
        #[expect(clippy::cast_possible_truncation, reason = "two halves of the key")]
        let key = [(key >> 64) as u64, key as u64];
        words[0].store(key[0], Ordering::Relaxed);
        words[1].store(key[1], Ordering::Relaxed);
        words[3].store(u64::from(len), Ordering::Relaxed);
        set_ways(fib, number, inside, cover.entry);
        Ok(IS_SKIP | number)
    }
}
