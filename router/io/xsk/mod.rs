//! An AF_XDP socket: one queue of one port, and the four rings through which its frames go.
//!
//! Every socket registers the worker's whole area for itself (`XDP_UMEM_REG`) instead of sharing
//! another's (`XDP_SHARED_UMEM`): an address in a descriptor is an offset in the area either way,
//! so a frame received by one socket is transmitted by another without a copy, and each socket
//! keeps its own mode (zero-copy or copy) and its own life.
//!
//! Read Documentation/networking/af_xdp.rst before working on this file.

mod bind;
mod error;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use arrayvec::ArrayVec;

pub use bind::{Bind, BindMode, BusyPoll};
pub use error::{Failure, XskError};

use super::ring::{Consumer, Descriptor, Producer};
use crate::frame::{Frame, Pool};
use crate::id::PortId;

/// Octets of TX metadata before a packet: `struct xsk_tx_metadata` with its launch time.
const METADATA: u16 = 24;

/// One AF_XDP socket, bound to one queue of one port.
#[derive(Debug)]
pub struct Socket {
    port: PortId,
    /// Entries in the receive ring and in the transmit ring.
    ring: u32,
    /// Our side of the receive ring.
    receive: Consumer<Descriptor>,
    /// Our side of the transmit ring.
    transmit: Producer<Descriptor>,
    /// Our side of the fill ring.
    fill: Producer<u64>,
    /// Our side of the completion ring.
    completion: Consumer<u64>,
    zero_copy: bool,
    metadata: bool,
    budget: bool,
    busy_polls: bool,
    lent: Lent,
    counters: Counters,
    down: bool,
    /// The rings' memory. Declared before `fd`: unmapped before it is closed, since a mapping keeps
    /// the socket, and with it the queue, in use.
    _mappings: [bind::Mapping; 4],
    fd: OwnedFd,
}

/// How many chunks of the area the kernel holds for a socket.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Lent {
    /// To be filled: in the fill ring, the receive path or the receive ring.
    pub receive: u32,
    /// To be sent: in the transmit ring, in a packet under way, or in the completion ring.
    pub transmit: u32,
}

/// What a socket counts itself. All of these stay at zero on a healthy machine.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Descriptors from the kernel that name a chunk that it was not lent.
    pub invalid_descriptors: u64,
    /// Calls to send that failed for good: the device is down or gone.
    pub send_errors: u64,
}

/// What the kernel counts of a socket (`XDP_STATISTICS`), since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Statistics {
    /// Received and dropped for other reasons than the next four: too long for a chunk, mostly.
    pub rx_dropped: u64,
    /// Fill ring entries that lie outside of the area.
    pub rx_invalid_descs: u64,
    /// Transmit descriptors that lie outside of a chunk or ask for what is not known.
    pub tx_invalid_descs: u64,
    /// Received and dropped because the receive ring was full: the worker is too slow.
    pub rx_ring_full: u64,
    /// Received and dropped because the fill ring was empty: the area is too small.
    pub rx_fill_ring_empty_descs: u64,
    /// Times the kernel found nothing to send.
    pub tx_ring_empty_descs: u64,
}

impl Socket {
    /// The socket's number in the set of sockets that XDP redirects to, and for poll(2). In copy
    /// mode a poll also transmits: do not poll to wait while a core is busy.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The port that the socket was bound for.
    pub fn port(&self) -> PortId {
        self.port
    }

    /// The mode that the kernel chose (`XDP_OPTIONS`), whatever was asked.
    pub fn mode(&self) -> BindMode {
        if self.zero_copy { BindMode::ZeroCopy } else { BindMode::Copy }
    }

    /// Whether the kernel finishes TCP and UDP checksums for us (Linux 6.8 and later, copy mode).
    pub fn tx_metadata(&self) -> bool {
        self.metadata
    }

    /// Whether one call sends all that lies in the transmit ring (Linux 6.17 and later), not at most
    /// 32 packets. In zero-copy mode the driver sends, and no call does.
    pub fn tx_budget(&self) -> bool {
        self.budget
    }

    /// Whether the kernel has still to be called for what lies in the transmit ring.
    #[inline]
    pub fn has_unsent(&mut self) -> bool {
        self.lent.transmit > 0 && !self.down && !self.transmit.is_drained()
    }

    /// The chunks that the kernel holds for this socket: a line of the area's ledger.
    pub fn lent(&self) -> Lent {
        self.lent
    }

    /// What this socket has counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What the kernel has counted. A kernel before 5.9 knows the first three only.
    pub fn statistics(&self) -> io::Result<Statistics> {
        bind::statistics(self.fd.as_fd())
    }

