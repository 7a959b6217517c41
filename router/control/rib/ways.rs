//! What a million routes have in common: there are few sources and few sets of next hops, and each
//! pair of them, a *way*, is here once, with one next hop (or group) in the FIB.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ops::Index;

use foldhash::fast::RandomState;

use super::{Action, Source};
use crate::config::{NextHop, RouteAction};
use crate::control::hops::Hops;
use crate::id::NextHopId;
use crate::table::{FibWriter, TableFull};

/// A way's number, in three octets: a route has room for no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct WayId([u8; 3]);

impl WayId {
    fn new(number: usize) -> Option<Self> {
        match u32::try_from(number).ok()?.to_le_bytes() {
            [low, middle, high, 0] => Some(Self([low, middle, high])),
            _ => None,
        }
    }

    fn index(self) -> usize {
        let Self([low, middle, high]) = self;
        usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16
    }
}

/// Who wants it, what it does, and how the FIB says that.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) source: Source,
    pub(super) action: Action,
    pub(super) hop: NextHopId,
    /// Routes that go this way; 0: it is free.
    routes: usize,
}

/// No two ways have the same.
pub(super) type Key = (Source, Action);

/// The ways that routes go.
#[derive(Debug, Default)]
pub(super) struct Ways {
    all: Vec<Way>,
    free: Vec<WayId>,
    by_action: HashMap<Key, WayId, RandomState>,
}

impl Index<WayId> for Ways {
    type Output = Way;

    fn index(&self, id: WayId) -> &Way {
        &self.all[id.index()]
    }
}

impl Ways {
    /// The way that does this, for one more route, if there is one.
    pub(super) fn hold(&mut self, key: &Key) -> Option<WayId> {
        let id = *self.by_action.get(key)?;
        self.all[id.index()].routes += 1;
        Some(id)
    }

    /// A new way, for its first route. Where that led by `like` before, flows whose gateway is in
    /// both keep it.
    ///
    /// # Errors
    /// There is no room for its next hops.
    pub(super) fn make(
        &mut self,
        key: Key,
        like: Option<NextHopId>,
        hops: &mut Hops,
        fib: &mut FibWriter,
    ) -> Result<WayId, TableFull> {
        let hop = hop_for(&key.1, like, hops, fib)?;
        let way = Way { source: key.0, action: key.1.clone(), hop, routes: 1 };
        let Some(id) = self.take_in(way) else {
            release(&key.1, hop, hops, fib);
            return Err(TableFull);
        };
        self.by_action.insert(key, id);
        Ok(id)
    }

    /// One route less goes this way; after the last one its next hops go, too.
    pub(super) fn release(&mut self, id: WayId, hops: &mut Hops, fib: &mut FibWriter) {
        let way = &mut self.all[id.index()];
        way.routes -= 1;
        if way.routes == 0 {
            let action = std::mem::replace(&mut way.action, Action::Receive);
            release(&action, way.hop, hops, fib);
            self.by_action.remove(&(way.source, action));
            self.free.push(id);
        }
    }

    /// The ways that some route goes.
    pub(super) fn in_use(&self) -> impl Iterator<Item = &Way> {
        self.all.iter().filter(|way| way.routes > 0)
    }

    #[cfg(test)]
    pub(super) fn hop_of(&self, source: Source, action: &Action) -> Option<NextHopId> {
        self.by_action.get(&(source, action.clone())).map(|&id| self[id].hop)
    }

    /// None: there are no more numbers.
    fn take_in(&mut self, way: Way) -> Option<WayId> {
        if let Some(id) = self.free.pop() {
            self.all[id.index()] = way;
            return Some(id);
        }
        let id = WayId::new(self.all.len())?;
        self.all.push(way);
        Some(id)
    }
}

fn hop_for(
    action: &Action,
    like: Option<NextHopId>,
    hops: &mut Hops,
    fib: &mut FibWriter,
) -> Result<NextHopId, TableFull> {
    match action.does() {
        Action::Receive | Action::Kernel | Action::Mirrored(..) => Ok(hops.receive),
        Action::Broadcast | Action::Configured(RouteAction::Blackhole) => Ok(hops.blackhole),
        Action::Configured(RouteAction::Unreachable) => Ok(hops.unreachable),
        Action::Configured(RouteAction::Prohibit) => Ok(hops.prohibit),
        Action::Connected(port) => Ok(hops.glean(*port)),
        Action::Configured(RouteAction::Via(via)) => via_hop(via, like, hops, fib),
    }
}

/// One gateway: its next hop. Several: a group of theirs.
fn via_hop(
    via: &[NextHop],
    like: Option<NextHopId>,
    hops: &mut Hops,
    fib: &mut FibWriter,
) -> Result<NextHopId, TableFull> {
    let mut members = Vec::with_capacity(via.len());
    for next in via {
        match hops.use_gateway(next.port, next.via, fib) {
            Ok(id) => members.push((id, u16::from(next.weight))),
            Err(full) => {
                release_gateways(&via[..members.len()], hops, fib);
                return Err(full);
            }
        }
    }
    match members[..] {
        [(only, _)] => Ok(only),
        _ => hops
            .groups
            .allocate(members, like, fib)
            .inspect_err(|_| release_gateways(via, hops, fib)),
    }
}

fn release(action: &Action, hop: NextHopId, hops: &mut Hops, fib: &mut FibWriter) {
    if action.via().len() > 1 {
        hops.groups.release(hop, fib);
    }
    release_gateways(action.via(), hops, fib);
}

fn release_gateways(via: &[NextHop], hops: &mut Hops, fib: &mut FibWriter) {
    for next in via {
        hops.release_gateway(next.port, next.via, fib);
    }
}
