//! Changes of a FIB, each compared with a scan of all routes.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Debug;

use xrouter::id::NextHopId;
use xrouter::table::publish::Epochs;
use xrouter::table::{Budget, FibWriter, Memory, TableFull};

use super::octets::Octets;

/// A few of everything, so that each of the tables is full now and then.
pub const BUDGET: Budget =
    Budget { groups4: 6, nodes6: 300, skips6: 8, next_hops: 16, ecmp_groups: 2 };

/// One reader, which is a round of its loop behind.
const READER: usize = 0;
const CHANGES_MAX: usize = 48;

/// IPv4 or IPv6.
pub trait Family {
    /// A prefix.
    type Net: Copy + Ord + Debug;
    /// An address as a number.
    type Address: Copy + Debug;

    /// A route that is there at first: without any, a table of the next level would be made and
    /// freed by nearly every input, which takes long.
    fn anchor() -> Self::Net;

    fn net(octets: &mut Octets) -> Self::Net;
    fn insert(fib: &mut FibWriter, to: Self::Net, hop: NextHopId) -> Inserted;
    fn remove(fib: &mut FibWriter, to: Self::Net) -> Option<NextHopId>;
    fn lookup(fib: &FibWriter, address: Self::Address) -> Option<NextHopId>;
    fn lookup_batch(fib: &FibWriter, addresses: &[Self::Address], found: &mut [Found]);
    /// The first and the last address, one in the middle, and those outside.
    fn edges(to: Self::Net) -> [Self::Address; 5];
    fn covers(to: Self::Net, address: Self::Address) -> bool;
    fn len(to: Self::Net) -> u8;
}

pub type Found = Option<NextHopId>;
pub type Inserted = Result<Found, TableFull>;

/// A FIB and what it must say.
pub struct Lab<F: Family> {
    fib: FibWriter,
    epochs: Epochs,
    routes: BTreeMap<F::Net, NextHopId>,
    /// What is in use with the anchor alone.
    at_rest: [u32; 3],
}

impl<F: Family> Lab<F> {
    pub fn new() -> Self {
        let (_, fib) = FibWriter::new(BUDGET, Memory::Anonymous).expect("memory");
        let routes = BTreeMap::new();
        let mut lab = Self { fib, epochs: Epochs::new(1), routes, at_rest: [0; 3] };
        lab.insert(F::anchor(), 0);
        lab.at_rest = lab.used();
        lab
    }

    fn used(&self) -> [u32; 3] {
        let usage = self.fib.usage();
        [usage.groups4.0, usage.nodes6.0, usage.skips6.0]
    }

    /// Change it as the octets say, and empty it in the end: it is used for the next input again.
    pub fn run(&mut self, mut octets: Octets) {
        self.epochs.online(READER);
        for _ in 0..CHANGES_MAX {
            if octets.is_empty() {
                break;
            }
            match octets.u8() {
                code @ 0..=159 => self.insert(F::net(&mut octets), code % 15),
                160..=223 => self.remove(F::net(&mut octets)),
                224..=239 => self.epochs.pass(READER),
                240..=243 => self.remove(F::anchor()),
                _ => self.fib.reclaim(&self.epochs),
            }
        }
        self.routes.keys().for_each(|&to| self.check(to));
        self.clear();
    }

    fn insert(&mut self, to: F::Net, hop: u8) {
        let hop = NextHopId::new(u16::from(hop) + 1).expect("not zero");
        // A change that finds no room has changed nothing.
        if let Ok(had) = F::insert(&mut self.fib, to, hop) {
            assert_eq!(had, self.routes.insert(to, hop));
        }
        self.check(to);
    }

    fn remove(&mut self, to: F::Net) {
        assert_eq!(F::remove(&mut self.fib, to), self.routes.remove(&to));
        self.check(to);
    }

    /// Leave the anchor alone.
    fn clear(&mut self) {
        let others = self.routes.keys().copied().filter(|to| *to != F::anchor());
        for to in others.collect::<Vec<_>>() {
            self.remove(to);
        }
        self.epochs.offline(READER);
        self.fib.reclaim(&self.epochs);
        self.insert(F::anchor(), 0);
        assert_eq!(self.used(), self.at_rest, "a leak");
    }

    fn check(&self, near: F::Net) {
        let edges = F::edges(near);
        let mut found = [NextHopId::new(999); 5];
        F::lookup_batch(&self.fib, &edges, &mut found);
        for (edge, found) in edges.into_iter().zip(found) {
            let covers = self.routes.iter().filter(|(to, _)| F::covers(**to, edge));
            let expected = covers.max_by_key(|(to, _)| F::len(**to)).map(|(_, &hop)| hop);
            assert_eq!(F::lookup(&self.fib, edge), expected, "{edge:x?} near {near:?}");
            assert_eq!(found, expected, "{edge:x?} near {near:?}, in a batch");
        }
    }
}
