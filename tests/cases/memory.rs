//! Runs a case through the pipeline, in memory.

use std::ops::ControlFlow::Break;

use arrayvec::ArrayVec;

use xrouter::config::Config;
use xrouter::frame::{Area, Frame, Pool};
use xrouter::packet::ethernet::MacAddress;
use xrouter::packet::text::{Direction, format_frame};
use xrouter::pipeline::counters::{Counter, PortCounters, WorkerCounters};
use xrouter::pipeline::report::{Report, Said};
use xrouter::pipeline::verdict::DropReason;
use xrouter::pipeline::{self, BATCH, Batch, Local, Outbox, kernel};
use xrouter::table::meter::{Meter, Nanos};

use crate::case::{Case, Input, Outcome, Source};
use crate::router::Router;

/// Chunks of the UMEM: enough for a batch and its fragments.
const CHUNKS: u32 = 1024;
const CHUNK_SIZE: u16 = 2048;

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
    let [batch, single] = [Way::Batch, Way::OneByOne].map(|way| {
        let Outcome { mut out, drops } = run(case, router, area, way)?;
        // In a batch, what is answered at once overtakes what is looked up.
        out.sort_unstable();
        Ok::<_, String>((out, drops))
    });
    let (batch, single) = (batch?, single?);
    if batch == single { Ok(()) } else { Err(format!("{batch:#?} in a batch, else {single:#?}")) }
}

/// What becomes of the case's frames; an error if one is lost or not accounted for.
pub fn run(case: &Case, router: &Router, area: &mut Area, way: Way) -> Result<Outcome, String> {
    let counters = WorkerCounters::new();
    let section = &case.config.router;
    let (rate_per_s, burst) = (section.icmp_errors_per_s, section.icmp_errors_burst);
    let mut engine = Engine {
        router,
        config: &case.config,
        pool: Pool::new(area),
        out: Outbox::new(case.config.ports.len()),
        local: Local {
            now: Nanos::ZERO,
            counters: &counters,
            icmp_errors: Meter::new(rate_per_s.into(), burst.into()),
            ip_id: 0,
            reports: ArrayVec::new(),
        },
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
            Report::Heard { port, said } => format!("report {} {}", name(*port), heard(said)),
        }
    }
}

/// A line of out.txt; the frame goes back to the pool.
fn line<'umem>(way: &str, port: &str, frame: Frame<'umem>, pool: &mut Pool<'umem>) -> String {
    let unfinished = if frame.unfinished_checksum() { "unfinished " } else { "" };
    let text = format_frame(port, Direction::Leaves, frame.bytes());
    pool.give(frame);
    format!("{way}{unfinished}{text}")
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
