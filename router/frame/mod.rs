//! Who owns which bytes: a [`Frame`] is one packet in a worker's UMEM, a [`Pool`] the chunks that
//! hold none, an [`Area`] the memory itself.
//!
//! The whole UMEM is cut into chunks of one size. Each chunk is, at any moment, in exactly one
//! place: in the pool, in one `Frame`, or with the kernel (a ring of a socket). The pool keeps a
//! byte for each chunk that says which, so that nothing is lost or used twice, and so that the
//! chunks of a socket that was closed can be taken back.

mod area;
mod pool;

pub use area::{Area, Registration};
pub use pool::{Holder, Pool};

use std::marker::PhantomData;
use std::ptr::NonNull;

use crate::id::PortId;

/// Octets that the kernel leaves free before a received packet (`XDP_PACKET_HEADROOM`), and that
/// we leave before a packet of our own: room for a tag, a tunnel header, an ICMP error's header,
/// AF_XDP TX metadata.
pub const HEADROOM: u16 = 256;

/// One frame in the worker's UMEM. Owned by exactly one place; moves from a receive ring to a
/// verdict. It is not `Copy`, and in debug builds dropping one is a panic: a frame ends by being
/// given to a ring or back to the pool.
#[must_use = "a frame must be transmitted, punted, held or dropped with a reason"]
#[derive(Debug)]
pub struct Frame<'umem> {
    /// Start of the chunk.
    chunk: NonNull<u8>,
    /// Where the packet starts in the chunk, in octets.
    head: u16,
    /// Length of the packet, in octets.
    len: u16,
    ingress: PortId,
    /// The TCP or UDP checksum is not finished: its field holds the pseudo-header's sum only.
    unfinished_checksum: bool,
    /// The router itself made the packet: it is not forwarded, so its TTL stays as it is.
    own: bool,
    umem: PhantomData<&'umem Area>,
}

const _: () = assert!(size_of::<Frame<'static>>() == 16);

/// A frame has no room for what was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRoom;

impl<'umem> Frame<'umem> {
    /// The packet, from its Ethernet header on.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `head + len` stays inside the chunk (kept by every method that moves them), and
        // the chunk belongs to this frame alone while it lives (see `Pool`).
        unsafe { std::slice::from_raw_parts(self.start().as_ptr(), usize::from(self.len)) }
    }

    /// The packet, to be changed.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `&mut self` excludes every other view.
        unsafe { std::slice::from_raw_parts_mut(self.start().as_ptr(), usize::from(self.len)) }
    }

    /// Have the packet's head brought into the cache: another core has just written it.
    #[inline]
    pub fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a prefetch touches no memory that the program sees, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.start().as_ptr().cast()) };
        }
    }

    /// Length of the packet in octets.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether the packet has no octets at all.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The port that the frame came in by, or, for a frame of our own, the port it was made for.
    #[inline]
    pub fn ingress(&self) -> PortId {
        self.ingress
    }

    /// Whether the TCP or UDP checksum is still to be computed (see [`Frame::mark_unfinished`]).
    #[inline]
    pub fn unfinished_checksum(&self) -> bool {
        self.unfinished_checksum
    }

    /// Note whether the transport checksum holds the pseudo-header's sum only, as the kernel of a
    /// host behind a veth leaves it to its "card" (`CHECKSUM_PARTIAL`).
    #[inline]
    pub fn mark_unfinished(&mut self, unfinished: bool) {
        self.unfinished_checksum = unfinished;
    }

    /// Whether the router itself made this packet, an ICMP error say.
    #[inline]
    pub fn is_own(&self) -> bool {
        self.own
    }

    /// Note that the router itself made this packet.
    pub fn mark_own(&mut self) {
        self.own = true;
    }

    /// Grow the packet by `octets` at its front. The new octets are what the headroom held:
    /// the caller writes all of them.
    pub fn prepend(&mut self, octets: u16) -> Result<(), NoRoom> {
        self.head = self.head.checked_sub(octets).ok_or(NoRoom)?;
        self.len += octets;
        Ok(())
    }

    /// Take `octets` away from the packet's front.
    pub fn strip(&mut self, octets: u16) -> Result<(), NoRoom> {
        self.len = self.len.checked_sub(octets).ok_or(NoRoom)?;
        self.head += octets;
        Ok(())
    }

    /// Cut the packet to `octets`; a packet that is not longer stays as it is.
    #[inline]
    pub fn truncate(&mut self, octets: usize) {
        if let Ok(octets) = u16::try_from(octets) {
            self.len = self.len.min(octets);
        }
    }

    #[inline]
    fn start(&self) -> NonNull<u8> {
        // SAFETY: `head` is at most the chunk's size, so this is in the chunk or one past its end.
        unsafe { self.chunk.add(usize::from(self.head)) }
    }
}

#[cfg(debug_assertions)]
impl Drop for Frame<'_> {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "frame lost: no verdict took it");
    }
}
