//! AF_XDP and nothing else: frames go from one card's receive ring to the other's transmit ring,
//! with new MAC addresses and not another look. What this does not reach on a machine, no router
//! over AF_XDP does; xrouter's rate is given as a share of it.
//!
//! `bare-loop CORE IN OUT SOURCE-MAC DESTINATION-MAC` prints "ready" and runs until it is killed.
//! Queue 0 of both cards, copy mode, never sleeps.

use std::env;
use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::num::NonZeroU32;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, bail, ensure};
use core_affinity::CoreId;
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, MapCore, MapFlags};
use xsk_rs::config::{
    BindFlags, LibxdpFlags, QueueSize, SocketConfig, SocketConfigBuilder, UmemConfigBuilder,
};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue, Umem};

// Generated.
#[allow(clippy::all, clippy::pedantic, clippy::restriction)]
mod skeleton {
    include!(concat!(env!("OUT_DIR"), "/redirect.skel.rs"));
}
use skeleton::RedirectSkelBuilder;

/// Descriptors in each ring: xrouter's default.
const RING: u32 = 1024;
/// Frames that one round moves, as many as xrouter's.
const BATCH: usize = 64;
/// Linux 6.17: how many frames one sendto() may transmit in copy mode, 32 without it.
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;

/// The rings that a frame passes, in its order: filled, received, transmitted, completed.
struct Loop {
    umem: Umem,
    fill: FillQueue,
    receive: RxQueue,
    transmit: TxQueue,
    complete: CompQueue,
    /// Destination and source, as they stand in the frame.
    macs: [u8; 12],
    batch: [FrameDesc; BATCH],
    done: [FrameDesc; BATCH],
    /// Not used, but closing them would close their sockets.
    _unused: (TxQueue, RxQueue, FillQueue, CompQueue),
}

impl Loop {
    fn new(input: &str, output: &str, macs: [u8; 12]) -> Result<Self> {
        let size = QueueSize::new(RING)?;
        let config =
            UmemConfigBuilder::new().fill_queue_size(size).comp_queue_size(size).build()?;
        // As many frames as a ring holds: there is always room for them, and they stay in the cache.
        let frames = NonZeroU32::new(RING).context("no frames")?;
        let (umem, descriptors) = Umem::new(config, frames, false).context("UMEM")?;
        let (tx_in, receive, mut fill, complete_in) = open(&umem, input, size)?;
        let (transmit, rx_out, fill_out, complete) = open(&umem, output, size)?;
        // SAFETY: all are of this UMEM, and none has been given away yet.
        let filled = unsafe { fill.produce(&descriptors) };
        ensure!(filled == descriptors.len(), "the fill ring took {filled} of {RING} frames");
        raise_budget(&transmit);
        let empty = [descriptors[0]; BATCH];
        let unused = (tx_in, rx_out, fill_out, complete_in);
        let (batch, done) = (empty, empty);
        Ok(Self { umem, fill, receive, transmit, complete, macs, batch, done, _unused: unused })
    }

    /// Receive, rewrite, transmit.
    fn round(&mut self) -> io::Result<()> {
        self.recycle();
        // SAFETY: the ring hands out frames of this UMEM.
        let count = unsafe { self.receive.consume(&mut self.batch) };
        if count == 0 {
            return Ok(());
        }
        for frame in &mut self.batch[..count] {
            // SAFETY: received, so ours alone until it is transmitted.
            let mut data = unsafe { self.umem.data_mut(frame) };
            data.contents_mut()[..12].copy_from_slice(&self.macs);
        }
        // SAFETY: ours, see above; the batch is forgotten once the ring has taken it whole.
        while unsafe { self.transmit.produce(&self.batch[..count]) } == 0 {
            self.transmit.wakeup()?;
            self.recycle();
        }
        if self.transmit.needs_wakeup() { self.transmit.wakeup() } else { Ok(()) }
    }

    /// Frames that have left go where the next ones are received.
    fn recycle(&mut self) {
        // SAFETY: the ring hands out frames of this UMEM.
        let count = unsafe { self.complete.consume(&mut self.done) };
        // SAFETY: completed, so ours alone; the fill ring has room for all that are in circulation.
        unsafe { self.fill.produce(&self.done[..count]) };
    }
}

/// A socket on queue 0 of `device`. `umem` is shared by both.
fn open(
    umem: &Umem,
    device: &str,
    size: QueueSize,
) -> Result<(TxQueue, RxQueue, FillQueue, CompQueue)> {
    let config: SocketConfig = SocketConfigBuilder::new()
        .rx_queue_size(size)
        .tx_queue_size(size)
        .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
        .bind_flags(BindFlags::XDP_COPY | BindFlags::XDP_USE_NEED_WAKEUP)
        .build();
    // SAFETY: each device is opened once, and no program is loaded by the library.
    let (transmit, receive, rings) = unsafe { Socket::new(config, umem, &device.parse()?, 0) }
        .with_context(|| format!("AF_XDP socket on {device}"))?;
    let (fill, complete) = rings.context("fill and completion ring are in use")?;
    Ok((transmit, receive, fill, complete))
}

/// An older kernel refuses it and sends 32 frames for each call.
fn raise_budget(transmit: &TxQueue) {
    let budget = RING;
    // SAFETY: four octets at `budget`, as said.
    unsafe {
        libc::setsockopt(
            transmit.fd().as_raw_fd(),
            libc::SOL_XDP,
            XDP_MAX_TX_SKB_BUDGET,
            (&raw const budget).cast(),
            4,
        );
    }
}

/// Loads the program and points it at the socket; detached when the link is dropped.
fn attach(device: &str, receive: &RxQueue) -> Result<Link> {
    let mut storage = MaybeUninit::uninit();
    let loaded = RedirectSkelBuilder::default().open(&mut storage)?.load()?;
    let socket = u32::try_from(receive.fd().as_raw_fd())?;
    loaded.maps.sockets.update(&0_u32.to_ne_bytes(), &socket.to_ne_bytes(), MapFlags::ANY)?;
    let name = CString::new(device)?;
    // SAFETY: a string with a zero at its end.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    Ok(loaded.progs.redirect.attach_xdp(i32::try_from(index)?)?)
}

fn mac(text: &str) -> Result<[u8; 6]> {
    let octets: Result<Vec<u8>, _> =
        text.split(':').map(|octet| u8::from_str_radix(octet, 16)).collect();
    octets?.try_into().ok().with_context(|| format!("{text} is not a MAC address"))
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [core, input, output, source, destination] = arguments.as_slice() else {
        bail!("bare-loop CORE IN OUT SOURCE-MAC DESTINATION-MAC");
    };
    ensure!(core_affinity::set_for_current(CoreId { id: core.parse()? }), "no core {core}");
    let mut macs = [0; 12];
    macs[..6].copy_from_slice(&mac(destination)?);
    macs[6..].copy_from_slice(&mac(source)?);
    let mut bare = Loop::new(input, output, macs)?;
    let _attached = attach(input, &bare.receive).with_context(|| format!("XDP on {input}"))?;
    println!("ready");
    loop {
        bare.round()?;
    }
}
