#![forbid(unsafe_code)]

use super::*;
use crate::control::hops::{Egress, Hops};
use crate::control::rib::kind_name;
use crate::packet::ethernet::MacAddress;
use crate::table::{Budget, FibWriter, Memory};

/// The taps of two ports; 9 is a device of the kernel's own.
const TAPS: [u32; 2] = [3, 4];
const OTHER: u32 = 9;
/// Of BIRD.
const BIRD: u8 = 12;

struct Lab {
    table: Table,
    rib: Rib,
    hops: Hops,
    fib: FibWriter,
}

fn route(to: &str, hops: &[KernelHop]) -> KernelRoute {
    KernelRoute {
        to: to.parse().unwrap(),
        metric: 0,
        table: 254,
        protocol: BIRD,
        kind: Kind::Unicast,
        hops: hops.to_vec(),
        object: None,
    }
}

/// A next hop; `via` is empty if there is no gateway.
fn hop(via: &str, device: u32) -> KernelHop {
    KernelHop { via: via.parse().ok(), device, weight: 1, dead: false, encapsulated: false }
}

/// A route through this object, whose next hops it does not tell.
fn through(object: u32) -> KernelRoute {
    KernelRoute { object: Some(object), ..route("10.0.0.0/8", &[]) }
}

impl Lab {
    fn new() -> Self {
        Self::with(&[254])
    }

    fn with(tables: &[u32]) -> Self {
        let settings = config::Kernel { tables: tables.to_vec(), ..config::Kernel::default() };
        let (_, mut fib) = FibWriter::new(Budget::default(), Memory::Anonymous).unwrap();
        let mac = MacAddress([2, 0, 0, 0, 0, 1]);
        let egress = Egress { ifindex: 1, mac, mtu: 1500, engines: 0 };
        let hops = Hops::new(vec![egress; 2], &mut fib).unwrap();
        Self { table: Table::new(settings), rib: Rib::default(), hops, fib }
    }

    /// Hear news, and do what they mean. Whether news are not enough.
    fn hears(&mut self, news: News) -> bool {
        let change = self.table.hear(news, &self.rib, &TAPS);
        let (hops, fib) = (&mut self.hops, &mut self.fib);
        match change {
            Change::None => {}
            Change::AskAnew => return true,
            Change::Insert((to, metric), action) => {
                self.rib.insert(to, source(metric), action, hops, fib).unwrap();
            }
            Change::Remove((to, metric)) => {
                self.rib.remove(to, source(metric), hops, fib);
            }
        }
        false
    }

    fn adds(&mut self, route: KernelRoute) -> bool {
        self.hears(News::Route(route, Way::Added))
    }

    fn lists(&mut self, route: KernelRoute) -> bool {
        self.hears(News::Route(route, Way::Listed))
    }

    /// What is done with packets for this address: the last octets of the gateways, or a word.
    fn does(&self, address: &str) -> String {
        let found = self.rib.lookup(address.parse().unwrap());
        let Some((_, _, action)) = found else { return "nothing".into() };
        match action.via() {
            [] => kind_name(action).into(),
            via => via.iter().map(|hop| hop.via.to_string()).collect::<Vec<_>>().join(" "),
        }
    }
}

#[test]
fn of_several_metrics_the_least_wins() {
    let mut lab = Lab::new();
    let with = |metric, via| KernelRoute { metric, ..route("10.0.0.0/8", &[hop(via, 3)]) };
    lab.adds(with(20, "192.0.2.1"));
    lab.adds(with(10, "192.0.2.2"));
    lab.adds(with(30, "192.0.2.3"));
    assert_eq!(lab.does("10.1.2.3"), "192.0.2.2");
    lab.hears(News::Gone(with(10, "192.0.2.2")));
    assert_eq!(lab.does("10.1.2.3"), "192.0.2.1");
    lab.hears(News::Route(with(20, "192.0.2.4"), Way::Replaces));
    assert_eq!(lab.does("10.1.2.3"), "192.0.2.4");
    lab.hears(News::Gone(with(20, "192.0.2.4")));
    lab.hears(News::Gone(with(30, "192.0.2.3")));
    assert_eq!(lab.does("10.1.2.3"), "nothing");
}

