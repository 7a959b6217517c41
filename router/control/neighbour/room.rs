//! Who gets a place in the table, and who loses it (RFC 6583).
//!
//! A scan of a large subnet makes us ask for thousands of addresses that nobody has; a flood of
//! requests makes us hear of thousands of senders. Neither may push out a neighbour that is in
//! use, and neither may keep out a genuine one:
//! - REACHABLE, DELAY, PROBE and permanent entries are never evicted, and a STALE one only if it
//!   was not used for a while;
//! - what was only heard of makes way for what is wanted;
//! - an unanswered address makes way once its retransmission is due. Not before: asked for again,
//!   it would be solicited again within the second;
//! - a quarter of the places for INCOMPLETE entries is kept for those that were wanted and refused
//!   twice before. A genuine flow's next packet comes soon, a scan's next packet to the same address
//!   does not; and a scan of 2^23 addresses does hit some twice in a few seconds, few three times.
#![forbid(unsafe_code)]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use super::entry::{Entry, Key, Queue, State};
use super::{Action, Neighbours};
use crate::id::PortId;
use crate::packet::ethernet::MacAddress;
use crate::table::meter::Nanos;

impl Neighbours {
    /// A neighbour that the kernel knew when this router began. It is sent to at once, and then asked
    /// whether it is still there, as one that is STALE.
    pub fn adopt(
        &mut self,
        port: PortId,
        address: IpAddr,
        mac: MacAddress,
        now: Nanos,
        out: &mut Vec<Action>,
    ) {
        let key = (port, address);
        if self.cache.get(&key).is_none() && self.room_to_learn(out) {
            self.cache.insert(key, Entry::new(now));
            self.learn(&key, mac, State::Stale, now);
            out.push(Action::Install { port, address, mac, state: State::Stale });
        }
    }

    /// Make room for an INCOMPLETE entry. False if there is none to be had.
    pub(super) fn room_to_resolve(&mut self, key: &Key, now: Nanos, out: &mut Vec<Action>) -> bool {
        let max = self.limits.incomplete_max;
        let places = if self.repeats.often(key) { max } else { max - max / 4 };
        while self.cache.incomplete() >= places && self.evict_due(Queue::AskAgain, now, out) {}
        let room = self.cache.incomplete() < places && self.make_room(now, out);
        if !room {
            self.repeats.note(key);
        }
        room
    }

    /// Make room for somebody who was only heard of.
    pub(super) fn room_to_learn(&mut self, out: &mut Vec<Action>) -> bool {
        self.cache.len() < self.limits.neighbours_max
            || self.evict(Queue::Failed, out)
            || self.evict(Queue::Hearsay, out)
    }

    /// Make room for an entry that somebody wants.
    pub(super) fn make_room(&mut self, now: Nanos, out: &mut Vec<Action>) -> bool {
        self.room_to_learn(out)
            || self.evict_due(Queue::AskAgain, now, out)
            || self.evict_unused(now, out)
    }

    fn evict(&mut self, queue: Queue, out: &mut Vec<Action>) -> bool {
        let oldest = self.cache.first(queue).map(|(_, key)| key);
        self.stats.evicted += u64::from(oldest.is_some());
        oldest.is_some_and(|key| self.forget(&key, out))
    }

    fn evict_due(&mut self, queue: Queue, now: Nanos, out: &mut Vec<Action>) -> bool {
        self.cache.due(queue, now).is_some() && self.evict(queue, out)
    }

    /// The workers' marks of use come at intervals: one that turned STALE a moment ago may well be
    /// in use.
    fn evict_unused(&mut self, now: Nanos, out: &mut Vec<Action>) -> bool {
        let oldest = self.cache.first(Queue::Stale).and_then(|(_, key)| self.cache.get(&key));
        oldest.is_some_and(|entry| now.since(entry.since) >= self.timers.delay)
            && self.evict(Queue::Stale, out)
    }
}

/// Which addresses were refused lately, and how often: one cell for each, until another address
/// falls into it. At 50,000 refusals a second that takes some five seconds.
#[derive(Debug)]
pub(super) struct Repeats {
    cells: Box<[Cell]>,
    seed: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    fingerprint: u16,
    times: u16,
}

impl Repeats {
    /// A mebibyte.
    const CELLS: usize = 1 << 18;
    /// From so many refusals on, an address is wanted in earnest.
    const OFTEN: u16 = 2;

    pub fn new(seed: u64) -> Self {
        Self { cells: vec![Cell::default(); Self::CELLS].into_boxed_slice(), seed }
    }

    pub fn note(&mut self, key: &Key) {
        let (number, fingerprint) = self.locate(key);
        let cell = &mut self.cells[number];
        let before = if cell.fingerprint == fingerprint { cell.times } else { 0 };
        *cell = Cell { fingerprint, times: before.saturating_add(1) };
    }

    pub fn often(&self, key: &Key) -> bool {
        let (number, fingerprint) = self.locate(key);
        let cell = self.cells[number];
        cell.fingerprint == fingerprint && cell.times >= Self::OFTEN
    }

    fn locate(&self, key: &Key) -> (usize, u16) {
        let [a, b, c, d, e, f, ..] = self.hash(key).to_le_bytes();
        let number = u32::from_le_bytes([a, b, c, d]) as usize % Self::CELLS;
        (number, u16::from_le_bytes([e, f]))
    }

    fn hash(&self, key: &Key) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, key).hash(&mut hasher);
        hasher.finish()
    }
}
