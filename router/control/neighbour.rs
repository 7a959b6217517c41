//! Neighbours: who has which MAC, and whether it is still there. One table for ARP and NDP, as
//! both need the same: the state machine of RFC 4861 7.3 (RFC 1122 2.3.2.1 asks ARP for no less).
//!
//! Pure: no socket, no clock. What is heard and wanted goes in with the time, and out come
//! [`Action`]s that the control loop carries out. `tick` does the waiting; it is called at
//! [`Neighbours::next_deadline`], after whatever was received has been given to `heard`, so that
//! an answer that lay in a ring while the router was held up still counts.
//!
//! Where ARP has no word for what NDP says, this is what is done (and what Linux does):
//! - a reply sent to our MAC is a solicited advertisement; a request, an announcement and a
//!   broadcast reply are unsolicited ones, and only a request for us makes a new entry;
//! - another MAC in a reply, or in a request to others, replaces the known one even if that is
//!   REACHABLE, but not within [`Timers::locktime`]: of several answers to one request the first
//!   counts;
//! - another MAC in an announcement, or in a request to us, always does.
//!
//! A neighbour that stops answering probes is deleted (RFC 4861 7.3.3) and resolved anew by
//! multicast when the next packet wants it. One that cannot be resolved is FAILED for
//! [`Timers::failed_hold`], in which nobody asks for it; then it is forgotten.
//!
//! Limits (RFC 6583): see [`Limits`] and `room.rs`.
#![forbid(unsafe_code)]

mod ageing;
mod entry;
mod heard;
mod limits;
mod room;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use self::entry::{Cache, Entry, Key};
use self::heard::{Claim, Effect};
use self::room::Repeats;
use crate::id::PortId;
use crate::packet::ethernet::MacAddress;
use crate::table::meter::{Meter, Nanos};

pub use self::entry::State;
pub use self::heard::{Heard, Message};
pub use self::limits::{Limits, Timers};

/// What the control loop has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each is about one address behind one port")]
pub enum Action {
    /// Send an ARP request or a neighbour solicitation: to this MAC, or to all (broadcast, or the
    /// solicited-node group).
    SendSolicitation { port: PortId, target: IpAddr, to: Option<MacAddress> },
    /// The neighbour can be sent to, or has another MAC now: write its adjacency, send what waits.
    Install { port: PortId, address: IpAddr, mac: MacAddress, state: State },
    /// It cannot be sent to any more: its adjacency is glean again.
    Withdraw { port: PortId, address: IpAddr },
    /// It did not answer, or cannot be waited for: what waits gets "host unreachable".
    Unresolvable { port: PortId, address: IpAddr },
    /// Answer the kernel's request: it is known and reachable.
    AnswerKernel { port: PortId, address: IpAddr, mac: MacAddress },
    /// `claimant` uses an address of ours: announce it, and tell the operator (RFC 5227 2.4).
    Defend { port: PortId, address: IpAddr, claimant: MacAddress },
}

/// What becomes of a packet that wants a neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "the packet is to be held, sent, answered or dropped"]
pub enum Wanted {
    /// The neighbour became known meanwhile: send it.
    Usable(MacAddress),
    /// Hold it: [`Action::Install`] or [`Action::Unresolvable`] will follow.
    Resolving,
    /// The neighbour did not answer a moment ago: "host unreachable".
    Unreachable,
    /// Too many are being asked for: drop it.
    Refused,
}

/// There is no room for another neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableFull;

impl fmt::Display for TableFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the neighbour table is full; raise its limit or flush it")
    }
}

impl std::error::Error for TableFull {}

/// A row of `xrouter show neighbours`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Neighbour {
    /// Behind which port.
    pub port: PortId,
    /// Whose address.
    pub address: IpAddr,
    /// Its MAC, if the state is a usable one.
    pub mac: Option<MacAddress>,
    /// How well it is known.
    pub state: State,
    /// For how long it has been in this state.
    pub age: Duration,
    /// It says that it is a router (IPv6 only).
    pub router: bool,
    /// It was configured, not learned.
    pub permanent: bool,
}

