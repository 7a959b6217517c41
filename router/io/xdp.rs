//! The XDP program of a port: loaded, told what is ours, attached, and detached again.
//!
//! The order of a port's life: [`Program::load`], [`Program::attach`] (it passes everything), bind
//! the sockets, [`Program::set_socket`] each, [`Program::tell`] it that it is active; at its end [`Program::detach`]
//! *before* the sockets are closed, since closing them under load with the program still in place
//! has crashed drivers (kernel bugzilla 217712). The program hangs on a bpf_link, so when the
//! process dies, however it does, the kernel detaches it and has its card back.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libbpf_rs::libbpf_sys;
use libbpf_rs::{MapCore, MapFlags, MapHandle, Object, ObjectBuilder};
use thiserror::Error;

mod shared;

use super::device;
use crate::id::PortId;
use crate::packet::ethernet::MacAddress;
pub use shared::{Barrier, Constants, Shared};

/// An ELF file is read in words, so it must lie on a word.
#[repr(C, align(8))]
pub(super) struct Aligned<T: ?Sized>(pub T);
/// The compiled bpf/xrouter.bpf.c.
static OBJECT: &Aligned<[u8]> =
    &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/xrouter.bpf.o")));

/// Where the program is to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// In the driver if it can, else in the stack.
    Auto,
    /// In the driver (`XDP_FLAGS_DRV_MODE`).
    Driver,
    /// In the stack, after the kernel has made an skb (`XDP_FLAGS_SKB_MODE`).
    Generic,
}

/// Where the program runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Attached {
    /// In the driver.
    Driver,
    /// In the stack.
    Generic {
        /// Why not in the driver, if that was tried.
        reason: Option<String>,
    },
}

/// What the program has counted on all processors. Mirrors `enum decision` in bpf/xrouter.bpf.c.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// To the kernel: sent to another station, to a group not joined, or not activated.
    pub passed_not_ours: u64,
    /// To the kernel: ours, of a type that the workers do not know.
    pub passed_ether_type: u64,
    /// To the worker that has this queue; to the kernel if none has.
    pub to_worker: u64,
}

/// What the program itself has sent by one port. Mirrors `struct traffic` in bpf/xrouter.bpf.c.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Traffic {
    /// Frames.
    pub frames: u64,
    /// Their octets as they came in.
    pub octets_in: u64,
    /// Their octets as they went out, without the padding behind the packets.
    pub octets_out: u64,
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.frames += other.frames;
        self.octets_in += other.octets_in;
        self.octets_out += other.octets_out;
    }
}

/// What the program has to know of its port. Mirrors `struct port` in bpf/forward.h.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// The port's number.
    pub port: PortId,
    /// Its address.
    pub mac: MacAddress,
    /// Largest IP packet, in octets.
    pub mtu: u16,
    /// `XR_BY_DRIVER` or `XR_BY_STACK` of bpf/shared.h: where the program runs.
    pub engine: u8,
    /// The workers have the port's frames; else the kernel has them all.
    pub active: bool,
    /// The program forwards plain packets itself.
    pub fast: bool,
    /// Whoever is behind the port may leave transport checksums to his card.
    pub unfinished_checksums: bool,
}

impl Facts {
    /// As the program reads them.
    fn to_octets(self) -> [u8; 16] {
        let mut octets = [0; 16];
        let flags = [self.active, self.fast, self.unfinished_checksums];
        octets[..6].copy_from_slice(&self.mac.octets());
        octets[6] = flags.iter().rev().fold(0, |bits, &flag| bits << 1 | u8::from(flag));
        octets[7] = self.port.octet();
        octets[8..10].copy_from_slice(&self.mtu.to_ne_bytes());
        octets[10] = self.engine;
        octets
    }
}

/// The program could not be loaded, attached or told something.
#[derive(Debug, Error)]
pub enum XdpError {
    /// The kernel did not take the program.
    #[error(
        "{device}: loading the XDP program: {cause:#}; it needs Linux 6.1 or later, and root or \
         CAP_BPF and CAP_NET_ADMIN"
    )]
    Load {
        /// The device.
        device: String,
        /// What libbpf said.
        cause: libbpf_rs::Error,
    },
    /// Another program is in place.
    #[error(
        "{device}: another XDP program (number {program}) is attached: `ip link set dev {device} \
         {off} off`; if it hangs on a link, stop its owner or remove its pin (`bpftool -f link`)"
    )]
    Foreign {
        /// The device.
        device: String,
        /// Its number; 0 if the kernel does not tell.
        program: u32,
        /// What ip(8) calls the mode it runs in.
        off: &'static str,
    },
    /// The device or its driver did not take the program.
    #[error("{device}: attaching the XDP program: {reason}")]
    Attach {
        /// The device.
        device: String,
        /// The kernel's answer and the mend.
        reason: String,
    },
    /// A map could not be read or written.
    #[error("{device}: map {map} of the XDP program: {cause:#}")]
    Map {
        /// The device.
        device: String,
        /// The map's name in bpf/xrouter.bpf.c.
        map: &'static str,
        /// What libbpf said.
        cause: libbpf_rs::Error,
    },
}

