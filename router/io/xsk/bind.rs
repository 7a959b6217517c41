//! Making an AF_XDP socket: memory registered, rings mapped, queue bound. Not the packet path.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::time::{Duration, Instant};
use std::{io, mem, ptr, thread};

use super::error::{Failure, XskError};
use super::{Counters, Lent, METADATA, Socket, Statistics};
use crate::frame::Registration;
use crate::id::PortId;
use crate::io::device;
use crate::io::ring::{Consumer, Descriptor, Layout, Producer};
use crate::io::socket::{check, length_of, set};

pub(super) const BIND: &str = "bind(AF_XDP)";

#[expect(clippy::cast_possible_truncation, reason = "44")]
const FAMILY: libc::sa_family_t = libc::AF_XDP as libc::sa_family_t;

/// The kernel frees a queue some time after its last socket was closed (28 ms were seen), so a
/// restarted router finds it busy at first.
const BUSY_FOR: Duration = Duration::from_secs(1);
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// Sending by skb charges each packet's memory to the socket until the skb is freed; what a packet
/// of 1500 octets is charged, rounded up.
const SEND_BUFFER_PER_PACKET: u32 = 4096;

// libc 0.2 has none of these for linux-gnu.
/// Most skbs that one sendto(2) makes (Linux 6.17 and later); 32 where it is not known.
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;
const SO_PREFER_BUSY_POLL: libc::c_int = 69;
const SO_BUSY_POLL_BUDGET: libc::c_int = 70;

/// What a socket is bound to, and how.
#[derive(Clone, Copy, Debug)]
pub struct Bind {
    /// The device.
    pub ifindex: u32,
    /// The device's queue, counted from 0.
    pub queue: u32,
    /// Entries in the receive and in the transmit ring, a power of two; the fill and the
    /// completion ring have twice as many.
    pub ring: u32,
    /// Who copies.
    pub mode: BindMode,
    /// Whether this core polls the card itself instead of taking interrupts.
    pub busy_poll: Option<BusyPoll>,
}

/// How frames get from the card into the area and back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BindMode {
    /// The card reads and writes the area.
    ZeroCopy,
    /// The kernel copies: works with every driver.
    Copy,
}

/// Preferred busy polling (Linux 5.11 and later).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BusyPoll {
    /// `SO_BUSY_POLL`: how long a call polls, in microseconds.
    pub microseconds: u32,
    /// `SO_BUSY_POLL_BUDGET`: how many packets a poll handles.
    pub budget: u32,
}

impl Socket {
    /// Make a socket over the memory `area` and bind it to a queue. Waits up to a second for a
    /// queue that is busy.
    ///
    /// # Errors
    /// Each names the device, the queue, the call and the mend.
    pub fn bind(area: &Registration, port: PortId, bind: &Bind) -> Result<Self, XskError> {
        make(area, port, bind).map_err(|Failed(call, cause)| {
            let device = device::name(bind.ifindex)
                .unwrap_or_else(|_| format!("interface {}", bind.ifindex));
            XskError::new(Failure { device, queue: bind.queue, call, cause })
        })
    }
}

/// The call that failed, and why.
struct Failed(&'static str, io::Error);

fn make(area: &Registration, port: PortId, bind: &Bind) -> Result<Socket, Failed> {
    let fd = open().map_err(|e| Failed("socket(AF_XDP)", e))?;
    let metadata = register(fd.as_fd(), area, bind.mode).map_err(|e| Failed("XDP_UMEM_REG", e))?;
    let Rings { receive, transmit, fill, completion, mappings } =
        Rings::new(fd.as_fd(), bind.ring)?;
    let budget = tune(fd.as_fd(), bind.ring);
    bind_patiently(fd.as_fd(), bind).map_err(|e| Failed(BIND, e))?;
    let zero_copy = is_zero_copy(fd.as_fd()).map_err(|e| Failed("XDP_OPTIONS", e))?;
    Ok(Socket {
        port,
        ring: bind.ring,
        receive,
        transmit,
        fill,
        completion,
        zero_copy,
        metadata,
        budget,
        busy_polls: bind.busy_poll.is_some_and(|busy| busy_poll(fd.as_fd(), busy).is_ok()),
        lent: Lent::default(),
        counters: Counters::default(),
        down: false,
        _mappings: mappings,
        fd,
    })
}

fn open() -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Tell the kernel the memory. True if packets may carry metadata for sending; a kernel before
/// 6.8 does not know it, and in zero-copy mode the driver would have to.
fn register(fd: BorrowedFd<'_>, area: &Registration, mode: BindMode) -> io::Result<bool> {
    let mut umem = libc::xdp_umem_reg {
        addr: area.address,
        len: area.octets,
        chunk_size: u32::from(area.chunk_size),
        headroom: 0,
        flags: libc::XDP_UMEM_TX_METADATA_LEN,
        tx_metadata_len: u32::from(METADATA),
    };
    if mode == BindMode::Copy {
        match set(fd, libc::SOL_XDP, libc::XDP_UMEM_REG, &umem) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            result => return result.map(|()| true),
        }
    }
    umem.flags = 0;
    umem.tx_metadata_len = 0;
    set(fd, libc::SOL_XDP, libc::XDP_UMEM_REG, &umem).map(|()| false)
}