    /// Take received frames until `into` is full; how many there were.
    #[inline]
    pub fn receive<'u, const N: usize>(
        &mut self,
        pool: &mut Pool<'u>,
        into: &mut ArrayVec<Frame<'u>, N>,
    ) -> usize {
        let before = into.len();
        let mut taken = false;
        while !into.is_full() {
            let Some(descriptor) = self.receive.pop() else { break };
            taken = true;
            match pool.received(descriptor.address, descriptor.len, self.port) {
                Some(frame) => {
                    frame.prefetch();
                    self.lent.receive -= 1;
                    into.push(frame);
                }
                None => self.counters.invalid_descriptors += 1,
            }
        }
        if taken {
            self.receive.release();
        }
        into.len() - before
    }

    /// Lend the kernel empty chunks to receive into, up to twice the receive ring and at most
    /// `share`, but leave `reserve` chunks in the pool. How many were lent.
    #[inline]
    pub fn refill(&mut self, pool: &mut Pool<'_>, share: u32, reserve: usize) -> usize {
        let spare = u32::try_from(pool.free().saturating_sub(reserve)).unwrap_or(u32::MAX);
        let wanted = share.min(2 * self.ring).saturating_sub(self.lent.receive).min(spare);
        let mut lent = 0;
        while lent < wanted && self.fill.has_room() {
            let Some(address) = pool.lend_empty(self.port) else { break };
            self.fill.push(address);
            lent += 1;
        }
        if lent > 0 {
            self.lent.receive += lent;
            self.fill.publish();
        }
        lent as usize
    }

    /// Put a frame into the transmit ring; [`Socket::flush`] sends it.
    ///
    /// `checksum` is where an unfinished transport checksum starts to sum and where, counted from
    /// there, its field lies, both in octets: the kernel finishes it. To be given only if
    /// [`Socket::tx_metadata`] is true.
    ///
    /// # Errors
    /// The frame itself, if the ring is full, or if the packet starts in the first 24 octets of
    /// its chunk, where a socket with TX metadata cannot send from.
    #[inline]
    pub fn transmit<'u>(
        &mut self,
        pool: &mut Pool<'u>,
        mut frame: Frame<'u>,
        checksum: Option<(u16, u16)>,
    ) -> Result<(), Frame<'u>> {
        if !self.transmit.has_room() {
            return Err(frame);
        }
        let mut options = 0;
        if self.metadata {
            // The kernel wants that room before every packet of such a socket.
            if frame.prepend(METADATA).is_err() {
                return Err(frame);
            }
            if let Some(place) = checksum {
                write_metadata(&mut frame.bytes_mut()[..usize::from(METADATA)], place);
                options = libc::XDP_TX_METADATA;
            }
            if frame.strip(METADATA).is_err() {
                return Err(frame);
            }
        }
        let (address, len) = pool.lend(frame, self.port);
        self.transmit.push(Descriptor { address, len, options });
        self.lent.transmit += 1;
        Ok(())
    }

    /// Show the kernel what was put into the transmit ring, and call it if it asks for that. What
    /// it could not send now stays in the ring; the next flush calls again. Costs a load if
    /// nothing is under way.
    #[inline]
    pub fn flush(&mut self) {
        if self.lent.transmit == 0 {
            return;
        }
        self.transmit.publish();
        if self.transmit.needs_wakeup() && !self.transmit.is_drained() {
            self.kick();
        }
    }

    /// Take back the chunks of frames that were sent; how many.
    #[inline]
    pub fn complete(&mut self, pool: &mut Pool<'_>) -> usize {
        if self.lent.transmit == 0 {
            return 0;
        }
        let (mut sent, mut taken) = (0, false);
        while let Some(address) = self.completion.pop() {
            taken = true;
            if pool.completed(address, self.port) {
                sent += 1;
            } else {
                self.counters.invalid_descriptors += 1;
            }
        }
        if taken {
            self.completion.release();
        }
        self.lent.transmit -= sent;
        sent as usize
    }

    /// Call the kernel if it waits for the fill ring, or if this core does the card's polling.
    #[inline]
    pub fn wake_fill(&mut self) {
        if self.busy_polls || self.fill.needs_wakeup() {
            self.call_receive();
        }
    }

    /// sendto(2) is what transmits in copy mode, at most 32 descriptors in a call or
    /// `XDP_MAX_TX_SKB_BUDGET`, then EAGAIN; EBUSY means that the device's queue is full, ENOBUFS
    /// that skbs are short. All three end by calling again.
    fn kick(&mut self) {
        // SAFETY: no buffer and no address are passed.
        let sent = unsafe {
            libc::sendto(
                self.fd.as_raw_fd(),
                std::ptr::null(),
                0,
                libc::MSG_DONTWAIT,
                std::ptr::null(),
                0,
            )
        };
        let error = if sent < 0 { io::Error::last_os_error().raw_os_error() } else { None };
        self.down = match error {
            None | Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS | libc::EINTR) => false,
            Some(_) => {
                self.counters.send_errors += 1;
                true
            }
        };
    }

    fn call_receive(&self) {
        // SAFETY: no buffer and no address are passed. There is nothing to learn from the result:
        // a device that is down wakes nobody.
        unsafe {
            libc::recvfrom(
                self.fd.as_raw_fd(),
                std::ptr::null_mut(),
                0,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )
        };
    }
}

/// `struct xsk_tx_metadata` (linux/if_xdp.h): flags, then what is asked of the checksum.
fn write_metadata(out: &mut [u8], (start, offset): (u16, u16)) {
    out.fill(0);
    out[..8].copy_from_slice(&u64::from(libc::XDP_TXMD_FLAGS_CHECKSUM).to_ne_bytes());
    out[8..10].copy_from_slice(&start.to_ne_bytes());
    out[10..12].copy_from_slice(&offset.to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_moves_to_its_worker() {
        fn sendable<T: Send>() {}
        sendable::<Socket>();
        sendable::<super::super::xdp::Program>();
    }

    #[test]
    fn metadata_fills_every_octet() {
        let mut out = [0xa5; METADATA as usize];
        write_metadata(&mut out, (34, 6));
        let mut expected = [0; METADATA as usize];
        expected[0] = 2; // XDP_TXMD_FLAGS_CHECKSUM, least significant octet first here
        expected[8] = 34;
        expected[10] = 6;
        if cfg!(target_endian = "little") {
            assert_eq!(out, expected);
        }
        assert!(out[12..].iter().all(|&o| o == 0));
    }
}