/// The XDP program of one port. Dropping it detaches it.
#[derive(Debug)]
pub struct Program {
    /// While this is open the program is attached.
    link: Option<OwnedFd>,
    attached: Option<Attached>,
    device: String,
    ifindex: u32,
    facts: Facts,
    parts: Parts,
}

impl Program {
    /// Load the program for a device. It passes everything to the kernel until it is told of
    /// sockets, and that it is active.
    pub fn load(ifindex: u32, facts: Facts, shared: &Shared) -> Result<Self, XdpError> {
        let device = device::name(ifindex).unwrap_or_else(|_| format!("interface {ifindex}"));
        let parts = Parts::load(shared)
            .map_err(|cause| XdpError::Load { device: device.clone(), cause })?;
        let mut this = Self { link: None, attached: None, device, ifindex, facts, parts };
        this.tell(facts)?;
        Ok(this)
    }

    /// Attach the program to its device.
    ///
    /// # Errors
    /// [`XdpError::Foreign`] if there is a program already, [`XdpError::Attach`] with what the
    /// kernel said and the mend. With [`Mode::Auto`] that is the answer for the generic mode; the
    /// driver's is in [`Attached::Generic`].
    pub fn attach(&mut self, mode: Mode) -> Result<&Attached, XdpError> {
        let (link, attached) = match mode {
            Mode::Driver => (self.link_in_driver()?, Attached::Driver),
            Mode::Generic => (self.link_in_stack()?, Attached::Generic { reason: None }),
            Mode::Auto => match self.link_in_driver() {
                Ok(link) => (link, Attached::Driver),
                Err(XdpError::Attach { reason, .. }) => {
                    (self.link_in_stack()?, Attached::Generic { reason: Some(reason) })
                }
                Err(error) => return Err(error),
            },
        };
        self.link = Some(link);
        Ok(self.attached.insert(attached))
    }

    /// Detach the program, if it is attached.
    pub fn detach(&mut self) {
        self.link = None;
        self.attached = None;
    }

    /// Where the program runs, if it is attached.
    pub fn attached(&self) -> Option<&Attached> {
        self.attached.as_ref()
    }

    /// What the port is from now on.
    pub fn tell(&mut self, facts: Facts) -> Result<(), XdpError> {
        self.facts = facts;
        self.parts
            .port
            .update(&[0; 4], &facts.to_octets(), MapFlags::ANY)
            .map_err(|cause| self.failed("port", cause))
    }

    /// What the program was told last.
    pub fn facts(&self) -> Facts {
        self.facts
    }

    /// Send the frames of `queue` to this AF_XDP socket, until that is closed.
    pub fn set_socket(&mut self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), XdpError> {
        let descriptor = socket.as_raw_fd().to_ne_bytes();
        self.parts
            .xsks
            .update(&queue.to_ne_bytes(), &descriptor, MapFlags::ANY)
            .map_err(|cause| self.failed("xsks", cause))
    }

    /// The first queues, so many of them, have no socket any more: what comes in by them is the
    /// kernel's. (The kernel does the same for sockets that are closed.)
    pub fn forget_sockets(&self, queues: usize) {
        for queue in 0..u32::try_from(queues).unwrap_or(u32::MAX) {
            // A socket that was closed is not there.
            let _gone = self.parts.xsks.delete(&queue.to_ne_bytes());
        }
    }

