//! Runs a case through the pipeline, in memory.

use std::ops::ControlFlow::Break;
use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;

use xrouter::config::Config;
use xrouter::control::workers::error_budget;
use xrouter::frame::{Area, Frame, Pool};
use xrouter::packet::ethernet::MacAddress;
use xrouter::pipeline::counters::{Counter, PortCounters, WorkerCounters};
use xrouter::pipeline::report::{Hearing, Report, Said};
use xrouter::pipeline::verdict::DropReason;
use xrouter::pipeline::{self, BATCH, Batch, Local, Outbox, kernel};
use xrouter::table::meter::Nanos;
use xrouter::table::police::{Policers, RATE_MAX};

use crate::case::{Case, Input, Outcome, Source, frame_line};
use crate::router::Router;

/// Chunks of the UMEM: enough for a batch and its fragments.
const CHUNKS: u32 = 1024;
const CHUNK_SIZE: u16 = 2048;
/// What timestamp options are filled with: 12:00 UT, 0x02932e00 milliseconds after midnight.
const NOON: Duration = Duration::from_hours(12);

/// How frames from the wire are taken through the pipeline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// `process()`, all at once.
    Batch,
    /// `journey()`, one after the other.
    OneByOne,
}

/// Memory for [`run`]: all of it is free again after each run.
pub fn area() -> Area {
    Area::new(CHUNKS, CHUNK_SIZE, false).expect("memory")
}

/// R01: whatever the case's octets, no panic, no frame lost, every frame accounted for, and one
/// by one the same comes out as in a batch.
pub fn same_both_ways(case: &Case, router: &Router, area: &mut Area) -> Result<(), String> {
    let limits = generous(&case.config);
    let [batch, single] = [Way::Batch, Way::OneByOne].map(|way| {
        let Outcome { mut out, drops } = run_within(case, router, area, way, &limits)?;
        // In a batch, what is answered at once overtakes what is looked up.
        out.iter_mut().for_each(|line| *line = unnumbered(line));
        out.sort_unstable();
        Ok::<_, String>((out, drops))
    });
    let (batch, single) = (batch?, single?);
    if batch == single { Ok(()) } else { Err(format!("{batch:#?} in a batch, else {single:#?}")) }
}

/// The line of an ICMP error without the identification, which only says when it was made.
fn unnumbered(line: &str) -> String {
    let Some((before, after)) = line.split_once(" ttl 64 id ") else { return line.to_owned() };
    match after.split_once(" tos 0xc0 / icmp ") {
        Some((_, message)) => format!("{before} / icmp {message}"),
        None => line.to_owned(),
    }
}

/// The same without limits: which of two frames comes first would decide which one meets them.
fn generous(config: &Config) -> Config {
    let mut config = config.clone();
    config.police.per_s.fill(RATE_MAX);
    let router = &mut config.router;
    for limit in [
        &mut router.icmp_errors_per_s,
        &mut router.icmp_errors_burst,
        &mut router.icmp_errors_per_host_per_s,
        &mut router.icmp_errors_per_host_burst,
    ] {
        *limit = 1_000_000;
    }
    config
}

/// What becomes of the case's frames; an error if one is lost or not accounted for.
pub fn run(case: &Case, router: &Router, area: &mut Area, way: Way) -> Result<Outcome, String> {
    run_within(case, router, area, way, &case.config)
}

/// The same within the limits of this configuration.
fn run_within(
    case: &Case,
    router: &Router,
    area: &mut Area,
    way: Way,
    limits: &Config,
) -> Result<Outcome, String> {
    let counters = WorkerCounters::new();
    let mut engine = Engine {
        router,
        config: &case.config,
        pool: Pool::new(area),
        out: Outbox::new(case.config.ports.len()),
        local: local(limits, &counters),
    };
    for input in case.input.chunk_by(|a, b| a.from == b.from) {
        match (input[0].from, way) {
            (Source::Tap, _) => input.iter().for_each(|input| engine.take_from_kernel(input)),
            (Source::Wire, Way::Batch) => input.chunks(BATCH).for_each(|some| engine.take(some)),
            (Source::Wire, Way::OneByOne) => input.iter().for_each(|input| engine.take_one(input)),
        }
    }
    engine.finish(&counters)
}

/// What a worker has of its own when it starts.
pub fn local<'a>(limits: &Config, counters: &'a WorkerCounters) -> Local<'a> {
    let ports = limits.ports.len();
    Local {
        now: Nanos::ZERO,
        utc_at_start: NOON,
        counters,
        policers: Arc::new(Policers::new(limits.police.clone(), ports)),
        icmp_errors: error_budget(limits, 1, ports),
        ip_id: 0,
        hearing: Hearing::new(),
        reports: ArrayVec::new(),
    }
}

/// What a worker has, but for its rings and its loop.
struct Engine<'a, 'umem> {
    router: &'a Router,
    config: &'a Config,
    pool: Pool<'umem>,
    out: Outbox<'umem>,
    local: Local<'a>,
}

