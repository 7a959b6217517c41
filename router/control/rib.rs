//! Routes of all origins, and the FIB that follows them.
//!
//! The RIB holds what was asked for; the FIB, through [`Hops`], what the workers do. A prefix that
//! several sources want goes to the source that is first in [`Source`]'s order.
#![forbid(unsafe_code)]

mod ways;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::hops::Hops;
use crate::config::{NextHop, RouteAction};
use crate::id::{NextHopId, PortId};
use crate::table::prefixes::{Prefixes, Wide};
use crate::table::{AdjacencyKind, FibWriter, TableFull};
use ways::{Key, Way, WayId, Ways};

/// Where a route comes from, the most trusted first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Origin {
    /// An address of the router, or what goes with it.
    Local,
    /// A subnet that a port is in.
    Connected,
    /// router.toml, or the command line.
    Static,
    /// The kernel, and so a routing daemon, DHCP, or `ip route`.
    Kernel,
}

impl Origin {
    /// The word that `show routes` has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Connected => "connected",
            Self::Static => "static",
            Self::Kernel => "kernel",
        }
    }
}

/// Whose a route is. A prefix has one route of each source; of those that want it the least wins:
/// the more trusted origin, and of one origin the smaller metric.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Source {
    /// Where it comes from.
    pub origin: Origin,
    /// What the origin says of it: the smaller, the better. 0 if it says nothing.
    pub metric: u32,
}

impl From<Origin> for Source {
    fn from(origin: Origin) -> Self {
        Self { origin, metric: 0 }
    }
}

/// What a route does with a packet.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// It is for this router: up the tap.
    Receive,
    /// Its destination is a neighbour on this port.
    Connected(PortId),
    /// As router.toml says.
    Configured(RouteAction),
    /// The broadcast address of a subnet: dropped unless it came as a broadcast.
    Broadcast,
    /// It is for a device that is the kernel's alone: up the tap of the port that it came by.
    Kernel,
    /// As a route of the kernel says; the note is what else there is to know of that.
    Mirrored(Note, Box<Action>),
}

/// What a route of the kernel has besides its next hops.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Note {
    /// Who made it (`rtm_protocol`).
    pub protocol: u8,
    /// The place of its table in `[kernel] tables`.
    pub table: u8,
    /// How many next hops it told.
    pub hops: u8,
    /// How many of them lead out of other devices than the taps, and are left out.
    pub elsewhere: u8,
    /// The next-hop object that it leads through.
    pub object: Option<u32>,
}

impl Action {
    /// What is done, whoever said so.
    pub fn does(&self) -> &Self {
        match self {
            Self::Mirrored(_, does) => does.does(),
            other => other,
        }
    }

    /// Of a route of the kernel, what else there is to know.
    pub fn note(&self) -> Option<&Note> {
        match self {
            Self::Mirrored(note, _) => Some(note),
            _ => None,
        }
    }

    /// The gateways that it leads to.
    pub fn via(&self) -> &[NextHop] {
        match self.does() {
            Self::Configured(RouteAction::Via(via)) => via,
            _ => &[],
        }
    }
}

/// All routes: for each prefix the way that is in force, one of a few, so that a route is 8 octets
/// (IPv6: 20). What else wants the prefix stands aside, since that is rare.
#[derive(Debug, Default)]
pub struct Rib {
    v4: Prefixes<u32, WayId>,
    v6: Prefixes<Wide, WayId>,
    others: BTreeMap<(IpNet, Source), WayId>,
    ways: Ways,
}

impl Rib {
    /// Take a route in, or replace the one that the same source has for this prefix. The new way
    /// is there before the old one goes, so gateways that both have stay as they are.
    ///
    /// # Errors
    /// [`TableFull`], and nothing has changed: the FIB, the next hops or the groups have no room.
    pub fn insert(
        &mut self,
        to: IpNet,
        source: Source,
        action: Action,
        hops: &mut Hops,
        fib: &mut FibWriter,
    ) -> Result<(), TableFull> {
        let to = to.trunc();
        self.prefetch(to, fib);
        let way = self.way(to, (source, action), hops, fib)?;
        match self.place(to, source, way, fib) {
            Ok(Some(old)) => self.ways.release(old, hops, fib),
            Ok(None) => {}
            Err(full) => {
                self.ways.release(way, hops, fib);
                return Err(full);
            }
        }
        Ok(())
    }

