//! A worker's part of a port: its queues of the card and its queue of the tap.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Instant;

use super::handover::Handover;
use super::mailbox::Attachment;
use crate::frame::{Frame, Pool};
use crate::id::PortId;
use crate::io::offload::{merge, segment};
use crate::io::tap::{self, WriteError};
use crate::io::xsk;
use crate::packet::{ethernet, transport};
use crate::pipeline::Place;
use crate::pipeline::counters::{PortCounters, WorkerCounters};
use crate::pipeline::verdict::DropReason;

/// Packets that are read from a tap in one round: a large one is up to 44 frames.
const TAP_READS_PER_ROUND: usize = 32;

/// A port, as far as this worker has it.
#[derive(Debug)]
pub(super) struct Port {
    id: PortId,
    sockets: Vec<xsk::Socket>,
    tap: Option<tap::Queue>,
    /// Who sends for us if we have no transmit queue of the card.
    through: Option<Arc<Handover>>,
    /// What is read from the tap, before it is cut into frames.
    scratch: Box<[u8]>,
}

impl Port {
    /// A port that is not there yet.
    pub fn absent(id: PortId) -> Self {
        let scratch = vec![0; tap::READ_MAX].into_boxed_slice();
        Self { id, sockets: Vec::new(), tap: None, through: None, scratch }
    }

    pub fn id(&self) -> PortId {
        self.id
    }

    pub fn attach(&mut self, attachment: Attachment) {
        self.sockets = attachment.sockets;
        self.tap = attachment.tap;
        self.through = attachment.through;
    }

    /// Close the sockets. The caller takes back the chunks that the kernel had.
    pub fn detach(&mut self) {
        self.sockets.clear();
        self.tap = None;
        self.through = None;
    }

    /// The tap was made anew.
    pub fn change_tap(&mut self, tap: tap::Queue) {
        self.tap = Some(tap);
    }

    pub fn sockets(&mut self) -> &mut [xsk::Socket] {
        &mut self.sockets
    }

