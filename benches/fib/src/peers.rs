//! xrouter's FIB and the crates, each with a table of its own.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use anyhow::Result;
use common::router;
use ip_network_table_deps_treebitmap::IpLookupTable;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use poptrie::Poptrie;
use prefix_trie::PrefixMap;
use tables::{Family, Table};
use xrouter::id::NextHopId;
use xrouter::table::{Fib, FibWriter};

use crate::contest::{Contestant, Trace};

/// What a worker looks up together.
pub const BATCH: usize = 64;

/// xrouter's FIB with the routes of a table.
pub fn xrouter(table: &Table) -> Result<(Arc<Fib>, FibWriter)> {
    let (fib, mut writer) = router::fib(router::budget())?;
    table.routes.iter().try_for_each(|&route| router::write(&mut writer, table.family, route))?;
    Ok((fib, writer))
}

/// xrouter's lookups: one at a time, or [`BATCH`].
pub struct Xrouter {
    pub fib: Arc<Fib>,
    pub family: Family,
    pub batch: usize,
    pub found: Vec<Option<NextHopId>>,
}

impl Xrouter {
    pub fn new(fib: &Arc<Fib>, family: Family, batch: usize) -> Self {
        Self { fib: fib.clone(), family, batch, found: Vec::new() }
    }
}

impl Contestant for Xrouter {
    fn name(&self) -> String {
        "xrouter".to_owned()
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn prepare(&mut self, trace: &Trace) {
        self.found.resize(trace.len(), None);
    }

    fn look_up(&mut self, trace: &Trace) {
        let found = self.found.chunks_mut(self.batch);
        match (self.family, self.batch) {
            (Family::V4, 1) => {
                each(&trace.v4, &mut self.found, |address| self.fib.v4.lookup(address))
            }
            (Family::V6, 1) => {
                each(&trace.v6, &mut self.found, |address| self.fib.v6.lookup(address))
            }
            (Family::V4, batch) => {
                let batches = trace.v4.chunks(batch).zip(found);
                batches.for_each(|(addresses, found)| self.fib.v4.lookup_batch(addresses, found));
            }
            (Family::V6, batch) => {
                let batches = trace.v6.chunks(batch).zip(found);
                batches.for_each(|(addresses, found)| self.fib.v6.lookup_batch(addresses, found));
            }
        }
    }

    fn found(&self, i: usize) -> u16 {
        self.found[i].map_or(0, NextHopId::get)
    }
}

fn each<A: Copy, T>(addresses: &[A], found: &mut [T], look_up: impl Fn(A) -> T) {
    for (&address, found) in addresses.iter().zip(found) {
        *found = look_up(address);
    }
}

/// A table that has no batches: `hop` looks the address number `i` up.
struct OneByOne<F> {
    name: &'static str,
    found: Vec<u16>,
    hop: F,
}

impl<F: Fn(&Trace, usize) -> Option<u16>> Contestant for OneByOne<F> {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn batch(&self) -> usize {
        1
    }

    fn prepare(&mut self, trace: &Trace) {
        self.found.resize(trace.len(), 0);
    }

    fn look_up(&mut self, trace: &Trace) {
        for (i, found) in self.found.iter_mut().enumerate() {
            *found = (self.hop)(trace, i).unwrap_or(0);
        }
    }

    fn found(&self, i: usize) -> u16 {
        self.found[i]
    }
}

fn one_by_one<'a>(
    name: &'static str,
    hop: impl Fn(&Trace, usize) -> Option<u16> + 'a,
) -> Box<dyn Contestant + 'a> {
    Box::new(OneByOne { name, found: Vec::new(), hop })
}

/// The crates, loaded with a table.
pub fn crates(table: &Table) -> Vec<Box<dyn Contestant>> {
    match table.family {
        Family::V4 => crates4(table),
        Family::V6 => crates6(table),
    }
}

fn routes4(table: &Table) -> impl Iterator<Item = (Ipv4Net, u16)> {
    table.routes.iter().filter_map(|route| match route.to.net(table.family) {
        IpNet::V4(to) => Some((to, route.hop)),
        IpNet::V6(_) => None,
    })
}

fn routes6(table: &Table) -> impl Iterator<Item = (Ipv6Net, u16)> {
    table.routes.iter().filter_map(|route| match route.to.net(table.family) {
        IpNet::V4(_) => None,
        IpNet::V6(to) => Some((to, route.hop)),
    })
}

fn crates4(table: &Table) -> Vec<Box<dyn Contestant>> {
    let map: PrefixMap<(u32, u8), u16> =
        routes4(table).map(|(to, hop)| ((to.network().into(), to.prefix_len()), hop)).collect();
    let mut bitmap = IpLookupTable::new();
    routes4(table).for_each(|(to, hop)| {
        bitmap.insert(to.network(), to.prefix_len().into(), hop);
    });
    let poptrie: Poptrie<Ipv4Net, u16> = routes4(table).collect();
    vec![
        one_by_one("prefix-trie", move |trace, i| {
            map.get_lpm(&(trace.v4[i], 32)).map(|(_, &hop)| hop)
        }),
        one_by_one("treebitmap", move |trace, i| {
            bitmap.longest_match(Ipv4Addr::from(trace.v4[i])).map(|(_, _, &hop)| hop)
        }),
        one_by_one("poptrie", move |trace, i| poptrie.lookup(Ipv4Addr::from(trace.v4[i])).copied()),
    ]
}

fn crates6(table: &Table) -> Vec<Box<dyn Contestant>> {
    let map: PrefixMap<(u128, u8), u16> =
        routes6(table).map(|(to, hop)| ((to.network().into(), to.prefix_len()), hop)).collect();
    let mut bitmap = IpLookupTable::new();
    routes6(table).for_each(|(to, hop)| {
        bitmap.insert(to.network(), to.prefix_len().into(), hop);
    });
    let poptrie: Poptrie<Ipv6Net, u16> = routes6(table).collect();
    vec![
        one_by_one("prefix-trie", move |trace, i| {
            map.get_lpm(&(trace.v6[i], 128)).map(|(_, &hop)| hop)
        }),
        one_by_one("treebitmap", move |trace, i| {
            bitmap.longest_match(Ipv6Addr::from(trace.v6[i])).map(|(_, _, &hop)| hop)
        }),
        one_by_one("poptrie", move |trace, i| poptrie.lookup(Ipv6Addr::from(trace.v6[i])).copied()),
    ]
}