/// What happened so far, each a count of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Solicitations sent.
    pub solicitations: u64,
    /// Unknown neighbours that answered or were heard while asked for.
    pub resolved: u64,
    /// Unknown neighbours that did not answer.
    pub failed: u64,
    /// Known neighbours that stopped answering.
    pub lost: u64,
    /// Entries made because somebody asked for an address of ours.
    pub learned: u64,
    /// Known neighbours that changed their MAC.
    pub moved: u64,
    /// Requests refused because nothing could be evicted.
    pub refused: u64,
    /// Strangers not learned, for want of room or because of [`Limits::learned_per_s`].
    pub unlearned: u64,
    /// Entries thrown out for others.
    pub evicted: u64,
    /// Messages whose sender has no proper address or MAC.
    pub bogus: u64,
    /// Messages that changed nothing: about strangers, permanent or locked entries.
    pub ignored: u64,
    /// Messages of others that use an address of ours.
    pub conflicts: u64,
}

/// The neighbour table.
#[derive(Debug)]
pub struct Neighbours {
    timers: Timers,
    limits: Limits,
    cache: Cache,
    solicitations: Meter,
    learning: Meter,
    repeats: Repeats,
    /// When an address of ours was last defended. As many as we have addresses.
    defended: HashMap<Key, Nanos>,
    random: u64,
    /// Until then nobody is given up: the answers may lie in a worker's ring.
    no_verdict_before: Nanos,
    stats: Stats,
}

impl Neighbours {
    /// An empty table. `seed` spreads the reachable times; any number does.
    pub fn new(timers: Timers, limits: Limits, seed: u64) -> Self {
        Self {
            cache: Cache::default(),
            solicitations: Meter::new(limits.solicitations_per_s, limits.solicitations_burst),
            learning: Meter::new(limits.learned_per_s, limits.learned_per_s),
            repeats: Repeats::new(seed),
            defended: HashMap::new(),
            random: seed,
            no_verdict_before: Nanos::ZERO,
            stats: Stats::default(),
            timers,
            limits,
        }
    }

    /// From now on it takes so long until something happens; what is under way is not shortened.
    pub fn set_timers(&mut self, timers: Timers) {
        self.timers = timers;
    }

    /// A packet waits for `target`.
    pub fn wanted(
        &mut self,
        port: PortId,
        target: IpAddr,
        now: Nanos,
        out: &mut Vec<Action>,
    ) -> Wanted {
        let key = (port, target);
        match self.cache.get(&key).map(|entry| (entry.state, entry.mac)) {
            Some((_, Some(mac))) => {
                self.used(port, target, now);
                Wanted::Usable(mac)
            }
            Some((State::Incomplete, _)) => Wanted::Resolving,
            Some(_) if self.cache.get(&key).is_some_and(|e| e.deadline > now) => {
                Wanted::Unreachable
            }
            _ => self.resolve(key, now, out),
        }
    }

    /// The kernel behind the tap asks who has `target`. It is told what is known at once, as we use
    /// a STALE neighbour ourselves (RFC 4861 7.3.3), and such a neighbour is then probed. The answer
    /// to a probe would not do: it may come without the MAC (7.2.4).
    pub fn wanted_by_kernel(
        &mut self,
        port: PortId,
        target: IpAddr,
        now: Nanos,
        out: &mut Vec<Action>,
    ) {
        let key = (port, target);
        let known = self.cache.get(&key).map(|entry| (entry.state, entry.mac));
        let Some((state, Some(mac))) = known.filter(|(state, _)| state.is_usable()) else {
            let _kernel_asks_again_itself = self.wanted(port, target, now, out);
            return;
        };
        out.push(Action::AnswerKernel { port, address: target, mac });
        if matches!(state, State::Stale | State::Delay) {
            self.enter(&key, State::Probe, now);
            self.solicit(now, out);
        }
    }

