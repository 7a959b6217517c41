//! What the kernel's news mean for the RIB: a function of what was known and what is heard.
//!
//! The kernel's messages do not tell everything. A route that stands behind another with the same
//! destinations and metric is not told again when that one goes; IPv4 routes go in silence with
//! their device or their next-hop object. Where news is not enough, [`Change::AskAnew`] is.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;

use foldhash::fast::RandomState;
use ipnet::IpNet;

use crate::config::{self, NEXT_HOPS_MAX, NextHop, RouteAction};
use crate::control::netlink::PROTOCOL;
use crate::control::netlink::feed::{News, Way};
use crate::control::netlink::object::Object;
use crate::control::netlink::routes::{KernelHop, KernelRoute, Kind};
use crate::control::rib::{Action, Note, Origin, Rib, Source};
use crate::id::PortId;

/// Destinations and metric: one route of the kernel.
pub type Key = (IpNet, u32);

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Nothing.
    None,
    /// Take the route in, or replace it.
    Insert(Key, Action),
    /// Forget the route.
    Remove(Key),
    /// Only a new list tells what is true now.
    AskAnew,
}

/// `RTPROT_REDIRECT`: believed by the kernel, for its own packets.
const REDIRECT: u8 = 1;
/// `RTPROT_KERNEL`: what goes with an address.
const KERNEL: u8 = 2;

/// `RT_TABLE_LOCAL`: the machine's own addresses.
const LOCAL: u32 = 255;

/// What is known of the kernel beside the RIB.
#[derive(Default, Debug)]
pub struct Table {
    settings: config::Kernel,
    objects: BTreeMap<u32, Object>,
    /// Behind these stand others.
    stacked: BTreeSet<Key>,
    /// While all is listed: what there is.
    seen: Option<HashSet<Key, RandomState>>,
}

/// The RIB's name for a route of the kernel.
pub fn source(metric: u32) -> Source {
    Source { origin: Origin::Kernel, metric }
}

impl Table {
    /// Nothing is known yet.
    pub fn new(settings: config::Kernel) -> Self {
        Self { settings, ..Self::default() }
    }

    /// The kernel's tables that are to be listed.
    pub fn tables(&self) -> Vec<u32> {
        self.settings.tables.iter().copied().chain([LOCAL]).collect()
    }

    /// All will be listed now. The objects stay, since routes that are told meanwhile lead through
    /// them; they are listed before the routes.
    pub fn list_begins(&mut self) {
        self.stacked.clear();
        self.seen = Some(HashSet::default());
    }

    /// All was listed: the routes that are not there any more.
    pub fn list_ends(&mut self, rib: &Rib) -> Vec<Key> {
        let seen = self.seen.take().unwrap_or_default();
        let ours = rib.of_origin(Origin::Kernel).map(|(to, source, _)| (to, source.metric));
        ours.filter(|key| !seen.contains(key)).collect()
    }

    /// What is heard means this. `taps` are the numbers of the ports' taps, in the order of ports.
    pub fn hear(&mut self, news: News, rib: &Rib, taps: &[u32]) -> Change {
        match news {
            News::Route(route, way) => self.route(&route, way, rib, taps),
            News::Gone(route) => self.gone(&route, rib, taps),
            News::Object(id, object) => {
                let old = self.objects.insert(id, object.clone());
                self.ask_if(old.is_some_and(|old| old != object), id, rib, |note| note.hops == 0)
            }
            News::ObjectGone(id) => {
                let known = self.objects.remove(&id).is_some();
                self.ask_if(known, id, rib, |_| true)
            }
            News::Unsuitable(why) => {
                tracing::debug!("a route of the kernel is not forwarded by: {why:?}");
                Change::None
            }
            News::AllListed | News::Overrun => Change::None,
        }
    }

