//! The free chunks of one worker's UMEM, and who holds the others.

use std::marker::PhantomData;
use std::ptr::NonNull;

use super::{Area, Frame, HEADROOM, NoRoom};
use crate::id::PortId;

/// Who holds a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// Nobody: it lies in the pool.
    Pool,
    /// A [`Frame`], somewhere in the worker.
    Frame,
    /// The kernel, to be filled: the fill ring or the receive path of this port.
    Receive(PortId),
    /// The kernel, to be sent: the transmit or completion ring of this port.
    Transmit(PortId),
}

const RECEIVE: u8 = 0x40;
const TRANSMIT: u8 = 0x80;
const IN_FRAME: u8 = 1;
const IN_POOL: u8 = 0;

impl Holder {
    fn octet(self) -> u8 {
        match self {
            Self::Pool => IN_POOL,
            Self::Frame => IN_FRAME,
            Self::Receive(port) => RECEIVE | port.octet(),
            Self::Transmit(port) => TRANSMIT | port.octet(),
        }
    }
}

/// The chunks of an [`Area`] that are free, newest first (it is the one still in the cache), and
/// a note of who holds each of the others. One worker owns it; there is one for each area.
#[derive(Debug)]
pub struct Pool<'umem> {
    area: &'umem Area,
    /// Numbers of the free chunks.
    free: Vec<u32>,
    /// For each chunk [`Holder::octet`].
    holder: Box<[u8]>,
}

impl<'umem> Pool<'umem> {
    /// A pool of all chunks of `area`. The area is borrowed exclusively: a second pool over the
    /// same chunks could hand out the same bytes twice.
    pub fn new(area: &'umem mut Area) -> Self {
        let chunks = area.chunks();
        Self {
            area,
            free: (0..chunks).rev().collect(),
            holder: vec![IN_POOL; chunks as usize].into_boxed_slice(),
        }
    }