#[test]
fn routes_that_are_not_for_us_and_what_they_displace() {
    let mut lab = Lab::new();
    let of = |protocol, device| KernelRoute { protocol, ..route("10.0.0.0/8", &[hop("", device)]) };
    for protocol in [PROTOCOL, REDIRECT, KERNEL] {
        lab.adds(of(protocol, 3));
        assert_eq!(lab.does("10.0.0.1"), "nothing", "protocol {protocol}");
    }
    lab.adds(KernelRoute { table: 100, ..of(BIRD, 3) });
    assert_eq!(lab.does("10.0.0.1"), "nothing", "another table");
    lab.adds(of(KERNEL, OTHER));
    assert_eq!(lab.does("10.0.0.1"), "kernel", "the subnet of a device of the kernel's own");
    lab.hears(News::Route(of(PROTOCOL, 3), Way::Replaces));
    assert_eq!(lab.does("10.0.0.1"), "nothing", "our own stands in its place");
}

#[test]
fn the_machines_own_addresses_on_no_port() {
    let mut lab = Lab::new();
    let of = |to, device| {
        let own = route(to, &[hop("", device)]);
        KernelRoute { kind: Kind::Local, table: LOCAL, protocol: KERNEL, ..own }
    };
    for ports_or_nobodys in [of("10.255.0.1/32", 3), of("127.0.0.0/8", OTHER)] {
        let to = ports_or_nobodys.to.addr().to_string();
        lab.adds(ports_or_nobodys);
        assert_eq!(lab.does(&to), "nothing");
    }
    lab.adds(route("10.255.0.1/32", &[hop("192.0.2.1", 3)]));
    lab.adds(of("10.255.0.1/32", OTHER));
    assert_eq!(lab.does("10.255.0.1"), "kernel", "whatever a route says");
    assert!(lab.hears(News::Gone(of("10.255.0.1/32", OTHER))), "another stands behind it");
    let broadcast = KernelRoute { kind: Kind::Unicast, ..of("10.255.0.2/32", OTHER) };
    lab.adds(broadcast);
    assert_eq!(lab.does("10.255.0.2"), "nothing");
}

#[test]
fn what_a_route_leads_to() {
    let mut lab = Lab::new();
    let mut does = |hops: &[KernelHop]| {
        lab.hears(News::Route(route("10.0.0.0/8", hops), Way::Replaces));
        lab.does("10.0.0.1")
    };
    let dead = |via, device| KernelHop { dead: true, ..hop(via, device) };
    assert_eq!(does(&[hop("192.0.2.1", 3), hop("fe80::1", 4)]), "192.0.2.1 fe80::1");
    assert_eq!(does(&[hop("192.0.2.1", 3), dead("192.0.2.2", 4)]), "192.0.2.1");
    assert_eq!(does(&[hop("192.0.2.1", OTHER), hop("192.0.2.2", 4)]), "192.0.2.2");
    assert_eq!(does(&[hop("", 4)]), "connected");
    assert_eq!(does(&[hop("192.0.2.1", OTHER)]), "kernel");
    assert_eq!(does(&[KernelHop { encapsulated: true, ..hop("192.0.2.1", 3) }]), "kernel");
    assert_eq!(does(&[dead("192.0.2.1", 3)]), "nothing");
    for (kind, word) in [
        (Kind::Blackhole, "blackhole"),
        (Kind::Unreachable, "unreachable"),
        (Kind::Prohibit, "prohibit"),
    ] {
        lab.adds(KernelRoute { kind, ..route("10.0.0.0/8", &[]) });
        assert_eq!(lab.does("10.0.0.1"), word);
    }
}

