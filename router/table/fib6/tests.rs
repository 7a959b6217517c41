#![forbid(unsafe_code)]
use std::collections::BTreeMap;

use ipnet::Ipv6Net;
use proptest::prelude::*;

use super::*;
use crate::table::TableFull;
use crate::table::publish::{Epochs, Grace};

/// What the table must say: a scan of all routes.
type Reference = BTreeMap<Ipv6Net, NextHopId>;

fn expected(routes: &Reference, address: u128) -> Option<NextHopId> {
    let covers = routes.iter().filter(|(to, _)| to.contains(&std::net::Ipv6Addr::from(address)));
    covers.max_by_key(|(to, _)| to.prefix_len()).map(|(_, &hop)| hop)
}

struct Lab {
    fib: Fib6,
    writer: Writer,
    routes: Reference,
}

impl Lab {
    fn new(nodes: u32, skips: u32) -> Self {
        let memory = Region::anonymous(octets(nodes, skips)).unwrap();
        let (fib, writer) = (Fib6::new(memory, nodes, skips), Writer::new(nodes, skips));
        Self { fib, writer, routes: Reference::new() }
    }

    fn insert(&mut self, to: Ipv6Net, hop: u16) -> Result<(), TableFull> {
        let hop = NextHopId::new(hop).unwrap();
        let had = self.writer.insert(&self.fib, to, hop)?;
        assert_eq!(had, self.routes.insert(to.trunc(), hop));
        Ok(())
    }

    fn remove(&mut self, to: Ipv6Net) {
        assert_eq!(self.writer.remove(&self.fib, to), self.routes.remove(&to.trunc()));
    }

    /// Compare at the edges of `to`, one by one and together.
    fn check(&self, to: Ipv6Net) {
        let (first, last) = (u128::from(to.network()), u128::from(to.broadcast()));
        let middle = first + (last - first) / 2;
        let edges = [first, last, first.wrapping_sub(1), last.wrapping_add(1), middle];
        let mut found = [NextHopId::new(999); 5];
        self.fib.lookup_batch(&edges, &mut found);
        for (edge, found) in edges.into_iter().zip(found) {
            let expected = expected(&self.routes, edge);
            assert_eq!((found, self.fib.lookup(edge)), (expected, expected), "{edge:x} near {to}");
        }
    }

    fn check_all(&self) {
        self.routes.keys().for_each(|&to| self.check(to));
    }

    fn reclaim(&mut self) {
        self.writer.reclaim(Grace::new(&Epochs::new(0)));
    }

    fn clear(&mut self) {
        for to in self.routes.keys().copied().collect::<Vec<_>>() {
            self.remove(to);
            self.check(to);
        }
        self.reclaim();
        assert_eq!((self.writer.nodes().0, self.writer.skips().used()), (0, 0), "a leak");
    }
}

fn net(address: u128, len: u8) -> Ipv6Net {
    Ipv6Net::new(address.into(), len).unwrap()
}

/// Prefixes that often nest and share long parts: few bits vary, at both sides of each level's
/// border, and many lengths are those that are used.
fn prefix() -> impl Strategy<Value = Ipv6Net> {
    const VARY: u128 = 0x0000_0100_0181_0101_8001_0001_0000_0181;
    let len = prop_oneof![
        0u8..=128,
        32u8..=64,
        Just(47u8),
        Just(48u8),
        Just(49u8),
        Just(56u8),
        Just(64u8),
        Just(127u8),
        Just(128u8),
    ];
    (any::<u128>(), any::<u128>(), len)
        .prop_map(|(bits, fewer, len)| net(0x2001_0db8 << 96 | bits & fewer & VARY, len))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Checklist C129.
    #[test]
    fn any_order_of_changes_gives_the_longest_match(
        changes in prop::collection::vec((prefix(), 0u16..6), 1..60),
    ) {
        let mut lab = Lab::new(2048, 256);
        for (to, hop) in changes {
            match hop {
                0 => lab.remove(to),
                hop => lab.insert(to, hop).unwrap(),
            }
            lab.check(to);
        }
        lab.check_all();
        lab.clear();
    }

    #[test]
    fn a_full_table_is_as_it_was(
        changes in prop::collection::vec((prefix(), 0u16..6), 1..60),
        nodes in 0u32..12,
        skips in 0u32..12,
    ) {
        let mut lab = Lab::new(UNITS_OF_SECOND + nodes, skips);
        for (to, hop) in changes {
            let before = (lab.writer.nodes(), lab.writer.skips().used());
            match hop {
                0 => lab.remove(to),
                hop => if lab.insert(to, hop).is_err() {
                    assert_eq!((lab.writer.nodes(), lab.writer.skips().used()), before);
                    assert_eq!(lab.writer.hop_of(to), lab.routes.get(&to.trunc()).copied());
                }
            }
            lab.check_all();
            if hop == 1 {
                lab.reclaim();
            }
        }
        lab.clear();
    }
}

