//! Frames on several ports and from several taps, all through the pipeline.
#![forbid(unsafe_code)]

use std::cell::RefCell;

use xrouter::config::Config;
use xrouter::frame::{Area, HEADROOM};
use xrouter::id::PortId;

use super::octets::{Octets, as_list};
use crate::case::{Case, Input, Outcome, Source};
use crate::memory;
use crate::router::Router;

/// More would not fit into the reports of one round, which then are lost and counted.
const FRAMES_MAX: usize = 64;
/// In the octet before a frame: it comes from the kernel.
const FROM_TAP: u8 = 0x80;

struct Lab {
    case: Case,
    router: Router,
    area: Area,
}

thread_local! {
    /// Its tables are large and no frame changes them.
    static LAB: RefCell<Lab> = RefCell::new(Lab::new());
}

/// `octets` are frames, each with an octet before it: the port, and who sends it.
pub fn run(octets: &[u8]) {
    LAB.with_borrow_mut(|lab| lab.run(Octets(octets)));
}

/// The input that lets this frame in.
pub fn input(frame: &Input) -> Vec<u8> {
    let from_tap = if frame.from == Source::Tap { FROM_TAP } else { 0 };
    [vec![from_tap | frame.port.octet()], as_list(&frame.octets)].concat()
}

impl Lab {
    fn new() -> Self {
        let config = Config::parse(include_str!("../router.toml"), "router.toml");
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let router = Router::new(&config);
        let case =
            Case { config, input: Vec::new(), expected: Outcome::default(), control: Vec::new() };
        Self { case, router, area: memory::area() }
    }

    fn run(&mut self, mut octets: Octets) {
        self.case.input.clear();
        while !octets.is_empty() && self.case.input.len() < FRAMES_MAX {
            let frame = self.frame(&mut octets);
            self.case.input.push(frame);
        }
        memory::same_both_ways(&self.case, &self.router, &mut self.area)
            .unwrap_or_else(|error| panic!("{error}"));
    }

    fn frame(&self, octets: &mut Octets) -> Input {
        let head = octets.u8();
        let port = usize::from(head & !FROM_TAP) % self.case.config.ports.len();
        let port = PortId::new(port).expect("one of few");
        let from = if head & FROM_TAP == 0 { Source::Wire } else { Source::Tap };
        let room = usize::from(self.area.chunk_size() - HEADROOM);
        let list = octets.list();
        Input { line: String::new(), from, port, octets: list[..list.len().min(room)].to_vec() }
    }
}