#[test]
fn next_hops_by_other_devices_are_counted() {
    let mut lab = Lab::new();
    let mut elsewhere = |hops: &[KernelHop]| {
        lab.hears(News::Route(route("10.0.0.0/8", hops), Way::Replaces));
        let (_, _, action) = lab.rib.lookup("10.0.0.1".parse().unwrap()).unwrap();
        action.note().unwrap().elsewhere
    };
    let (ours, other) = (hop("192.0.2.1", 3), hop("192.0.2.2", OTHER));
    assert_eq!(elsewhere(&[ours, other, KernelHop { dead: true, ..other }]), 2);
    assert_eq!(elsewhere(&[ours, hop("192.0.2.2", 4)]), 0);
    assert_eq!(elsewhere(&[hop("", 3), hop("", OTHER)]), 1);
    assert_eq!(elsewhere(&[other, other]), 0, "all are the kernel's");
}

#[test]
fn what_is_not_listed_goes_at_the_end_and_news_count_meanwhile() {
    let mut lab = Lab::new();
    let [a, b, c, d] = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16"]
        .map(|to| route(to, &[hop("192.0.2.1", 3)]));
    for known in [&a, &b, &c] {
        lab.adds(known.clone());
    }
    lab.table.list_begins();
    lab.lists(a.clone());
    lab.adds(d.clone());
    lab.lists(b.clone());
    lab.hears(News::Gone(b.clone()));
    assert_eq!(lab.does("10.3.0.1"), "192.0.2.1", "it stays until the end");
    assert_eq!(lab.table.list_ends(&lab.rib), [(c.to, 0)]);
    assert_eq!(
        (lab.does("10.4.0.1"), lab.does("10.2.0.1")),
        ("192.0.2.1".into(), "nothing".into())
    );
}

#[test]
fn behind_a_route_of_ipv4_stands_another() {
    for (way, first) in [(Way::Appended, "192.0.2.1"), (Way::Added, "192.0.2.2")] {
        let mut lab = Lab::new();
        let [one, two] = ["192.0.2.1", "192.0.2.2"].map(|via| route("10.0.0.0/8", &[hop(via, 3)]));
        assert!(!lab.adds(one.clone()) && !lab.hears(News::Route(two.clone(), way)));
        assert_eq!(lab.does("10.0.0.1"), first);
        assert!(lab.hears(News::Gone(one.clone())), "what stands there now is not told");
        assert_eq!(lab.does("10.0.0.1"), first, "meanwhile nothing stops");
        lab.table.list_begins();
        lab.lists(two.clone());
        assert!(lab.table.list_ends(&lab.rib).is_empty());
        assert_eq!(lab.does("10.0.0.1"), "192.0.2.2");
        assert!(!lab.hears(News::Gone(two)), "nothing stands behind it any more");
        assert_eq!(lab.does("10.0.0.1"), "nothing");
    }
}

#[test]
fn of_two_listed_the_first_counts() {
    let mut lab = Lab::new();
    lab.table.list_begins();
    lab.lists(route("10.0.0.0/8", &[hop("192.0.2.1", 3)]));
    lab.lists(route("10.0.0.0/8", &[hop("192.0.2.2", 3)]));
    lab.table.list_ends(&lab.rib);
    assert_eq!(lab.does("10.0.0.1"), "192.0.2.1");
    assert!(lab.hears(News::Gone(route("10.0.0.0/8", &[hop("192.0.2.1", 3)]))));
}

