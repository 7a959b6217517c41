//! The answers that are right: one hash table for each length of prefix, the longest asked first.
//! It has no idea in common with the tables that it judges.

use std::collections::{BTreeMap, HashMap};

use crate::{Prefix, Table};

/// Knows the next hop of every address.
#[derive(Debug)]
pub struct Oracle(BTreeMap<u8, HashMap<u128, u16>>);

impl Oracle {
    /// The oracle for a table.
    pub fn new(table: &Table) -> Self {
        let mut lengths = BTreeMap::<u8, HashMap<_, _>>::new();
        for route in &table.routes {
            lengths.entry(route.to.len).or_default().insert(route.to.bits, route.hop);
        }
        Self(lengths)
    }

    /// The next hop of a left-aligned address; 0: no route.
    pub fn hop(&self, address: u128) -> u16 {
        let hop = |(&len, hops): (&u8, &HashMap<_, _>)| {
            hops.get(&Prefix::new(address, len).bits).copied()
        };
        self.0.iter().rev().find_map(hop).unwrap_or(0)
    }
}