    /// Routes that tell their next hops beside the object are told again when it changes, but not
    /// all when it goes.
    fn ask_if(&self, changed: bool, id: u32, rib: &Rib, depends: fn(&Note) -> bool) -> Change {
        let leads = |object| object == id || self.is_member(id, object);
        let mut notes = rib.actions().filter_map(Action::note).filter(|note| depends(note));
        let is_used = changed && notes.any(|note| note.object.is_some_and(leads));
        if is_used { Change::AskAnew } else { Change::None }
    }

    fn is_member(&self, id: u32, group: u32) -> bool {
        let Some(Object::Group(members)) = self.objects.get(&group) else { return false };
        members.iter().any(|(member, _)| *member == id)
    }

    fn route(&mut self, route: &KernelRoute, way: Way, rib: &Rib, taps: &[u32]) -> Change {
        let key = (route.to, route.metric);
        let old = rib.action(route.to, source(route.metric));
        let before = old.and_then(Action::note).map(|note| note.table);
        let Some(table) = self.table_of(route) else { return Change::None };
        if self.is_ignored(route, taps) {
            let displaces = way == Way::Replaces && before == Some(table);
            return if displaces { self.forget(key) } else { Change::None };
        }
        let new = self.action(route, table, taps);
        let is_same = old.is_some() && old == new.as_ref();
        let was_seen = self.seen.as_mut().is_some_and(|seen| !seen.insert(key));
        let stands_behind = match way {
            Way::Listed => was_seen,
            Way::Appended => before.is_some() && is_one(route),
            Way::Replaces | Way::Added => before.is_some_and(|before| before < table),
        };
        let stands_before = way == Way::Added && before.is_some() && is_one(route);
        if !is_same && (stands_behind || stands_before || before.is_some_and(|t| t > table)) {
            self.stacked.insert(key);
        }
        match new {
            _ if is_same || stands_behind => Change::None,
            Some(action) => Change::Insert(key, action),
            None => Change::Remove(key),
        }
    }

    fn gone(&mut self, route: &KernelRoute, rib: &Rib, taps: &[u32]) -> Change {
        let key = (route.to, route.metric);
        let Some(old) = rib.action(route.to, source(route.metric)) else { return Change::None };
        let Some(&note) = old.note() else { return Change::None };
        let is_other = self.table_of(route) != Some(note.table) || self.is_ignored(route, taps);
        if is_other {
            return Change::None;
        }
        if self.stacked.contains(&key) {
            return Change::AskAnew;
        }
        if route.to.addr().is_ipv4() || count(&route.hops) >= note.hops {
            return self.forget(key);
        }
        // Of an IPv6 route each next hop may go by itself.
        let going = self.action(route, note.table, taps);
        let going = going.as_ref().map_or(&[][..], Action::via);
        let left: Vec<_> = old.via().iter().filter(|hop| !going.contains(hop)).copied().collect();
        if left.is_empty() || left.len() == old.via().len() {
            return Change::AskAnew;
        }
        let note = Note { hops: note.hops - count(&route.hops), ..note };
        let does = Action::Configured(RouteAction::Via(left));
        Change::Insert(key, Action::Mirrored(note, Box::new(does)))
    }

    fn forget(&mut self, key: Key) -> Change {
        if let Some(seen) = &mut self.seen {
            seen.remove(&key);
        }
        Change::Remove(key)
    }

    /// The place of the route's table among those that are taken. An address is the machine's
    /// whatever a routing table says: its table is the first.
    fn table_of(&self, route: &KernelRoute) -> Option<u8> {
        if route.table == LOCAL {
            return (route.kind == Kind::Local).then_some(0);
        }
        let place = self.settings.tables.iter().position(|&table| table == route.table)?;
        u8::try_from(place + 1).ok().filter(|_| route.kind != Kind::Local)
    }

    /// Routes of our own, and of those whose routes are not wanted. The addresses and subnets of the
    /// taps are those of the ports.
    fn is_ignored(&self, route: &KernelRoute, taps: &[u32]) -> bool {
        let of_taps = || route.hops.iter().all(|hop| taps.contains(&hop.device));
        match route.protocol {
            PROTOCOL | REDIRECT => true,
            _ if route.kind == Kind::Local => of_taps() || route.to.addr().is_loopback(),
            KERNEL if route.kind == Kind::Unicast && of_taps() => true,
            other => self.settings.ignore_protocols.contains(&other),
        }
    }

