//! Loading, updates, and what readers notice of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use common::clock::{cpu_time, timed};
use common::figure::{Asked, Spread, print, print_goal};
use common::router::{self, Router};
use core_affinity::CoreId;
use serde_json::json;
use tables::trace::{self, Kind as TraceKind};
use tables::update::{Update, updates};
use tables::{Family, Route, Table};
use xrouter::id::NextHopId;
use xrouter::table::publish::Epochs;
use xrouter::table::{Fib, FibWriter};

use crate::dpdk::Kind;
use crate::peers::BATCH;
use crate::{Options, dpdk_table};

/// Updates between two looks at what may be used again.
const RECLAIM_EVERY: usize = 1024;
/// Updates in one round.
const ROUND: usize = 100_000;
/// What the writer does while readers are watched.
const PACE_PER_S: usize = 100_000;

/// Millions of updates a second that are asked for.
fn rate_asked(family: Family) -> f64 {
    if family == Family::V4 { 5.0 } else { 3.0 }
}

/// Somebody who takes updates.
struct Taker<'a> {
    name: &'static str,
    /// Takes an update, and sees the one that comes after it.
    take: Box<dyn FnMut(Update, Option<&Update>) -> Result<()> + 'a>,
    /// Nanoseconds for an update, round by round.
    rounds: Vec<f64>,
}

impl<'a> Taker<'a> {
    fn new(
        name: &'static str,
        take: impl FnMut(Update, Option<&Update>) -> Result<()> + 'a,
    ) -> Self {
        Self { name, take: Box::new(take), rounds: Vec::new() }
    }

    fn round(&mut self, stream: &[Update]) -> Result<()> {
        let mut ahead = stream.iter().skip(1);
        let (time, done) =
            timed(|| stream.iter().try_for_each(|&update| (self.take)(update, ahead.next())));
        self.rounds.push(time.as_nanos() as f64 / stream.len() as f64);
        done
    }
}

/// Everything about updates, for both families.
pub fn run(options: &Options) -> Result<()> {
    for family in [Family::V4, Family::V6] {
        let table = options.source.table(family)?;
        load(options, &table)?;
        rates(options, &table)?;
        single(options, &table)?;
        readers(options, &table)?;
    }
    Ok(())
}

fn load(options: &Options, table: &Table) -> Result<()> {
    let (mut fib, mut whole, mut dpdk) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds.min(5) {
        let (time, loaded) = timed(|| crate::peers::xrouter(table));
        loaded?;
        fib.push(time.as_secs_f64());
        let (time, loaded) = timed(|| Router::with(table));
        loaded?;
        whole.push(time.as_secs_f64());
        let (time, loaded) = timed(|| dpdk_table(anchor(table.family).0, table));
        loaded?;
        dpdk.push(time.as_secs_f64());
    }
    let rows =
        [("xrouter, FIB", &fib), ("xrouter, RIB and FIB", &whole), (anchor(table.family).1, &dpdk)];
    for (program, seconds) in rows {
        let seconds = Spread::of(seconds.clone()).json();
        print(
            "load",
            json!({"family": table.family.to_string(), "program": program, "seconds": seconds}),
        );
    }
    let goal = format!("{}, loading a full table", table.family);
    print_goal(&goal, Asked::AtMost(0.5), "s", Spread::of(fib).median);
    Ok(())
}

fn anchor(family: Family) -> (Kind, &'static str) {
    match family {
        Family::V4 => (Kind::Fib4, "rte_fib 4 B"),
        Family::V6 => (Kind::Fib6, "rte_fib6 4 B"),
    }
}

