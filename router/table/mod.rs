//! What a packet's way is looked up in: address -> [`NextHopId`] -> [`Adjacency`], and what a
//! worker knows of its interfaces.
//!
//! The FIB lies in shared memory, in flat arrays of atomics. Control writes it in place
//! ([`FibWriter`]); workers read it without locks ([`Fib`]), and an XDP program can read it too
//! (`bpf/shared.h`). The order of the stores is the whole proof: new before old on the way in,
//! from the top on the way out, and nothing is used again before its readers have passed
//! ([`publish`]).
#![deny(unsafe_code)]

pub mod adjacency;
pub mod fib4;
pub mod fib6;
pub mod gateway;
mod group;
pub mod interface;
pub mod meter;
pub mod next_hop;
pub mod own;
pub mod police;
pub mod policy;
pub mod prefixes;
pub mod publish;
#[allow(unsafe_code, reason = "the one place for it: see there")]
mod shared;
pub mod used;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use arrayvec::ArrayVec;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub use adjacency::{Adjacency, AdjacencyKind};
use publish::{Epochs, Grace};
use shared::Region;

use crate::id::{NEXT_HOP_ID_MAX, NextHopId};

/// A table has no room for this change, and is as it was before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the table is full: raise its budget in [tables]")]
pub struct TableFull;

/// How much room the FIB has. It is set when the router starts and does not change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// IPv4: how many /24s can have longer prefixes in them; 512 octets each, at most
    /// [`fib4::GROUPS_MAX`].
    pub groups4: u32,
    /// IPv6: nodes, 1 KiB each, at most [`fib6::NODES_MAX`]; a /16 with longer prefixes takes [`fib6::UNITS_OF_SECOND`]. A
    /// full Internet table takes 61,000.
    pub nodes6: u32,
    /// IPv6: skips, 32 octets each, at most [`fib6::SKIPS_MAX`]: about one for each prefix longer
    /// than /48.
    pub skips6: u32,
    /// Next hops and groups together; at most [`NEXT_HOP_ID_MAX`].
    pub next_hops: u16,
    /// ECMP groups.
    pub ecmp_groups: u16,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            groups4: 8192,
            nodes6: 65_536,
            skips6: 65_536,
            next_hops: NEXT_HOP_ID_MAX,
            ecmp_groups: 1024,
        }
    }
}

/// Entries of the shared arrays, in the terms of `bpf/shared.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Of `fib4`.
    pub fib4_entries: u32,
    /// Of `fib6`, before its skips.
    pub fib6_entries: u32,
    /// Skips of `fib6`.
    pub fib6_skips: u32,
    /// Slots of `adjacencies`.
    pub adjacencies: u32,
    /// Slots of `ecmp`.
    pub ecmp_groups: u32,
}

/// The arrays that the FIB lies in.
pub const ARRAYS: usize = 7;