    /// The map of sockets, by queue.
    pub fn sockets(&self) -> BorrowedFd<'_> {
        self.parts.xsks.as_fd()
    }

    /// Let the workers have the frames for this multicast group, or virtual router, too. Joining
    /// again changes nothing. At most 1024 of both.
    pub fn join(&mut self, group: MacAddress) -> Result<(), XdpError> {
        self.parts
            .groups
            .update(&group.octets(), &[1], MapFlags::ANY)
            .map_err(|cause| self.failed("groups", cause))
    }

    /// Leave this group, or virtual router, to the kernel. Leaving one that was not joined changes
    /// nothing.
    pub fn leave(&mut self, group: MacAddress) -> Result<(), XdpError> {
        match self.parts.groups.delete(&group.octets()) {
            Err(cause) if cause.kind() != libbpf_rs::ErrorKind::NotFound => {
                Err(self.failed("groups", cause))
            }
            _ => Ok(()),
        }
    }

    /// What the program has counted since it was loaded.
    pub fn counters(&self) -> Result<Counters, XdpError> {
        Ok(Counters {
            passed_not_ours: self.counter(0)?,
            passed_ether_type: self.counter(1)?,
            to_worker: self.counter(2)?,
        })
    }

    /// What the program itself has sent by this port since it was loaded.
    pub fn forwarded_to(&self, port: PortId) -> Result<Traffic, XdpError> {
        let [frames, octets_in, octets_out] =
            per_processor(&self.parts.forwarded, port.octet().into())
                .map_err(|cause| self.failed("forwarded", cause))?;
        Ok(Traffic { frames, octets_in, octets_out })
    }

    /// The program itself, for `BPF_PROG_RUN`.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.parts.program.as_fd()
    }

    fn counter(&self, decision: u32) -> Result<u64, XdpError> {
        let [count] = per_processor(&self.parts.counters, decision)
            .map_err(|cause| self.failed("counters", cause))?;
        Ok(count)
    }

    fn failed(&self, map: &'static str, cause: libbpf_rs::Error) -> XdpError {
        XdpError::Map { device: self.device.clone(), map, cause }
    }

    fn link_in_driver(&self) -> Result<OwnedFd, XdpError> {
        self.link(libbpf_sys::XDP_FLAGS_DRV_MODE)
    }

    fn link_in_stack(&self) -> Result<OwnedFd, XdpError> {
        self.link(libbpf_sys::XDP_FLAGS_SKB_MODE)
    }

    fn link(&self, flags: u32) -> Result<OwnedFd, XdpError> {
        create_link(self.parts.program.as_fd(), self.ifindex, flags).map_err(|cause| {
            let device = self.device.clone();
            match cause.raw_os_error() {
                Some(libc::EBUSY | libc::EEXIST) => {
                    let (program, off) = attached_program(self.ifindex);
                    XdpError::Foreign { device, program, off }
                }
                _ => {
                    let driver = device::driver(self.ifindex);
                    XdpError::Attach { device, reason: format!("{cause}{}", mend(&cause, &driver)) }
                }
            }
        })
    }
}

/// What the kernel's answer to an attachment means. The drivers say it in words too, but not to
/// the one who attaches by a link.
fn mend(cause: &io::Error, driver: &str) -> &'static str {
    match cause.raw_os_error() {
        Some(libc::EOPNOTSUPP) if driver == "virtio_net" => {
            ": the hypervisor merges segments or leaves checksums open, and does not let the guest \
             forbid it: give the card `ctrl_guest_offloads=on` there (so QEMU calls it), or \
             `guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off`"
        }
        Some(libc::EOPNOTSUPP) => ": the driver has no native XDP",
        Some(libc::ENOSPC) => {
            ": too few queues (a veth needs as many receive queues as its peer has transmit \
             queues: `ethtool -L`)"
        }
        Some(libc::ERANGE) => ": the MTU, of a veth its peer's, is too big for the driver's XDP",
        Some(libc::EINVAL) => {
            ": the driver cannot do XDP as the device is set (MTU too big? LRO on: `ethtool -K \
             DEVICE lro off`?)"
        }
        Some(libc::EPERM) => ": run as root, or grant CAP_BPF and CAP_NET_ADMIN",
        Some(libc::ENODEV) => ": the device has gone",
        _ => "",
    }
}

fn create_link(program: BorrowedFd<'_>, ifindex: u32, flags: u32) -> io::Result<OwnedFd> {
    let ifindex = libc::c_int::try_from(ifindex).map_err(io::Error::other)?;
    let options = libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as libbpf_sys::size_t,
        flags,
        ..Default::default()
    };
    // SAFETY: the options are of the size that they say, and alive during the call.
    let fd = unsafe {
        libbpf_sys::bpf_link_create(program.as_raw_fd(), ifindex, libbpf_sys::BPF_XDP, &options)
    };
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(-fd));
    }
    // SAFETY: the kernel just gave us this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What the kernel tells of a device and XDP; all zeros if it does not.
