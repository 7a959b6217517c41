//! A router with both engines: each frame goes through the XDP program and through the worker's
//! pipeline, and what they do with it is compared.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::ControlFlow::Break;

use xrouter::config::Config;
use xrouter::frame::{Area, Pool};
use xrouter::id::PortId;
use xrouter::io::xdp::{Counters, Facts, Traffic};
use xrouter::packet::text::{Direction, format_frame};
use xrouter::pipeline::counters::WorkerCounters;
use xrouter::pipeline::verdict::{DropReason, Verdict};
use xrouter::pipeline::{self, Local};
use xrouter::table::adjacency::BY_DRIVER;
use xrouter::table::interface::Interface;
use xrouter::table::policy::SourceValidation;

use crate::case::HASH_SEED;
use crate::frame::Frame;
use crate::memory;
use crate::plain::{self, Sent};
use crate::program::{self, Engine, ROOM, Ruling};
use crate::router::{self, Router};

/// How many frames went which way.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// Sent by both engines alike.
    pub forwarded: u64,
    /// Sent by the worker alone, by the reason.
    pub not_plain: BTreeMap<&'static str, u64>,
    /// To the worker, and not sent: for the router itself, refused, dropped, ...
    pub not_sent: u64,
    /// Not the router's.
    pub kernel: u64,
}

impl Tally {
    pub fn frames(&self) -> u64 {
        self.sent() + self.not_sent + self.kernel
    }

    /// What the worker sends.
    pub fn sent(&self) -> u64 {
        self.forwarded + self.not_plain.values().sum::<u64>()
    }

    pub fn add(&mut self, other: Self) {
        self.forwarded += other.forwarded;
        self.not_sent += other.not_sent;
        self.kernel += other.kernel;
        for (reason, count) in other.not_plain {
            *self.not_plain.entry(reason).or_default() += count;
        }
    }
}

/// What an engine did with a frame.
struct Done<'o> {
    octets: &'o [u8],
    /// The neighbours that were marked as used.
    used: Vec<(PortId, IpAddr)>,
}

/// A router without cards, and the programs of its ports.
#[derive(Debug)]
pub struct Both {
    config: Config,
    router: Router,
    ports: Vec<Port>,
    area: Area,
}

/// A port's program, and what that must have counted.
#[derive(Debug)]
struct Port {
    engine: Engine,
    counted: Counters,
    /// By the port out.
    traffic: Vec<Traffic>,
}

impl Both {
    pub fn new(config: &Config) -> Self {
        let seed = config.router.hash_seed.unwrap_or(HASH_SEED);
        let (shared, memory) = program::shared(router::budget(config), seed);
        let router = Router::within(config, memory);
        let ports = router.tables().snapshot.present().map(|interface| Port {
            engine: Engine::new(facts(interface), &interface.groups, &shared),
            counted: Counters::default(),
            traffic: vec![Traffic::default(); config.ports.len()],
        });
        let ports = ports.collect();
        Self { config: config.clone(), router, ports, area: memory::area() }
    }

    /// Compare what the engines do with these frames, and what the program counts of them. The
    /// first difference is the error.
    pub fn compare(&mut self, frames: impl IntoIterator<Item = Frame>) -> Result<Tally, String> {
        let counters = WorkerCounters::new();
        let mut local = memory::local(&self.config, &counters);
        let mut pool = Pool::new(&mut self.area);
        let mut tally = Tally::default();
        let (config, router, ports) = (&self.config, &self.router, &mut self.ports);
        for frame in frames {
            compare_one(&frame, config, router, &mut ports[frame.port], &mut pool, &mut local)
                .map(|found| found.count(&mut tally))
                .map_err(|what| format!("{what}\nwith {}", described(config, &frame)))?;
        }
        self.check_counters()?;
        Ok(tally)
    }

    fn check_counters(&self) -> Result<(), String> {
        for (number, port) in self.ports.iter().enumerate() {
            let program = &port.engine.program;
            let counted = program.counters().expect("readable");
            if counted != port.counted {
                return Err(format!("port {number} counts {counted:?}, not {:?}", port.counted));
            }
            for (to, expected) in self.config.ports().map(|(id, _)| id).zip(&port.traffic) {
                let traffic = program.forwarded_to(to).expect("readable");
                if traffic != *expected {
                    return Err(format!("port {number} counts {traffic:?}, not {expected:?}"));
                }
            }
        }
        Ok(())
    }
}

