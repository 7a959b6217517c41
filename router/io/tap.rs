//! The tap that stands for a port in the kernel: one device with a queue for each worker.
//!
//! Before working here, read `Documentation/networking/tuntap.rst`, and in `drivers/net/tun.c`
//! `tun_set_iff`, `tun_get_user` and `tun_put_user`.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};

use arrayvec::ArrayVec;

use super::offload::{HEADER, Header};

/// A buffer of this length holds every packet that [`Queue::read`] can give: the kernel's largest
/// TCP segment (65536 octets with its headers) with room for VLAN tags.
pub const READ_MAX: usize = (64 << 10) + 64;

/// Most pieces that a packet for [`Queue::write`] may lie in.
pub const PIECES_MAX: usize = 46;

/// Most queues of a tap (`MAX_TAP_QUEUES` of the kernel).
pub const QUEUES_MAX: usize = 256;

const CLONE_DEVICE: &str = "/dev/net/tun";
/// `TUN_MINOR` of linux/miscdevice.h, and the major number of such devices.
const CLONE_NUMBER: libc::dev_t = libc::makedev(10, 200);
/// What a queue is opened with.
const FLAGS: libc::c_int =
    libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_MULTI_QUEUE;

/// A tap cannot be made or changed.
#[derive(thiserror::Error, Debug)]
#[error("tap {device}: {call}: {source}{}", mend(.source))]
pub struct TapError {
    /// Name of the device.
    pub device: String,
    /// What was tried.
    pub call: &'static str,
    /// What the kernel said.
    pub source: io::Error,
}

fn mend(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EBUSY) => {
            "; a device of that name is in use: stop the other program, or rename the port"
        }
        Some(libc::EINVAL) => {
            "; if a device of that name is no multi-queue tap, delete it or rename the port"
        }
        Some(libc::EPERM | libc::EACCES) => "; run as root or with CAP_NET_ADMIN",
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
            "; `modprobe tun`, and in a container give it /dev/net/tun"
        }
        Some(libc::E2BIG) => "; all queues of the device are taken: is another xrouter running?",
        _ => "",
    }
}

/// A tap device. It lives as long as this or one of its queues does, and longer if persistent.
#[derive(Debug)]
pub struct Tap {
    name: String,
    /// The same open file as the first queue's: for settings of the whole device.
    device: File,
    queues: Vec<Queue>,
}

impl Tap {
    /// Make the tap `name` (at most 15 octets) with `queues` queues, or adopt a multi-queue tap of
    /// that name which an earlier run left behind. `kept` has the queue of a number that is open
    /// already, if there is one. The tap goes with the last of its queues, unless it was persistent
    /// or is made so ([`Tap::persist`]).
    ///
    /// The kernel lets us join a multi-queue tap that another process is using. Whoever calls this
    /// has asked netlink before that none of its queues is taken (`IFLA_TUN_NUM_QUEUES`).
    ///
    /// # Errors
    /// [`TapError`], and no queue is left open.
    pub fn create(
        name: &str,
        queues: usize,
        mut kept: impl FnMut(usize) -> Option<Queue>,
    ) -> Result<Self, TapError> {
        let fail = |call| move |source| TapError { device: name.to_owned(), call, source };
        let queues = (0..queues.clamp(1, QUEUES_MAX))
            .map(|number| kept(number).map_or_else(|| attach(name), Ok))
            .collect::<Result<Vec<_>, _>>()?;
        let device = queues[0].file.try_clone().map_err(fail("dup"))?;
        configure(&device).map_err(|(call, source)| fail(call)(source))?;
        Ok(Self { name: name.to_owned(), device, queues })
    }

    /// Whether the device outlives the last of its queues, without a carrier.
    ///
    /// # Errors
    /// [`TapError`].
    pub fn persist(&self, persist: bool) -> Result<(), TapError> {
        let outcome = tell(&self.device, libc::TUNSETPERSIST, persist.into());
        outcome.map_err(|source| TapError {
            device: self.name.clone(),
            call: "TUNSETPERSIST",
            source,
        })
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The queues, one for each worker. The second time there are none.
    pub fn take_queues(&mut self) -> Vec<Queue> {
        std::mem::take(&mut self.queues)
    }

    /// Let the tap have a carrier or not, as its port has a link.
    ///
    /// # Errors
    /// [`TapError`], if the device is gone.
    pub fn set_carrier(&self, carrier: bool) -> Result<(), TapError> {
        set(&self.device, libc::TUNSETCARRIER, i32::from(carrier)).map_err(|source| TapError {
            device: self.name.clone(),
            call: "TUNSETCARRIER",
            source,
        })
    }
}

/// One queue of a tap: what the kernel sends out of the port is read here, what is written here
/// the kernel receives. Never blocks.
#[derive(Debug)]
pub struct Queue {
    file: File,
}

const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Queue>();
};

