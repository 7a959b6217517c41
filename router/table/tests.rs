#![forbid(unsafe_code)]
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

const SMALL: Budget =
    Budget { groups4: 16, nodes6: 1024, skips6: 64, next_hops: 16, ecmp_groups: 2 };

fn hop(number: u16) -> NextHopId {
    NextHopId::new(number).unwrap()
}

/// One reader on its own thread that looks all the time, while `change` is called again and
/// again; `look` panics when it sees what was never there.
fn while_reading(
    look: impl Fn(&Fib) + Sync,
    rounds: u32,
    mut change: impl FnMut(&mut FibWriter, u32),
) {
    let rounds = if cfg!(miri) { 10 } else { rounds };
    let (fib, mut writer) = FibWriter::new(SMALL, Memory::Anonymous).unwrap();
    let (epochs, done) = (Epochs::new(1), AtomicBool::new(false));
    change(&mut writer, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            epochs.online(0);
            while !done.load(Ordering::Relaxed) {
                look(&fib);
                epochs.pass(0);
            }
            epochs.offline(0);
        });
        for round in 1..rounds {
            change(&mut writer, round);
            writer.reclaim(&epochs);
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// A writer that finds no room (its reader is slow to pass) just tries again in its next round.
fn try_insert<T>(_: Result<T, TableFull>) {}

#[test]
fn a_reader_sees_the_old_or_the_new_ipv4_route() {
    let net = |text: &str| text.parse::<Ipv4Net>().unwrap();
    let look = |fib: &Fib| {
        let found = fib.v4.lookup(0x0a00_0001);
        assert!([Some(hop(1)), Some(hop(2))].contains(&found), "{found:?}");
    };
    while_reading(look, 5_000, |writer, round| {
        writer.insert4(net("10.0.0.0/16"), hop(1)).unwrap();
        let len = [20, 24, 25, 31, 32][round as usize % 5];
        try_insert(writer.insert4(Ipv4Net::new([10, 0, 0, 1].into(), len).unwrap(), hop(2)));
        let other = Ipv4Net::new([10, 0, 1 + (round % 16) as u8, 9].into(), 32).unwrap();
        try_insert(writer.insert4(other, hop(3)));
        (17..=32).for_each(|len| {
            writer.remove4(Ipv4Net::new([10, 0, 0, 1].into(), len).unwrap());
        });
        writer.remove4(other);
    });
}

#[test]
#[cfg_attr(miri, ignore = "65,536 stores for the second table")]
fn a_reader_sees_the_old_or_the_new_ipv6_route() {
    const HERE: u128 = 0x2001_0db8 << 96 | 1;
    let net = |bits: u128, len| Ipv6Net::new(bits.into(), len).unwrap();
    let look = |fib: &Fib| {
        let mut found = [None; 2];
        fib.v6.lookup_batch(&[HERE, HERE], &mut found);
        let sound = |found| [Some(hop(1)), Some(hop(2))].contains(&found);
        assert!(found.into_iter().all(sound), "{found:?}");
    };
    while_reading(look, 5_000, |writer, round| {
        writer.insert6(net(HERE, 36), hop(1)).unwrap();
        let len = [40, 48, 52, 64, 100, 127, 128][round as usize % 7];
        try_insert(writer.insert6(net(HERE, len), hop(2)));
        // Each of these makes the skip to HERE into something else.
        let others = [1 << 79, 1 << 64, 1 << 40, 1 << 20, 2].map(|bit| net(HERE ^ bit, 128));
        others.iter().for_each(|&other| try_insert(writer.insert6(other, hop(3))));
        writer.remove6(net(HERE, len));
        for other in others {
            writer.remove6(other);
        }
    });
}

#[test]
fn a_reader_sees_one_whole_rewrite() {
    let port = crate::id::PortId::new(1).unwrap();
    let whole = |n: u8| Adjacency::forward(port, u32::from(n), u16::from(n), [n; 6], [n; 6]);
    let look = |fib: &Fib| {
        let (_, seen) = fib.next_hops.adjacency(hop(1), || 0);
        assert_eq!(seen, whole(seen.rewrite[0]));
    };
    while_reading(look, 20_000, |writer, round| match round {
        0 => assert_eq!(writer.allocate(whole(0)), Ok(hop(1))),
        _ => writer.set(hop(1), whole((round % 251) as u8)),
    });
}

#[test]
fn routes_of_both_families_are_kept() {
    let (fib, mut writer) = FibWriter::new(SMALL, Memory::Anonymous).unwrap();
    let (v4, v6) = ("10.1.2.3/9".parse().unwrap(), "2001:db8::1/32".parse().unwrap());
    let in_v6 = 0x2001_0db8 << 96 | 7;
    assert_eq!(writer.insert4(v4, hop(1)), Ok(None));
    assert_eq!(writer.insert6(v6, hop(2)), Ok(None));
    assert_eq!(writer.insert6(v6, hop(3)), Ok(Some(hop(2))));
    assert_eq!((fib.v4.lookup(0x0a00_0000), fib.v6.lookup(in_v6)), (Some(hop(1)), Some(hop(3))));
    assert_eq!((writer.remove4(v4), writer.remove4(v4)), (Some(hop(1)), None));
    assert_eq!((fib.v4.lookup(0x0a00_0000), fib.v6.lookup(in_v6)), (None, Some(hop(3))));
    assert_eq!(writer.usage().nodes6, (fib6::UNITS_OF_SECOND, SMALL.nodes6));
    assert_eq!(writer.usage().rows().len(), 5);
}

#[test]
fn the_budget_is_what_the_entries_can_name() {
    let all = u32::MAX;
    let greedy =
        Budget { groups4: all, nodes6: all, skips6: all, next_hops: u16::MAX, ecmp_groups: 0 };
    let layout = greedy.layout();
    let octets = |name| layout.iter().find(|(n, _)| *n == name).unwrap().1;
    assert_eq!(octets("fib4"), 2 * ((1 << 24) + 256 * 32_767));
    assert_eq!(octets("adjacencies"), 32 * (2 * 32_767 + 1));
    assert_eq!(octets("fib6"), 4 * (65_536 + 256 * fib6::NODES_MAX) + 32 * fib6::SKIPS_MAX);
    assert!(octets("ecmp") > 0);
}

/// `bpf/shared.h` says the same as we do.
#[test]
fn the_c_header_agrees() {
    let header = include_str!("../../bpf/shared.h");
    let constant = |name: &str| {
        let line = header.lines().find_map(|line| {
            let (defined, value) =
                line.strip_prefix("#define ")?.split_once(char::is_whitespace)?;
            (defined == name).then_some(value)
        });
        let value = line.unwrap_or_else(|| panic!("no {name}"));
        let value = value.split("/*").next().unwrap().trim().trim_end_matches(['U', 'L']);
        let hex = value.strip_prefix("0x").map(|digits| u64::from_str_radix(digits, 16));
        hex.unwrap_or_else(|| value.parse()).unwrap()
    };
    let ours: &[(&str, u64)] = &[
        ("XR_FIB4_BASE", fib4::BASE as u64),
        ("XR_FIB4_GROUP", fib4::GROUP as u64),
        ("XR_FIB4_GROUPS_MAX", fib4::GROUPS_MAX.into()),
        ("XR_FIB4_IS_GROUP", fib4::IS_GROUP.into()),
        ("XR_FIB6_TOP", fib6::TOP as u64),
        ("XR_FIB6_NODE", fib6::NODE as u64),
        ("XR_FIB6_UNITS_OF_SECOND", fib6::UNITS_OF_SECOND.into()),
        ("XR_FIB6_IS_NODE", fib6::IS_NODE.into()),
        ("XR_FIB6_IS_SKIP", fib6::IS_SKIP.into()),
        ("XR_FIB6_SKIPS_FROM", fib6::SKIPS_FROM.into()),
        ("XR_FIB6_SKIP_OCTETS", fib6::SKIP_OCTETS as u64),
        ("XR_FIB6_STEPS_MAX", fib6::STEPS_MAX as u64),
        ("XR_NEXT_HOP_ID_MAX", NEXT_HOP_ID_MAX.into()),
        ("XR_NEXT_HOP_IS_GROUP", next_hop::IS_GROUP.into()),
        ("XR_ADJACENCY_OCTETS", adjacency::ADJACENCY_OCTETS as u64),
        ("XR_ECMP_BUCKETS", group::BUCKETS as u64),
        ("XR_FORWARD", AdjacencyKind::Forward as u64),
        ("XR_GLEAN", AdjacencyKind::Glean as u64),
        ("XR_RECEIVE", AdjacencyKind::Receive as u64),
        ("XR_BLACKHOLE", AdjacencyKind::Blackhole as u64),
        ("XR_UNREACHABLE", AdjacencyKind::Unreachable as u64),
        ("XR_PROHIBIT", AdjacencyKind::Prohibit as u64),
        ("XR_INCOMPLETE", AdjacencyKind::Incomplete as u64),
        ("XR_BY_DRIVER", adjacency::BY_DRIVER.into()),
        ("XR_BY_STACK", adjacency::BY_STACK.into()),
        ("XR_OWN_WORDS", own::WORDS as u64),
        ("XR_OWN_FOLD", own::FOLD),
        ("XR_OWN_SPREAD", own::SPREAD),
    ];
    for &(name, ours) in ours {
        assert_eq!(constant(name), ours, "{name}");
    }
    let defined = header.lines().filter(|line| line.starts_with("#define XR_")).count();
    assert_eq!(defined, ours.len(), "a constant that nobody checks");
}

#[test]
fn what_is_refused_is_counted() {
    let budget = Budget { groups4: 1, ecmp_groups: 0, ..SMALL };
    let (_, mut writer) = FibWriter::new(budget, Memory::Anonymous).unwrap();
    let hop = writer.allocate(Adjacency::plain(AdjacencyKind::Receive)).unwrap();
    writer.insert4("10.0.0.1/32".parse().unwrap(), hop).unwrap();
    assert_eq!(writer.insert4("10.0.1.1/32".parse().unwrap(), hop), Err(TableFull));
    assert_eq!(writer.allocate_group(&[(hop, 1)], None), Err(TableFull));
    let rows = writer.usage().rows();
    assert_eq!(rows[0], ("ipv4_groups", 1, 1, 1));
    assert_eq!(rows[4], ("ecmp_groups", 0, 0, 1));
}