    /// Packets were sent to this neighbour lately (the workers' marks, collected every second or
    /// so): if it is STALE, it will be asked whether it is still there (RFC 4861 7.3.3).
    pub fn used(&mut self, port: PortId, address: IpAddr, now: Nanos) {
        let key = (port, address);
        if self.cache.get(&key).is_some_and(|entry| entry.state == State::Stale) {
            self.enter(&key, State::Delay, now);
        }
    }

    /// ARP or NDP said something.
    pub fn heard(&mut self, heard: &Heard, now: Nanos, out: &mut Vec<Action>) {
        let key = (heard.port, heard.address);
        // RFC 1812 3.3.2: a group's MAC is never believed. ARP probes and DAD have no sender.
        if heard.mac.is_some_and(|mac| !mac.is_unicast()) || is_nobody(heard.address) {
            self.stats.bogus += 1;
        } else if heard.ours {
            self.conflict(key, heard.mac, now, out);
        } else if let Some(claim) = heard.message.claim(heard.mac) {
            self.apply(key, &claim, heard.on_link, now, out);
        } else {
            self.stats.ignored += 1;
        }
    }

    /// A neighbour that the operator names. It takes the place of what was learned.
    ///
    /// # Errors
    /// [`TableFull`] if it is new and nothing can be evicted for it.
    pub fn add_static(
        &mut self,
        port: PortId,
        address: IpAddr,
        mac: MacAddress,
        now: Nanos,
        out: &mut Vec<Action>,
    ) -> Result<(), TableFull> {
        let key = (port, address);
        if self.cache.get(&key).is_none() {
            if !self.make_room(now, out) {
                return Err(TableFull);
            }
            self.cache.insert(key, Entry::new(now));
        }
        let known = self.cache.get(&key).and_then(|entry| entry.mac);
        self.learn(&key, mac, State::Permanent, now);
        if known != Some(mac) {
            out.push(Action::Install { port, address, mac, state: State::Permanent });
        }
        Ok(())
    }

    /// Forget a neighbour, a permanent one too. False if there is none.
    pub fn remove(&mut self, port: PortId, address: IpAddr, out: &mut Vec<Action>) -> bool {
        self.forget(&(port, address), out)
    }

    /// Forget what was learned, behind one port or all. Permanent entries stay.
    pub fn flush(&mut self, port: Option<PortId>, out: &mut Vec<Action>) {
        let keys = match port {
            Some(port) => self.cache.keys_of(port),
            None => self.cache.iter().map(|(key, _)| *key).collect(),
        };
        for key in keys {
            if self.cache.get(&key).is_some_and(|entry| entry.state != State::Permanent) {
                self.forget(&key, out);
            }
        }
    }

    /// The port has lost its link: who is behind it when it comes back is not known. Or it has it
    /// again: that nobody answered without one says nothing, and is no reason to wait.
    pub fn link_changed(&mut self, port: PortId, out: &mut Vec<Action>) {
        self.flush(Some(port), out);
    }

    /// All neighbours, by port and address.
    pub fn iter(&self, now: Nanos) -> impl Iterator<Item = Neighbour> {
        self.cache.iter().map(move |(key, entry)| row(*key, entry, now))
    }

    /// One neighbour.
    pub fn get(&self, port: PortId, address: IpAddr, now: Nanos) -> Option<Neighbour> {
        let key = (port, address);
        self.cache.get(&key).map(|entry| row(key, entry, now))
    }