fn query(ifindex: u32) -> libbpf_sys::bpf_xdp_query_opts {
    let mut found = libbpf_sys::bpf_xdp_query_opts {
        sz: size_of::<libbpf_sys::bpf_xdp_query_opts>() as libbpf_sys::size_t,
        ..Default::default()
    };
    let ifindex = libc::c_int::try_from(ifindex).unwrap_or_default();
    // SAFETY: the options are of the size that they say, and alive during the call. Where it fails
    // they stay as they are.
    let _nothing_is_known = unsafe { libbpf_sys::bpf_xdp_query(ifindex, 0, &mut found) };
    found
}

/// The XDP program that is attached to the device, by its number.
pub fn program_on(ifindex: u32) -> Option<u32> {
    Some(attached_program(ifindex).0).filter(|&number| number != 0)
}

/// The number of the program that is attached to the device, 0 if it cannot be known, and the word
/// by which ip(8) takes it off.
fn attached_program(ifindex: u32) -> (u32, &'static str) {
    let found = query(ifindex);
    if found.skb_prog_id != 0 {
        (found.skb_prog_id, "xdpgeneric")
    } else {
        (found.drv_prog_id, "xdp")
    }
}

/// `NETDEV_XDP_ACT_NDO_XMIT` of linux/netdev.h: frames that a program redirects are sent.
const NDO_XMIT: u64 = 1 << 2;

/// Whether the device sends frames that an XDP program redirects to it; None if the kernel does not
/// tell (before Linux 6.3), or if the device knows nothing of XDP. It changes while the device is there: a veth does so only while its peer
/// has an XDP program or GRO.
pub fn takes_frames(ifindex: u32) -> Option<bool> {
    let features = query(ifindex).feature_flags;
    (features != 0).then_some(features & NDO_XMIT != 0)
}

/// What we keep of a loaded object: descriptors of our own, so that nothing borrows from libbpf.
#[derive(Debug)]
struct Parts {
    program: OwnedFd,
    xsks: MapHandle,
    port: MapHandle,
    groups: MapHandle,
    counters: MapHandle,
    forwarded: MapHandle,
}

impl Parts {
    fn load(shared: &Shared) -> libbpf_rs::Result<Self> {
        room_for_descriptors().map_err(libbpf_rs::Error::from)?;
        let mut builder = ObjectBuilder::default();
        let mut object = builder.name("xrouter")?.open_memory(&OBJECT.0)?;
        shared.lend(&mut object)?;
        let object = object.load()?;
        let program =
            object.progs().find(|p| p.name() == "xrouter").ok_or_else(|| missing("xrouter"))?;
        Ok(Self {
            program: program.as_fd().try_clone_to_owned().map_err(libbpf_rs::Error::from)?,
            xsks: map(&object, "xsks")?,
            port: map(&object, "port")?,
            groups: map(&object, "groups")?,
            counters: map(&object, "counters")?,
            forwarded: map(&object, "forwarded")?,
        })
    }
}

/// More descriptors than libbpf has open at once while it loads an object.
const DESCRIPTORS: usize = 32;

/// Fails as the kernel would where there is no room for them. libbpf takes a descriptor that it does
/// not get for a feature that the kernel lacks, and remembers that as long as the process lives.
pub(super) fn room_for_descriptors() -> io::Result<()> {
    let one = std::fs::File::open("/dev/null")?;
    let more: io::Result<Vec<_>> = (1..DESCRIPTORS).map(|_| one.try_clone()).collect();
    more.map(drop)
}

/// The sums over all processors of the numbers that a per-CPU array holds at `key`.
fn per_processor<const N: usize>(map: &MapHandle, key: u32) -> libbpf_rs::Result<[u64; N]> {
    let of_processors = map.lookup_percpu(&key.to_ne_bytes(), MapFlags::ANY)?.unwrap_or_default();
    let mut sums = [0; N];
    for octets in &of_processors {
        let (words, _) = octets.as_chunks();
        sums.iter_mut().zip(words).for_each(|(sum, &word)| *sum += u64::from_ne_bytes(word));
    }
    Ok(sums)
}

fn map(object: &Object, name: &str) -> libbpf_rs::Result<MapHandle> {
    let map = object.maps().find(|m| m.name() == name).ok_or_else(|| missing(name))?;
    MapHandle::try_from(&map)
}

fn missing(name: &str) -> libbpf_rs::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no {name} in the object file")).into()
}

#[cfg(test)]
pub(super) mod tests;
