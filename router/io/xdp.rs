//! The XDP program of a port: loaded, told what is ours, attached, and detached again.
//!
//! The order of a port's life: [`Program::load`], [`Program::attach`] (it passes everything), bind
//! the sockets, [`Program::set_socket`] each, [`Program::activate`]; at its end [`Program::detach`]
//! *before* the sockets are closed, since closing them under load with the program still in place
//! has crashed drivers (kernel bugzilla 217712). The program hangs on a bpf_link, so when the
//! process dies, however it does, the kernel detaches it and has its card back.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libbpf_rs::libbpf_sys;
use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType, Object, ObjectBuilder};
use thiserror::Error;

use super::device;
use crate::packet::ethernet::MacAddress;

/// The compiled bpf/xrouter.bpf.c. An ELF file is read in words, so it must lie on a word.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);
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
    mac: MacAddress,
    active: bool,
    program: OwnedFd,
    xsks: MapHandle,
    port: MapHandle,
    groups: MapHandle,
    counters: MapHandle,
}

impl Program {
    /// Load the program for a device with this address. It passes everything to the kernel until
    /// it is told of sockets and activated.
    pub fn load(ifindex: u32, mac: MacAddress) -> Result<Self, XdpError> {
        let device = device::name(ifindex).unwrap_or_else(|_| format!("interface {ifindex}"));
        let parts =
            Parts::load().map_err(|cause| XdpError::Load { device: device.clone(), cause })?;
        let Parts { program, xsks, port, groups, counters } = parts;
        let this = Self {
            link: None,
            attached: None,
            device,
            ifindex,
            mac,
            active: false,
            program,
            xsks,
            port,
            groups,
            counters,
        };
        this.write_port()?;
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

    /// Let the workers have the port's frames, or let the kernel have them all.
    pub fn activate(&mut self, active: bool) -> Result<(), XdpError> {
        self.active = active;
        self.write_port()
    }

    /// Tell the program the port's address.
    pub fn set_mac(&mut self, mac: MacAddress) -> Result<(), XdpError> {
        self.mac = mac;
        self.write_port()
    }

    /// Send the frames of `queue` to this AF_XDP socket, until that is closed.
    pub fn set_socket(&mut self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), XdpError> {
        let descriptor = socket.as_raw_fd().to_ne_bytes();
        self.xsks
            .update(&queue.to_ne_bytes(), &descriptor, MapFlags::ANY)
            .map_err(|cause| self.failed("xsks", cause))
    }

    /// Let the workers have the frames for this multicast group too. Joining again changes
    /// nothing. At most 1024 groups.
    pub fn join(&mut self, group: MacAddress) -> Result<(), XdpError> {
        self.groups
            .update(&group.octets(), &[1], MapFlags::ANY)
            .map_err(|cause| self.failed("groups", cause))
    }

    /// Leave this multicast group to the kernel. Leaving a group that was not joined changes
    /// nothing.
    pub fn leave(&mut self, group: MacAddress) -> Result<(), XdpError> {
        match self.groups.delete(&group.octets()) {
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

    /// The program itself, for `BPF_PROG_RUN`.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }

    fn counter(&self, decision: u32) -> Result<u64, XdpError> {
        let of_processors = self
            .counters
            .lookup_percpu(&decision.to_ne_bytes(), MapFlags::ANY)
            .map_err(|cause| self.failed("counters", cause))?
            .unwrap_or_default();
        let number = |octets: &Vec<u8>| octets.first_chunk().map_or(0, |&o| u64::from_ne_bytes(o));
        Ok(of_processors.iter().map(number).sum())
    }

    /// `struct port`: eight octets that the kernel stores at once.
    fn write_port(&self) -> Result<(), XdpError> {
        let [a, b, c, d, e, f] = self.mac.octets();
        self.port
            .update(&[0; 4], &[a, b, c, d, e, f, u8::from(self.active), 0], MapFlags::ANY)
            .map_err(|cause| self.failed("port", cause))
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
        create_link(self.program.as_fd(), self.ifindex, flags).map_err(|cause| {
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

/// The number of the program that is attached to the device, 0 if it cannot be known, and the word
/// by which ip(8) takes it off.
fn attached_program(ifindex: u32) -> (u32, &'static str) {
    let mut found = libbpf_sys::bpf_xdp_query_opts {
        sz: size_of::<libbpf_sys::bpf_xdp_query_opts>() as libbpf_sys::size_t,
        ..Default::default()
    };
    let ifindex = libc::c_int::try_from(ifindex).unwrap_or_default();
    // SAFETY: the options are of the size that they say, and alive during the call.
    let result = unsafe { libbpf_sys::bpf_xdp_query(ifindex, 0, &mut found) };
    if result == 0 && found.skb_prog_id != 0 {
        return (found.skb_prog_id, "xdpgeneric");
    }
    (found.drv_prog_id, "xdp")
}

/// What we keep of a loaded object: descriptors of our own, so that nothing borrows from libbpf.
struct Parts {
    program: OwnedFd,
    xsks: MapHandle,
    port: MapHandle,
    groups: MapHandle,
    counters: MapHandle,
}

impl Parts {
    fn load() -> libbpf_rs::Result<Self> {
        let object = ObjectBuilder::default().name("xrouter")?.open_memory(&OBJECT.0)?.load()?;
        let program =
            object.progs().find(|p| p.name() == "xrouter").ok_or_else(|| missing("xrouter"))?;
        Ok(Self {
            program: program.as_fd().try_clone_to_owned().map_err(libbpf_rs::Error::from)?,
            xsks: map(&object, "xsks")?,
            port: map(&object, "port")?,
            groups: map(&object, "groups")?,
            counters: map(&object, "counters")?,
        })
    }
}

fn map(object: &Object, name: &str) -> libbpf_rs::Result<MapHandle> {
    let map = object.maps().find(|m| m.name() == name).ok_or_else(|| missing(name))?;
    MapHandle::try_from(&map)
}

fn missing(name: &str) -> libbpf_rs::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no {name} in the object file")).into()
}

/// How many octets each of the shared tables has.
#[derive(Clone, Copy, Debug)]
pub struct SharedOctets {
    /// The IPv4 FIB.
    pub fib4: u32,
    /// The IPv6 FIB.
    pub fib6: u32,
    /// Next-hop numbers to adjacency slots.
    pub next_hops: u32,
    /// The adjacencies.
    pub adjacencies: u32,
    /// The ECMP groups.
    pub ecmp: u32,
}

/// The tables that control writes and that workers and XDP programs read: of each a BPF array with
/// one element, which can be mapped into this process (`BPF_F_MMAPABLE`).
#[derive(Debug)]
pub struct SharedMaps {
    /// The IPv4 FIB.
    pub fib4: OwnedFd,
    /// The IPv6 FIB.
    pub fib6: OwnedFd,
    /// Next-hop numbers to adjacency slots.
    pub next_hops: OwnedFd,
    /// The adjacencies.
    pub adjacencies: OwnedFd,
    /// The ECMP groups.
    pub ecmp: OwnedFd,
}

impl SharedMaps {
    /// Make the tables, all zeros. Needs CAP_BPF; memory that is short is the error.
    pub fn create(octets: &SharedOctets) -> io::Result<Self> {
        Ok(Self {
            fib4: shared_map("fib4", octets.fib4)?,
            fib6: shared_map("fib6", octets.fib6)?,
            next_hops: shared_map("next_hops", octets.next_hops)?,
            adjacencies: shared_map("adjacencies", octets.adjacencies)?,
            ecmp: shared_map("ecmp", octets.ecmp)?,
        })
    }
}

fn shared_map(name: &str, octets: u32) -> io::Result<OwnedFd> {
    let options = libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
        map_flags: libbpf_sys::BPF_F_MMAPABLE,
        ..Default::default()
    };
    let map =
        MapHandle::create(MapType::Array, Some(name), 4, octets, 1, &options).map_err(|cause| {
            io::Error::other(format!("shared table {name}: {octets} octets: {cause:#}"))
        })?;
    map.as_fd().try_clone_to_owned()
}

#[cfg(test)]
mod tests;
