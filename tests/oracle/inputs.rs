//! What goes into both routers: every frame of the cases, then changed copies of them, generated
//! frames, and changed copies of those, without an end; packets of flows all along.

use super::frame::Frame;
use super::random::Random;
use super::{cases, flows, generate, mutate};

/// All of it, the same for the same seed.
#[derive(Debug)]
pub struct Inputs {
    cases: Vec<Frame>,
    /// How many of the cases were taken.
    taken: usize,
    random: Random,
}

impl Inputs {
    pub fn new(seed: u64) -> Self {
        Self { cases: cases::frames(), taken: 0, random: Random::new(seed) }
    }

    fn generated(&mut self) -> Frame {
        loop {
            if let Some(frame) = generate::frame(&mut self.random) {
                return frame;
            }
        }
    }

    fn any(&mut self) -> Frame {
        if self.random.once_in(9) {
            return flows::packet(&mut self.random);
        }
        if let Some(case) = self.cases.get(self.taken) {
            self.taken += 1;
            return case.clone();
        }
        match self.random.below(8) {
            0..2 => {
                let case = self.random.below(self.cases.len());
                mutate::changed(&self.cases[case], &mut self.random)
            }
            2..4 => {
                let frame = self.generated();
                mutate::changed(&frame, &mut self.random)
            }
            _ => self.generated(),
        }
    }
}

impl Iterator for Inputs {
    type Item = Frame;
    fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = self.any();
            if frame.fits() && !frame.is_ambiguous() && !frame.teaches() {
                return Some(frame);
            }
        }
    }
}
