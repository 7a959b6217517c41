#![forbid(unsafe_code)]
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::table::publish::Epochs;

/// What the table must say: a scan of all routes.
type Reference = BTreeMap<Ipv4Net, NextHopId>;

fn expected(routes: &Reference, address: u32) -> Option<NextHopId> {
    let covers = routes.iter().filter(|(to, _)| to.contains(&std::net::Ipv4Addr::from(address)));
    covers.max_by_key(|(to, _)| to.prefix_len()).map(|(_, &hop)| hop)
}

struct Lab {
    fib: Fib4,
    writer: Writer,
    routes: Reference,
}

impl Lab {
    fn new(groups: u32) -> Self {
        let memory = Region::anonymous(octets(groups)).unwrap();
        let (fib, writer) = (Fib4::new(memory, groups), Writer::new(groups));
        Self { fib, writer, routes: Reference::new() }
    }

    fn insert(&mut self, to: Ipv4Net, hop: u16) -> Result<(), TableFull> {
        let hop = NextHopId::new(hop).unwrap();
        let had = self.writer.insert(&self.fib, to, hop)?;
        assert_eq!(had, self.routes.insert(to.trunc(), hop));
        Ok(())
    }

    fn remove(&mut self, to: Ipv4Net) {
        assert_eq!(self.writer.remove(&self.fib, to), self.routes.remove(&to.trunc()));
    }

    /// Compare at the edges of `to`, one by one and together.
    fn check(&self, to: Ipv4Net) {
        let (first, last) = (u32::from(to.network()), u32::from(to.broadcast()));
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

    /// Two looks at the epochs, without readers: nothing may be left in limbo.
    fn reclaim(&mut self) {
        self.writer.reclaim(Grace::new(&Epochs::new(0)));
    }

    fn clear(&mut self) {
        for to in self.routes.keys().copied().collect::<Vec<_>>() {
            self.remove(to);
            self.check(to);
        }
        self.reclaim();
        assert_eq!(self.writer.groups().used(), 0, "a group leaked");
    }
}

fn net(address: u32, len: u8) -> Ipv4Net {
    Ipv4Net::new(address.into(), len).unwrap()
}

/// Prefixes that often nest: few bits vary.
fn prefix() -> impl Strategy<Value = Ipv4Net> {
    (any::<u32>(), 10u8..=32).prop_map(|(bits, len)| net(0x0a00_0000 | bits & 0x0040_8387, len))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Checklist C129.
    #[test]
    #[cfg_attr(miri, ignore = "thousands of stores for each prefix")]
    fn any_order_of_changes_gives_the_longest_match(
        changes in prop::collection::vec((prefix(), 0u16..6), 1..60),
    ) {
        let mut lab = Lab::new(64);
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
    #[cfg_attr(miri, ignore = "thousands of stores for each prefix")]
    fn a_full_table_is_as_it_was(changes in prop::collection::vec((prefix(), 0u16..6), 1..60)) {
        let mut lab = Lab::new(2);
        for (to, hop) in changes {
            match hop {
                0 => lab.remove(to),
                hop => if lab.insert(to, hop).is_err() {
                    assert_eq!(lab.writer.remove(&lab.fib, to), None);
                    lab.check_all();
                }
            }
            lab.check(to);
            if hop == 1 {
                lab.reclaim();
            }
        }
        lab.clear();
    }
}

/// Checklist C130, C131.
#[test]
#[cfg_attr(miri, ignore = "16 million stores")]
fn all_lengths_nested_and_the_default_route() {
    let mut lab = Lab::new(1);
    for len in 0..=32 {
        lab.insert(net(0xc0a8_0181, len), u16::from(len) + 1).unwrap();
        lab.check(net(0xc0a8_0181, len));
    }
    lab.check_all();
    (1..=31).rev().for_each(|len| lab.remove(net(0xc0a8_0181, len)));
    lab.check_all();
    assert_eq!(lab.fib.lookup(0).map(NextHopId::get), Some(1));
    lab.clear();
}

#[test]
fn a_batch_of_any_length() {
    let mut lab = Lab::new(1);
    lab.insert(net(0x0a00_0000, 31), 7).unwrap();
    for len in [0, 1, AHEAD - 1, AHEAD, AHEAD + 1, 3 * AHEAD] {
        let addresses: Vec<_> = (0x0a00_0000..).take(len).collect();
        let mut found = vec![NextHopId::new(999); len + 1];
        lab.fib.lookup_batch(&addresses, &mut found);
        assert_eq!(found.pop(), Some(NextHopId::new(999)), "beyond the addresses");
        assert!(addresses.iter().zip(found).all(|(&a, found)| found == lab.fib.lookup(a)));
    }
}

#[test]
fn garbage_never_panics() {
    let lab = Lab::new(2);
    for (address, garbage) in [(0, 0x8002), (1 << 8, 0xffff), (2 << 8, 0x8001), (3 << 8, 0x7fff)] {
        lab.fib.entries()[base_index(address)].store(garbage, Ordering::Relaxed);
    }
    lab.fib.entries()[BASE + GROUP].store(0xffff, Ordering::Relaxed);
    let addresses = [0, 1 << 8, 2 << 8, 3 << 8];
    let mut found = [None; 4];
    lab.fib.lookup_batch(&addresses, &mut found);
    assert_eq!(found, [None, None, None, NextHopId::new(0x7fff)]);
}