/// Name and octets of each of the shared arrays. The names are those of `bpf/shared.h`.
pub type Layout = [(&'static str, u32); ARRAYS];

impl Budget {
    /// How large the shared arrays are for this budget.
    pub fn layout(&self) -> Layout {
        let budget = self.bounded();
        // The bounds keep every array below 4 GiB, which is what a BPF map can be.
        let octets = |octets| u32::try_from(octets).unwrap_or(u32::MAX);
        [
            ("fib4", octets(fib4::octets(budget.groups4))),
            ("fib6", octets(fib6::octets(budget.nodes6, budget.skips6))),
            ("next_hops", octets(next_hop::NEXT_HOPS_OCTETS)),
            ("adjacencies", octets(next_hop::adjacencies_octets(&budget))),
            ("ecmp", octets(next_hop::ecmp_octets(&budget))),
            ("used", octets(used::OCTETS)),
            ("own", octets(own::OCTETS)),
        ]
    }

    /// How many entries the arrays have, for a program whose every index is checked against them.
    pub fn bounds(&self) -> Bounds {
        let budget = self.bounded();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Bounds {
            fib4_entries: count(fib4::octets(budget.groups4) / size_of::<u16>()),
            fib6_entries: count(fib6::skips_offset(budget.nodes6) / size_of::<u32>()),
            fib6_skips: budget.skips6,
            adjacencies: count(next_hop::adjacencies_octets(&budget) / adjacency::ADJACENCY_OCTETS),
            ecmp_groups: count(next_hop::ecmp_octets(&budget) / next_hop::GROUP_OCTETS),
        }
    }

    /// No more than the entries can name and a map can hold.
    fn bounded(self) -> Self {
        Self {
            groups4: self.groups4.min(fib4::GROUPS_MAX),
            nodes6: self.nodes6.min(fib6::NODES_MAX),
            skips6: self.skips6.min(fib6::SKIPS_MAX),
            next_hops: self.next_hops.min(NEXT_HOP_ID_MAX),
            ..self
        }
    }
}

/// Where the FIB lies.
#[derive(Debug)]
pub enum Memory {
    /// In memory of this process, which appears as it is used.
    Anonymous,
    /// In BPF array maps that XDP programs have too: in the order of [`Layout`], each with one
    /// element of the octets that it says, zeroed, and mmapable.
    Maps([OwnedFd; ARRAYS]),
}

impl Memory {
    /// The arrays, in the order of [`Layout`].
    fn regions(&self, layout: &Layout) -> io::Result<[Region; ARRAYS]> {
        let mut regions = ArrayVec::new();
        for (number, &(_, octets)) in layout.iter().enumerate() {
            regions.push(match self {
                Self::Anonymous => Region::anonymous(octets as usize)?,
                Self::Maps(maps) => Region::map(maps[number].as_fd(), octets as usize)?,
            });
        }
        regions.into_inner().map_err(|_| io::Error::other("not all arrays"))
    }
}

/// The FIB as workers see it.
#[derive(Debug)]
pub struct Fib {
    /// IPv4 addresses to next hops.
    pub v4: fib4::Fib4,
    /// IPv6 addresses to next hops.
    pub v6: fib6::Fib6,
    /// Next hops to adjacencies.
    pub next_hops: next_hop::NextHops,
    /// The next hops that packets are sent to.
    pub used: used::Used,
    /// Next hops to the addresses of their neighbours.
    pub gateways: gateway::Gateways,
    own: own::OwnFilter,
}

/// The FIB as control sees it. There is one; what it changes, workers see at once.
#[derive(Debug)]
pub struct FibWriter {
    fib: Arc<Fib>,
    v4: fib4::Writer,
    v6: fib6::Writer,
    next_hops: next_hop::Writer,
    refused: Refused,
}

/// Changes refused since the start, by the table that was full.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Refused {
    groups4: u64,
    nodes6: u64,
    skips6: u64,
    next_hops: u64,
    ecmp_groups: u64,
}

impl FibWriter {
    /// An empty FIB with so much room.
    ///
    /// # Errors
    /// What mmap(2) says: no memory, or maps that are not as [`Budget::layout`] wants them.
    pub fn new(budget: Budget, memory: Memory) -> io::Result<(Arc<Fib>, Self)> {
        let budget = budget.bounded();
        let [v4, v6, hops, adjacencies, ecmp, used, own] = memory.regions(&budget.layout())?;
        let fib = Arc::new(Fib {
            v4: fib4::Fib4::new(v4, budget.groups4),
            v6: fib6::Fib6::new(v6, budget.nodes6, budget.skips6),
            next_hops: next_hop::NextHops::new(hops, adjacencies, ecmp, &budget),
            used: used::Used::new(used),
            gateways: gateway::Gateways::default(),
            own: own::OwnFilter::new(own),
        });
        let writer = Self {
            fib: fib.clone(),
            v4: fib4::Writer::new(budget.groups4),
            v6: fib6::Writer::new(budget.nodes6, budget.skips6),
            next_hops: next_hop::Writer::new(&budget),
            refused: Refused::default(),
        };
        Ok((fib, writer))
    }

    /// The readers' side.
    pub fn fib(&self) -> &Fib {
        &self.fib
    }

    /// The route to `to` is about to change: ask for the cache lines that this needs.
    pub fn prefetch(&self, to: IpNet) {
        match to {
            IpNet::V4(to) => self.v4.prefetch(&self.fib.v4, to),
            IpNet::V6(to) => self.v6.prefetch(&self.fib.v6, to),
        }
    }

    /// Route `to` by `hop`; host bits of `to` do not count. The next hop that `to` had before, if
    /// any.
    ///
    /// # Errors
    /// No room for a prefix that is longer than /24: nothing has changed. What was freed since
    /// the last [`FibWriter::reclaim`] is no room yet.
    pub fn insert4(&mut self, to: Ipv4Net, hop: NextHopId) -> Result<Option<NextHopId>, TableFull> {
        self.v4.insert(&self.fib.v4, to, hop).inspect_err(|_| self.refused.groups4 += 1)
    }

    /// Take the route to `to` away. The next hop that it had.
    pub fn remove4(&mut self, to: Ipv4Net) -> Option<NextHopId> {
        self.v4.remove(&self.fib.v4, to)
    }

    /// Route `to` by `hop`; host bits of `to` do not count. The next hop that `to` had before, if
    /// any.
    ///
    /// # Errors
    /// No room for another node or skip: nothing has changed. What was freed since the last
    /// [`FibWriter::reclaim`] is no room yet.
    pub fn insert6(&mut self, to: Ipv6Net, hop: NextHopId) -> Result<Option<NextHopId>, TableFull> {
        self.v6.insert(&self.fib.v6, to, hop).inspect_err(|_| {
            let skips = self.v6.skips();
            let no_skip = skips.used() == skips.limit();
            *if no_skip { &mut self.refused.skips6 } else { &mut self.refused.nodes6 } += 1;
        })
    }

    /// Take the route to `to` away. The next hop that it had.
    pub fn remove6(&mut self, to: Ipv6Net) -> Option<NextHopId> {
        self.v6.remove(&self.fib.v6, to)
    }

    /// A next hop with this adjacency.
    ///
    /// # Errors
    /// All numbers are in use, or released too short a time ago.
    pub fn allocate(&mut self, adjacency: Adjacency) -> Result<NextHopId, TableFull> {
        let allocated = self.next_hops.allocate(&self.fib.next_hops, adjacency);
        allocated.inspect_err(|_| self.refused.next_hops += 1)
    }

    /// Whose next hop it is; to be said before a route leads to it.
    pub fn set_gateway(&mut self, id: NextHopId, address: IpAddr) {
        self.fib.gateways.set(id, address);
    }

    /// Another adjacency for a next hop: one store, however many routes lead to it. If so many
    /// changed since the last [`FibWriter::reclaim`] that there is no free slot, it takes effect
    /// with the next one.
    pub fn set(&mut self, id: NextHopId, adjacency: Adjacency) {
        self.next_hops.set(&self.fib.next_hops, id, adjacency);
    }

    /// A group of plain next hops (a group in a group is a black hole), each with its weight: flows
    /// are shared out in 128 parts. It comes in the place of the next hop or group `like`, if there
    /// is one: flows whose member stays do not move.
    ///
    /// # Errors
    /// No number or no group is free.
    pub fn allocate_group(
        &mut self,
        members: &[(NextHopId, u16)],
        like: Option<NextHopId>,
    ) -> Result<NextHopId, TableFull> {
        let allocated = self.next_hops.allocate_group(&self.fib.next_hops, members, like);
        allocated.inspect_err(|_| self.refused.ecmp_groups += 1)
    }

    /// Other members for a group. Members that stay keep their flows as far as the new weights
    /// allow.
    ///
    /// # Errors
    /// Too many changes since the last [`FibWriter::reclaim`]; the group is as it was.
    pub fn set_group(
        &mut self,
        id: NextHopId,
        members: &[(NextHopId, u16)],
    ) -> Result<(), TableFull> {
        self.next_hops.set_group(&self.fib.next_hops, id, members)
    }

    /// A next hop or a group is not needed any more: no route and no group leads to it.
    pub fn release(&mut self, id: NextHopId) {
        self.next_hops.release(&self.fib.next_hops, id);
    }

    /// Whether packets were sent to this next hop since the last call.
    pub fn take_used(&self, id: NextHopId) -> bool {
        self.fib.used.take(id)
    }

    /// Packets in transit come from none of these: the router's own addresses, and the broadcast
    /// addresses of its subnets.
    pub fn set_own(&self, addresses: impl Iterator<Item = IpAddr>) {
        self.fib.own.set(addresses);
    }

    /// Make what was freed available again once all readers have passed. It takes two calls with
    /// a round of every worker in between, and waits for nobody: call it now and then (also while
    /// a large table is loaded, once in some thousand routes).
    pub fn reclaim(&mut self, epochs: &Epochs) {
        let grace = Grace::new(epochs);
        self.v4.reclaim(grace);
        self.v6.reclaim(grace);
        self.next_hops.reclaim(&self.fib.next_hops, grace);
    }

    /// How full the tables are.
    pub fn usage(&self) -> Usage {
        let slots = |slots: &publish::Slots| (slots.used(), slots.limit());
        let [next_hops, ecmp_groups] = self.next_hops.usage();
        Usage {
            groups4: slots(self.v4.groups()),
            nodes6: self.v6.nodes(),
            skips6: slots(self.v6.skips()),
            next_hops,
            ecmp_groups,
            refused: self.refused,
        }
    }
}

/// How full the tables are: of each what is in use (or waits for its readers), and the limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// See [`Budget::groups4`].
    pub groups4: (u32, u32),
    /// See [`Budget::nodes6`].
    pub nodes6: (u32, u32),
    /// See [`Budget::skips6`].
    pub skips6: (u32, u32),
    /// See [`Budget::next_hops`].
    pub next_hops: (u32, u32),
    /// See [`Budget::ecmp_groups`].
    pub ecmp_groups: (u32, u32),
    refused: Refused,
}

impl Usage {
    /// Name, used, limit and changes refused of each table. The names are those of the budgets in
    /// router.toml.
    pub fn rows(&self) -> [(&'static str, u64, u64, u64); 5] {
        let row = |name, (used, limit), refused| (name, u64::from(used), u64::from(limit), refused);
        let refused = &self.refused;
        [
            row("ipv4_groups", self.groups4, refused.groups4),
            row("ipv6_nodes", self.nodes6, refused.nodes6),
            row("ipv6_skips", self.skips6, refused.skips6),
            row("next_hops", self.next_hops, refused.next_hops),
            row("ecmp_groups", self.ecmp_groups, refused.ecmp_groups),
        ]
    }
}

#[cfg(test)]
mod tests;