    /// What to sleep on.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let sockets = self.sockets.iter().map(|socket| socket.fd().as_raw_fd());
        sockets.chain(self.tap.iter().map(|tap| tap.as_fd().as_raw_fd()))
    }

    /// Read what the kernel has sent by this port, cut into frames; how many packets it was.
    pub fn read_tap<'umem>(
        &mut self,
        pool: &mut Pool<'umem>,
        counters: &WorkerCounters,
        mut each: impl FnMut(Frame<'umem>, &mut Pool<'umem>),
    ) -> usize {
        let Some(tap) = &self.tap else { return 0 };
        let finish = self.finish();
        let counters = counters.port(self.id);
        for read in 0..TAP_READS_PER_ROUND {
            let Ok(Some((header, length))) = tap.read(&mut self.scratch) else { return read };
            let packet = &mut self.scratch[..length];
            match segment::Segments::new(&header, packet, finish) {
                Ok(mut segments) => {
                    while let Some(frame) = segments.next(pool, self.id) {
                        match frame {
                            Ok(frame) => each(frame, pool),
                            Err(_) => {
                                counters.from_kernel.add(1);
                                counters.drop(DropReason::NoFrame);
                            }
                        }
                    }
                }
                Err(_) => {
                    counters.from_kernel.add(1);
                    counters.drop(DropReason::OffloadMalformed);
                }
            }
        }
        TAP_READS_PER_ROUND
    }

    /// Write `frames` to the tap, one at least. What is not written by `until` stays.
    pub fn punt<'umem>(
        &self,
        frames: &mut Place<'umem>,
        until: Instant,
        pool: &mut Pool<'umem>,
        counters: &WorkerCounters,
    ) {
        let Some(tap) = &self.tap else {
            return drop_all(frames, DropReason::TapDown, pool, counters);
        };
        let count = |frame: &Frame, fate| {
            let counters = counters.port(frame.ingress());
            match fate {
                Ok(()) => counters.punted.add(1),
                Err(WriteError::Full) => counters.drop(DropReason::TapFull),
                Err(WriteError::Down | WriteError::Other(_)) => counters.drop(DropReason::TapDown),
            }
        };
        merge::write_all(tap, frames, pool, count, || Instant::now() < until);
    }

    /// Put `frames` into the transmit ring. What does not fit is dropped: a ring that is full says
    /// that the port is slower than what is sent to it.
    pub fn transmit<'umem>(
        &mut self,
        frames: &mut Place<'umem>,
        pool: &mut Pool<'umem>,
        counters: &WorkerCounters,
    ) {
        let (None, Some(socket)) = (&self.through, self.sockets.first_mut()) else {
            return self.hand_over(frames, pool, counters);
        };
        for mut frame in frames.drain(..) {
            let checksum = open_checksum(&mut frame, socket.tx_metadata());
            let octets = frame.len() as u64;
            let ingress = frame.ingress();
            match socket.transmit(pool, frame, checksum) {
                Ok(()) => {
                    let counters = counters.port(self.id);
                    counters.transmitted.add(1);
                    counters.transmitted_octets.add(octets);
                }
                Err(frame) => {
                    counters.port(ingress).drop(DropReason::TransmitFull);
                    pool.give(frame);
                }
            }
        }
    }

    /// Have the kernel look at the transmit rings; false if it has to be asked again.
    pub fn flush(&mut self) -> bool {
        self.sockets.iter_mut().take(1).all(|socket| {
            socket.flush();
            !socket.has_unsent()
        })
    }

    /// Copy what the kernel counted at these sockets.
    pub fn show_statistics(&self, counters: &PortCounters) {
        let mut sum = xsk::Statistics::default();
        for statistics in self.sockets.iter().filter_map(|socket| socket.statistics().ok()) {
            sum.rx_ring_full += statistics.rx_ring_full;
            sum.rx_fill_ring_empty_descs += statistics.rx_fill_ring_empty_descs;
            sum.rx_dropped += statistics.rx_dropped;
            sum.rx_invalid_descs += statistics.rx_invalid_descs;
            sum.tx_invalid_descs += statistics.tx_invalid_descs;
        }
        counters.kernel_rx_ring_full.set(sum.rx_ring_full);
        counters.kernel_rx_fill_ring_empty.set(sum.rx_fill_ring_empty_descs);
        counters.kernel_rx_dropped.set(sum.rx_dropped);
        counters.kernel_rx_invalid_descs.set(sum.rx_invalid_descs);
        counters.kernel_tx_invalid_descs.set(sum.tx_invalid_descs);
    }

    /// Who computes the checksums that the kernel behind the tap leaves open.
    fn finish(&self) -> segment::Finish {
        match (&self.through, self.sockets.first()) {
            (None, Some(socket)) if socket.tx_metadata() => segment::Finish::Egress,
            _ => segment::Finish::Here,
        }
    }

    fn hand_over<'umem>(
        &self,
        frames: &mut Place<'umem>,
        pool: &mut Pool<'umem>,
        counters: &WorkerCounters,
    ) {
        let Some(handover) = &self.through else {
            return drop_all(frames, DropReason::PortDown, pool, counters);
        };
        if frames.is_empty() {
            return;
        }
        for mut frame in frames.drain(..) {
            open_checksum(&mut frame, false);
            let counters = counters.port(frame.ingress());
            if handover.give(self.id, frame.bytes()) {
                counters.handed_over.add(1);
                counters.absorbed.add(1);
            } else {
                counters.drop(DropReason::HandoverFull);
            }
            pool.give(frame);
        }
        handover.wake();
    }
}

/// Where the kernel finds the checksum that it is to finish, if it can; else it is finished here.
fn open_checksum(frame: &mut Frame, kernel_can: bool) -> Option<(u16, u16)> {
    if !frame.unfinished_checksum() {
        return None;
    }
    let packet = frame.bytes_mut().get_mut(ethernet::HEADER..)?;
    if !kernel_can {
        transport::finish(packet);
        return None;
    }
    let open = transport::is_unfinished(packet)?;
    #[expect(clippy::cast_possible_truncation, reason = "14")]
    const LINK: u16 = ethernet::HEADER as u16;
    Some((open.start + LINK, open.offset))
}

fn drop_all<'umem>(
    frames: &mut Place<'umem>,
    reason: DropReason,
    pool: &mut Pool<'umem>,
    counters: &WorkerCounters,
) {
    for frame in frames.drain(..) {
        counters.port(frame.ingress()).drop(reason);
        pool.give(frame);
    }
}
