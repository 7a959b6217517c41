//! One neighbour, and all of them with their deadlines.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::id::PortId;
use crate::packet::ethernet::MacAddress;
use crate::table::meter::Nanos;

/// Which neighbour: the same address behind two ports is two neighbours.
pub(super) type Key = (PortId, IpAddr);

/// What is known of a neighbour (RFC 4861 7.3.2), in the words of `ip neighbour`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum State {
    /// Asked for, no answer yet.
    Incomplete,
    /// It has answered lately.
    Reachable,
    /// It has a MAC; whether that is still right is only asked when somebody sends to it.
    Stale,
    /// Sent to while stale; asked in a moment, unless it is heard from before.
    Delay,
    /// Being asked whether it is still there; packets go on to it.
    Probe,
    /// It did not answer. Nobody asks again for a while.
    Failed,
    /// Said so by the operator. Nothing that is heard changes it.
    Permanent,
}

impl State {
    /// Whether packets can be sent to a neighbour in this state.
    pub fn is_usable(self) -> bool {
        !matches!(self, Self::Incomplete | Self::Failed)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Incomplete => "INCOMPLETE",
            Self::Reachable => "REACHABLE",
            Self::Stale => "STALE",
            Self::Delay => "DELAY",
            Self::Probe => "PROBE",
            Self::Failed => "FAILED",
            Self::Permanent => "PERMANENT",
        })
    }
}

/// What an entry waits for. Each is a queue of its own, ordered by deadline, so that the oldest of
/// a kind is found at once: to be served first, or to be evicted first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Queue {
    /// The first solicitation.
    Ask,
    /// The next solicitation, or the end of an unanswered resolution.
    AskAgain,
    /// The next unicast solicitation, or the end of a probe.
    Probe,
    /// The end of REACHABLE.
    Reachable,
    /// The end of DELAY.
    Delay,
    /// To be forgotten. It was reachable or in use once.
    Stale,
    /// To be forgotten. Nothing but its own word says that it exists.
    Hearsay,
    /// To be forgotten, and asked again if somebody wants it.
    Failed,
}

const QUEUES: usize = Queue::Failed as usize + 1;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub state: State,
    /// Some, if and only if the state is usable.
    pub mac: Option<MacAddress>,
    /// IsRouter (RFC 4861 5.1).
    pub router: bool,
    /// It has answered us or was sent to: more than hearsay.
    pub proven: bool,
    /// When it came into this state.
    pub since: Nanos,
    /// When the MAC was learned.
    pub updated: Nanos,
    /// The last solicitation, in whatever state.
    pub solicited: Option<Nanos>,
    /// Solicitations sent in this state.
    pub tries: u8,
    /// [`Nanos::MAX`] for a permanent entry, which waits for nothing.
    pub deadline: Nanos,
}

impl Entry {
    pub fn new(now: Nanos) -> Self {
        Self {
            state: State::Incomplete,
            mac: None,
            router: false,
            proven: false,
            since: now,
            updated: now,
            solicited: None,
            tries: 0,
            deadline: now,
        }
    }

    pub fn enter(&mut self, state: State, now: Nanos, deadline: Nanos) {
        self.state = state;
        self.since = now;
        self.tries = 0;
        self.deadline = deadline;
        self.proven |= matches!(state, State::Reachable | State::Delay | State::Probe);
        if !state.is_usable() {
            self.mac = None;
        }
    }

    pub fn queue(&self) -> Option<Queue> {
        Some(match self.state {
            State::Incomplete if self.tries == 0 => Queue::Ask,
            State::Incomplete => Queue::AskAgain,
            State::Probe => Queue::Probe,
            State::Reachable => Queue::Reachable,
            State::Delay => Queue::Delay,
            State::Stale if self.proven => Queue::Stale,
            State::Stale => Queue::Hearsay,
            State::Failed => Queue::Failed,
            State::Permanent => return None,
        })
    }
}

/// The entries and the queues they wait in. Every change goes through here, so that an entry
/// always stands in the one queue, at the one deadline, that it says it does.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: BTreeMap<Key, Entry>,
    queues: [BTreeSet<(Nanos, Key)>; QUEUES],
}

impl Cache {
    pub fn get(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries.iter()
    }

    /// The keys of one port.
    pub fn keys_of(&self, port: PortId) -> Vec<Key> {
        self.entries.range(all_of(port)).map(|(key, _)| *key).collect()
    }

    fn waiting(&self, queue: Queue) -> usize {
        self.queues[queue as usize].len()
    }

    pub fn incomplete(&self) -> usize {
        self.waiting(Queue::Ask) + self.waiting(Queue::AskAgain)
    }

    /// Whose deadline comes first.
    pub fn first(&self, queue: Queue) -> Option<(Nanos, Key)> {
        self.queues[queue as usize].first().copied()
    }

    /// Who is first among those whose deadline has come.
    pub fn due(&self, queue: Queue, now: Nanos) -> Option<Key> {
        self.first(queue).filter(|(deadline, _)| *deadline <= now).map(|(_, key)| key)
    }

    pub fn insert(&mut self, key: Key, entry: Entry) {
        self.remove(&key);
        Self::enqueue(&mut self.queues, key, &entry);
        self.entries.insert(key, entry);
    }

    pub fn remove(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        Self::dequeue(&mut self.queues, *key, &entry);
        Some(entry)
    }

    pub fn change<T>(&mut self, key: &Key, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let entry = self.entries.get_mut(key)?;
        Self::dequeue(&mut self.queues, *key, entry);
        let result = change(entry);
        Self::enqueue(&mut self.queues, *key, entry);
        Some(result)
    }

    fn enqueue(queues: &mut [BTreeSet<(Nanos, Key)>; QUEUES], key: Key, entry: &Entry) {
        if let Some(queue) = entry.queue() {
            queues[queue as usize].insert((entry.deadline, key));
        }
    }

    fn dequeue(queues: &mut [BTreeSet<(Nanos, Key)>; QUEUES], key: Key, entry: &Entry) {
        if let Some(queue) = entry.queue() {
            queues[queue as usize].remove(&(entry.deadline, key));
        }
    }
}

#[cfg(test)]
impl Cache {
    /// Every entry stands in exactly one queue, at its deadline; a permanent one in none.
    pub fn assert_consistent(&self) {
        let timed = self.entries.iter().filter(|(_, entry)| entry.queue().is_some());
        let mut count = 0;
        for (key, entry) in timed {
            let queue = &self.queues[entry.queue().unwrap() as usize];
            assert!(queue.contains(&(entry.deadline, *key)), "{key:?} {entry:?} has no deadline");
            assert!(entry.deadline < Nanos::MAX);
            count += 1;
        }
        assert_eq!(count, self.queues.iter().map(BTreeSet::len).sum::<usize>());
        assert!(self.entries.values().all(|e| e.mac.is_some() == e.state.is_usable()));
    }
}

/// IPv4 addresses sort before IPv6 ones.
fn all_of(port: PortId) -> RangeInclusive<Key> {
    let first = IpAddr::from([0; 4]);
    let last = IpAddr::from([0xff; 16]);
    (port, first)..=(port, last)
}