    /// The way that does this, for one more route; a new one resembles what the prefix has.
    fn way(
        &mut self,
        to: IpNet,
        key: Key,
        hops: &mut Hops,
        fib: &mut FibWriter,
    ) -> Result<WayId, TableFull> {
        if let Some(way) = self.ways.hold(&key) {
            return Ok(way);
        }
        let like = self.get(to).map(|way| self.ways[way].hop);
        self.ways.make(key, like, hops, fib)
    }

    /// Forget the route that `source` has for this prefix; false if it has none.
    pub fn remove(
        &mut self,
        to: IpNet,
        source: Source,
        hops: &mut Hops,
        fib: &mut FibWriter,
    ) -> bool {
        let to = to.trunc();
        let Some(best) = self.get(to) else { return false };
        let old = if self.ways[best].source == source {
            self.replace_best(to, hops, fib);
            Some(best)
        } else {
            self.others.remove(&(to, source))
        };
        old.inspect(|&old| self.ways.release(old, hops, fib)).is_some()
    }

    /// Every route that is in force, in the order of prefixes.
    pub fn best(&self) -> impl Iterator<Item = (IpNet, Source, &Action)> {
        let v4 = self.v4.iter().map(|(bits, len, way)| (net4(bits, len), way));
        let v6 = self.v6.iter().map(|(bits, len, way)| (net6(bits, len), way));
        let mut all: Vec<_> = v4.chain(v6).collect();
        all.sort_unstable_by_key(|(to, _)| *to);
        all.into_iter().map(|(to, way)| self.route(to, way))
    }

    /// What the route of this source does, in force or not.
    pub fn action(&self, to: IpNet, source: Source) -> Option<&Action> {
        let best = self.get(to)?;
        let way = Some(best).filter(|&best| self.ways[best].source == source);
        let way = way.or_else(|| self.others.get(&(to, source)).copied())?;
        Some(&self.ways[way].action)
    }

    /// Every route of an origin, in force or not, in no order.
    pub fn of_origin(&self, origin: Origin) -> impl Iterator<Item = (IpNet, Source, &Action)> {
        let v4 = self.v4.iter().map(|(bits, len, way)| (net4(bits, len), way));
        let v6 = self.v6.iter().map(|(bits, len, way)| (net6(bits, len), way));
        let others = self.others.iter().map(|((to, _), way)| (*to, *way));
        let all = v4.chain(v6).chain(others).map(|(to, way)| self.route(to, way));
        all.filter(move |(_, source, _)| source.origin == origin)
    }