struct Rings {
    receive: Consumer<Descriptor>,
    transmit: Producer<Descriptor>,
    fill: Producer<u64>,
    completion: Consumer<u64>,
    mappings: [Mapping; 4],
}

impl Rings {
    fn new(fd: BorrowedFd<'_>, size: u32) -> Result<Self, Failed> {
        let twice = size.saturating_mul(2);
        for (call, option, size) in [
            ("XDP_RX_RING", libc::XDP_RX_RING, size),
            ("XDP_TX_RING", libc::XDP_TX_RING, size),
            ("XDP_UMEM_FILL_RING", libc::XDP_UMEM_FILL_RING, twice),
            ("XDP_UMEM_COMPLETION_RING", libc::XDP_UMEM_COMPLETION_RING, twice),
        ] {
            set(fd, libc::SOL_XDP, option, &size).map_err(|e| Failed(call, e))?;
        }
        Self::map(fd, size, twice).map_err(|e| Failed("mmap of the rings", e))
    }

    #[expect(clippy::cast_possible_wrap, reason = "offsets of 9 hexadecimal digits")]
    fn map(fd: BorrowedFd<'_>, size: u32, twice: u32) -> io::Result<Self> {
        const FILL: libc::off_t = libc::XDP_UMEM_PGOFF_FILL_RING as libc::off_t;
        const COMPLETION: libc::off_t = libc::XDP_UMEM_PGOFF_COMPLETION_RING as libc::off_t;
        let at: libc::xdp_mmap_offsets = get(fd, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS)?;
        let (rx, rx_mapping) = map_ring(fd, libc::XDP_PGOFF_RX_RING, &at.rx, size)?;
        let (tx, tx_mapping) = map_ring(fd, libc::XDP_PGOFF_TX_RING, &at.tx, size)?;
        let (fr, fr_mapping) = map_ring(fd, FILL, &at.fr, twice)?;
        let (cr, cr_mapping) = map_ring(fd, COMPLETION, &at.cr, twice)?;
        Ok(Self {
            // SAFETY: of each ring we have one mapping, made above, kept beside its user in
            // `Socket`; the kernel has the other side. The kernel took the sizes, so they are
            // powers of two.
            receive: unsafe { Consumer::new(rx) },
            // SAFETY: as above.
            transmit: unsafe { Producer::new(tx) },
            // SAFETY: as above.
            fill: unsafe { Producer::new(fr) },
            // SAFETY: as above.
            completion: unsafe { Consumer::new(cr) },
            mappings: [rx_mapping, tx_mapping, fr_mapping, cr_mapping],
        })
    }
}

/// Memory mapped from the socket, unmapped with this value.
#[derive(Debug)]
pub(super) struct Mapping {
    base: NonNull<u8>,
    octets: usize,
}

// SAFETY: a mapping is an address and a length, bound to no thread.
unsafe impl Send for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `map_ring`, and the rings over it end with the same socket.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.octets) };
    }
}

fn map_ring<T>(
    fd: BorrowedFd<'_>,
    offset: libc::off_t,
    at: &libc::xdp_ring_offset,
    size: u32,
) -> io::Result<(Layout<T>, Mapping)> {
    let octets = to_usize(at.desc)? + size as usize * size_of::<T>();
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
    let base = unsafe {
        libc::mmap(
            ptr::null_mut(),
            octets,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_POPULATE,
            fd.as_raw_fd(),
            offset,
        )
    };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let base: NonNull<u8> =
        NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mmap gave null"))?;
    let mapping = Mapping { base, octets };
    let layout = Layout {
        producer: mapping.part(at.producer)?,
        consumer: mapping.part(at.consumer)?,
        flags: mapping.part(at.flags)?,
        entries: mapping.part(at.desc)?,
        size,
    };
    Ok((layout, mapping))
}