/// A packet did not go up the tap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteError {
    /// The kernel takes no more for now.
    Full,
    /// The tap was set down, or is gone.
    Down,
    /// Something else: the errno.
    Other(i32),
}

impl Queue {
    /// The next packet that the kernel sends: into `packet`, whose length [`READ_MAX`] suffices
    /// (what does not fit is cut off), with its offload header and its length. None if there is
    /// none. One system call.
    ///
    /// # Errors
    /// `EBADFD` if the device is gone.
    pub fn read(&self, packet: &mut [u8]) -> io::Result<Option<(Header, usize)>> {
        let mut header = [0; HEADER];
        let mut parts = [IoSliceMut::new(&mut header), IoSliceMut::new(packet)];
        match (&self.file).read_vectored(&mut parts) {
            Ok(len) if len >= HEADER => Ok(Some((Header::from_octets(&header), len - HEADER))),
            Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hand the kernel one packet, which lies in the `pieces` in order, at most [`PIECES_MAX`] of
    /// them. One system call.
    ///
    /// # Errors
    /// [`WriteError`]: the kernel has nothing of the packet.
    pub fn write(&self, header: &Header, pieces: &[IoSlice<'_>]) -> Result<(), WriteError> {
        let header = header.octets();
        let mut parts = ArrayVec::<_, { PIECES_MAX + 1 }>::new();
        parts.push(IoSlice::new(&header));
        parts.try_extend_from_slice(pieces).map_err(|_| WriteError::Other(libc::EMSGSIZE))?;
        // A tap takes a packet whole or not at all.
        (&self.file).write_vectored(&parts).map(drop).map_err(WriteError::from)
    }

    /// Have the kernel send by this queue, as it does from the start, or not: what it puts into a
    /// queue that nobody reads is lost, and so is what waits in one that it leaves.
    ///
    /// # Errors
    /// `EINVAL` if the device is gone, or it is so already.
    pub fn set_attached(&self, attached: bool) -> io::Result<()> {
        let flag = if attached { libc::IFF_ATTACH_QUEUE } else { libc::IFF_DETACH_QUEUE };
        let request = ifreq([0; libc::IFNAMSIZ], flag);
        // SAFETY: TUNSETQUEUE reads one `ifreq`, which lives until the call returns.
        check(unsafe { libc::ioctl(self.file.as_raw_fd(), libc::TUNSETQUEUE, &raw const request) })
    }

    /// One more queue of the tap `name`, by which the kernel sends nothing. As long as there is one the
    /// tap has its carrier, and so its routes, whatever becomes of those who read the others.
    ///
    /// # Errors
    /// [`TapError`].
    pub fn hold(name: &str) -> Result<Self, TapError> {
        let queue = attach(name)?;
        let detached = queue.set_attached(false);
        let fail = |source| TapError { device: name.to_owned(), call: "TUNSETQUEUE", source };
        detached.map_err(fail)?;
        Ok(queue)
    }

    /// The queue that an open file is, which an earlier run has left, and the name of its tap.
    ///
    /// # Errors
    /// It is no queue of a tap such as we make, or its tap is gone.
    pub fn adopt(file: File) -> io::Result<(String, Self)> {
        let kind = file.metadata()?;
        if !kind.file_type().is_char_device() || kind.rdev() != CLONE_NUMBER {
            return Err(io::Error::other("it is no queue of a tap"));
        }
        let mut found = ifreq([0; libc::IFNAMSIZ], 0);
        // SAFETY: TUNGETIFF writes one `ifreq`, which lives until the call returns.
        check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNGETIFF, &raw mut found) })?;
        // SAFETY: TUNGETIFF has written the flags.
        let flags = libc::c_int::from(unsafe { found.ifr_ifru.ifru_flags });
        if flags & FLAGS != FLAGS {
            return Err(io::Error::other("it is a queue of another kind"));
        }
        let name = found.ifr_name.iter().map(|&c| c.to_ne_bytes()[0]).take_while(|&c| c != 0);
        let name = String::from_utf8(name.collect()).map_err(io::Error::other)?;
        Ok((name, Self { file }))
    }