impl<'umem> Engine<'_, 'umem> {
    fn frame(&mut self, input: &Input) -> Frame<'umem> {
        self.pool.copy_of(&input.octets, input.port).expect("room for the frame")
    }

    fn take(&mut self, input: &[Input]) {
        let mut batch: Batch<'umem> = input.iter().map(|input| self.frame(input)).collect();
        let tables = self.router.tables();
        pipeline::process(&mut batch, &tables, &mut self.local, &mut self.pool, &mut self.out);
    }

    fn take_one(&mut self, input: &Input) {
        let mut frame = self.frame(input);
        self.local.counters.port(input.port).received.add(1);
        let tables = self.router.tables();
        let Break(verdict) = pipeline::journey(&mut frame, &tables, &mut self.local);
        let (local, pool, out) = (&mut self.local, &mut self.pool, &mut self.out);
        pipeline::settle(frame, verdict, &tables, local, pool, out);
    }

    fn take_from_kernel(&mut self, input: &Input) {
        let frame = self.frame(input);
        let tables = self.router.tables();
        let (local, pool, out) = (&mut self.local, &mut self.pool, &mut self.out);
        kernel::from_kernel(frame, &tables, local, pool, out);
    }

    /// Empty the outbox, and see that nothing was lost on the way.
    fn finish(mut self, counters: &WorkerCounters) -> Result<Outcome, String> {
        let left = self.out.len() as u64;
        let mut out = self.sent();
        out.extend(self.held());
        out.extend(self.local.reports.iter().map(|report| self.said(report)));
        let outcome = Outcome::new(out, self.dropped(counters), self.config);
        let of_all = |field: fn(&PortCounters) -> u64| -> u64 {
            self.config.ports().map(|(port, _)| field(counters.port(port))).sum()
        };
        let came = of_all(|c| c.received.get() + c.from_kernel.get() + c.originated.get());
        let went = left + of_all(|c| c.dropped_in_all() + c.absorbed.get());
        if came != went {
            return Err(format!("the ledger does not close: {came} in, {went} out\n"));
        }
        let (free, total) = (self.pool.free(), self.pool.total());
        if free != total {
            return Err(format!("{} of {total} chunks are lost\n", total - free));
        }
        match counters.mail_lost.get() {
            0 => Ok(outcome),
            lost => Err(format!("{lost} reports are lost\n")),
        }
    }

    fn sent(&mut self) -> Vec<String> {
        let (out, pool, mut lines) = (&mut self.out, &mut self.pool, Vec::new());
        for (id, port) in self.config.ports() {
            let sent = out.to_transmit(id).drain(..);
            lines.extend(sent.map(|frame| line("", &port.name, frame, pool)));
            let punted = out.to_punt(id).drain(..);
            lines.extend(punted.map(|frame| line("tap ", &port.name, frame, pool)));
        }
        lines
    }

    fn held(&mut self) -> Vec<String> {
        let (hops, config, pool) = (&self.router.hops, self.config, &mut self.pool);
        let held = self.out.to_hold().drain(..).map(|(awaited, frame)| {
            pool.give(frame);
            let (port, address) = hops.neighbour_of(awaited).expect("a neighbour");
            format!("hold {} {address}", config.port(port).expect("a port").name)
        });
        held.collect()
    }

    fn dropped(&self, counters: &WorkerCounters) -> Vec<String> {
        let of_port = |(id, port): (_, &xrouter::config::Port)| {
            let (dropped, name) = (&counters.port(id).dropped, port.name.clone());
            let reasons = DropReason::ALL.iter().zip(dropped.iter().map(Counter::get));
            let counted = reasons.filter(|(_, count)| *count > 0);
            counted
                .map(move |(reason, count)| format!("{name} {} {count}", reason.name()))
                .collect::<Vec<_>>()
        };
        self.config.ports().flat_map(of_port).collect()
    }

    fn said(&self, report: &Report) -> String {
        let name = |port| self.config.port(port).expect("a port").name.as_str();
        match report {
            Report::Wanted(awaited) => format!("report wanted {awaited:?}"),
            Report::AskedByKernel { port, address } => {
                format!("report {} kernel asks for {address}", name(*port))
            }
            Report::GroupsChanged(port) => {
                format!("report {} kernel's groups changed", name(*port))
            }
            Report::Heard { port, said } => format!("report {} {}", name(*port), heard(said)),
        }
    }
}

/// A line of out.txt; the frame goes back to the pool.
fn line<'umem>(way: &str, port: &str, frame: Frame<'umem>, pool: &mut Pool<'umem>) -> String {
    let line = frame_line(way, frame.unfinished_checksum(), port, frame.bytes());
    pool.give(frame);
    line
}

fn heard(said: &Said) -> String {
    let at =
        |mac: &Option<MacAddress>| mac.map_or("without a MAC".into(), |mac| format!("at {mac}"));
    let for_us = |yes: &bool| if *yes { " for us" } else { "" };
    match said {
        Said::ArpAnnouncement { sender, mac } => format!("arp announcement {sender} at {mac}"),
        Said::ArpRequest { sender, mac, for_us: us } => {
            format!("arp request {sender} at {mac}{}", for_us(us))
        }
        Said::ArpReply { sender, mac, for_us: us } => {
            format!("arp reply {sender} at {mac}{}", for_us(us))
        }
        Said::Solicitation { source, mac, for_us: us } => {
            format!("solicitation {source} {}{}", at(mac), for_us(us))
        }
        Said::Advertisement { target, mac, router, solicited, overrides } => {
            let flags = [(router, 'r'), (solicited, 's'), (overrides, 'o')];
            let flags: String = flags.iter().filter(|(set, _)| **set).map(|(_, c)| c).collect();
            format!("advertisement {target} {} flags {flags}", at(mac))
        }
    }
}
