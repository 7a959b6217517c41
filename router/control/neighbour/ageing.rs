//! What time does to neighbours.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::entry::{Entry, Key, Queue, State};
use super::{Action, Neighbours};
use crate::table::meter::Nanos;

const SOLICITING: [Queue; 3] = [Queue::Ask, Queue::AskAgain, Queue::Probe];
/// A verdict that is so late says that this process had no core (SIGSTOP, a starved machine): the
/// workers had none either, and have not read the answers that did come.
const LATE: Duration = Duration::from_millis(500);
/// Time for the workers to bring them.
const CATCH_UP: Duration = Duration::from_millis(100);

const FORGETTING: [Queue; 3] = [Queue::Stale, Queue::Hearsay, Queue::Failed];

impl Neighbours {
    /// Do what is due at `now`. Costs as much as is due, however many neighbours there are.
    pub fn tick(&mut self, now: Nanos, out: &mut Vec<Action>) {
        while let Some(key) = self.cache.due(Queue::Reachable, now) {
            self.enter(&key, State::Stale, now);
        }
        while let Some(key) = self.cache.due(Queue::Delay, now) {
            self.enter(&key, State::Probe, now);
        }
        for queue in FORGETTING {
            while let Some(key) = self.cache.due(queue, now) {
                self.forget(&key, out);
            }
        }
        self.solicit(now, out);
    }

    /// When [`Neighbours::tick`] has something to do next. A moment in the past means now;
    /// nothing, if no neighbour waits for anything.
    pub fn next_deadline(&self) -> Option<Nanos> {
        let solicit = self.next_to_solicit().map(|(due, key)| {
            let silent = self.cache.get(&key).is_some_and(|entry| self.is_silent(entry));
            if silent {
                due.max(self.no_verdict_before)
            } else {
                due.max(self.solicitations.ready_at(1))
            }
        });
        [Queue::Reachable, Queue::Delay]
            .into_iter()
            .chain(FORGETTING)
            .filter_map(|queue| self.cache.first(queue).map(|(due, _)| due))
            .chain(solicit)
            .min()
    }

    /// Send the solicitations that are due, the oldest first, while the meter allows. The others
    /// keep their place: a scan delays a genuine resolution, but cannot overtake it.
    pub(super) fn solicit(&mut self, now: Nanos, out: &mut Vec<Action>) {
        while let Some((due, key)) = self.next_to_solicit()
            && due <= now
        {
            if self.cache.get(&key).is_some_and(|entry| self.is_silent(entry)) {
                if self.is_too_early(due, now) {
                    break;
                }
                self.give_up(&key, now, out);
            } else if self.solicitations.take(now, 1) {
                self.send(&key, now, out);
            } else {
                break;
            }
        }
    }

    /// Change the state, and wait for the end of the new one.
    pub(super) fn enter(&mut self, key: &Key, state: State, now: Nanos) {
        let deadline = match state {
            State::Reachable => now + self.reachable_time(),
            State::Stale => now + self.timers.stale,
            State::Delay => now + self.timers.delay,
            State::Failed => now + self.timers.failed_hold,
            State::Incomplete | State::Probe => self.may_solicit_at(key, now),
            State::Permanent => Nanos::MAX,
        };
        self.cache.change(key, |entry| entry.enter(state, now, deadline));
    }

    fn next_to_solicit(&self) -> Option<(Nanos, Key)> {
        SOLICITING.into_iter().filter_map(|queue| self.cache.first(queue)).min()
    }

    /// Whether an entry has had all its solicitations.
    fn is_silent(&self, entry: &Entry) -> bool {
        entry.tries >= self.timers.probes
    }

    /// Whether a verdict that was due has to wait for the workers. It waits once: a machine that is
    /// always late comes to its verdicts, too.
    fn is_too_early(&mut self, due: Nanos, now: Nanos) -> bool {
        if now.since(due) > LATE && due > self.no_verdict_before {
            self.no_verdict_before = now + CATCH_UP;
        }
        now < self.no_verdict_before
    }

    /// RFC 1122 2.3.2.1: not more than one a second to a target, whatever made us ask.
    fn may_solicit_at(&self, key: &Key, now: Nanos) -> Nanos {
        let last = self.cache.get(key).and_then(|entry| entry.solicited);
        last.map_or(now, |last| now.max(last + self.timers.retransmit))
    }

    fn send(&mut self, key: &Key, now: Nanos, out: &mut Vec<Action>) {
        let next = now + self.timers.retransmit;
        let to = self.cache.change(key, |entry| {
            entry.tries += 1;
            entry.solicited = Some(now);
            entry.deadline = next;
            entry.mac
        });
        self.stats.solicitations += 1;
        out.push(Action::SendSolicitation { port: key.0, target: key.1, to: to.flatten() });
    }

    /// The last solicitation has had its time.
    fn give_up(&mut self, key: &Key, now: Nanos, out: &mut Vec<Action>) {
        if self.cache.get(key).is_some_and(|entry| entry.state == State::Probe) {
            self.stats.lost += 1;
            self.forget(key, out);
        } else {
            self.stats.failed += 1;
            self.enter(key, State::Failed, now);
            out.push(Action::Unresolvable { port: key.0, address: key.1 });
        }
    }

    /// RFC 4861 6.3.2: random, between half and one and a half of the base, lest neighbours that
    /// were learned together be probed together.
    fn reachable_time(&mut self) -> Duration {
        let base = self.timers.reachable;
        let thousandths = 500 + u32::try_from(self.next_random() % 1_001).unwrap_or(500);
        base / 1_000 * thousandths
    }

    /// SplitMix64.
    pub(super) fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