/// How many updates a second each of them takes.
fn rates(options: &Options, table: &Table) -> Result<()> {
    let family = table.family;
    let stream = updates(table, ROUND * (options.rounds + 1), options.source.seed);
    let (_fib, mut writer) = crate::peers::xrouter(table)?;
    let (mut router, mut reader) = (Router::with(table)?, Router::with(table)?);
    let (kind, name) = anchor(family);
    let mut dpdk = dpdk_table(kind, table)?;
    let mut reclaimed = Reclaimed::default();
    let mut takers = [
        Taker::new("xrouter, FIB", |update, _| reclaimed.apply(&mut writer, family, update)),
        Taker::new("xrouter, RIB and FIB", |update, _| route(&mut router, family, update)),
        Taker::new("xrouter, RIB and FIB, reading ahead", |update, next| {
            if let Some(next) = next {
                reader.prefetch(family, next.to());
            }
            route(&mut reader, family, update)
        }),
        Taker::new(name, |update, _| dpdk.update(update)),
    ];
    for round in stream.chunks(ROUND) {
        takers.iter_mut().try_for_each(|taker| taker.round(round))?;
    }
    for taker in &takers {
        // The first round is for the caches.
        let millions = Spread::of(taker.rounds[1..].iter().map(|ns| 1e3 / ns).collect());
        print(
            "updates",
            json!({"family": family.to_string(), "program": taker.name, "millions": millions.json()}),
        );
        if let Some(how) = taker.name.strip_prefix("xrouter, RIB and FIB") {
            let goal = format!("{family}, updates by one writer, RIB included{how}");
            print_goal(&goal, Asked::AtLeast(rate_asked(family)), "M/s", millions.median);
        }
    }
    Ok(())
}

/// A writer's updates, and now and then the memory that they freed. No reader is waited for.
struct Reclaimed {
    epochs: Epochs,
    since: usize,
}

impl Default for Reclaimed {
    fn default() -> Self {
        Self { epochs: Epochs::new(1), since: 0 }
    }
}

impl Reclaimed {
    fn apply(&mut self, writer: &mut FibWriter, family: Family, update: Update) -> Result<()> {
        apply(writer, family, update)?;
        self.since += 1;
        if self.since == RECLAIM_EVERY {
            self.since = 0;
            writer.reclaim(&self.epochs);
        }
        Ok(())
    }
}

fn apply(writer: &mut FibWriter, family: Family, update: Update) -> Result<()> {
    match update {
        Update::Announce(to, hop) => router::write(writer, family, Route { to, hop })?,
        Update::Withdraw(to) => match to.net(family) {
            ipnet::IpNet::V4(to) => drop(writer.remove4(to)),
            ipnet::IpNet::V6(to) => drop(writer.remove6(to)),
        },
    }
    Ok(())
}

/// One update, by way of control's RIB.
fn route(router: &mut Router, family: Family, update: Update) -> Result<()> {
    match update {
        Update::Announce(to, hop) => router.announce(family, Route { to, hop }),
        Update::Withdraw(to) => {
            router.withdraw(family, to);
            Ok(())
        }
    }
}

/// How long one update takes at worst.
fn single(options: &Options, table: &Table) -> Result<()> {
    let family = table.family;
    let (_fib, mut writer) = crate::peers::xrouter(table)?;
    let mut reclaimed = Reclaimed::default();
    let mut micros = Vec::new();
    for update in updates(table, ROUND * options.rounds.min(5), options.source.seed + 1) {
        let (time, done) = timed(|| reclaimed.apply(&mut writer, family, update));
        done?;
        micros.push(time.as_nanos() as f64 / 1e3);
    }
    micros.sort_by(f64::total_cmp);
    let at = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize];
    let figure = json!({"median": at(0.5), "p99": at(0.99), "p99.9": at(0.999), "most": at(1.0)});
    print("update", json!({"family": family.to_string(), "microseconds": figure}));
    print_goal(&format!("{family}, one update, p99.9"), Asked::AtMost(100.0), "us", at(0.999));
    Ok(())
}

/// How much a reader is slowed down by a writer on the other core.
fn readers(options: &Options, table: &Table) -> Result<()> {
    let (fib, writer) = crate::peers::xrouter(table)?;
    let kind = if table.family == Family::V4 { TraceKind::Random } else { TraceKind::Prefix };
    let addresses = trace::addresses(table, kind, options.count, options.source.seed);
    let stream = updates(table, ROUND * 10, options.source.seed + 2);
    let shared = Arc::new(Shared::default());
    let other = shared.clone();
    let (family, core) = (table.family, options.other_core());
    let writing = thread::spawn(move || write_at_pace(writer, family, &stream, &other, core));
    let watched = watch(&fib, family, &addresses, &shared, options.rounds.max(9));
    shared.over.store(true, Ordering::Relaxed);
    writing.join().ok().context("the writer panicked")??;
    let Watched { quiet, busy, invalid } = watched;
    anyhow::ensure!(invalid == 0, "{invalid} answers that no route ever had");
    let slower = Spread::of_ratios(&busy, &quiet);
    print(
        "readers",
        json!({
            "family": family.to_string(), "quiet_ns": Spread::of(quiet).json(), "busy_ns": Spread::of(busy).json(),
            "ratio": slower.json(), "updates_per_s": shared.rate(),
        }),
    );
    let goal = format!("{family}, readers slowed by {PACE_PER_S} updates a second");
    print_goal(&goal, Asked::AtMost(10.0), "%", (slower.median - 1.0) * 100.0);
    Ok(())
}

