#![forbid(unsafe_code)]

use std::net::IpAddr;

use super::*;
use crate::config::NextHop;
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
        Self::with(Budget { next_hops: 10, ecmp_groups: 1, groups4: 1, ..Budget::default() })
    }

    fn with(budget: Budget) -> Self {
        let (_, mut fib) = FibWriter::new(budget, Memory::Anonymous).unwrap();
        let egress =
            Egress { ifindex: 1, mac: MacAddress([2, 0, 0, 0, 0, 1]), mtu: 1500, engines: 0 };
        let hops = Hops::new(vec![egress], &mut fib).unwrap();
        Self { rib: Rib::default(), hops, fib }
    }

    fn insert(&mut self, to: &str, origin: Origin, action: Action) -> Result<(), TableFull> {
        let to = to.parse().unwrap();
        self.rib.insert(to, origin.into(), action, &mut self.hops, &mut self.fib)
    }

    fn remove(&mut self, to: &str, origin: Origin) -> bool {
        self.rib.remove(to.parse().unwrap(), origin.into(), &mut self.hops, &mut self.fib)
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

/// Whichever was there first, the neighbour's or the one from elsewhere.
#[test]
fn a_neighbours_own_route_comes_back_when_the_other_goes() {
    use AdjacencyKind::{Blackhole, Forward, Glean};
    for neighbour_first in [true, false] {
        let mut lab = Lab::new();
        lab.insert(NET, Origin::Connected, Action::Connected(port())).unwrap();
        let resolve = |lab: &mut Lab| {
            let (address, mac) = (IpAddr::from(HERE), MacAddress([2, 0, 0, 0, 0, 9]));
            lab.hops.install(port(), address, mac, &lab.rib, &mut lab.fib).unwrap();
        };
        if neighbour_first {
            resolve(&mut lab);
        }
        let blackhole = Action::Configured(RouteAction::Blackhole);
        lab.insert("192.0.2.1/32", Origin::Static, blackhole).unwrap();
        if !neighbour_first {
            resolve(&mut lab);
        }
        assert_eq!(lab.kind(HERE), Some(Blackhole));
        assert!(lab.remove("192.0.2.1/32", Origin::Static));
        assert_eq!(lab.kind(HERE), Some(Forward));
        lab.hops.withdraw(port(), IpAddr::from(HERE), &lab.rib, &mut lab.fib);
        assert_eq!(lab.kind(HERE), Some(Glean));
    }
}

/// What is heard, or what somebody says of a host, changes no route.
#[test]
fn a_neighbour_that_routes_lead_past_has_no_route_of_its_own() {
    let mut lab = Lab::with(Budget { next_hops: 10, groups4: 2, ..Budget::default() });
    lab.insert(NET, Origin::Connected, Action::Connected(port())).unwrap();
    let blackhole = Action::Configured(RouteAction::Blackhole);
    lab.insert("192.0.2.0/31", Origin::Kernel, blackhole).unwrap();
    let elsewhere = [198, 51, 100, 1];
    for (address, kind) in [(HERE, Some(AdjacencyKind::Blackhole)), (elsewhere, None)] {
        let mac = MacAddress([2, 0, 0, 0, 0, 9]);
        lab.hops.install(port(), address.into(), mac, &lab.rib, &mut lab.fib).unwrap();
        assert_eq!(lab.kind(address), kind);
    }
    assert!(lab.remove("192.0.2.0/31", Origin::Kernel));
    lab.hops.review(NET.parse().unwrap(), &lab.rib, &mut lab.fib);
    assert_eq!(lab.kind(HERE), Some(AdjacencyKind::Forward));
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

/// Checklist C136: a route that is made again with the next hops that it has leaves them alone, and
/// those that it has before and after stay.
#[test]
fn next_hops_that_a_route_keeps_are_not_made_anew() {
    let mut lab = Lab::new();
    let mut hop = |action| {
        lab.insert(NET, Origin::Static, action).unwrap();
        let used = lab.fib.usage().next_hops.0;
        (lab.fib.fib().v4.lookup(u32::from_be_bytes(HERE)), used)
    };
    let first = hop(via(&[1]));
    assert_eq!(hop(via(&[1])), first);
    let group = hop(via(&[1, 2]));
    assert_eq!(hop(via(&[1, 2])), group);
    assert_eq!(hop(via(&[1])).0, first.0);
}

/// Flows by one of two gateways, or of three, stay with it while the third comes and goes.
#[test]
fn a_gateway_that_a_route_has_no_more_takes_only_its_own_flows_along() {
    let budget = Budget { next_hops: 20, ecmp_groups: 4, groups4: 1, ..Budget::default() };
    let mut lab = Lab::with(budget);
    let mut flows = |last: &[u8]| -> Vec<NextHopId> {
        lab.insert(NET, Origin::Static, via(last)).unwrap();
        let fib = lab.fib.fib();
        let group = fib.v4.lookup(u32::from_be_bytes(HERE)).unwrap();
        (0..128).map(|hash| fib.next_hops.adjacency(group, || hash).0).collect()
    };
    let moved = |before: &[NextHopId], after: &[NextHopId]| {
        before.iter().zip(after).filter(|(before, after)| before != after).count()
    };
    let one = flows(&[1]);
    let two = flows(&[1, 2]);
    let three = flows(&[1, 2, 3]);
    let without = flows(&[1, 2]);
    let again = flows(&[1, 2, 3]);
    assert_eq!(moved(&one, &two), 64);
    assert_eq!(moved(&two, &three), 42, "the share of the third");
    assert_eq!(moved(&three, &without), 42);
    assert_eq!(moved(&without, &again), 42);
}

#[test]
fn routes_with_the_same_next_hops_share_one_group() {
    let mut lab = Lab::new();
    for third in 0..100 {
        lab.insert(&format!("10.1.{third}.0/24"), Origin::Static, via(&[1, 2])).unwrap();
    }
    assert_eq!(lab.in_use().1, 1);
}

/// The next in a row of numbers in which there is no order (xorshift64).
fn chance(state: &mut u64, below: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % below
}

/// Prefixes that often nest, of both families.
fn any_prefix(state: &mut u64) -> IpNet {
    let bits = u32::try_from(chance(state, 1 << 32)).unwrap();
    if chance(state, 2) == 0 {
        let len = 18 + u8::try_from(chance(state, 15)).unwrap();
        IpNet::new(IpAddr::from((0x0a00_0000 | bits & 0x0000_0183).to_be_bytes()), len).unwrap()
    } else {
        let len = 40 + u8::try_from(chance(state, 30)).unwrap();
        let bits = 0x2001_0db8 << 96 | u128::from(bits & 0x0018_1800) << 48;
        IpNet::new(IpAddr::from(bits.to_be_bytes()), len).unwrap()
    }
    .trunc()
}

fn any_source(state: &mut u64) -> Source {
    let origins = [Origin::Local, Origin::Connected, Origin::Static];
    let origin = origins[usize::try_from(chance(state, 3)).unwrap()];
    Source { origin, metric: u32::try_from(chance(state, 2)).unwrap() }
}

fn any_action(state: &mut u64) -> Action {
    let actions = [
        Action::Receive,
        Action::Broadcast,
        Action::Connected(port()),
        Action::Configured(RouteAction::Unreachable),
        via(&[1]),
        via(&[2]),
        via(&[1, 2]),
    ];
    actions[usize::try_from(chance(state, 7)).unwrap()].clone()
}

/// What the RIB must be: every route, and no more.
type Model = BTreeMap<(IpNet, Source), Action>;

fn best(model: &Model) -> BTreeMap<IpNet, (Source, &Action)> {
    // Of one prefix the first to be put in is the last of the row.
    model.iter().rev().map(|(&(to, source), action)| (to, (source, action))).collect()
}

impl Lab {
    /// RIB and FIB say what the model says.
    fn check(&self, model: &Model) {
        let best = best(model);
        let expected = best.iter().map(|(&to, &(source, action))| (to, source, action));
        assert!(self.rib.best().eq(expected));
        for at in best.keys().flat_map(|to| [to.network(), to.broadcast()]) {
            let covers = best.iter().filter(|(to, _)| to.contains(&at));
            let longest = covers.max_by_key(|(to, _)| to.prefix_len());
            let expected = longest.map(|(&to, &(source, action))| (to, source, action));
            assert_eq!(self.rib.lookup(at), expected, "{at}");
            let hop = match at {
                IpAddr::V4(at) => self.fib.fib().v4.lookup(at.into()),
                IpAddr::V6(at) => self.fib.fib().v6.lookup(at.into()),
            };
            let hop_of =
                |(_, source, action): (_, _, &Action)| self.rib.ways.hop_of(source, action);
            assert_eq!(hop, expected.and_then(hop_of), "{at}");
        }
    }
}

/// Checklist C136, C138.
#[test]
fn a_million_changes_leave_rib_and_fib_as_the_model_has_them() {
    let mut lab = Lab::with(Budget::default());
    let before = lab.in_use();
    let (mut model, mut state, epochs) = (Model::new(), 0x9e37_79b9_7f4a_7c15, Epochs::new(1));
    for change in 0..1_000_000 {
        let (to, source) = (any_prefix(&mut state), any_source(&mut state));
        let Lab { rib, hops, fib } = &mut lab;
        if chance(&mut state, 2) == 0 {
            let had = model.remove(&(to, source)).is_some();
            assert_eq!(rib.remove(to, source, hops, fib), had);
        } else {
            let action = any_action(&mut state);
            rib.insert(to, source, action.clone(), hops, fib).unwrap();
            model.insert((to, source), action);
        }
        if change % 100 == 0 {
            fib.reclaim(&epochs);
        }
        if change % 50_000 == 0 {
            lab.check(&model);
        }
    }
    for (to, source) in std::mem::take(&mut model).into_keys() {
        assert!(lab.rib.remove(to, source, &mut lab.hops, &mut lab.fib));
    }
    lab.check(&model);
    assert_eq!(lab.in_use(), before);
}
