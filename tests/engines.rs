//! The two engines are one truth: what the XDP program does with a frame is what the worker would
//! have done. Each frame goes through both, in this process (`BPF_PROG_RUN`), without a device:
//!
//! - sent by the program: the worker sends the same octets by the same port, and marks the same
//!   neighbour as used;
//! - left to the worker: unchanged, and if the worker sends it, `engines/plain.rs` knows why the
//!   program did not;
//! - left to the kernel: the worker has no use for it.
//!
//! The program's counters say the same. It needs root.
//!
//! | variable | what it says |
//! | --- | --- |
//! | `ENGINES_FRAMES` | how many frames are generated |
//! | `ENGINES_SEED` | which ones |
//! | `ENGINES_UPDATES` | how many routes come and go in each table |

#[allow(dead_code, reason = "the rest is for tests/cases.rs")]
#[path = "cases/case.rs"]
mod case;
#[path = "oracle/frame.rs"]
#[allow(dead_code, reason = "the rest is for tests/oracle.rs")]
mod frame;
#[path = "oracle/generate.rs"]
mod generate;
#[path = "cases/memory.rs"]
#[allow(dead_code, reason = "the rest is for tests/cases.rs")]
mod memory;
#[path = "oracle/mutate.rs"]
mod mutate;
#[path = "fuzz/targets/octets.rs"]
#[allow(dead_code, reason = "the rest is for the fuzzer")]
mod octets;
#[path = "oracle/random.rs"]
mod random;
#[allow(dead_code, reason = "the cases use another memory")]
#[path = "cases/router.rs"]
mod router;

#[path = "engines/both.rs"]
mod both;
#[path = "engines/inputs.rs"]
mod inputs;
#[path = "engines/packets.rs"]
mod packets;
#[path = "engines/plain.rs"]
mod plain;
#[path = "engines/program.rs"]
mod program;
#[path = "engines/tables.rs"]
mod tables;

use std::path::Path;
use std::thread;

use both::{Both, Tally};
use frame::Frame;
use random::Random;
use xrouter::config::Config;

/// Frames that are generated, if `ENGINES_FRAMES` does not say it.
const FRAMES: usize = 1_000_000;
/// Changed copies of the cases' frames, in each case's router.
const CHANGED: usize = 2000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn number(variable: &str, or: usize) -> usize {
    let text = std::env::var(variable).ok();
    text.map_or(or, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

/// All that is compared, in figures.
fn report(what: &str, tally: &Tally) {
    println!("{what}: {} frames", tally.frames());
    println!("  {:8} sent by both", tally.forwarded);
    for (reason, count) in &tally.not_plain {
        println!("  {count:8} sent by the worker: {reason}");
    }
    println!("  {:8} for the worker, and not sent", tally.not_sent);
    println!("  {:8} left to the kernel", tally.kernel);
}

/// The frames of all cases, and changed ones, in the router of each; on a plain link, and with hosts
/// that leave checksums to their cards.
#[test]
fn in_every_case_both_engines_do_the_same() {
    let cases = inputs::cases(root());
    let all: Vec<_> = cases.iter().flat_map(|(_, frames)| frames.clone()).collect();
    let (mut random, mut tally) = (Random::new(1), Tally::default());
    for (config, own) in &cases {
        for unfinished in [false, true] {
            let config = if unfinished { with_veths(config) } else { config.clone() };
            let fits = |frame: &&Frame| frame.port < config.ports.len();
            let changed: Vec<_> = own.iter().chain(&all).filter(fits).cloned().collect();
            let changed = inputs::changed(&changed, &mut random).take(CHANGED);
            let frames = all.iter().filter(fits).cloned().chain(changed);
            let found = Both::new(&config).compare(frames).unwrap_or_else(|what| panic!("{what}"));
            tally.add(found);
        }
    }
    report("cases", &tally);
    assert!(tally.forwarded * 3 > tally.sent(), "too little of what is sent is plain");
}

/// Generated frames, in a router with all kinds of routes.
#[test]
fn whatever_comes_both_engines_do_the_same() {
    let (frames, seed) = (number("ENGINES_FRAMES", FRAMES), number("ENGINES_SEED", 1));
    let routers = routers();
    let share = frames / routers.len();
    let corpora = inputs::corpora(root());
    let compare = |(config, seed): (&Config, u64)| {
        let generated = inputs::generated(Random::new(seed)).take(share);
        Both::new(config).compare(corpora.iter().cloned().chain(generated))
    };
    let seeds = (seed as u64 * 1000)..;
    let tallies = thread::scope(|scope| {
        let threads = routers.iter().zip(seeds).map(|task| scope.spawn(move || compare(task)));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    let mut tally = Tally::default();
    for found in tallies {
        tally.add(found.unwrap_or_else(|what| panic!("seed {seed}: {what}")));
    }
    report("generated", &tally);
    assert!(tally.forwarded * 2 > tally.sent(), "most of what is sent is not plain");
}

/// The router of engines/router.toml with several seeds of the hash of flows; every other one has
/// hosts that leave checksums to their cards.
fn routers() -> Vec<Config> {
    let config = Config::load(&root().join("tests/engines/router.toml"));
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    let seeds = [0, 1, 0x8000_0000, 0xffff_ffff];
    let routers = seeds.into_iter().enumerate().map(|(number, seed)| {
        let mut config = if number % 2 == 0 { config.clone() } else { with_veths(&config) };
        config.router.hash_seed = Some(seed);
        config
    });
    routers.collect()
}

/// The same router, with hosts behind its ports that leave checksums to their cards.
fn with_veths(config: &Config) -> Config {
    let mut config = config.clone();
    config.ports.iter_mut().for_each(|port| port.device = format!("veth-{}", port.name));
    config
}
