//! Addresses to be looked up.

use std::fmt;

use clap::ValueEnum;

use crate::{Prefix, Random, Table};

/// How the addresses of a trace are chosen.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub enum Kind {
    /// All that the table covers are as likely (the default route does not count). For IPv6 nearly
    /// all are then in the few shortest prefixes: an easy load
    Random,
    /// All prefixes are as likely, and all addresses of a prefix
    Prefix,
    /// As real traffic: 262,144 addresses chosen as by `prefix`, the n-th with a weight of 1/n
    Zipf,
    /// First and last address of prefixes, and those beside them: for correctness
    Edge,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().map_or("", |value| value.get_name().to_owned().leak()))
    }
}

/// Different addresses of a trace with locality.
const POPULAR: usize = 1 << 18;

/// `count` left-aligned addresses. For IPv4 only the first 32 bits mean anything.
pub fn addresses(table: &Table, kind: Kind, count: usize, seed: u64) -> Vec<u128> {
    let mut random = Random::new(seed, 0x100 + kind as u64);
    match kind {
        Kind::Random => covered(table, count, &mut random),
        Kind::Prefix => in_prefixes(table, count, &mut random),
        Kind::Zipf => popular(table, count, &mut random),
        Kind::Edge => edges(table, count, &mut random),
    }
}

fn in_prefixes(table: &Table, count: usize, random: &mut Random) -> Vec<u128> {
    let routes: Vec<_> = table.prefixes().filter(|prefix| prefix.len > 0).collect();
    let any = |prefix: Prefix, random: &mut Random| prefix.bits | random.wide() & !mask(prefix);
    (0..count).map(|_| any(routes[random.below(routes.len())], random)).collect()
}

fn mask(prefix: Prefix) -> u128 {
    !crate::rest(prefix.len)
}

fn covered(table: &Table, count: usize, random: &mut Random) -> Vec<u128> {
    let (mut starts, mut sizes) = (Vec::new(), vec![0u128]);
    let mut end = None;
    for prefix in table.prefixes().filter(|prefix| prefix.len > 0) {
        if end.is_none_or(|end| prefix.bits > end) {
            starts.push(prefix.bits);
            // Together at most 2^127: half of each, since the whole space is one too many.
            sizes.push(sizes[sizes.len() - 1] + (crate::rest(prefix.len) / 2 + 1));
            end = Some(prefix.last());
        }
    }
    let all = sizes[sizes.len() - 1];
    let pick = |random: &mut Random| {
        let at = random.wide() % all;
        let number = sizes.partition_point(|&size| size <= at) - 1;
        starts[number] + (at - sizes[number]) * 2 + u128::from(random.next() & 1)
    };
    (0..count).map(|_| pick(random)).collect()
}

fn popular(table: &Table, count: usize, random: &mut Random) -> Vec<u128> {
    let addresses = in_prefixes(table, POPULAR, random);
    let mut sums: Vec<f64> = Vec::with_capacity(POPULAR);
    for rank in 1..=POPULAR {
        sums.push(sums.last().unwrap_or(&0.0) + 1.0 / rank as f64);
    }
    let all = sums[POPULAR - 1];
    let pick = |random: &mut Random| {
        let at = random.share() * all;
        addresses[sums.partition_point(|&sum| sum <= at).min(POPULAR - 1)]
    };
    (0..count).map(|_| pick(random)).collect()
}

fn edges(table: &Table, count: usize, random: &mut Random) -> Vec<u128> {
    let one = 1u128 << (128 - table.family.bits());
    let pick = |i: usize, random: &mut Random| {
        let prefix = table.routes[random.below(table.routes.len())].to;
        match i % 4 {
            0 => prefix.bits,
            1 => prefix.last(),
            2 => prefix.bits.wrapping_sub(one),
            _ => prefix.last().wrapping_add(one),
        }
    };
    (0..count).map(|i| pick(i, random)).collect()
}
