//! Routes of all origins, and the FIB that follows them.
//!
//! The RIB holds what was asked for; the FIB, through [`Hops`], what the workers do. A prefix that
//! several origins want goes to the origin that is first in [`Origin`]'s order.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::hops::Hops;
use crate::config::{NextHop, RouteAction};
use crate::id::{NextHopId, PortId};
use crate::table::{AdjacencyKind, FibWriter, TableFull};

/// Where a route comes from, the most trusted first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Origin {
    /// An address of the router, or what goes with it.
    Local,
    /// A subnet that a port is in.
    Connected,
    /// router.toml, or the command line.
    Static,
}

impl Origin {
    /// The word that `show routes` has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Connected => "connected",
            Self::Static => "static",
        }
    }
}

/// What a route does with a packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// It is for this router: up the tap.
    Receive,
    /// Its destination is a neighbour on this port.
    Connected(PortId),
    /// As router.toml says.
    Configured(RouteAction),
    /// The broadcast address of a subnet: dropped unless it came as a broadcast.
    Broadcast,
}

/// A route as it is in the FIB.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Installed {
    /// What it does.
    pub action: Action,
    hop: NextHopId,
}

/// All routes. The origins that want a prefix stand side by side, the most trusted first: a map for
/// each prefix would take ten times the memory of a route.
#[derive(Debug, Default)]
pub struct Rib {
    routes: BTreeMap<(IpNet, Origin), Installed>,
}

impl Rib {
    /// Take a route in, or replace the one that the same origin has for this prefix.
    ///
    /// # Errors
    /// [`TableFull`], and nothing has changed: the FIB, the next hops or the groups have no room.
    pub fn insert(
        &mut self,
        to: IpNet,
        origin: Origin,
        action: Action,
        hops: &mut Hops,
        fib: &mut FibWriter,
    ) -> Result<(), TableFull> {
        let hop = hop_for(&action, hops, fib)?;
        let other = self.of(to).map(|(other, _)| other).find(|&other| other != origin);
        let is_best = other.is_none_or(|other| origin < other);
        if is_best && let Err(full) = write(fib, to, hop) {
            release(&action, hop, hops, fib);
            return Err(full);
        }
        let old = self.routes.insert((to, origin), Installed { action, hop });
        if let Some(old) = old {
            release(&old.action, old.hop, hops, fib);
        }
        Ok(())
    }

    /// Forget the route that `origin` has for this prefix; false if it has none.
    pub fn remove(
        &mut self,
        to: IpNet,
        origin: Origin,
        hops: &mut Hops,
        fib: &mut FibWriter,
    ) -> bool {
        let Some(old) = self.routes.remove(&(to, origin)) else { return false };
        match self.of(to).next() {
            // The next best takes its place; there is room, since the entry is there already.
            Some((_, next)) => {
                let _the_entry_exists = write(fib, to, next.hop);
            }
            None => match hops.restore_host(to) {
                Some(hop) => {
                    let _the_entry_exists = write(fib, to, hop);
                }
                None => erase(fib, to),
            },
        }
        release(&old.action, old.hop, hops, fib);
        true
    }

    /// Every route that is in force, in the order of prefixes.
    pub fn best(&self) -> impl Iterator<Item = (IpNet, Origin, &Action)> {
        let mut before = None;
        let best = self.routes.iter().filter(move |((to, _), _)| before.replace(*to) != Some(*to));
        best.map(|(&(to, origin), route)| (to, origin, &route.action))
    }

    /// Whether the FIB has this very prefix from the RIB.
    pub fn contains(&self, to: IpNet) -> bool {
        self.of(to).next().is_some()
    }

    /// The most specific route in force for `address`.
    pub fn lookup(&self, address: std::net::IpAddr) -> Option<(IpNet, Origin, &Action)> {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        (0..=longest).rev().find_map(|length| {
            let to = IpNet::new(address, length).ok()?.trunc();
            let (origin, route) = self.of(to).next()?;
            Some((to, origin, &route.action))
        })
    }

    /// Who wants this prefix, the most trusted first.
    fn of(&self, to: IpNet) -> impl Iterator<Item = (Origin, &Installed)> {
        let all = self.routes.range((to, Origin::Local)..=(to, Origin::Static));
        all.map(|(&(_, origin), route)| (origin, route))
    }
}

fn hop_for(action: &Action, hops: &mut Hops, fib: &mut FibWriter) -> Result<NextHopId, TableFull> {
    match action {
        Action::Receive => Ok(hops.receive),
        Action::Broadcast | Action::Configured(RouteAction::Blackhole) => Ok(hops.blackhole),
        Action::Configured(RouteAction::Unreachable) => Ok(hops.unreachable),
        Action::Configured(RouteAction::Prohibit) => Ok(hops.prohibit),
        Action::Connected(port) => Ok(hops.glean(*port)),
        Action::Configured(RouteAction::Via(via)) => via_hop(via, hops, fib),
    }
}

/// One gateway: its next hop. Several: a group of theirs.
fn via_hop(via: &[NextHop], hops: &mut Hops, fib: &mut FibWriter) -> Result<NextHopId, TableFull> {
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
        _ => hops.groups.allocate(members, fib).inspect_err(|_| release_gateways(via, hops, fib)),
    }
}

fn release(action: &Action, hop: NextHopId, hops: &mut Hops, fib: &mut FibWriter) {
    if let Action::Configured(RouteAction::Via(via)) = action {
        if via.len() > 1 {
            hops.groups.release(hop, fib);
        }
        release_gateways(via, hops, fib);
    }
}

fn release_gateways(via: &[NextHop], hops: &mut Hops, fib: &mut FibWriter) {
    for next in via {
        hops.release_gateway(next.port, next.via, fib);
    }
}

/// Write one entry of the FIB.
pub(super) fn write(fib: &mut FibWriter, to: IpNet, hop: NextHopId) -> Result<(), TableFull> {
    match to {
        IpNet::V4(to) => fib.insert4(to, hop).map(drop),
        IpNet::V6(to) => fib.insert6(to, hop).map(drop),
    }
}

/// Take one entry out of the FIB.
pub(super) fn erase(fib: &mut FibWriter, to: IpNet) {
    match to {
        IpNet::V4(to) => drop(fib.remove4(to)),
        IpNet::V6(to) => drop(fib.remove6(to)),
    }
}

/// The word that `show routes` has for what a route does.
pub fn kind_name(action: &Action) -> &'static str {
    match action {
        Action::Receive => "local",
        Action::Connected(_) => "connected",
        Action::Broadcast => "broadcast",
        Action::Configured(RouteAction::Via(_)) => "via",
        Action::Configured(RouteAction::Blackhole) => "blackhole",
        Action::Configured(RouteAction::Unreachable) => "unreachable",
        Action::Configured(RouteAction::Prohibit) => "prohibit",
    }
}

/// What an adjacency of this kind is called.
pub fn adjacency_name(kind: AdjacencyKind) -> &'static str {
    match kind {
        AdjacencyKind::Forward => "forward",
        AdjacencyKind::Glean => "glean",
        AdjacencyKind::Incomplete => "incomplete",
        AdjacencyKind::Receive => "receive",
        AdjacencyKind::Blackhole => "blackhole",
        AdjacencyKind::Unreachable => "unreachable",
        AdjacencyKind::Prohibit => "prohibit",
    }
}

#[cfg(test)]
mod tests;
