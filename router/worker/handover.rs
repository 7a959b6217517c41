//! From a worker that has no queue of a port to one that has: frames are copied through a bounded
//! ring, since each worker's UMEM is its own.
#![forbid(unsafe_code)]

use std::sync::Arc;

use arrayvec::ArrayVec;
use crossbeam::queue::ArrayQueue;

use crate::id::PortId;
use crate::io::event::Bell;

/// Longest frame that can be handed over, in octets: a chunk of 4096 less its headroom.
const FRAME_MAX: usize = 4096;

/// A frame on its way to another worker.
#[derive(Debug)]
pub struct Parcel {
    /// The port to leave by.
    pub port: PortId,
    /// The frame, ready to be sent.
    pub bytes: ArrayVec<u8, FRAME_MAX>,
}

/// A ring of parcels into one worker. All memory is allocated at start; the empties go back.
#[derive(Debug)]
pub struct Handover {
    full: ArrayQueue<Box<Parcel>>,
    empty: ArrayQueue<Box<Parcel>>,
    /// Wakes the worker that takes.
    bell: Arc<Bell>,
}

impl Handover {
    /// A ring for `depth` parcels into the worker that `bell` wakes.
    pub fn new(depth: usize, port: PortId, bell: Arc<Bell>) -> Self {
        let ring = Self { full: ArrayQueue::new(depth), empty: ArrayQueue::new(depth), bell };
        for _ in 0..depth {
            let parcel = Box::new(Parcel { port, bytes: ArrayVec::new() });
            assert!(ring.empty.push(parcel).is_ok(), "the ring has room for `depth`");
        }
        ring
    }

    /// Hand a frame over; false if the ring is full or the frame too long.
    pub fn give(&self, port: PortId, frame: &[u8]) -> bool {
        let Some(mut parcel) = self.empty.pop() else { return false };
        parcel.port = port;
        parcel.bytes.clear();
        if parcel.bytes.try_extend_from_slice(frame).is_err() {
            let _room_was_made_by_the_pop = self.empty.push(parcel);
            return false;
        }
        self.full.push(parcel).is_ok()
    }

    /// Wake the worker that takes: once, after all that there is to give.
    pub fn wake(&self) {
        self.bell.ring();
    }

    /// Take the next frame and look at it; false if there is none.
    pub fn take(&self, look: impl FnOnce(&Parcel)) -> bool {
        let Some(parcel) = self.full.pop() else { return false };
        look(&parcel);
        let _room_was_made_by_the_pop = self.empty.push(parcel);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ring_refuses_and_recovers() {
        let port = PortId::new(3).unwrap();
        let ring = Handover::new(2, port, Arc::new(Bell::new().unwrap()));
        assert!(ring.give(port, b"one") && ring.give(port, b"two") && !ring.give(port, b"three"));
        assert!(ring.take(|parcel| assert_eq!(&parcel.bytes[..], b"one")));
        assert!(!ring.give(port, &[0; FRAME_MAX + 1]), "too long");
        assert!(ring.give(port, b"three"));
        assert!(ring.take(|_| ()) && ring.take(|_| ()) && !ring.take(|_| ()));
    }
}
