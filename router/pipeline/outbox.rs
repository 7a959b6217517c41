//! Where frames lie between their verdict and the ring, the tap or the neighbour they go to.
#![forbid(unsafe_code)]

use arrayvec::ArrayVec;

use crate::frame::{Frame, Pool};
use crate::id::{PORTS_MAX, PortId};

use super::counters::PortCounters;
use super::verdict::{Awaited, DropReason};

/// Most frames that lie in one of the outbox's places. A round puts at most a batch in each,
/// but for fragments and what was held.
const PLACE_MAX: usize = 512;

/// Frames with one way to go, oldest first.
pub type Place<'umem> = ArrayVec<Frame<'umem>, PLACE_MAX>;

/// Frames that wait, and for whom.
type Held<'umem> = ArrayVec<(Awaited, Frame<'umem>), PLACE_MAX>;

/// Frames that have their verdict. The worker empties it in every round. All memory is allocated
/// at start; what does not fit is dropped and counted.
#[derive(Debug)]
pub struct Outbox<'umem> {
    /// By port: to be transmitted.
    transmit: Vec<Place<'umem>>,
    /// By port: to be written to its tap.
    punt: Vec<Place<'umem>>,
    held: Box<Held<'umem>>,
}

impl<'umem> Outbox<'umem> {
    /// An empty outbox for ports 0..`ports`.
    pub fn new(ports: usize) -> Self {
        let mut outbox = Self { transmit: Vec::new(), punt: Vec::new(), held: Box::default() };
        outbox.grow(ports);
        outbox
    }

    /// Make room for ports 0..`ports`, if there is less. Not on a packet's way.
    pub fn grow(&mut self, ports: usize) {
        let ports = ports.min(PORTS_MAX).max(self.transmit.len());
        self.transmit.resize_with(ports, Place::new);
        self.punt.resize_with(ports, Place::new);
    }

    /// The frames that are to leave by `port`, oldest first.
    pub fn to_transmit(&mut self, port: PortId) -> &mut Place<'umem> {
        &mut self.transmit[port.index()]
    }

    /// The frames that are for the tap of `port`, oldest first.
    pub fn to_punt(&mut self, port: PortId) -> &mut Place<'umem> {
        &mut self.punt[port.index()]
    }

    /// The frames that wait for a neighbour, oldest first.
    pub fn to_hold(&mut self) -> &mut Held<'umem> {
        &mut self.held
    }

    /// How many frames lie here.
    pub fn len(&self) -> usize {
        let places = self.transmit.iter().chain(&self.punt);
        places.map(ArrayVec::len).sum::<usize>() + self.held.len()
    }

    /// Whether no frame lies here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Let `frame` leave by `port`.
    #[inline]
    pub fn transmit(
        &mut self,
        port: PortId,
        frame: Frame<'umem>,
        counters: &PortCounters,
        pool: &mut Pool<'umem>,
    ) {
        let place = self.transmit.get_mut(port.index());
        put(place, frame, DropReason::TransmitFull, counters, pool);
    }

    pub(super) fn punt(
        &mut self,
        port: PortId,
        frame: Frame<'umem>,
        counters: &PortCounters,
        pool: &mut Pool<'umem>,
    ) {
        put(self.punt.get_mut(port.index()), frame, DropReason::TapFull, counters, pool);
    }

    pub(super) fn hold(
        &mut self,
        awaited: Awaited,
        frame: Frame<'umem>,
        counters: &PortCounters,
        pool: &mut Pool<'umem>,
    ) {
        if let Err(full) = self.held.try_push((awaited, frame)) {
            counters.drop(DropReason::HoldOverflow);
            pool.give(full.element().1);
        }
    }
}

#[inline]
fn put<'umem>(
    place: Option<&mut Place<'umem>>,
    frame: Frame<'umem>,
    full: DropReason,
    counters: &PortCounters,
    pool: &mut Pool<'umem>,
) {
    let (frame, reason) = match place {
        Some(place) => match place.try_push(frame) {
            Ok(()) => return,
            Err(refused) => (refused.element(), full),
        },
        None => (frame, DropReason::Internal),
    };
    counters.drop(reason);
    pool.give(frame);
}
