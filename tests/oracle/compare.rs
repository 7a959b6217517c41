//! The comparison: groups of frames, and halves of those whose outputs differ, down to the one
//! frame that the two routers treat otherwise.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use xrouter::packet::describe::describe;
use xrouter::packet::text::{Direction, format_frame};

use super::differences::{DIFFERENCES, Difference, MASKS};
use super::facts::{Case, surplus};
use super::frame::{Frame, PORTS};
use super::inputs::Inputs;
use super::network::Key;
use super::octets::view4;
use super::option_differences::OPTION_DIFFERENCES;
use super::pair::{Outputs, Pair};
use super::sporadic::SPORADIC;
use super::ways::Ways;

/// Frames that are sent together.
const GROUP: usize = 64;
/// Frames for silent neighbours that are sent together.
const PATIENT: usize = 32;
/// How often those are sent: waiting for what does not come takes its time.
const PATIENCE: Duration = Duration::from_secs(3);
/// Kinds of differences that are looked into and told in full.
const TOLD_MAX: usize = 20;

/// What was found.
#[derive(Debug, Default)]
pub struct Tally {
    pub frames: u64,
    /// What may differ.
    pub listed: Vec<&'static Difference>,
    /// How many xrouter's XDP program forwarded.
    pub fast_path: u64,
    /// How often each entry of the list of differences was needed.
    pub used: BTreeMap<&'static str, u64>,
    /// What nothing explains, by kind.
    pub found: BTreeMap<String, Found>,
    /// How each router shared flows out among the members of groups, in words.
    pub shares: Vec<String>,
}

/// A kind of difference.
#[derive(Default, Debug)]
pub struct Found {
    pub times: u64,
    /// The first of its kind, in full.
    pub example: String,
}

/// Both routers, and what was found so far.
#[derive(Debug)]
pub struct Comparison {
    pair: Pair,
    /// What the kernel, and what xrouter did with flows to groups.
    ways: [Ways; 2],
    tally: Tally,
}

impl Comparison {
    /// Of routers whose ports are told so.
    pub fn new(options: &[Key]) -> Self {
        let with_options: &[_] = if options.is_empty() { &[] } else { OPTION_DIFFERENCES };
        let listed = with_options.iter().chain(DIFFERENCES).collect();
        let tally = Tally { listed, ..Tally::default() };
        Self { pair: Pair::new(options), ways: Default::default(), tally }
    }

    /// Compare for so long; `progress` is told every now and then.
    pub fn run(mut self, inputs: Inputs, time: Duration, progress: impl Fn(&Tally)) -> Tally {
        let start = Instant::now();
        let (mut group, mut patient) = (Vec::new(), Patient::new());
        for frame in inputs {
            if !frame.silent().is_empty() {
                patient.add(frame);
                continue;
            }
            group.push(frame);
            if group.len() == GROUP {
                self.compare(&group);
                group.clear();
                progress(&self.tally);
            }
            if let Some(frames) = patient.due() {
                self.compare_silent(&frames);
            }
            if start.elapsed() >= time {
                break;
            }
        }
        self.judge_shares();
        Tally { fast_path: self.pair.fast_path(), ..self.tally }
    }

    /// Compare what both routers do with these frames, none of which makes them ask for a
    /// neighbour that is silent.
    fn compare(&mut self, frames: &[Frame]) {
        let outputs = self.pair.send(frames);
        let outputs = self.masked(outputs);
        if outputs.kernel == outputs.xrouter {
            self.tally.frames += frames.len() as u64;
            return;
        }
        if let [frame] = frames {
            self.tally.frames += 1;
            return self.judge(frame, &outputs);
        }
        let (first, second) = frames.split_at(frames.len() / 2);
        self.compare(first);
        self.compare(second);
    }

    /// Compare what both do with frames that make them ask for silent neighbours, each for others
    /// than the rest. An output belongs to the frame whose neighbour's address is in it.
    fn compare_silent(&mut self, frames: &[Frame]) {
        let outputs = self.pair.send_and_wait(frames);
        let outputs = self.masked(outputs);
        self.tally.frames += frames.len() as u64;
        for frame in frames {
            let addresses = frame.silent();
            let own = |many: &[Frame], few: &[Frame]| {
                let own = many.iter().filter(|output| mentions(output, &addresses));
                surplus(&own.cloned().collect::<Vec<_>>(), few)
            };
            let kernel = own(&outputs.kernel, &outputs.xrouter);
            let xrouter = own(&outputs.xrouter, &outputs.kernel);
            if !(kernel.is_empty() && xrouter.is_empty()) {
                self.judge(frame, &Outputs { kernel, xrouter });
            }
        }
    }

    fn masked(&mut self, outputs: Outputs) -> Outputs {
        self.watch_ways(&outputs);
        let mut mask = |frames: Vec<Frame>| {
            let mut frames: Vec<_> = frames.into_iter().map(|frame| self.mask(frame)).collect();
            frames.retain(|frame| !frame.octets.is_empty());
            frames.sort_unstable();
            frames
        };
        let mut outputs = Outputs { kernel: mask(outputs.kernel), xrouter: mask(outputs.xrouter) };
        for sporadic in SPORADIC {
            let forgotten = sporadic.forget_unpaired(&mut outputs);
            *self.tally.used.entry(sporadic.name).or_default() += forgotten;
        }
        outputs
    }

    fn mask(&mut self, mut frame: Frame) -> Frame {
        for mask in MASKS {
            if (mask.blot)(&mut frame) {
                *self.tally.used.entry(mask.name).or_default() += 1;
            }
        }
        frame
    }