    /// What is done by at least one route, each thing once.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.ways.in_use().map(|way| &way.action)
    }

    /// The next hop that packets for `address` are to have.
    pub fn next_hop(&self, address: IpAddr) -> Option<(IpNet, NextHopId)> {
        let (to, way) = self.cover(address)?;
        Some((to, self.ways[way].hop))
    }

    /// Whether the FIB has this very prefix from the RIB.
    pub fn contains(&self, to: IpNet) -> bool {
        self.get(to).is_some()
    }

    /// The most specific route in force for `address`.
    pub fn lookup(&self, address: IpAddr) -> Option<(IpNet, Source, &Action)> {
        let (to, way) = self.cover(address)?;
        Some(self.route(to, way))
    }

    fn cover(&self, address: IpAddr) -> Option<(IpNet, WayId)> {
        let (len, way) = match address {
            IpAddr::V4(address) => self.v4.cover(address.into(), 33),
            IpAddr::V6(address) => self.v6.cover(u128::from(address).into(), 129),
        }?;
        Some((IpNet::new_assert(address, len).trunc(), way))
    }

    /// Put a way where it belongs among those that want the prefix. The one that it replaces.
    fn place(
        &mut self,
        to: IpNet,
        source: Source,
        way: WayId,
        fib: &mut FibWriter,
    ) -> Result<Option<WayId>, TableFull> {
        let there = match to {
            IpNet::V4(to) => self.v4.get_mut(to.network().into(), to.prefix_len()),
            IpNet::V6(to) => self.v6.get_mut(wide(to), to.prefix_len()),
        };
        let Some(there) = there else {
            write(fib, to, self.ways[way].hop)?;
            self.set(to, way);
            return Ok(None);
        };
        let (best, holder) = (*there, self.ways[*there].source);
        if holder < source {
            return Ok(self.others.insert((to, source), way));
        }
        if best != way {
            write(fib, to, self.ways[way].hop)?;
            *there = way;
        }
        if holder == source {
            return Ok(Some(best));
        }
        Ok(self.others.insert((to, holder), best))
    }

    /// The best way goes: the next one takes its place, or else a neighbour's own route, if there is
    /// any.
    fn replace_best(&mut self, to: IpNet, hops: &mut Hops, fib: &mut FibWriter) {
        let next = self.others.range((to, Source::from(Origin::Local))..).next();
        match next.map(|(&key, &way)| (key, way)).filter(|(key, _)| key.0 == to) {
            Some((key, next)) => {
                self.others.remove(&key);
                // There is room, since the entry is there already.
                let _the_entry_exists = write(fib, to, self.ways[next].hop);
                self.set(to, next);
            }
            None => {
                match to {
                    IpNet::V4(to) => self.v4.remove(to.network().into(), to.prefix_len()),
                    IpNet::V6(to) => self.v6.remove(wide(to), to.prefix_len()),
                };
                let link = self.link_of(to);
                if !link.is_some_and(|port| hops.restore_host_route(port, to.addr(), fib)) {
                    erase(fib, to);
                }
            }
        }
    }

    /// The port on whose link this is, if it is one host.
    fn link_of(&self, to: IpNet) -> Option<PortId> {
        let host = (to.prefix_len() == to.max_prefix_len()).then(|| to.addr())?;
        match *self.lookup(host)?.2.does() {
            Action::Connected(port) => Some(port),
            _ => None,
        }
    }

    /// The route to this prefix will change, after the one at hand: RIB and FIB have it in cache
    /// lines of their own, which come meanwhile.
    pub fn prefetch(&self, to: IpNet, fib: &FibWriter) {
        match to {
            IpNet::V4(to) => self.v4.prefetch(to.network().into(), to.prefix_len()),
            IpNet::V6(to) => self.v6.prefetch(wide(to), to.prefix_len()),
        }
        fib.prefetch(to);
    }

    fn get(&self, to: IpNet) -> Option<WayId> {
        match to {
            IpNet::V4(to) => self.v4.get(to.network().into(), to.prefix_len()),
            IpNet::V6(to) => self.v6.get(wide(to), to.prefix_len()),
        }
    }

    /// The way in force for this prefix, from now on.
    fn set(&mut self, to: IpNet, way: WayId) {
        match to {
            IpNet::V4(to) => self.v4.insert(to.network().into(), to.prefix_len(), way),
            IpNet::V6(to) => self.v6.insert(wide(to), to.prefix_len(), way),
        };
    }

    fn route(&self, to: IpNet, way: WayId) -> (IpNet, Source, &Action) {
        let Way { source, action, .. } = &self.ways[way];
        (to, *source, action)
    }
}

fn wide(to: Ipv6Net) -> Wide {
    u128::from(to.network()).into()
}

fn net4(bits: u32, len: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(bits.into(), len))
}

fn net6(bits: Wide, len: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(u128::from(bits).into(), len))
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
    match action.does() {
        Action::Kernel | Action::Mirrored(..) => "kernel",
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