    /// Close the queue. The kernel sends nothing by it any more, also if somebody else has it open,
    /// and the tap goes with the last of its queues.
    pub fn let_go(self) {
        // That the tap is gone is no matter.
        let _gone = tell(&self.file, libc::TUNSETPERSIST, 0);
        let _gone = self.set_attached(false);
    }

    /// The same queue once more, for somebody else to write to.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()? })
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::ENOBUFS) => Self::Full,
            Some(libc::EIO | libc::EBADFD | libc::ENODEV) => Self::Down,
            errno => Self::Other(errno.unwrap_or(0)),
        }
    }
}

/// Open one more queue of the tap `name`, which comes into being with its first.
fn attach(name: &str) -> Result<Queue, TapError> {
    let fail = |call| move |source| TapError { device: name.to_owned(), call, source };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(CLONE_DEVICE)
        .map_err(fail("open /dev/net/tun"))?;
    let request = request(name).ok_or_else(|| {
        fail("name")(io::Error::new(io::ErrorKind::InvalidInput, "1 to 15 octets are allowed"))
    })?;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which lives until the call returns.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw const request) };
    check(done).map_err(fail("TUNSETIFF"))?;
    Ok(Queue { file })
}

fn request(name: &str) -> Option<libc::ifreq> {
    // The name is filled in below; it ends with a zero, hence the one octet less.
    let mut ifr_name = [0; libc::IFNAMSIZ];
    if name.is_empty() || name.len() >= ifr_name.len() || name.contains('%') {
        return None; // the kernel would put a number in the place of %d
    }
    for (to, &octet) in ifr_name.iter_mut().zip(name.as_bytes()) {
        *to = libc::c_char::from_ne_bytes([octet]);
    }
    Some(ifreq(ifr_name, FLAGS))
}

fn ifreq(ifr_name: [libc::c_char; libc::IFNAMSIZ], flags: libc::c_int) -> libc::ifreq {
    #[expect(clippy::cast_possible_truncation, reason = "the flags fit 16 bits: 0x5102 the most")]
    let ifru_flags = flags as libc::c_short;
    libc::ifreq { ifr_name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags } }
}

/// Settings of the whole device, whichever queue they are made through.
fn configure(device: &File) -> Result<(), (&'static str, io::Error)> {
    let header_len = i32::try_from(HEADER).unwrap_or(i32::MAX);
    set(device, libc::TUNSETVNETHDRSZ, header_len).map_err(|e| ("TUNSETVNETHDRSZ", e))?;
    set(device, libc::TUNSETVNETLE, 1).map_err(|e| ("TUNSETVNETLE", e))?;
    // UDP segmentation (USO) is left out: Linux 6.1 does not know it, and nothing here sends it.
    let offloads = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    tell(device, libc::TUNSETOFFLOAD, offloads.into()).map_err(|e| ("TUNSETOFFLOAD", e))
}

/// The calls that take a pointer to a number.
fn set(device: &File, call: libc::Ioctl, value: libc::c_int) -> io::Result<()> {
    // SAFETY: these calls read one `int`, which lives until they return.
    check(unsafe { libc::ioctl(device.as_raw_fd(), call, &raw const value) })
}

/// The calls that take a number itself.
fn tell(device: &File, call: libc::Ioctl, value: libc::c_ulong) -> io::Result<()> {
    // SAFETY: these calls read no memory of ours.
    check(unsafe { libc::ioctl(device.as_raw_fd(), call, value) })
}

fn check(done: libc::c_int) -> io::Result<()> {
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(request("lan").is_some() && request("exactly15octets").is_some());
        for wrong in ["", "sixteen-octets--", "lan%d"] {
            assert!(request(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_queue_is_not_adopted() {
        for path in ["/dev/null", "/etc/hostname", CLONE_DEVICE] {
            assert!(Queue::adopt(File::open(path).unwrap()).is_err(), "{path}");
        }
    }

    #[test]
    fn an_error_names_the_device_the_call_and_the_mend() {
        let source = io::Error::from_raw_os_error(libc::EBUSY);
        let error = TapError { device: "lan".into(), call: "TUNSETIFF", source };
        let text = error.to_string();
        assert!(text.starts_with("tap lan: TUNSETIFF: ") && text.contains("in use"), "{text}");
    }

    #[test]
    fn errnos_of_write() {
        let of = |errno| WriteError::from(io::Error::from_raw_os_error(errno));
        assert_eq!(of(libc::EAGAIN), WriteError::Full);
        assert_eq!(of(libc::EIO), WriteError::Down);
        assert_eq!(of(libc::EBADFD), WriteError::Down);
        assert_eq!(of(libc::EINVAL), WriteError::Other(libc::EINVAL));
    }
}
