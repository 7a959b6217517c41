//! What a router does to a frame: pure, from bytes and tables to a verdict.
//!
//! [`journey`] is a packet's way from top to bottom. [`process`] is the same journey for a batch,
//! cut where memory is waited for, so that the lookups of a batch overlap.
//!
//! Nothing here does I/O, blocks, allocates, reads a clock or takes a lock.
#![forbid(unsafe_code)]

pub mod budget;
pub mod counters;
mod forward;
mod fragment;
mod hop_by_hop;
mod icmp;
mod ip4;
mod ip6;
pub mod kernel;
mod link;
mod neighbour;
mod options4;
mod outbox;
pub mod police;
mod redirect;
pub mod report;
mod source;
pub mod verdict;

use std::convert::Infallible;
use std::net::IpAddr;
use std::ops::ControlFlow::{Break, Continue};
use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;

use crate::frame::{Frame, Pool};
use crate::id::{NextHopId, PortId};
use crate::packet::ethernet::ether_type;
use crate::table::Fib;
use crate::table::interface::Snapshot;
use crate::table::meter::Nanos;
use crate::table::police::Policers;
use budget::ErrorBudget;
use counters::WorkerCounters;
pub use outbox::{Outbox, Place};
use report::{Hearing, Report, Said};
use verdict::{DropReason, Step, Verdict};

/// Most frames that are processed together. 64 keep their headers in the first-level cache.
pub const BATCH: usize = 64;

/// Frames that are processed together.
pub type Batch<'umem> = ArrayVec<Frame<'umem>, BATCH>;

/// What all workers share and nobody here writes.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a> {
    /// Routes, next hops, adjacencies: written in place by control while we read.
    pub fib: &'a Fib,
    /// Interfaces and their addresses: one version for the whole batch.
    pub snapshot: &'a Snapshot,
}

/// What one worker alone owns.
#[derive(Debug)]
pub struct Local<'a> {
    /// The time of this round.
    pub now: Nanos,
    /// UTC at [`Nanos::ZERO`], since the Unix epoch: IPv4 options may ask for it.
    pub utc_at_start: Duration,
    /// What this worker counts.
    pub counters: &'a WorkerCounters,
    /// The budget of ICMP and ICMPv6 errors (RFC 1812 4.3.2.8, RFC 4443 2.4 (f)).
    pub icmp_errors: ErrorBudget,
    /// What the kernel's stack is spared: the same for all workers.
    pub policers: Arc<Policers>,
    /// The identification of the next IPv4 packet of our own.
    pub ip_id: u16,
    /// How much of what is heard control is told.
    pub hearing: Hearing,
    /// What is to be said to control after this round.
    pub reports: ArrayVec<Report, REPORTS_MAX>,
}

/// Most reports of one round; more are counted as lost.
pub const REPORTS_MAX: usize = 256;

impl Local<'_> {
    /// Milliseconds since midnight UT.
    fn time_of_day(&self) -> u32 {
        const DAY: u64 = 24 * 60 * 60 * 1000;
        let milliseconds = (self.utc_at_start + self.now.since(Nanos::ZERO)).as_millis();
        u32::try_from(milliseconds % u128::from(DAY)).unwrap_or_default()
    }

    /// ARP or neighbour discovery said this on a port.
    fn hear(&mut self, port: PortId, said: Said) {
        if self.hearing.takes(&said, self.now) {
            self.report(Report::Heard { port, said });
        } else {
            self.counters.port(port).unheard.add(1);
        }
    }

    fn report(&mut self, report: Report) {
        if self.reports.try_push(report).is_err() {
            self.counters.mail_lost.add(1);
        }
    }
}

/// A packet that has passed every check that needs no route, and what is still to be asked of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Packet {
    destination: IpAddr,
    /// TTL or hop limit on arrival.
    hops_left: u8,
    /// IPv4 without DF.
    may_fragment: bool,
    /// Its source address is nobody's beyond its link (RFC 4007).
    scope_ends: bool,
    /// It has IPv4 options to be filled in when it leaves, and this is the time to write there, in
    /// milliseconds since midnight UT.
    stamp: Option<u32>,
}

