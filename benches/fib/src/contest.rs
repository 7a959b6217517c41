//! Everybody looks up the same addresses, in turns.

use common::clock::timed;
use common::figure::Spread;
use serde_json::json;
use tables::oracle::Oracle;
use tables::{Family, Table, trace};

/// The addresses, in each form that somebody wants them in, and the answers.
#[derive(Debug)]
pub struct Trace {
    pub kind: trace::Kind,
    /// IPv4, in host order.
    pub v4: Vec<u32>,
    /// IPv6, in host order.
    pub v6: Vec<u128>,
    /// IPv6, as they are sent.
    pub octets: Vec<[u8; 16]>,
    expected: Vec<u16>,
}

impl Trace {
    pub fn new(table: &Table, oracle: &Oracle, kind: trace::Kind, count: usize, seed: u64) -> Self {
        let addresses = trace::addresses(table, kind, count, seed);
        let expected = addresses.iter().map(|&address| oracle.hop(address)).collect();
        let mut trace = Self { kind, v4: Vec::new(), v6: Vec::new(), octets: Vec::new(), expected };
        match table.family {
            Family::V4 => {
                trace.v4 = addresses.iter().map(|address| (address >> 96) as u32).collect()
            }
            Family::V6 => {
                trace.octets = addresses.iter().map(|address| address.to_be_bytes()).collect();
                trace.v6 = addresses;
            }
        }
        trace
    }

    pub fn len(&self) -> usize {
        self.expected.len()
    }
}

/// Somebody who can look addresses up.
pub trait Contestant {
    fn name(&self) -> String;
    /// Addresses in one call.
    fn batch(&self) -> usize;
    /// Not timed: make room for the answers.
    fn prepare(&mut self, trace: &Trace);
    /// Timed: look all addresses up, and keep the answers.
    fn look_up(&mut self, trace: &Trace);
    /// The answer for the address number `i`; 0 is none.
    fn found(&self, i: usize) -> u16;
}

/// What one contestant needed in each round, in nanoseconds for an address.
#[derive(Debug)]
pub struct Score {
    pub name: String,
    pub batch: usize,
    pub rounds: Vec<f64>,
    pub wrong: usize,
}

/// Rounds of everybody in turn, there and back. The first is for the caches, and not counted.
pub fn compete(
    contestants: &mut [Box<dyn Contestant + '_>],
    trace: &Trace,
    rounds: usize,
) -> Vec<Score> {
    let score = |c: &Box<dyn Contestant + '_>| Score {
        name: c.name(),
        batch: c.batch(),
        rounds: Vec::new(),
        wrong: 0,
    };
    let mut scores: Vec<_> = contestants.iter().map(score).collect();
    for round in 0..=rounds {
        let mut order: Vec<_> = (0..contestants.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for number in order {
            let contestant = &mut contestants[number];
            contestant.prepare(trace);
            let (time, ()) = timed(|| contestant.look_up(trace));
            scores[number].wrong +=
                (0..trace.len()).filter(|&i| contestant.found(i) != trace.expected[i]).count();
            if round > 0 {
                scores[number].rounds.push(time.as_nanos() as f64 / trace.len() as f64);
            }
        }
    }
    scores
}

/// Print everybody's score, and the ratio to the anchor: who is named so, and has the same batch.
pub fn print(scores: &[Score], anchor: &str, table: &str, trace: &Trace, family: Family) {
    for score in scores {
        let anchor = scores.iter().find(|other| other.name == anchor && other.batch == score.batch);
        let ratio = anchor.map(|anchor| Spread::of_ratios(&score.rounds, &anchor.rounds).json());
        common::figure::print(
            "lookup",
            json!({
                "family": family.to_string(), "table": table, "trace": trace.kind.to_string(),
                "program": score.name, "batch": score.batch, "ns": Spread::of(score.rounds.clone()).json(),
                "ratio": ratio, "wrong": score.wrong,
            }),
        );
    }
}

/// The ratio of xrouter's batches to the anchor's.
pub fn ratio(scores: &[Score], anchor: &str) -> Option<f64> {
    let of = |name: &str| scores.iter().find(|score| score.name == name && score.batch > 1);
    Some(Spread::of_ratios(&of("xrouter")?.rounds, &of(anchor)?.rounds).median)
}
