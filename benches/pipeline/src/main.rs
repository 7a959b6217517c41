//! xrouter's pipeline without I/O: frames that lie in memory, from their first octet to the
//! rewritten header, beside the lookup of the same addresses alone. Prints figures, one line of
//! JSON each; `scripts/bench-memory` makes tables of them.

mod frames;
mod worker;

use anyhow::{Result, ensure};
use clap::Parser;
use common::figure::{Asked, Spread, print, print_goal};
use common::router::Router;
use core_affinity::CoreId;
use serde_json::json;
use tables::oracle::Oracle;
use tables::trace::{self, Kind};
use tables::{Family, Source, Table};

use frames::Traffic;
use worker::{Alone, Worker};

/// Measures xrouter's pipeline without I/O; needs root, for the BPF maps that the FIB lies in
#[derive(Parser)]
#[command(about)]
struct Options {
    #[command(flatten)]
    source: Source,
    /// Rounds that count
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Packets of a round
    #[arg(long, default_value_t = 1 << 20)]
    count: usize,
    /// The core to measure on
    #[arg(long, default_value_t = 1)]
    core: usize,
}

/// Where packets go to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Destinations {
    /// All to one address.
    OneFlow,
    Chosen(Kind),
}

impl Destinations {
    fn name(self) -> String {
        match self {
            Self::OneFlow => "one flow".to_owned(),
            Self::Chosen(kind) => kind.to_string(),
        }
    }

    fn addresses(self, table: &Table, count: usize, seed: u64) -> Vec<u128> {
        match self {
            Self::OneFlow => vec![trace::addresses(table, Kind::Prefix, 1, seed)[0]; count],
            Self::Chosen(kind) => trace::addresses(table, kind, count, seed),
        }
    }
}

/// Times the lookup that the whole way of a packet may take.
const TIMES_ASKED: f64 = 3.0;

fn main() -> Result<()> {
    let options = Options::parse();
    let core = CoreId { id: options.core };
    ensure!(core_affinity::set_for_current(core), "no core {}", options.core);
    for family in [Family::V4, Family::V6] {
        let full = options.source.table(family)?;
        for (name, routes) in
            [("1 route", 1), ("10,000 routes", 10_000), ("full table", usize::MAX)]
        {
            let router = Measured::new(name, some_of(&full, routes))?;
            router.measure(&options, Destinations::OneFlow)?;
            if routes > 1 {
                router.measure(&options, Destinations::Chosen(worst(family)))?;
                router.measure(&options, Destinations::Chosen(Kind::Zipf))?;
            }
        }
    }
    Ok(())
}

/// The trace that hits all of the table. Of IPv6's addresses `random` hits the shortest prefixes.
fn worst(family: Family) -> Kind {
    if family == Family::V4 { Kind::Random } else { Kind::Prefix }
}

/// So many prefixes of a table, evenly spread over it.
fn some_of(table: &Table, count: usize) -> Table {
    let all = table.routes.len();
    let step = all.div_ceil(count.min(all));
    let some = table.prefixes().skip(step / 2).step_by(step);
    Table::new(table.family, some)
}

struct Measured {
    name: &'static str,
    table: Table,
    oracle: Oracle,
    router: Router,
}

impl Measured {
    fn new(name: &'static str, table: Table) -> Result<Self> {
        let (oracle, router) = (Oracle::new(&table), Router::with(&table)?);
        Ok(Self { name, table, oracle, router })
    }

    /// The pipeline and the lookup in turns.
    fn measure(&self, options: &Options, to: Destinations) -> Result<()> {
        let family = self.table.family;
        let addresses = to.addresses(&self.table, options.count, options.source.seed);
        let traffic = Traffic::new(family, &addresses);
        let hops: Vec<_> = addresses.iter().map(|&address| self.oracle.hop(address)).collect();
        let mut alone = Alone::new(family, &addresses);
        let (mut whole, mut lookup) = (Vec::new(), Vec::new());
        for round in 0..=options.rounds {
            let (time, harmed) = Worker::run(&self.router.fib, &traffic, &hops);
            ensure!(harmed == 0, "{harmed} frames are not as they have to be");
            let only = alone.run(&self.router.fib);
            if round > 0 {
                whole.push(time.as_nanos() as f64 / options.count as f64);
                lookup.push(only.as_nanos() as f64 / options.count as f64);
            }
        }
        let times = Spread::of_ratios(&whole, &lookup);
        let (whole, lookup) = (Spread::of(whole), Spread::of(lookup));
        print(
            "pipeline",
            json!({
                "family": family.to_string(), "table": self.name, "destinations": to.name(),
                "ns": whole.json(), "lookup_ns": lookup.json(), "times": times.json(),
                "mpps": 1e3 / whole.median,
            }),
        );
        if self.name == "full table" && to == Destinations::Chosen(worst(family)) {
            let goal = format!("{family}, full table, {}: whole pipeline", to.name());
            print_goal(&goal, Asked::AtMost(TIMES_ASKED), "x lookup alone", times.median);
        }
        Ok(())
    }
}