    /// The memory that this pool hands out.
    pub fn area(&self) -> &'umem Area {
        self.area
    }

    /// How many chunks lie in the pool.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// How many chunks there are in all.
    pub fn total(&self) -> usize {
        self.holder.len()
    }

    /// How many chunks `holder` has. Counts them one by one: for tests and for closed sockets.
    pub fn count(&self, holder: Holder) -> usize {
        self.holder.iter().filter(|&&h| h == holder.octet()).count()
    }

    /// An empty frame from the pool, with [`HEADROOM`] before it, made for `port`.
    pub fn take(&mut self, port: PortId) -> Option<Frame<'umem>> {
        let number = self.free.pop()?;
        self.holder[number as usize] = IN_FRAME;
        Some(self.frame(number, HEADROOM, 0, port))
    }

    /// A frame from the pool that holds a copy of `packet`.
    ///
    /// # Errors
    /// [`NoRoom`] if the pool is empty or the packet longer than [`Pool::room`].
    pub fn copy_of(&mut self, packet: &[u8], port: PortId) -> Result<Frame<'umem>, NoRoom> {
        if packet.len() > self.room() {
            return Err(NoRoom);
        }
        let mut frame = self.take(port).ok_or(NoRoom)?;
        frame.len = u16::try_from(packet.len()).map_err(|_| NoRoom)?;
        frame.bytes_mut().copy_from_slice(packet);
        Ok(frame)
    }

    /// The longest packet that a frame can hold, in octets.
    pub fn room(&self) -> usize {
        usize::from(self.area.chunk_size() - HEADROOM)
    }

    /// Put a frame's chunk back.
    #[inline]
    pub fn give(&mut self, frame: Frame<'umem>) {
        let number = self.release(frame);
        self.holder[number as usize] = IN_POOL;
        self.free.push(number);
    }

    /// A free chunk for the kernel to fill, as its address in the area.
    #[inline]
    pub fn lend_empty(&mut self, port: PortId) -> Option<u64> {
        let number = self.free.pop()?;
        self.holder[number as usize] = Holder::Receive(port).octet();
        Some(u64::from(number) * u64::from(self.area.chunk_size()))
    }

    /// A frame for the kernel to send, as the packet's address in the area and its length.
    #[inline]
    pub fn lend(&mut self, frame: Frame<'umem>, port: PortId) -> (u64, u32) {
        let (head, len) = (frame.head, frame.len);
        let number = self.release(frame);
        self.holder[number as usize] = Holder::Transmit(port).octet();
        let start = u64::from(number) * u64::from(self.area.chunk_size());
        (start + u64::from(head), u32::from(len))
    }

    /// The packet that the kernel received at `address` (an offset in the area), `len` octets
    /// long. Nothing if the kernel names a chunk that it was not lent for this, or a packet that
    /// does not lie in one chunk: such a descriptor is not ours to trust.
    #[inline]
    pub fn received(&mut self, address: u64, len: u32, port: PortId) -> Option<Frame<'umem>> {
        let (number, head) = self.locate(address)?;
        let len = u16::try_from(len).ok()?;
        let holder = self.holder.get_mut(number as usize)?;
        if *holder != Holder::Receive(port).octet()
            || usize::from(head) + usize::from(len) > usize::from(self.area.chunk_size())
        {
            return None;
        }
        *holder = IN_FRAME;
        Some(self.frame(number, head, len, port))
    }

    /// The kernel has sent what lay at `address`: the chunk is free again. False if the chunk was
    /// not lent for sending by `port`.
    #[inline]
    pub fn completed(&mut self, address: u64, port: PortId) -> bool {
        let Some((number, _)) = self.locate(address) else { return false };
        match self.holder.get_mut(number as usize) {
            Some(holder) if *holder == Holder::Transmit(port).octet() => {
                *holder = IN_POOL;
                self.free.push(number);
                true
            }
            _ => false,
        }
    }

    /// Take back every chunk that the kernel holds for `port`, whose socket is closed. Returns how
    /// many were to be sent.
    pub fn reclaim(&mut self, port: PortId) -> usize {
        let (receive, transmit) = (Holder::Receive(port).octet(), Holder::Transmit(port).octet());
        let mut unsent = 0;
        for (number, holder) in (0u32..).zip(self.holder.iter_mut()) {
            if *holder == receive || *holder == transmit {
                unsent += usize::from(*holder == transmit);
                *holder = IN_POOL;
                self.free.push(number);
            }
        }
        unsent
    }

    #[inline]
    fn locate(&self, address: u64) -> Option<(u32, u16)> {
        let size = u64::from(self.area.chunk_size());
        debug_assert!(size.is_power_of_two());
        let number = u32::try_from(address >> size.trailing_zeros()).ok()?;
        let head = u16::try_from(address & (size - 1)).ok()?;
        Some((number, head))
    }

    #[inline]
    fn frame(&self, number: u32, head: u16, len: u16, ingress: PortId) -> Frame<'umem> {
        let start = number as usize * usize::from(self.area.chunk_size());
        debug_assert!(start < self.area.len());
        // SAFETY: `number` is less than the area's number of chunks: it came from `free` or was
        // found in `holder`.
        let chunk: NonNull<u8> = unsafe { self.area.base().add(start) };
        Frame {
            chunk,
            head,
            len,
            ingress,
            unfinished_checksum: false,
            own: false,
            umem: PhantomData,
        }
    }

    /// Ends a frame's life; its chunk's number.
    #[inline]
    fn release(&self, frame: Frame<'umem>) -> u32 {
        let start = frame.chunk.as_ptr() as usize - self.area.base().as_ptr() as usize;
        std::mem::forget(frame);
        #[expect(clippy::cast_possible_truncation, reason = "fewer than 2^32 chunks")]
        let number = (start / usize::from(self.area.chunk_size())) as u32;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHUNKS: u32 = 8;

    fn port(number: usize) -> PortId {
        PortId::new(number).unwrap()
    }

    #[test]
    fn a_packet_goes_out_and_comes_in_as_it_was() {
        let mut area = Area::new(CHUNKS, 2048, false).unwrap();
        let mut pool = Pool::new(&mut area);
        let mut frame = pool.copy_of(b"packet", port(1)).unwrap();
        frame.prepend(4).unwrap();
        frame.bytes_mut()[..4].copy_from_slice(b"tag ");
        let (address, len) = pool.lend(frame, port(1));
        assert_eq!((address % 2048, len), (252, 10));
        assert!(!pool.completed(address, port(2)), "another port's");
        assert!(pool.completed(address, port(1)) && !pool.completed(address, port(1)));
        assert_eq!(pool.free(), pool.total());
    }

    #[test]
    fn the_kernel_is_not_believed() {
        let mut area = Area::new(CHUNKS, 2048, false).unwrap();
        let mut pool = Pool::new(&mut area);
        let lent = pool.lend_empty(port(0)).unwrap();
        for (address, len) in [(lent + 2048, 60), (u64::MAX, 60), (lent + 2000, 60), (lent, 4000)] {
            assert!(pool.received(address, len, port(0)).is_none(), "{address} {len}");
        }
        assert!(pool.received(lent + 256, 60, port(1)).is_none(), "another port's");
        let frame = pool.received(lent + 256, 60, port(0)).unwrap();
        assert!(pool.received(lent + 256, 60, port(0)).is_none(), "twice");
        pool.give(frame);
    }

    #[test]
    fn headroom_ends() {
        let mut area = Area::new(CHUNKS, 2048, false).unwrap();
        let mut pool = Pool::new(&mut area);
        let mut frame = pool.take(port(0)).unwrap();
        assert_eq!(frame.prepend(HEADROOM), Ok(()));
        assert_eq!(frame.prepend(1), Err(NoRoom));
        assert_eq!((frame.strip(HEADROOM), frame.strip(1)), (Ok(()), Err(NoRoom)));
        pool.give(frame);
        assert!(pool.copy_of(&[0; 2048], port(0)).is_err(), "longer than the room");
    }

    proptest! {
        /// Whatever is done, every chunk is in exactly one place.
        #[test]
        fn conservation(steps in prop::collection::vec((0u8..6, 0usize..4), 0..200)) {
            let mut area = Area::new(CHUNKS, 2048, false).unwrap();
            let mut pool = Pool::new(&mut area);
            let (mut frames, mut empty, mut sent) = (Vec::new(), Vec::new(), Vec::new());
            for (step, number) in steps {
                let at = port(number);
                match step {
                    0 => frames.extend(pool.take(at)),
                    1 => if let Some(frame) = frames.pop() { pool.give(frame) },
                    2 => empty.extend(pool.lend_empty(at).map(|address| (address, at))),
                    3 => if let Some((address, at)) = empty.pop() {
                        frames.extend(pool.received(address + 256, 60, at));
                    },
                    4 => if let Some(frame) = frames.pop() {
                        sent.push((pool.lend(frame, at).0, at));
                    },
                    _ => {
                        pool.reclaim(at);
                        empty.retain(|&(_, of)| of != at);
                        sent.retain(|&(_, of)| of != at);
                    }
                }
                let out = frames.len() + empty.len() + sent.len();
                prop_assert_eq!(pool.free() + out, pool.total());
                prop_assert_eq!(pool.count(Holder::Frame), frames.len());
            }
            frames.drain(..).for_each(|frame| pool.give(frame));
        }
    }
}
