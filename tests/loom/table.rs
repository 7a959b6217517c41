//! Next hops, grace periods and policers over loom's atomics, with memory that is no mapping.

#[path = "../../router/table/adjacency.rs"]
pub mod adjacency;
#[path = "../../router/table/group.rs"]
mod group;
#[path = "../../router/table/meter.rs"]
pub mod meter;
#[allow(dead_code, reason = "the rest is for the router")]
#[path = "../../router/table/next_hop.rs"]
mod next_hop;
#[path = "../../router/table/police.rs"]
pub mod police;
#[path = "../../router/table/publish.rs"]
pub mod publish;
#[path = "shared.rs"]
mod shared;

use adjacency::Adjacency;
use loom::sync::Arc;
use publish::{Epochs, Grace};
use shared::Region;

use crate::id::NextHopId;
pub use next_hop::NextHops;

/// As in `router/table/mod.rs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableFull;

/// As in `router/table/mod.rs`: what concerns next hops.
struct Budget {
    next_hops: u16,
    ecmp_groups: u16,
}

/// The writer's side of next hops, as `FibWriter` has it.
pub struct HopWriter {
    shared: Arc<NextHops>,
    writer: next_hop::Writer,
}

impl HopWriter {
    /// Room for so many next hops and no group.
    pub fn new(next_hops: u16) -> (Arc<NextHops>, Self) {
        let budget = Budget { next_hops, ecmp_groups: 0 };
        let words = usize::from(next_hops) + 1;
        let octets = next_hop::adjacencies_octets(&budget);
        let (hops, adjacencies) = (Region::of_u32(words), Region::of_u64(octets / 8));
        let shared = Arc::new(NextHops::new(hops, adjacencies, Region::of_u16(0), &budget));
        let writer = next_hop::Writer::new(&budget);
        (shared.clone(), Self { shared, writer })
    }

    pub fn allocate(&mut self, adjacency: Adjacency) -> Result<NextHopId, TableFull> {
        self.writer.allocate(&self.shared, adjacency)
    }

    pub fn set(&mut self, id: NextHopId, adjacency: Adjacency) {
        self.writer.set(&self.shared, id, adjacency);
    }

    pub fn release(&mut self, id: NextHopId) {
        self.writer.release(&self.shared, id);
    }

    pub fn reclaim(&mut self, epochs: &Epochs) {
        self.writer.reclaim(&self.shared, Grace::new(epochs));
    }
}