impl Mapping {
    /// The part of the mapping at `offset`, which the kernel named.
    fn part<T>(&self, offset: u64) -> io::Result<NonNull<T>> {
        let offset = to_usize(offset)?;
        if offset + size_of::<T>() > self.octets {
            return Err(io::Error::other("the kernel's offsets lie outside of the ring"));
        }
        // SAFETY: checked to be in the mapping.
        Ok(unsafe { self.base.add(offset) }.cast())
    }
}

fn to_usize(octets: u64) -> io::Result<usize> {
    usize::try_from(octets).map_err(io::Error::other)
}

/// What helps and may fail: without them more calls are needed to send the same. True if one call
/// sends the whole ring.
fn tune(fd: BorrowedFd<'_>, ring: u32) -> bool {
    let send_buffer = ring.saturating_mul(SEND_BUFFER_PER_PACKET);
    let _ = set(fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &send_buffer);
    set(fd, libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &ring).is_ok()
}

fn busy_poll(fd: BorrowedFd<'_>, busy: BusyPoll) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, SO_PREFER_BUSY_POLL, &1u32)?;
    set(fd, libc::SOL_SOCKET, libc::SO_BUSY_POLL, &busy.microseconds)?;
    set(fd, libc::SOL_SOCKET, SO_BUSY_POLL_BUDGET, &busy.budget)
}

fn bind_patiently(fd: BorrowedFd<'_>, bind: &Bind) -> io::Result<()> {
    let deadline = Instant::now() + BUSY_FOR;
    loop {
        match bind_once(fd, bind) {
            Err(error)
                if error.raw_os_error() == Some(libc::EBUSY) && Instant::now() < deadline =>
            {
                thread::sleep(BUSY_PAUSE);
            }
            result => return result,
        }
    }
}

fn bind_once(fd: BorrowedFd<'_>, bind: &Bind) -> io::Result<()> {
    let mode = match bind.mode {
        BindMode::ZeroCopy => libc::XDP_ZEROCOPY,
        BindMode::Copy => libc::XDP_COPY,
    };
    let address = libc::sockaddr_xdp {
        sxdp_family: FAMILY,
        sxdp_flags: mode | libc::XDP_USE_NEED_WAKEUP,
        sxdp_ifindex: bind.ifindex,
        sxdp_queue_id: bind.queue,
        sxdp_shared_umem_fd: 0,
    };
    let size = length_of::<libc::sockaddr_xdp>();
    // SAFETY: the address is a `sockaddr_xdp` of that size, alive during the call.
    check(unsafe { libc::bind(fd.as_raw_fd(), ptr::from_ref(&address).cast(), size) })
}

fn is_zero_copy(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let options: libc::xdp_options = get(fd, libc::SOL_XDP, libc::XDP_OPTIONS)?;
    Ok(options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0)
}

/// What the kernel has counted of this socket.
pub(super) fn statistics(fd: BorrowedFd<'_>) -> io::Result<Statistics> {
    let s: libc::xdp_statistics = get(fd, libc::SOL_XDP, libc::XDP_STATISTICS)?;
    Ok(Statistics {
        rx_dropped: s.rx_dropped,
        rx_invalid_descs: s.rx_invalid_descs,
        tx_invalid_descs: s.tx_invalid_descs,
        rx_ring_full: s.rx_ring_full,
        rx_fill_ring_empty_descs: s.rx_fill_ring_empty_descs,
        tx_ring_empty_descs: s.tx_ring_empty_descs,
    })
}

/// Get a socket option whose value is of the kernel's type `T`, made of numbers only. What an
/// older kernel does not write stays 0.
fn get<T: Copy>(fd: BorrowedFd<'_>, level: i32, option: i32) -> io::Result<T> {
    let mut value = mem::MaybeUninit::<T>::zeroed();
    let mut size = length_of::<T>();
    // SAFETY: the kernel writes at most `size` octets at `value`, which has that many.
    check(unsafe {
        libc::getsockopt(fd.as_raw_fd(), level, option, value.as_mut_ptr().cast(), &mut size)
    })?;
    // SAFETY: `T` is made of numbers, for which zeros and whatever the kernel wrote are values.
    Ok(unsafe { value.assume_init() })
}
