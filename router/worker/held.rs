//! Frames that wait for a neighbour's MAC (RFC 1122 2.3.2.2, RFC 4861 7.2.2): few for each
//! neighbour, the newest kept; few in all.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::Duration;

use crate::frame::Frame;
use crate::pipeline::verdict::Awaited;
use crate::table::meter::Nanos;

/// Most neighbours that frames of one worker wait for.
const NEIGHBOURS_MAX: usize = 256;
/// Control answers within resolution's three seconds; what waits longer was forgotten by it.
const PATIENCE: Duration = Duration::from_secs(6);
/// While frames keep coming, control is asked again this often: a message may have been lost.
const ASK_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Queue<'umem> {
    frames: VecDeque<Frame<'umem>>,
    since: Nanos,
    asked: Nanos,
}

/// The frames of one worker that wait.
#[derive(Debug)]
pub struct Held<'umem> {
    queues: HashMap<Awaited, Queue<'umem>>,
    /// Emptied queues, kept for their memory.
    spare: Vec<VecDeque<Frame<'umem>>>,
    packets_max: usize,
    frames_max: usize,
    frames: usize,
}

/// What became of a frame that was to wait.
#[derive(Debug)]
pub enum Kept<'umem> {
    /// It waits.
    Waits {
        /// Control is to be asked for the neighbour.
        ask: bool,
        /// The oldest frame had to make room.
        pushed_out: Option<Frame<'umem>>,
    },
    /// No room for one more neighbour or frame.
    Full(Frame<'umem>),
}

impl<'umem> Held<'umem> {
    /// Room for `packets_max` frames of a neighbour and `frames_max` in all.
    pub fn new(packets_max: usize, frames_max: usize) -> Self {
        let spare = (0..NEIGHBOURS_MAX).map(|_| VecDeque::with_capacity(packets_max)).collect();
        let queues = HashMap::with_capacity(NEIGHBOURS_MAX * 2);
        Self { queues, spare, packets_max, frames_max, frames: 0 }
    }

    /// How many frames wait.
    pub fn len(&self) -> usize {
        self.frames
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Let `frame` wait.
    pub fn keep(&mut self, awaited: Awaited, frame: Frame<'umem>, now: Nanos) -> Kept<'umem> {
        if let Some(queue) = self.queues.get_mut(&awaited) {
            let full = queue.frames.len() >= self.packets_max || self.frames >= self.frames_max;
            let pushed_out = if full { queue.frames.pop_front() } else { None };
            queue.frames.push_back(frame);
            self.frames += usize::from(pushed_out.is_none());
            let ask = now.since(queue.asked) >= ASK_AGAIN;
            if ask {
                queue.asked = now;
            }
            return Kept::Waits { ask, pushed_out };
        }
        let room = self.frames < self.frames_max && self.queues.len() < NEIGHBOURS_MAX;
        let Some(mut frames) = room.then(|| self.spare.pop()).flatten() else {
            return Kept::Full(frame);
        };
        frames.push_back(frame);
        self.frames += 1;
        self.queues.insert(awaited, Queue { frames, since: now, asked: now });
        Kept::Waits { ask: true, pushed_out: None }
    }

    /// Take out, oldest first, everything that waits for this neighbour.
    pub fn take(&mut self, awaited: Awaited, mut each: impl FnMut(Frame<'umem>)) {
        if let Some(mut queue) = self.queues.remove(&awaited) {
            self.frames -= queue.frames.len();
            queue.frames.drain(..).for_each(&mut each);
            self.spare.push(queue.frames);
        }
    }

    /// Take out everything that has waited too long.
    pub fn take_expired(&mut self, now: Nanos, mut each: impl FnMut(Frame<'umem>)) {
        let (frames, spare) = (&mut self.frames, &mut self.spare);
        self.queues.retain(|_, queue| {
            let keep = now.since(queue.since) < PATIENCE;
            if !keep {
                *frames -= queue.frames.len();
                queue.frames.drain(..).for_each(&mut each);
                spare.push(std::mem::take(&mut queue.frames));
            }
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Area, Pool};
    use crate::id::{NextHopId, PortId};

    fn awaited(number: u16) -> Awaited {
        Awaited { next_hop: NextHopId::new(number).unwrap(), neighbour: None }
    }

    /// Checklist C116.
    #[test]
    fn the_newest_frames_of_a_neighbour_stay_and_come_out_in_order() {
        let mut area = Area::new(8, 2048, false).unwrap();
        let mut pool = Pool::new(&mut area);
        let mut held = Held::new(2, 8);
        for octet in 0..4u8 {
            let frame = pool.copy_of(&[octet], PortId::new(0).unwrap()).unwrap();
            match held.keep(awaited(1), frame, Nanos::ZERO) {
                Kept::Waits { ask, pushed_out } => {
                    assert_eq!((ask, pushed_out.is_some()), (octet == 0, octet >= 2));
                    pushed_out.into_iter().for_each(|oldest| pool.give(oldest));
                }
                Kept::Full(_) => panic!("there is room"),
            }
        }
        let mut seen = Vec::new();
        held.take(awaited(1), |frame| {
            seen.push(frame.bytes()[0]);
            pool.give(frame);
        });
        assert_eq!((seen, held.len(), pool.free()), (vec![2, 3], 0, 8));
    }

    #[test]
    fn no_more_neighbours_than_there_are_queues_and_none_for_ever() {
        let chunks = u32::try_from(NEIGHBOURS_MAX).unwrap() + 1;
        let mut area = Area::new(chunks, 2048, false).unwrap();
        let mut pool = Pool::new(&mut area);
        let mut held = Held::new(1, NEIGHBOURS_MAX * 2);
        for number in 1..=u16::try_from(chunks).unwrap() {
            let frame = pool.take(PortId::new(0).unwrap()).unwrap();
            let kept = held.keep(awaited(number), frame, Nanos::ZERO);
            if let Kept::Full(frame) = kept {
                assert_eq!(usize::from(number), NEIGHBOURS_MAX + 1);
                pool.give(frame);
            }
        }
        assert_eq!(held.len(), NEIGHBOURS_MAX);
        held.take_expired(Nanos::from_secs(5), |_| panic!("not yet"));
        held.take_expired(Nanos::from_secs(6), |frame| pool.give(frame));
        assert_eq!((held.len(), pool.free()), (0, pool.total()));
    }
}