/// What reader and writer know of each other.
#[derive(Debug)]
struct Shared {
    epochs: Epochs,
    /// The writer is to write.
    active: AtomicBool,
    over: AtomicBool,
    written: AtomicU64,
    /// Microseconds of the rounds in which it was to.
    active_us: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        let (active, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let (written, active_us) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { epochs: Epochs::new(1), active, over, written, active_us }
    }
}

impl Shared {
    /// Updates a second, while there were to be some.
    fn rate(&self) -> f64 {
        let seconds = self.active_us.load(Ordering::Relaxed) as f64 / 1e6;
        self.written.load(Ordering::Relaxed) as f64 / seconds
    }
}

fn write_at_pace(
    mut writer: FibWriter,
    family: Family,
    stream: &[Update],
    shared: &Shared,
    core: Option<CoreId>,
) -> Result<()> {
    core.map(core_affinity::set_for_current);
    let mut stream = stream.iter().cycle();
    let mut start = None;
    let mut due = 0;
    while !shared.over.load(Ordering::Relaxed) {
        if !shared.active.load(Ordering::Relaxed) {
            start = None;
            thread::sleep(Duration::from_micros(100));
            continue;
        }
        let (since, written) = *start.get_or_insert((Instant::now(), due));
        let target = written + (since.elapsed().as_secs_f64() * PACE_PER_S as f64) as usize;
        while due < target {
            apply(&mut writer, family, *stream.next().context("a stream without an end")?)?;
            due += 1;
            if due % RECLAIM_EVERY == 0 {
                writer.reclaim(&shared.epochs);
            }
        }
        shared.written.store(due as u64, Ordering::Relaxed);
        thread::sleep(Duration::from_micros(50));
    }
    Ok(())
}

struct Watched {
    quiet: Vec<f64>,
    busy: Vec<f64>,
    invalid: usize,
}

/// Look up in rounds, with a writer and without.
fn watch(fib: &Fib, family: Family, addresses: &[u128], shared: &Shared, rounds: usize) -> Watched {
    let mut watched = Watched { quiet: Vec::new(), busy: Vec::new(), invalid: 0 };
    let v4: Vec<u32> = addresses.iter().map(|address| (address >> 96) as u32).collect();
    shared.epochs.online(0);
    for round in 0..=2 * rounds {
        let active = round % 2 == 1;
        shared.active.store(active, Ordering::Relaxed);
        let wall = Instant::now();
        let mut found = [None; BATCH];
        let start = cpu_time();
        let mut looked_up = 0;
        // At least a tenth of a second: the writer has to come in.
        while looked_up == 0 || wall.elapsed() < Duration::from_millis(100) {
            watched.invalid += match family {
                Family::V4 => {
                    pass(&v4, &mut found, shared, |some, found| fib.v4.lookup_batch(some, found))
                }
                Family::V6 => pass(addresses, &mut found, shared, |some, found| {
                    fib.v6.lookup_batch(some, found)
                }),
            };
            looked_up += addresses.len();
        }
        let ns = (cpu_time() - start).as_nanos() as f64 / looked_up as f64;
        if active {
            let micros = u64::try_from(wall.elapsed().as_micros()).unwrap_or(u64::MAX);
            shared.active_us.fetch_add(micros, Ordering::Relaxed);
            watched.busy.push(ns);
        } else if round > 0 {
            watched.quiet.push(ns);
        }
    }
    shared.epochs.offline(0);
    watched
}

/// Once through all addresses; how many answers were neither a next hop nor none.
fn pass<A>(
    addresses: &[A],
    found: &mut [Option<NextHopId>; BATCH],
    shared: &Shared,
    look_up: impl Fn(&[A], &mut [Option<NextHopId>]),
) -> usize {
    let mut invalid = 0;
    for some in addresses.chunks(BATCH) {
        shared.epochs.pass(0);
        look_up(some, found);
        let is_invalid =
            |hop: &&Option<NextHopId>| hop.is_some_and(|hop| hop.get() > tables::NEXT_HOPS);
        invalid += found.iter().filter(is_invalid).count();
    }
    invalid
}
