//! The FIB in maps that workers and XDP programs read: `io` makes them and `table` uses them, and
//! neither knows the other.
#![forbid(unsafe_code)]

use std::io;
use std::sync::Arc;

use super::start::{StartError, system};
use crate::config::Config;
use crate::io::xdp::{Constants, Shared};
use crate::table::{Budget, Fib, FibWriter, Memory};

/// Octets of a map that an XDP program can find its way in (`BPF_MAX_VAR_OFF` in the kernel).
const REACH: u32 = 1 << 29;

/// An empty FIB as `[tables]` says, and what XDP programs need of it.
pub(super) fn make(
    config: &Config,
    hash_seed: u32,
) -> Result<(Arc<Fib>, FibWriter, Shared), StartError> {
    let budget = budget(config);
    let make = || {
        let shared = Shared::create(&budget.layout(), constants(&budget, hash_seed))?;
        let maps = shared.tables()?;
        let maps = maps.try_into().map_err(|_| io::Error::other("not all tables"))?;
        let (fib, writer) = FibWriter::new(budget, Memory::Maps(maps))?;
        Ok((fib, writer, shared))
    };
    let mend = "; run as root or with CAP_BPF, lower the budgets in [tables], or raise the memory \
                limit of the control group";
    make().map_err(system("the FIB", mend))
}

fn budget(config: &Config) -> Budget {
    let tables = &config.tables;
    let small = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    Budget {
        groups4: tables.ipv4_groups,
        nodes6: tables.ipv6_nodes,
        skips6: tables.ipv6_skips,
        next_hops: small(tables.next_hops),
        ecmp_groups: small(tables.ecmp_groups),
    }
}

/// What XDP programs are told of the tables. To them a table beyond their reach is empty: its
/// packets are the workers'.
fn constants(budget: &Budget, hash_seed: u32) -> Constants {
    let bounds = budget.bounds();
    let mut fib6_entries = bounds.fib6_entries;
    if budget.layout().iter().any(|&(name, octets)| name == "fib6" && octets >= REACH) {
        tracing::warn!(
            "[tables] ipv6_nodes, ipv6_skips: more than 512 MiB: the workers forward all of IPv6"
        );
        fib6_entries = 0;
    }
    Constants {
        fib4_entries: bounds.fib4_entries,
        fib6_entries,
        fib6_skips: bounds.fib6_skips,
        adjacencies: bounds.adjacencies,
        ecmp_groups: bounds.ecmp_groups,
        hash_seed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_out_of_reach_is_empty_to_the_program() {
        let small = Budget::default();
        assert_eq!(constants(&small, 7).fib6_entries, small.bounds().fib6_entries);
        assert_eq!(constants(&small, 7).hash_seed, 7);
        let large = Budget { nodes6: 1 << 19, ..small };
        assert_eq!(constants(&large, 7).fib6_entries, 0);
        assert_eq!(constants(&large, 7).fib4_entries, small.bounds().fib4_entries);
    }
}