    /// How many there are, in all states.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What happened so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    fn resolve(&mut self, key: Key, now: Nanos, out: &mut Vec<Action>) -> Wanted {
        let restart = self.cache.get(&key).cloned();
        self.cache.remove(&key);
        if !self.room_to_resolve(&key, now, out) {
            self.stats.refused += 1;
            return Wanted::Refused;
        }
        self.cache.insert(key, restart.unwrap_or_else(|| Entry::new(now)));
        self.enter(&key, State::Incomplete, now);
        self.solicit(now, out);
        Wanted::Resolving
    }

    fn apply(&mut self, key: Key, claim: &Claim, on_link: bool, now: Nanos, out: &mut Vec<Action>) {
        let Some(entry) = self.cache.get(&key) else {
            return self.stranger(key, claim, on_link, now, out);
        };
        let locked = now.since(entry.updated) < self.timers.locktime;
        let (effect, state, unknown) =
            (claim.effect(entry, locked), entry.state, entry.mac.is_none());
        match effect {
            Effect::None => self.stats.ignored += 1,
            Effect::Doubt => self.enter(&key, State::Stale, now),
            Effect::Learn(mac, state) => {
                self.learn(&key, mac, state, now);
                let counter =
                    if unknown { &mut self.stats.resolved } else { &mut self.stats.moved };
                *counter += 1;
                out.push(Action::Install { port: key.0, address: key.1, mac, state });
            }
            Effect::Confirm => self.enter(&key, State::Reachable, now),
            Effect::Agree if state == State::Stale => self.remember(&key, now),
            Effect::Agree => {}
        }
        if let Some(router) = claim.router
            && !matches!(effect, Effect::None | Effect::Doubt)
        {
            self.cache.change(&key, |entry| entry.router = router);
        }
    }

    /// Somebody who is not in the table: an entry, if it asked for us and belongs here.
    fn stranger(
        &mut self,
        key: Key,
        claim: &Claim,
        on_link: bool,
        now: Nanos,
        out: &mut Vec<Action>,
    ) {
        let Some(mac) = claim.mac.filter(|_| claim.creates && on_link) else {
            self.stats.ignored += 1;
            return;
        };
        if !self.learning.take(now, 1) || !self.room_to_learn(out) {
            self.stats.unlearned += 1;
            return;
        }
        self.stats.learned += 1;
        self.cache.insert(key, Entry::new(now));
        self.learn(&key, mac, State::Stale, now);
        out.push(Action::Install { port: key.0, address: key.1, mac, state: State::Stale });
    }

    /// RFC 5227 2.4 (c): we keep the address, and say so, but not more often than this.
    fn conflict(
        &mut self,
        key: Key,
        claimant: Option<MacAddress>,
        now: Nanos,
        out: &mut Vec<Action>,
    ) {
        let Some(claimant) = claimant else { return };
        self.stats.conflicts += 1;
        let pause = self.timers.defend;
        if self.defended.get(&key).is_some_and(|last| now.since(*last) < pause) {
            return;
        }
        self.defended.retain(|_, last| now.since(*last) < pause);
        self.defended.insert(key, now);
        out.push(Action::Defend { port: key.0, address: key.1, claimant });
    }

    fn learn(&mut self, key: &Key, mac: MacAddress, state: State, now: Nanos) {
        self.cache.change(key, |entry| (entry.mac, entry.updated) = (Some(mac), now));
        self.enter(key, state, now);
    }

    /// A STALE neighbour is heard of: it starts to be forgotten from now.
    fn remember(&mut self, key: &Key, now: Nanos) {
        let forget_at = now + self.timers.stale;
        self.cache.change(key, |entry| entry.deadline = forget_at);
    }

    /// Take an entry out of the table, and its traces out of the router.
    fn forget(&mut self, key: &Key, out: &mut Vec<Action>) -> bool {
        let Some(entry) = self.cache.remove(key) else { return false };
        let (port, address) = *key;
        match entry.state {
            State::Incomplete => out.push(Action::Unresolvable { port, address }),
            State::Failed => {}
            _ => out.push(Action::Withdraw { port, address }),
        }
        true
    }
}

fn row((port, address): Key, entry: &Entry, now: Nanos) -> Neighbour {
    Neighbour {
        port,
        address,
        mac: entry.mac,
        state: entry.state,
        age: now.since(entry.since),
        router: entry.router,
        permanent: entry.state == State::Permanent,
    }
}

/// Addresses that no single host can have.
fn is_nobody(address: IpAddr) -> bool {
    address.is_unspecified()
        || address.is_multicast()
        || matches!(address, IpAddr::V4(address) if address.is_broadcast())
}
