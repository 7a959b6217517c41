//! ECMP groups: whose members are dead, and that flows keep away from those.
//!
//! A gateway is dead when it does not answer, has stopped answering, or its link is down; it lives
//! again once its MAC is known. A group whose members are all dead has them all, so that packets
//! ask for them and their senders hear of it (RFC 1812 5.2.7.1).
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use crate::id::NextHopId;
use crate::table::{FibWriter, TableFull};

/// A next hop and its share.
pub type Member = (NextHopId, u16);

/// The groups, and which next hops are dead.
#[derive(Debug, Default)]
pub struct Groups {
    members: BTreeMap<NextHopId, Vec<Member>>,
    /// The groups of each next hop that is in some.
    groups_of: BTreeMap<NextHopId, Vec<NextHopId>>,
    dead: BTreeSet<NextHopId>,
    /// Groups that the FIB has otherwise, for want of a slot until its next reclaim.
    unwritten: BTreeSet<NextHopId>,
}

impl Groups {
    /// A group of these members, in the place of the next hop or group `like`.
    ///
    /// # Errors
    /// No number or no group is free.
    pub fn allocate(
        &mut self,
        members: Vec<Member>,
        like: Option<NextHopId>,
        fib: &mut FibWriter,
    ) -> Result<NextHopId, TableFull> {
        let id = fib.allocate_group(&self.living(&members), like)?;
        for (hop, _) in &members {
            self.groups_of.entry(*hop).or_default().push(id);
        }
        self.members.insert(id, members);
        Ok(id)
    }

    /// No route leads to the group any more.
    pub fn release(&mut self, id: NextHopId, fib: &mut FibWriter) {
        for (hop, _) in self.members.remove(&id).unwrap_or_default() {
            let groups = self.groups_of.entry(hop).or_default();
            groups.retain(|group| *group != id);
            if groups.is_empty() {
                self.groups_of.remove(&hop);
            }
        }
        self.unwritten.remove(&id);
        fib.release(id);
    }

    /// A next hop died, or lives again.
    pub fn set_dead(&mut self, hop: NextHopId, dead: bool, fib: &mut FibWriter) {
        let news = if dead { self.dead.insert(hop) } else { self.dead.remove(&hop) };
        if news {
            self.unwritten.extend(self.groups_of.get(&hop).into_iter().flatten());
            self.write(fib);
        }
    }

    /// A next hop is not any more.
    pub fn forget(&mut self, hop: NextHopId) {
        self.dead.remove(&hop);
    }

    /// Whether some group has this member.
    pub fn is_member(&self, hop: NextHopId) -> bool {
        self.groups_of.contains_key(&hop)
    }

    /// The members that are dead: no packet asks whether they live again.
    pub fn dead(&self) -> impl Iterator<Item = NextHopId> {
        self.dead.iter().copied().filter(|&hop| self.is_member(hop))
    }

    /// Write what the FIB had no room for.
    pub fn write(&mut self, fib: &mut FibWriter) {
        for id in std::mem::take(&mut self.unwritten) {
            let living = self.members.get(&id).map(|members| self.living(members));
            if living.is_some_and(|living| fib.set_group(id, &living).is_err()) {
                self.unwritten.insert(id);
            }
        }
    }