/// Checklist C130, C131.
#[test]
fn all_lengths_nested_and_the_default_route() {
    let place = 0x2001_0db8_8181_8181_8181_8181_8181_8181;
    let mut lab = Lab::new(512, 64);
    for len in 0..=128 {
        lab.insert(net(place, len), u16::from(len) + 1).unwrap();
    }
    lab.check_all();
    (1..=127).rev().for_each(|len| lab.remove(net(place, len)));
    lab.check_all();
    assert_eq!(lab.fib.lookup(0).map(NextHopId::get), Some(1));
    lab.clear();
}

#[test]
fn a_lone_host_route_is_one_skip() {
    let mut lab = Lab::new(512, 2);
    lab.insert(net(0x2001_0db8 << 96 | 1, 128), 1).unwrap();
    assert_eq!((lab.writer.nodes().0, lab.writer.skips().used()), (UNITS_OF_SECOND + 2, 1));
    lab.check_all();
    lab.clear();
}

#[test]
fn what_is_behind_a_skip_stays_when_another_route_comes_beside_it() {
    let place = 0x2001_0db8 << 96;
    let mut lab = Lab::new(UNITS_OF_SECOND + 5, 6);
    (0..200).for_each(|host| lab.insert(net(place | host, 128), 7).unwrap());
    assert_eq!((lab.writer.nodes().0, lab.writer.skips().used()), (UNITS_OF_SECOND + 3, 2));
    // No room for a copy of anything, and no reclaim.
    lab.insert(net(place | 1 << 64, 128), 8).unwrap();
    lab.insert(net(place | 1 << 32, 128), 9).unwrap();
    assert_eq!((lab.writer.nodes().0, lab.writer.skips().used()), (UNITS_OF_SECOND + 5, 6));
    lab.check_all();
    lab.clear();
}

#[test]
fn a_short_prefix_changes_what_skips_say_without_new_memory() {
    let mut lab = Lab::new(UNITS_OF_SECOND + 2, 2);
    lab.insert(net(0x2001_0db8 << 96 | 1, 128), 1).unwrap();
    lab.insert(net(0x2001_0db8 << 96 | 1 << 80, 128), 2).unwrap();
    lab.insert(net(0x2001_0db8 << 96, 32), 3).unwrap();
    lab.insert(net(0, 0), 4).unwrap();
    lab.check_all();
    lab.remove(net(0x2001_0db8 << 96, 32));
    lab.check_all();
    lab.clear();
}

#[test]
fn a_batch_of_any_length() {
    let mut lab = Lab::new(512, 64);
    let place = 0x2001_0db8 << 96;
    (0..40).for_each(|host| lab.insert(net(place | host << 3, 126), 7).unwrap());
    for len in [0, 1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH] {
        let addresses: Vec<_> = (place..).take(len).collect();
        let mut found = vec![NextHopId::new(999); len + 1];
        lab.fib.lookup_batch(&addresses, &mut found);
        assert_eq!(found.pop(), Some(NextHopId::new(999)), "beyond the addresses");
        assert!(addresses.iter().zip(found).all(|(&a, found)| found == lab.fib.lookup(a)));
    }
}

proptest! {
    #[test]
    fn garbage_never_panics_and_ends(
        garbage in prop::collection::vec(any::<u64>(), 64),
        near in any::<bool>(),
        addresses in prop::collection::vec(any::<u128>(), 80),
    ) {
        let lab = Lab::new(2, 4);
        let view = lab.fib.view();
        // Numbers that exist lead on into more garbage, and round in circles.
        let mask = if near { 0xc000_0003 } else { u32::MAX };
        let mut values = garbage.iter().cycle();
        let mut next = || *values.next().unwrap();
        for entry in view.entries.iter().step_by(61).chain(&view.entries[TOP..]) {
            entry.store((next() >> 32) as u32 & mask, Ordering::Relaxed);
        }
        for word in view.skips {
            word.store(next() & (u64::from(mask) << 32 | u64::from(mask)), Ordering::Relaxed);
        }
        let mut found = vec![None; addresses.len()];
        lab.fib.lookup_batch(&addresses, &mut found);
        for (&address, found) in addresses.iter().zip(found) {
            prop_assert_eq!(lab.fib.lookup(address), found);
        }
    }
}