/// A packet's way through the router.
pub fn journey(frame: &mut Frame, tables: &Tables, local: &mut Local) -> Step<Infallible> {
    let packet = ingress(frame, tables, local)?; //           our MAC, a whole header, no martian
    let next_hop = route(packet.destination, tables); //      longest match
    Break(forward::egress(frame, &packet, next_hop, tables)) // adjacency: send, hold, punt, refuse
}

/// Everything that can be said of a packet before its route is known.
#[inline(always)]
fn ingress(frame: &mut Frame, tables: &Tables, local: &mut Local) -> Step<Packet> {
    let (interface, arrival) = link::accept(frame, tables)?;
    match arrival.ether_type {
        ether_type::IPV4 => ip4::accept(frame, interface, arrival, tables, local),
        ether_type::IPV6 => ip6::accept(frame, interface, arrival, tables, local),
        ether_type::ARP => neighbour::arp(frame, interface, tables, local),
        ether_type::VLAN | ether_type::QINQ => Break(Verdict::Drop(DropReason::VlanUnknown)),
        _ => Break(Verdict::Drop(DropReason::EtherTypeUnknown)),
    }
}

fn route(destination: IpAddr, tables: &Tables) -> Option<NextHopId> {
    match destination {
        IpAddr::V4(destination) => tables.fib.v4.lookup(u32::from(destination)),
        IpAddr::V6(destination) => tables.fib.v6.lookup(u128::from(destination)),
    }
}

/// Take every frame of `batch` through its journey and put it where its verdict says.
pub fn process<'umem>(
    batch: &mut Batch<'umem>,
    tables: &Tables,
    local: &mut Local,
    pool: &mut Pool<'umem>,
    out: &mut Outbox<'umem>,
) {
    count_arrivals(batch, local);
    // The frames stay where they are meanwhile: what was just changed is slow to move.
    let mut steps = ArrayVec::<Step<Packet>, BATCH>::new();
    for frame in &mut *batch {
        steps.push(ingress(frame, tables, local));
    }
    let next_hops = route_all(&steps, tables);
    for ((mut frame, step), next_hop) in batch.drain(..).zip(&steps).zip(next_hops) {
        let verdict = match step {
            Continue(packet) => forward::egress(&mut frame, packet, next_hop, tables),
            Break(verdict) => *verdict,
        };
        match verdict {
            // Nearly all: no call for these.
            Verdict::Transmit(port) => {
                let counters = local.counters.port(frame.ingress());
                out.transmit(port, frame, counters, pool);
            }
            _ => settle(frame, verdict, tables, local, pool, out),
        }
    }
}

/// A batch comes in by one port, as a rule: one addition for all of it.
fn count_arrivals(batch: &Batch, local: &Local) {
    for frames in batch.chunk_by(|one, next| one.ingress() == next.ingress()) {
        let counters = local.counters.port(frames[0].ingress());
        counters.received.add(frames.len() as u64);
        counters.received_octets.add(frames.iter().map(|frame| frame.len() as u64).sum());
    }
}