/// As control tells a program (`router/control/fastpath.rs`).
fn facts(interface: &Interface) -> Facts {
    Facts {
        port: interface.port,
        mac: interface.mac,
        mtu: interface.mtu,
        engine: BY_DRIVER,
        active: true,
        fast: interface.policy.source_validation == SourceValidation::Off,
        unfinished_checksums: interface.unfinished_checksums,
    }
}

fn described(config: &Config, frame: &Frame) -> String {
    format_frame(&config.ports[frame.port].name, Direction::Arrives, &frame.octets)
}

/// On which way a frame was found, where both engines agree.
enum Found {
    Forwarded,
    NotPlain(&'static str),
    NotSent,
    Kernel,
}

impl Found {
    fn count(self, tally: &mut Tally) {
        match self {
            Self::Forwarded => tally.forwarded += 1,
            Self::NotPlain(reason) => *tally.not_plain.entry(reason).or_default() += 1,
            Self::NotSent => tally.not_sent += 1,
            Self::Kernel => tally.kernel += 1,
        }
    }
}

fn compare_one<'umem>(
    frame: &Frame,
    config: &Config,
    router: &Router,
    port: &mut Port,
    pool: &mut Pool<'umem>,
    local: &mut Local,
) -> Result<Found, String> {
    let mut out = [0; ROOM];
    let used = || router.hops.used(&router.writer);
    let (ruling, octets) = port.engine.run(&frame.octets, &mut out);
    let program = Done { octets, used: used() };

    let id = PortId::new(frame.port).expect("a port");
    let mut packet = pool.copy_of(&frame.octets, id).expect("room for the frame");
    let Break(verdict) = pipeline::journey(&mut packet, &router.tables(), local);
    local.reports.clear();
    let worker = Done { octets: packet.bytes(), used: used() };

    port.count(ruling, verdict, frame, &program);
    let sent = Sent { frame: &frame.octets, port: id, verdict, config, tables: router.tables() };
    let found = judge(ruling, &program, &sent, &worker);
    pool.give(packet);
    found
}

/// Whether the engines have done the same with a frame.
fn judge(ruling: Ruling, program: &Done, sent: &Sent, worker: &Done) -> Result<Found, String> {
    let verdict = sent.verdict;
    let unchanged = program.octets == sent.frame && program.used.is_empty();
    match (ruling, verdict) {
        (Ruling::Forwarded, Verdict::Transmit(_)) => {
            if program.octets != worker.octets {
                return Err(format!("{:02x?}, not {:02x?}", program.octets, worker.octets));
            }
            if program.used != worker.used {
                return Err(format!("used {:?}, not {:?}", program.used, worker.used));
            }
            Ok(Found::Forwarded)
        }
        (Ruling::Worker | Ruling::Kernel, _) if !unchanged => {
            Err(format!("passed on as {:02x?}, used {:?}", program.octets, program.used))
        }
        (
            Ruling::Worker,
            Verdict::Transmit(_) | Verdict::TransmitBack { .. } | Verdict::Fragment { .. },
        ) => {
            let why = plain::why_not(sent).ok_or("is plain, and yet goes up to the worker");
            Ok(Found::NotPlain(why?))
        }
        (Ruling::Worker, _) => Ok(Found::NotSent),
        (Ruling::Kernel, Verdict::Drop(reason)) if is_left_to_the_kernel(reason) => {
            Ok(Found::Kernel)
        }
        _ => Err(format!("{ruling:?} by the program, {verdict:?} by the worker")),
    }
}

/// Of an unknown type, the worker may have looked at the source first.
fn is_left_to_the_kernel(reason: DropReason) -> bool {
    use DropReason::{EtherTypeUnknown, NotForUs, Runt, SourceMac};
    matches!(reason, EtherTypeUnknown | NotForUs | Runt | SourceMac)
}

impl Port {
    fn count(&mut self, ruling: Ruling, verdict: Verdict, frame: &Frame, program: &Done) {
        let counted = &mut self.counted;
        match ruling {
            Ruling::Forwarded => {}
            Ruling::Worker => counted.to_worker += 1,
            Ruling::Kernel if verdict == Verdict::Drop(DropReason::NotForUs) => {
                counted.passed_not_ours += 1;
            }
            Ruling::Kernel => counted.passed_ether_type += 1,
        }
        if let (Ruling::Forwarded, Verdict::Transmit(to)) = (ruling, verdict) {
            self.traffic[to.index()] += Traffic {
                frames: 1,
                octets_in: frame.octets.len() as u64,
                octets_out: program.octets.len() as u64,
            };
        }
    }
}
