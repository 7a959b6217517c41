#![forbid(unsafe_code)]

use std::net::IpAddr;

use super::*;
use crate::control::hops::Egress;
use crate::packet::ethernet::MacAddress;
use crate::table::publish::Epochs;
use crate::table::{Budget, Memory};

/// Routes, and the tables that they are in.
struct Lab {
    rib: Rib,
    hops: Hops,
    fib: FibWriter,
}

fn port() -> PortId {
    PortId::new(0).unwrap()
}

/// By these gateways of 10.0.0.0/24.
fn via(last: &[u8]) -> Action {
    let hop = |&last| NextHop { via: IpAddr::from([10, 0, 0, last]), port: port(), weight: 1 };
    Action::Configured(RouteAction::Via(last.iter().map(hop).collect()))
}

impl Lab {
    fn new() -> Self {
        let budget = Budget { next_hops: 10, ecmp_groups: 1, groups4: 1, ..Budget::default() };
        let (_, mut fib) = FibWriter::new(budget, Memory::Anonymous).unwrap();
        let egress =
            Egress { ifindex: 1, mac: MacAddress([2, 0, 0, 0, 0, 1]), mtu: 1500, engines: 0 };
        let hops = Hops::new(vec![egress], &mut fib).unwrap();
        Self { rib: Rib::default(), hops, fib }
    }

    fn insert(&mut self, to: &str, origin: Origin, action: Action) -> Result<(), TableFull> {
        let to = to.parse().unwrap();
        self.rib.insert(to, origin, action, &mut self.hops, &mut self.fib)
    }

    fn remove(&mut self, to: &str, origin: Origin) -> bool {
        self.rib.remove(to.parse().unwrap(), origin, &mut self.hops, &mut self.fib)
    }

    /// What is done with a packet for this address, if there is a route.
    fn kind(&self, address: [u8; 4]) -> Option<AdjacencyKind> {
        let fib = self.fib.fib();
        let hop = fib.v4.lookup(u32::from_be_bytes(address))?;
        Some(fib.next_hops.adjacency(hop, || 0).1.kind())
    }

    /// Next hops and groups in use, once nobody can read what is not.
    fn in_use(&mut self) -> (u32, u32) {
        let epochs = Epochs::new(1);
        (0..3).for_each(|_| self.fib.reclaim(&epochs));
        let usage = self.fib.usage();
        (usage.next_hops.0, usage.ecmp_groups.0)
    }
}

const HERE: [u8; 4] = [192, 0, 2, 1];
const NET: &str = "192.0.2.0/24";

/// Checklist C138.
#[test]
fn of_several_origins_the_most_trusted_counts_whatever_the_order() {
    use AdjacencyKind::{Glean, Incomplete, Receive};
    let routes = [
        (Origin::Local, Action::Receive, Receive),
        (Origin::Connected, Action::Connected(port()), Glean),
        (Origin::Static, via(&[1]), Incomplete),
    ];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut lab = Lab::new();
        for (origin, action, _) in order.map(|place| routes[place].clone()) {
            lab.insert(NET, origin, action).unwrap();
        }
        for (origin, _, kind) in &routes {
            assert_eq!(lab.kind(HERE), Some(*kind), "{order:?}");
            assert!(lab.remove(NET, *origin));
        }
        assert_eq!(lab.kind(HERE), None);
    }
}

/// Checklist C136.
#[test]
fn nothing_leaks_however_often_a_route_is_made_changed_and_removed() {
    let mut lab = Lab::new();
    let before = lab.in_use();
    for _ in 0..20 {
        for action in [via(&[1]), via(&[1]), via(&[1, 2, 3]), Action::Receive, via(&[3])] {
            lab.insert(NET, Origin::Static, action).unwrap();
            lab.in_use();
        }
        assert!(lab.remove(NET, Origin::Static));
        assert!(!lab.remove(NET, Origin::Static), "there is none any more");
        assert_eq!((lab.in_use(), lab.kind(HERE)), (before, None));
    }
}

/// Checklist C136.
#[test]
fn a_route_that_finds_no_room_changes_nothing() {
    let mut lab = Lab::new();
    lab.insert("10.1.0.0/16", Origin::Static, via(&[1, 2])).unwrap();
    lab.insert("203.0.113.0/25", Origin::Static, via(&[2])).unwrap();
    let before = lab.in_use();
    for (to, action, lacks) in [
        (NET, via(&[1, 3]), "a group"),
        (NET, via(&[3, 4, 5, 6]), "next hops"),
        ("192.0.2.0/25", via(&[3]), "room for prefixes longer than /24"),
    ] {
        let outcome = lab.insert(to, Origin::Static, action);
        assert_eq!(outcome, Err(TableFull), "{lacks}");
        assert_eq!((lab.in_use(), lab.kind(HERE)), (before, None), "{lacks}");
        assert!(!lab.remove(to, Origin::Static), "{lacks}");
    }
}

/// The FIB has one entry for an address: the neighbour's own route comes back when another goes.
#[test]
fn a_host_route_that_goes_uncovers_the_neighbour() {
    use AdjacencyKind::{Blackhole, Forward, Glean};
    let (mut lab, host) = (Lab::new(), "192.0.2.1/32");
    let mac = MacAddress([2, 0, 0, 0, 0, 7]);
    lab.insert(NET, Origin::Connected, Action::Connected(port())).unwrap();
    let installed = lab.hops.install(port(), HERE.into(), mac, &lab.rib, &mut lab.fib);
    installed.unwrap();
    for _ in 0..2 {
        assert_eq!(lab.kind(HERE), Some(Forward));
        let blackhole = Action::Configured(RouteAction::Blackhole);
        lab.insert(host, Origin::Static, blackhole).unwrap();
        assert_eq!(lab.kind(HERE), Some(Blackhole));
        assert!(lab.remove(host, Origin::Static));
    }
    assert_eq!(lab.kind(HERE), Some(Forward));
    lab.hops.withdraw(port(), HERE.into(), &lab.rib, &mut lab.fib);
    assert_eq!(lab.kind(HERE), Some(Glean));
}
