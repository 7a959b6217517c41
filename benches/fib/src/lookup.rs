//! Lookups: xrouter beside DPDK and the crates.

use std::cell::RefCell;

use anyhow::{Result, ensure};
use common::figure::{Asked, print_goal};
use tables::oracle::Oracle;
use tables::trace::Kind as TraceKind;
use tables::{Family, Table, add_long};

use crate::contest::{self, Contestant, Trace, compete};
use crate::dpdk::{Dpdk, Kind, Lookup};
use crate::peers::{self, BATCH, Xrouter};
use crate::{Options, dpdk_table};

/// How many prefixes longer than the Internet's the second table has.
const LONG: usize = 100_000;

/// A goal of the batches: the trace, and the share of the anchor's time that is asked for with the
/// full table, and with longer prefixes.
struct Goal {
    trace: TraceKind,
    full: f64,
    long: f64,
}

fn anchor(family: Family) -> (Kind, &'static str, Goal) {
    match family {
        Family::V4 => {
            (Kind::Fib4, "rte_fib 4 B", Goal { trace: TraceKind::Random, full: 0.75, long: 0.9 })
        }
        Family::V6 => {
            (Kind::Fib6, "rte_fib6 4 B", Goal { trace: TraceKind::Prefix, full: 0.4, long: 0.15 })
        }
    }
}

/// The other tables of DPDK.
fn others(family: Family, patient: bool) -> Vec<Kind> {
    match family {
        Family::V4 if patient => vec![Kind::Fib2, Kind::Lpm],
        Family::V4 => vec![Kind::Fib2],
        Family::V6 => vec![Kind::Lpm6],
    }
}

/// Full tables, then the same with longer prefixes and a default route.
pub fn run(options: &Options) -> Result<()> {
    for family in [Family::V4, Family::V6] {
        let table = options.source.table(family)?;
        contest(options, &table, false)?;
        contest(options, &add_long(table, LONG, options.source.seed).with_default(), true)?;
    }
    Ok(())
}

fn contest(options: &Options, table: &Table, long: bool) -> Result<()> {
    let family = table.family;
    let (first, anchor, goal) = anchor(family);
    let (fib, _writer) = peers::xrouter(table)?;
    let mut dpdk = Vec::new();
    for kind in [vec![first], others(family, options.patient)].concat() {
        dpdk.push(RefCell::new(dpdk_table(kind, table)?));
    }
    let mut contestants: Vec<Box<dyn Contestant + '_>> = Vec::new();
    for batch in [1, BATCH] {
        contestants.push(Box::new(Xrouter::new(&fib, family, batch)));
        dpdk.iter().for_each(|table| contestants.extend(ways(table, batch)));
    }
    contestants
        .extend(peers::crates(table).into_iter().map(|peer| peer as Box<dyn Contestant + '_>));
    let name = if long { "full + long" } else { "full" };
    let oracle = Oracle::new(table);
    for kind in [TraceKind::Random, TraceKind::Prefix, TraceKind::Zipf] {
        let trace = Trace::new(table, &oracle, kind, options.count, options.source.seed);
        let scores = compete(&mut contestants, &trace, options.rounds);
        contest::print(&scores, anchor, name, &trace, family);
        let wrong = scores.iter().find(|score| score.wrong > 0);
        ensure!(wrong.is_none(), "{}: wrong answers", wrong.map_or("", |score| &score.name));
        // With longer prefixes `random` would hardly ever find one.
        let trace = if long { TraceKind::Prefix } else { goal.trace };
        if kind == trace
            && let Some(ratio) = contest::ratio(&scores, anchor)
        {
            let asked = Asked::AtMost(if long { goal.long } else { goal.full });
            print_goal(
                &format!("{family}, {name}, {kind}, batches of {BATCH}"),
                asked,
                &format!("x {anchor}"),
                ratio,
            );
        }
    }
    Ok(())
}

/// One at a time nobody needs vectors.
fn ways(table: &RefCell<Dpdk>, batch: usize) -> Vec<Box<dyn Contestant + '_>> {
    let mut ways: Vec<Box<dyn Contestant + '_>> = vec![Box::new(Lookup::new(table, false, batch))];
    if batch > 1 && table.borrow_mut().has_avx512() {
        ways.push(Box::new(Lookup::new(table, true, batch)));
    }
    ways
}
