//! Prefixes longer than the Internet has them: an operator's own hosts and links.

use std::collections::HashSet;

use crate::{Family, Prefix, Random, Table};

/// Lengths and how often they occur, in per cent. Loopbacks and links between routers are most.
const LENGTHS4: [(u8, u8); 8] =
    [(32, 60), (30, 12), (29, 10), (28, 6), (31, 4), (27, 4), (26, 2), (25, 2)];
const LENGTHS6: [(u8, u8); 10] = [
    (128, 50),
    (64, 20),
    (127, 13),
    (56, 6),
    (126, 2),
    (60, 2),
    (52, 2),
    (112, 2),
    (120, 2),
    (125, 1),
];

/// How many of them lie together in one /24 or /48, on average.
const CLUSTER: usize = 8;

/// The table with so many longer prefixes, in clusters inside its /24s (IPv6: /48s). A table that
/// has none of those stays as it is.
pub fn add_long(table: Table, count: usize, seed: u64) -> Table {
    let family = table.family;
    let site = if family == Family::V4 { 24 } else { 48 };
    let sites: Vec<_> = table.prefixes().filter(|prefix| prefix.len == site).collect();
    if sites.is_empty() || count == 0 {
        return table;
    }
    let mut random = Random::new(seed, u64::from(family.bits()) + 1);
    let mut longer = HashSet::new();
    while longer.len() < count {
        let site = sites[random.below(sites.len())];
        // The first subnets of a site are those of its routers and servers.
        let subnet = random.below(4) as u128;
        loop {
            longer.insert(inside(family, site, subnet, &mut random));
            if longer.len() == count || random.below(CLUSTER) == 0 {
                break;
            }
        }
    }
    Table::new(family, table.prefixes().chain(longer))
}

fn inside(family: Family, site: Prefix, subnet: u128, random: &mut Random) -> Prefix {
    if family == Family::V4 {
        let len = length(&LENGTHS4, random);
        return Prefix::new(site.bits | random.wide() & crate::rest(site.len), len);
    }
    let len = length(&LENGTHS6, random);
    let bits = match len {
        ..=64 => random.wide() & crate::rest(site.len),
        // Numbered by hand: ::1, ::2 and so on.
        _ if random.chance(0.75) => subnet << 64 | random.below(512) as u128,
        // By stateless autoconfiguration.
        _ => (random.below(256) as u128) << 64 | u128::from(random.next()),
    };
    Prefix::new(site.bits | bits, len)
}

fn length<const N: usize>(lengths: &[(u8, u8); N], random: &mut Random) -> u8 {
    let mut left = random.below(100);
    for &(len, share) in lengths {
        match left.checked_sub(share.into()) {
            Some(rest) => left = rest,
            None => return len,
        }
    }
    lengths[0].0
}