    fn judge(&mut self, frame: &Frame, outputs: &Outputs) {
        let case = Case { frame, outputs };
        if let Some(known) = self.tally.listed.iter().find(|known| (known.explains)(&case)) {
            *self.tally.used.entry(known.name).or_default() += 1;
            return;
        }
        let kind = kind(outputs);
        if !self.tally.found.contains_key(&kind) && self.tally.found.len() < TOLD_MAX {
            // Sent again, it would be another frame's neighbour that is asked for.
            let prompt = frame.silent().is_empty();
            let reasons = if prompt { self.pair.reasons(frame) } else { Vec::new() };
            let example = told(frame, outputs, &reasons);
            self.tally.found.insert(kind.clone(), Found { times: 0, example });
        }
        self.tally.count(kind);
    }

    /// The packets of a flow to a group all go to one member.
    fn watch_ways(&mut self, outputs: &Outputs) {
        let routers = [("kernel", &outputs.kernel), ("xrouter", &outputs.xrouter)];
        for (ways, (who, frames)) in self.ways.iter_mut().zip(routers) {
            for frame in frames.iter().filter(|frame| !ways.keeps(frame)) {
                let kind = format!("{who}: a flow goes two ways");
                let mut example = String::new();
                tell(&mut example, who, Direction::Leaves, std::slice::from_ref(frame));
                self.tally.found.entry(kind.clone()).or_insert(Found { times: 0, example });
                self.tally.count(kind);
            }
        }
    }

    /// The flows to a group are shared out by the weights.
    fn judge_shares(&mut self) {
        for (ways, who) in self.ways.iter().zip(["kernel", "xrouter"]) {
            for share in ways.shares() {
                if !share.is_fair() {
                    self.tally.count(format!("{who}: unfair shares, {share}"));
                }
                self.tally.shares.push(format!("{who}: {share}"));
            }
        }
    }
}

impl Tally {
    /// Once more, nothing explains this.
    fn count(&mut self, kind: String) {
        self.found.entry(kind).or_default().times += 1;
    }
}

/// Frames for silent neighbours that wait for their turn.
struct Patient {
    frames: Vec<Frame>,
    neighbours: HashSet<IpAddr>,
    last: Instant,
}

impl Patient {
    fn new() -> Self {
        Self { frames: Vec::new(), neighbours: HashSet::new(), last: Instant::now() }
    }

    /// Take a frame, unless there are enough or another is for the same neighbour.
    fn add(&mut self, frame: Frame) {
        let silent = frame.silent();
        if self.frames.len() < PATIENT && silent.iter().all(|a| !self.neighbours.contains(a)) {
            self.neighbours.extend(silent);
            self.frames.push(frame);
        }
    }

    /// Enough of them, if their turn has come. By then both routers have forgotten the last.
    fn due(&mut self) -> Option<Vec<Frame>> {
        let due = self.frames.len() == PATIENT && self.last.elapsed() >= PATIENCE;
        due.then(|| {
            self.last = Instant::now();
            self.neighbours.clear();
            std::mem::take(&mut self.frames)
        })
    }
}

/// Whether one of the addresses is in this frame, which is of their family: in its header, in one
/// quoted, or as what is asked for.
fn mentions(output: &Frame, addresses: &[IpAddr]) -> bool {
    // Not in what is quoted by what is quoted: there another frame's neighbour may be.
    let header = view4(&output.octets).map_or(40, |view| view.header_len());
    let quoted = if output.is_ipv6() { 40 } else { 20 };
    let end = (14 + header + 8 + quoted).min(output.octets.len());
    let headers = &output.octets[..end];
    let holds = |octets: &[u8]| headers.windows(octets.len()).any(|part| part == octets);
    addresses.iter().any(|address| match address {
        IpAddr::V4(address) => !output.is_ipv6() && holds(&address.octets()),
        IpAddr::V6(address) => output.is_ipv6() && holds(&address.octets()),
    })
}

/// What each router did, without the numbers: differences of one cause look alike.
fn kind(outputs: &Outputs) -> String {
    let words = |frames: &[Frame]| {
        let texts: Vec<_> = frames.iter().map(|frame| describe(&frame.octets)).collect();
        let words = texts.iter().flat_map(|text| text.split_whitespace());
        let words = words.filter(|word| !word.contains(|c: char| c.is_ascii_digit() || c == ':'));
        words.collect::<Vec<_>>().join(" ")
    };
    format!("kernel: {}; xrouter: {}", words(&outputs.kernel), words(&outputs.xrouter))
}

/// A difference, to be read: what came in, and what each router made of it.
fn told(frame: &Frame, outputs: &Outputs, reasons: &[String]) -> String {
    let mut text = String::new();
    tell(&mut text, "in", Direction::Arrives, std::slice::from_ref(frame));
    tell(&mut text, "kernel", Direction::Leaves, &outputs.kernel);
    tell(&mut text, "xrouter", Direction::Leaves, &outputs.xrouter);
    if !reasons.is_empty() {
        let _ = writeln!(text, "  xrouter dropped it: {}", reasons.join(", "));
    }
    text
}

fn tell(text: &mut String, who: &str, direction: Direction, frames: &[Frame]) {
    if frames.is_empty() {
        let _ = writeln!(text, "  {who:8} nothing");
    }
    for Frame { port, octets } in frames {
        let line = format_frame(PORTS[*port], direction, octets);
        let _ = writeln!(text, "  {who:8} {line}\n           {}", describe(octets));
    }
}
