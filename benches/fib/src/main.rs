//! xrouter's tables beside others: lookups, updates, memory. Prints figures, one line of JSON each;
//! `scripts/bench-memory` makes tables of them.

mod contest;
mod dpdk;
mod lookup;
mod memory;
mod peers;
mod update;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use core_affinity::CoreId;
use tables::{Source, Table};

use dpdk::{Dpdk, Kind};

/// Measures xrouter's FIB beside other tables; needs root, for the BPF maps that it lies in
#[derive(Parser)]
#[command(about)]
struct Options {
    /// What to measure
    part: Part,
    #[command(flatten)]
    source: Source,
    /// Rounds that count
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Addresses looked up in a round
    #[arg(long, default_value_t = 1_000_000)]
    count: usize,
    /// The core to measure on
    #[arg(long, default_value_t = 1)]
    core: usize,
    /// Measure rte_lpm too, which takes minutes to load a full table
    #[arg(long)]
    patient: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Nanoseconds for an address
    Lookup,
    /// Loading, updates, readers meanwhile
    Update,
    /// The memory of a process with both tables
    Memory,
}

impl Options {
    /// Where a writer can run while the reader is measured.
    fn other_core(&self) -> Option<CoreId> {
        core_affinity::get_core_ids()?.into_iter().find(|core| core.id != self.core)
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    if options.part == Part::Memory {
        return memory::run(&options);
    }
    // Where threads may run is asked before DPDK binds this one.
    let core = CoreId { id: options.core };
    dpdk::start(options.core)?;
    if options.part == Part::Lookup {
        common::figure::print_machine();
    }
    anyhow::ensure!(core_affinity::set_for_current(core), "no core {}", options.core);
    match options.part {
        Part::Lookup => lookup::run(&options),
        Part::Update | Part::Memory => update::run(&options),
    }
}

/// One of DPDK's tables, loaded.
fn dpdk_table(kind: Kind, table: &Table) -> Result<Dpdk> {
    let mut dpdk = Dpdk::new(kind, table.routes.len())?;
    table.routes.iter().try_for_each(|&route| dpdk.add(route)).context("loading DPDK's table")?;
    Ok(dpdk)
}