#[test]
fn next_hops_of_an_ipv6_route_come_together_and_go_one_by_one() {
    let mut lab = Lab::new();
    let [a, b, c] = ["2001:db8:1::2", "2001:db8:2::2", "2001:db8:1::3"].map(|via| hop(via, 3));
    let to = "2001:db8:a::/48";
    lab.adds(route(to, &[a]));
    lab.hears(News::Route(route(to, &[b, a, c]), Way::Appended));
    assert_eq!(lab.does("2001:db8:a::1"), "2001:db8:1::2 2001:db8:1::3 2001:db8:2::2");
    assert!(!lab.hears(News::Gone(route(to, &[a]))));
    assert_eq!(lab.does("2001:db8:a::1"), "2001:db8:1::3 2001:db8:2::2");
    assert!(lab.hears(News::Gone(route(to, &[a]))), "that one had gone");
    assert!(!lab.hears(News::Gone(route(to, &[b, c]))));
    assert_eq!(lab.does("2001:db8:a::1"), "nothing");
}

#[test]
fn objects_tell_what_routes_do_not() {
    let mut lab = Lab::new();
    let hears = |lab: &mut Lab, id, object| lab.hears(News::Object(id, object));
    hears(&mut lab, 1, Object::Hop(hop("192.0.2.1", 3)));
    hears(&mut lab, 2, Object::Hop(hop("192.0.2.2", 4)));
    hears(&mut lab, 3, Object::Blackhole);
    hears(&mut lab, 10, Object::Group(vec![(1, 1), (2, 5)]));
    lab.adds(through(3));
    assert_eq!(lab.does("10.0.0.1"), "blackhole");
    lab.hears(News::Route(through(10), Way::Replaces));
    assert_eq!(lab.does("10.0.0.1"), "192.0.2.1 192.0.2.2");
    let weights: Vec<_> = lab.rib.lookup("10.0.0.1".parse().unwrap()).unwrap().2.via().to_vec();
    assert_eq!((weights[0].weight, weights[1].weight), (1, 5));

    assert!(!hears(&mut lab, 3, Object::Hop(hop("192.0.2.3", 3))), "nobody uses it");
    assert!(!hears(&mut lab, 1, Object::Hop(hop("192.0.2.1", 3))), "nothing is new");
    assert!(hears(&mut lab, 1, Object::Hop(hop("192.0.2.9", 3))), "a member of the group");
    assert!(hears(&mut lab, 10, Object::Group(vec![(1, 1)])), "the group itself");
    lab.table.list_begins();
    lab.hears(News::Route(through(2), Way::Replaces));
    assert_eq!(lab.does("10.0.0.1"), "192.0.2.2", "before the objects are listed");
    assert!(lab.hears(News::ObjectGone(2)));
    assert!(!lab.hears(News::ObjectGone(3)));
}

#[test]
fn a_route_that_tells_its_next_hops_is_told_again_when_its_object_changes() {
    let mut lab = Lab::new();
    lab.hears(News::Object(1, Object::Hop(hop("192.0.2.1", 3))));
    let told = KernelRoute { hops: vec![hop("192.0.2.1", 3)], ..through(1) };
    lab.adds(told);
    assert!(!lab.hears(News::Object(1, Object::Hop(hop("192.0.2.9", 3)))));
    assert!(lab.hears(News::ObjectGone(1)), "IPv4 routes go with it in silence");
}

#[test]
fn of_two_tables_the_first_counts() {
    let mut lab = Lab::with(&[100, 254]);
    let of = |table, via| KernelRoute { table, ..route("10.0.0.0/8", &[hop(via, 3)]) };
    lab.adds(of(254, "192.0.2.2"));
    lab.adds(of(100, "192.0.2.1"));
    assert_eq!(lab.does("10.0.0.1"), "192.0.2.1");
    assert!(!lab.hears(News::Gone(of(254, "192.0.2.2"))), "another's");
    assert_eq!(lab.does("10.0.0.1"), "192.0.2.1");
    lab.adds(of(254, "192.0.2.3"));
    assert_eq!(lab.does("10.0.0.1"), "192.0.2.1");
    assert!(lab.hears(News::Gone(of(100, "192.0.2.1"))));
}