    fn living(&self, members: &[Member]) -> Vec<Member> {
        let living = members.iter().filter(|(hop, _)| !self.dead.contains(hop));
        let living: Vec<_> = living.copied().collect();
        if living.is_empty() { members.to_vec() } else { living }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    use super::*;
    use crate::config::{NextHop, RouteAction};
    use crate::control::hops::{Egress, Hops};
    use crate::control::rib::{Action, Origin, Rib};
    use crate::id::PortId;
    use crate::packet::ethernet::MacAddress;
    use crate::table::publish::Epochs;
    use crate::table::{AdjacencyKind, Budget, Memory};

    const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 9]);

    /// A route to `0.0.0.0/0` by three gateways, the last one behind a port of its own.
    struct Lab {
        fib: FibWriter,
        hops: Hops,
        rib: Rib,
    }

    fn port(number: usize) -> PortId {
        PortId::new(number).unwrap()
    }

    fn gateway(number: usize) -> (PortId, IpAddr) {
        let last = u8::try_from(number).unwrap();
        (port(number / 3), IpAddr::from([10, 0, 0, last]))
    }

    impl Lab {
        fn new() -> Self {
            Self::with(8)
        }

        fn with(ecmp_groups: u16) -> Self {
            let budget = Budget { next_hops: 16, ecmp_groups, ..Budget::default() };
            let (_, mut fib) = FibWriter::new(budget, Memory::Anonymous).unwrap();
            let egress = Egress { ifindex: 1, mac: MAC, mtu: 1500, engines: 0 };
            let mut hops = Hops::new(vec![egress; 2], &mut fib).unwrap();
            let mut rib = Rib::default();
            let via = [1, 2, 3].map(gateway).map(|(port, via)| NextHop { via, port, weight: 1 });
            let action = Action::Configured(RouteAction::Via(via.to_vec()));
            let to = "0.0.0.0/0".parse().unwrap();
            rib.insert(to, Origin::Static.into(), action, &mut hops, &mut fib).unwrap();
            Self { fib, hops, rib }
        }

        fn resolves(&mut self, number: usize) {
            let (port, address) = gateway(number);
            self.hops.install(port, address, MAC, &self.rib, &mut self.fib).unwrap();
        }

        fn fails(&mut self, number: usize) -> bool {
            let (port, address) = gateway(number);
            self.hops.fail(port, address, &mut self.fib)
        }

        /// How many of the flows each gateway has.
        fn shares(&self) -> [usize; 3] {
            let group = self.fib.fib().v4.lookup(0xc000_0201).unwrap();
            let mut flows = BTreeMap::new();
            for hash in 0..128 {
                let (leaf, _) = self.fib.fib().next_hops.adjacency(group, || hash);
                *flows.entry(leaf).or_default() += 1;
            }
            [1, 2, 3].map(|number| {
                let (port, address) = gateway(number);
                let hop = self.hops.awaited(port, address).last().unwrap().next_hop;
                flows.get(&hop).copied().unwrap_or_default()
            })
        }
    }

    #[test]
    fn flows_keep_away_from_a_gateway_that_does_not_answer_until_it_does() {
        let mut lab = Lab::new();
        assert_eq!(lab.shares(), [43, 43, 42], "nobody has been asked yet");
        assert!(lab.fails(2));
        assert_eq!((lab.shares(), lab.hops.missed()), ([64, 0, 64], vec![gateway(2)]));
        lab.resolves(2);
        assert_eq!((lab.shares(), lab.hops.missed()), ([43, 43, 42], vec![]));
        let (port, address) = gateway(2);
        lab.hops.withdraw(port, address, &lab.rib, &mut lab.fib);
        assert_eq!((lab.shares(), lab.hops.missed()), ([64, 0, 64], vec![gateway(2)]));
    }

    #[test]
    fn a_link_takes_its_gateways_along_and_is_not_asked_for_them() {
        let mut lab = Lab::new();
        [1, 2, 3].into_iter().for_each(|number| lab.resolves(number));
        lab.hops.set_link(port(1), false, &mut lab.fib);
        assert_eq!((lab.shares(), lab.hops.missed()), ([64, 64, 0], vec![]));
        lab.hops.set_link(port(1), true, &mut lab.fib);
        assert_eq!(lab.shares(), [43, 43, 42], "a static neighbour needs no question");
        let (port, address) = gateway(3);
        lab.hops.set_link(port, false, &mut lab.fib);
        lab.hops.withdraw(port, address, &lab.rib, &mut lab.fib);
        lab.hops.set_link(port, true, &mut lab.fib);
        assert_eq!((lab.shares(), lab.hops.missed()), ([64, 64, 0], vec![gateway(3)]));
    }

    #[test]
    fn nobody_waits_for_a_neighbour_behind_a_link_that_is_down() {
        let mut lab = Lab::new();
        [1, 3].into_iter().for_each(|number| lab.resolves(number));
        let kinds = |lab: &Lab| {
            let (down, address) = gateway(3);
            let unresolved = lab.hops.awaited(down, address);
            let all = unresolved.chain(lab.hops.awaited(port(0), gateway(1).1).last());
            let next_hops = &lab.fib.fib().next_hops;
            all.map(|hop| next_hops.adjacency(hop.next_hop, || 0).1.kind()).collect::<Vec<_>>()
        };
        use AdjacencyKind::{Forward, Glean, Unreachable};
        assert_eq!(kinds(&lab), [Glean, Forward, Forward]);
        lab.hops.set_link(port(1), false, &mut lab.fib);
        assert_eq!(kinds(&lab), [Unreachable, Unreachable, Forward]);
        lab.resolves(3);
        assert_eq!((kinds(&lab)[1], lab.shares()), (Unreachable, [64, 64, 0]));
        lab.hops.set_link(port(1), true, &mut lab.fib);
        assert_eq!(kinds(&lab), [Glean, Forward, Forward]);
    }

    #[test]
    fn of_the_dead_all_are_asked() {
        let mut lab = Lab::new();
        assert!([1, 2, 3].into_iter().all(|number| lab.fails(number)));
        assert_eq!(lab.shares(), [43, 43, 42]);
        lab.resolves(3);
        assert_eq!(lab.shares(), [0, 0, 128]);
        let to = "0.0.0.0/0".parse().unwrap();
        assert!(lab.rib.remove(to, Origin::Static.into(), &mut lab.hops, &mut lab.fib));
        assert!(!lab.fails(3), "in no group any more");
        assert_eq!(lab.hops.missed(), []);
    }

    #[test]
    fn what_finds_no_slot_is_written_after_the_next_reclaim() {
        let (mut lab, epochs) = (Lab::with(1), Epochs::new(1));
        assert!(lab.fails(1) && lab.fails(2));
        assert_eq!(lab.shares(), [0, 64, 64], "two groups have room");
        (0..2).for_each(|_| lab.fib.reclaim(&epochs));
        lab.hops.groups.write(&mut lab.fib);
        assert_eq!(lab.shares(), [0, 0, 128]);
    }
}