    /// What the route does; nothing if all of its devices are down.
    fn action(&self, route: &KernelRoute, table: u8, taps: &[u32]) -> Option<Action> {
        let (does, elsewhere) = match route.kind {
            Kind::Blackhole => (Action::Configured(RouteAction::Blackhole), 0),
            Kind::Unreachable => (Action::Configured(RouteAction::Unreachable), 0),
            Kind::Prohibit => (Action::Configured(RouteAction::Prohibit), 0),
            Kind::Local => (Action::Kernel, 0),
            Kind::Unicast => self.unicast(route, taps)?,
        };
        let (protocol, object) = (route.protocol, route.object);
        let note = Note { protocol, table, hops: count(&route.hops), elsewhere, object };
        Some(Action::Mirrored(note, Box::new(does)))
    }

    /// The gateways behind our taps, or else the link of one; and how many next hops lead elsewhere
    /// beside them. What only leads elsewhere is the kernel's.
    fn unicast(&self, route: &KernelRoute, taps: &[u32]) -> Option<(Action, u8)> {
        let Some(hops) = self.hops_of(route) else {
            return Some((Action::Configured(RouteAction::Blackhole), 0));
        };
        let living = hops.iter().filter(|hop| !hop.dead);
        let port = |hop: &KernelHop| {
            let number = taps.iter().position(|&tap| tap == hop.device)?;
            PortId::new(number).filter(|_| !hop.encapsulated)
        };
        let ours: Vec<_> = living.clone().filter_map(|hop| Some((port(hop)?, hop))).collect();
        let gateway = |&(port, hop): &(PortId, &KernelHop)| {
            let via: IpAddr = hop.via?;
            Some(NextHop { via, port, weight: hop.weight })
        };
        let mut via: Vec<_> = ours.iter().filter_map(gateway).take(NEXT_HOPS_MAX).collect();
        // IPv6 tells them in one order and lists them in another.
        via.sort_unstable_by_key(|hop| (hop.port, hop.via));
        let elsewhere = hops.iter().filter(|hop| port(hop).is_none()).count();
        let elsewhere = u8::try_from(elsewhere).unwrap_or(u8::MAX);
        match ours.first() {
            Some(_) if !via.is_empty() => {
                Some((Action::Configured(RouteAction::Via(via)), elsewhere))
            }
            Some(&(port, _)) => Some((Action::Connected(port), elsewhere)),
            None => living.clone().next().map(|_| (Action::Kernel, 0)),
        }
    }

    /// The next hops, its own or the object's; None: packets are dropped.
    fn hops_of(&self, route: &KernelRoute) -> Option<Vec<KernelHop>> {
        match route.object {
            Some(id) if route.hops.is_empty() => match self.objects.get(&id) {
                Some(Object::Blackhole) => None,
                Some(Object::Hop(hop)) => Some(vec![*hop]),
                Some(Object::Group(members)) => Some(self.members(members)),
                None => Some(Vec::new()),
            },
            _ => Some(route.hops.clone()),
        }
    }

    fn members(&self, members: &[(u32, u8)]) -> Vec<KernelHop> {
        let member = |&(id, weight): &(u32, u8)| match self.objects.get(&id) {
            Some(Object::Hop(hop)) => Some(KernelHop { weight, ..*hop }),
            _ => None,
        };
        members.iter().filter_map(member).collect()
    }
}

/// IPv6 tells all next hops of a route that has several whenever one is added; IPv4 has one route
/// for each.
fn is_one(route: &KernelRoute) -> bool {
    route.to.addr().is_ipv4() || route.hops.len() < 2
}

fn count(hops: &[KernelHop]) -> u8 {
    u8::try_from(hops.len()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests;
