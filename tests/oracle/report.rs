//! What is said of a comparison, while it goes on and at its end.

use std::cell::Cell;
use std::fmt::Write;
use std::time::{Duration, Instant};

use super::compare::Tally;
use super::differences::MASKS;
use super::sporadic::SPORADIC;

/// How often a line is written.
const EVERY: Duration = Duration::from_secs(5);

/// A line now and then.
#[derive(Debug)]
pub struct Progress {
    start: Instant,
    next: Cell<Duration>,
}

impl Progress {
    pub fn new() -> Self {
        Self { start: Instant::now(), next: Cell::new(EVERY) }
    }

    pub fn tell(&self, tally: &Tally) {
        let elapsed = self.start.elapsed();
        if elapsed < self.next.get() {
            return;
        }
        self.next.set(elapsed + EVERY);
        let differences: u64 = tally.found.values().map(|found| found.times).sum();
        let (seconds, frames) = (elapsed.as_secs(), tally.frames);
        eprintln!("{seconds:5} s  {frames:9} frames  {differences} differences");
    }
}

/// How often each entry of the list was needed. One that never is in a long run can go.
pub fn table(tally: &Tally) -> String {
    let masks = MASKS.iter().map(|mask| ("masked", mask.name, mask.reason));
    let known = tally.listed.iter().map(|known| ("allowed", known.name, known.reason));
    let mut text = format!("{} frames compared, {} by XDP\n", tally.frames, tally.fast_path);
    let sporadic = SPORADIC.iter().map(|this| ("left out", this.name, this.reason));
    for (what, name, reason) in masks.chain(sporadic).chain(known) {
        let times = tally.used.get(name).map_or("never".to_owned(), u64::to_string);
        let _ = writeln!(text, "{times:>9} {what:8} {name}: {reason}");
    }
    tally.shares.iter().for_each(|share| text += &format!("{share}\n"));
    text
}

/// What nothing explains, the most frequent kind first.
pub fn unexplained(tally: &Tally) -> String {
    let mut found: Vec<_> = tally.found.iter().collect();
    found.sort_by_key(|(_, found)| std::cmp::Reverse(found.times));
    let mut text = String::new();
    for (kind, found) in found {
        let _ = writeln!(text, "{} times {kind}\n{}", found.times, found.example);
    }
    text
}