/// The routes of a batch, looked up together: a miss in the cache is waited for in parallel.
fn route_all(steps: &ArrayVec<Step<Packet>, BATCH>, tables: &Tables) -> [Option<NextHopId>; BATCH] {
    let mut next_hops = [None; BATCH];
    let (mut v4, mut place4) = (ArrayVec::<u32, BATCH>::new(), ArrayVec::<usize, BATCH>::new());
    let (mut v6, mut place6) = (ArrayVec::<u128, BATCH>::new(), ArrayVec::<usize, BATCH>::new());
    for (place, step) in steps.iter().enumerate() {
        let Continue(packet) = step else { continue };
        match packet.destination {
            IpAddr::V4(destination) => {
                v4.push(u32::from(destination));
                place4.push(place);
            }
            IpAddr::V6(destination) => {
                v6.push(u128::from(destination));
                place6.push(place);
            }
        }
    }
    let mut found = [None; BATCH];
    tables.fib.v4.lookup_batch(&v4, &mut found[..v4.len()]);
    place4.iter().zip(found).for_each(|(&place, hop)| next_hops[place] = hop);
    tables.fib.v6.lookup_batch(&v6, &mut found[..v6.len()]);
    place6.iter().zip(found).for_each(|(&place, hop)| next_hops[place] = hop);
    next_hops
}

/// Take one frame again, after it has waited for its neighbour or was handed over by another
/// worker: it has been counted as received already.
pub fn resume<'umem>(
    mut frame: Frame<'umem>,
    tables: &Tables,
    local: &mut Local,
    pool: &mut Pool<'umem>,
    out: &mut Outbox<'umem>,
) {
    let verdict = if frame.is_own() {
        forward::own(&mut frame, tables)
    } else {
        let Break(verdict) = journey(&mut frame, tables, local);
        verdict
    };
    settle(frame, verdict, tables, local, pool, out);
}

/// Put a frame where its verdict says, and count what is counted.
pub fn settle<'umem>(
    frame: Frame<'umem>,
    verdict: Verdict,
    tables: &Tables,
    local: &mut Local,
    pool: &mut Pool<'umem>,
    out: &mut Outbox<'umem>,
) {
    let counters = local.counters.port(frame.ingress());
    match verdict {
        Verdict::Transmit(port) => out.transmit(port, frame, counters, pool),
        Verdict::TransmitBack { port, next_hop } => {
            if let Some(redirect) = redirect::about(&frame, next_hop, tables, local, pool) {
                counters.redirects.add(1);
                originate(redirect, tables, local, pool, out);
            }
            out.transmit(port, frame, counters, pool);
        }
        Verdict::Fragment { port, mtu } => fragment::split(frame, port, mtu, counters, pool, out),
        Verdict::Punt(port) => match police::admit(&frame, local) {
            Continue(()) => out.punt(port, frame, counters, pool),
            Break(verdict) => settle(frame, verdict, tables, local, pool, out),
        },
        Verdict::Hold(awaited) => out.hold(awaited, frame, counters, pool),
        Verdict::Answer(port) => {
            counters.absorbed.add(1);
            counters.originated.add(1);
            out.transmit(port, frame, counters, pool);
        }
        Verdict::Absorb => {
            counters.absorbed.add(1);
            pool.give(frame);
        }
        Verdict::Drop(reason) => {
            counters.drop(reason);
            pool.give(frame);
        }
        Verdict::Refuse(refusal) => refuse(frame, refusal, tables, local, pool, out),
    }
}

/// Drop a frame, and tell its sender in its own chunk.
fn refuse<'umem>(
    mut frame: Frame<'umem>,
    refusal: verdict::Refusal,
    tables: &Tables,
    local: &mut Local,
    pool: &mut Pool<'umem>,
    out: &mut Outbox<'umem>,
) {
    let counters = local.counters.port(frame.ingress());
    counters.drop(refusal.reason());
    if frame.is_own() || !icmp::answer(&mut frame, refusal, tables, local) {
        return pool.give(frame);
    }
    counters.icmp_errors.add(1);
    originate(frame, tables, local, pool, out);
}

/// Send a packet that was made here.
fn originate<'umem>(
    mut frame: Frame<'umem>,
    tables: &Tables,
    local: &mut Local,
    pool: &mut Pool<'umem>,
    out: &mut Outbox<'umem>,
) {
    local.counters.port(frame.ingress()).originated.add(1);
    let verdict = forward::own(&mut frame, tables);
    settle(frame, verdict, tables, local, pool, out);
}
