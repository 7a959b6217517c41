//! A device as a wire: frames are sent out of it as they are, and what arrives at it is read as it
//! came. An AF_PACKET socket, opened by a thread that enters the namespace.
//!
//! ```ignore
//! let (lan, wan) = (Wire::open(&net.lan, "eth0"), Wire::open(&net.wan, "eth0"));
//! lan.send([&frame]);
//! let heard = collect(&[&lan, &wan], Duration::from_millis(50), seconds(2));
//! let (at_lan, at_wan) = (&heard[0], &heard[1]);
//! ```
//!
//! A wire hears everything that arrives, whoever it is for, before the kernel's stack and its
//! filters do; never what the machine itself sends out of the device. What is sent goes past all
//! queues and filters, too. Also a tap is a wire: what arrives there is what the program behind it
//! has written.
//!
//! Before working here, read packet(7), and in `net/packet/af_packet.c` `packet_rcv` and
//! `packet_recvmsg`.

use std::fs::File;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use super::command::Namespace;

/// Octets of frames that may wait to be read, as the kernel accounts them.
const BUFFER: libc::c_int = 64 << 20;
/// Longest frame: what the kernel makes of segments that it merges.
const FRAME_MAX: usize = (64 << 10) + 64;
/// Where a VLAN tag stands in a frame.
const TAG: usize = 12;

/// A device of a namespace, as a wire.
#[derive(Debug)]
pub struct Wire {
    /// For messages: `namespace/device`.
    name: String,
    socket: OwnedFd,
}

/// A frame that has arrived.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Heard {
    /// All of it, the VLAN tag in its place.
    pub octets: Vec<u8>,
    /// Its transport checksum is still to be computed: there is no real card between.
    pub unfinished: bool,
}

impl Wire {
    /// Listen from now on.
    #[track_caller]
    pub fn open(namespace: &Namespace, device: &str) -> Self {
        let name = format!("{}/{device}", namespace.name);
        let socket = socket_in(namespace, device, libc::ETH_P_ALL).and_then(|socket| {
            set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, BUFFER)?;
            set(&socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, 1)?;
            set(&socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1)?;
            set(&socket, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, 1)?;
            Ok(socket)
        });
        Self { socket: socket.unwrap_or_else(|error| panic!("{name}: {error}")), name }
    }

    /// Send these frames, one after the other. The device must take them all.
    #[track_caller]
    pub fn send<F: AsRef<[u8]>>(&self, frames: impl IntoIterator<Item = F>) {
        for frame in frames {
            let sent = self.try_send(frame.as_ref());
            sent.unwrap_or_else(|error| panic!("{} does not send: {error}", self.name));
        }
    }

    /// Send one frame.
    ///
    /// # Errors
    /// `EMSGSIZE`: longer than the device's MTU with a header and a tag. `EINVAL`: shorter than an
    /// Ethernet header.
    pub fn try_send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: reads as many octets as the frame has.
        let sent =
            unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        match sent {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// What has arrived since the last look.
    #[track_caller]
    pub fn heard(&self) -> Vec<Heard> {
        let frames = std::iter::from_fn(|| receive(&self.socket).transpose());
        let frames: io::Result<Vec<_>> = frames.collect();
        let lost = lost(&self.socket);
        assert!(matches!(lost, Ok(0)), "{}: frames arrived and were lost: {lost:?}", self.name);
        frames.unwrap_or_else(|error| panic!("{} does not receive: {error}", self.name))
    }
}

/// Read these wires until nothing has arrived at any of them for `quiet`, but no longer than
/// `limit`. What arrived at each, in order.
#[track_caller]
pub fn collect(wires: &[&Wire], quiet: Duration, limit: Duration) -> Vec<Vec<Heard>> {
    let deadline = Instant::now() + limit;
    let mut heard = vec![Vec::new(); wires.len()];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || !wait(wires, quiet.min(left)) {
            return heard;
        }
        for (wire, heard) in wires.iter().zip(&mut heard) {
            heard.extend(wire.heard());
        }
    }
}

/// Wait until something has arrived; false if nothing does within `limit`.
pub fn wait(wires: &[&Wire], limit: Duration) -> bool {
    let poll = |wire: &&Wire| libc::pollfd {
        fd: wire.socket.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut polls: Vec<_> = wires.iter().map(poll).collect();
    let count = libc::nfds_t::try_from(polls.len()).expect("few");
    let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX).max(1);
    // SAFETY: as many elements as said, which live through the call.
    unsafe { libc::poll(polls.as_mut_ptr(), count, limit) > 0 }
}

/// A raw socket bound to a device of a namespace. It receives what is of this `protocol`; of 0
/// nothing is.
pub(super) fn socket_in(
    namespace: &Namespace,
    device: &str,
    protocol: libc::c_int,
) -> io::Result<OwnedFd> {
    let open = || {
        enter(&namespace.path())?;
        packet_socket(device, protocol)
    };
    // A thread of its own enters the namespace and ends there; the socket stays.
    std::thread::scope(|scope| scope.spawn(open).join().expect("it does not panic"))
}

/// Have this thread live in a namespace, named by its file.
pub(super) fn enter(namespace: &Path) -> io::Result<()> {
    let namespace = File::open(namespace)?;
    // SAFETY: an open file, and a call that changes this thread only.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

fn packet_socket(device: &str, protocol: libc::c_int) -> io::Result<OwnedFd> {
    let name = std::ffi::CString::new(device)?;
    // Of no protocol until it is bound: it would hear every device.
    // SAFETY: takes no pointers.
    let fd =
        check(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the socket was made just now and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all zeros are a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
    address.sll_protocol = u16::try_from(protocol).map_err(io::Error::other)?.to_be();
    // SAFETY: a string that ends with 0 and lives through the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(io::Error::last_os_error());
    }
    address.sll_ifindex = i32::try_from(index).map_err(io::Error::other)?;
    let pointer = (&raw const address).cast();
    let length = length_of::<libc::sockaddr_ll>();
    // SAFETY: the address lives through the call, and its length is given.
    check(unsafe { libc::bind(socket.as_raw_fd(), pointer, length) })?;
    Ok(socket)
}

/// The next frame that has arrived; None if none has.
fn receive(socket: &OwnedFd) -> io::Result<Option<Heard>> {
    let mut octets = vec![0; FRAME_MAX];
    // Aligned as a control message's header is.
    let mut control = [0_u64; 8];
    let mut part = libc::iovec { iov_base: octets.as_mut_ptr().cast(), iov_len: octets.len() };
    let mut message = libc::msghdr {
        msg_name: null_mut(),
        msg_namelen: 0,
        msg_iov: &raw mut part,
        msg_iovlen: 1,
        msg_control: control.as_mut_ptr().cast(),
        msg_controllen: size_of_val(&control),
        msg_flags: 0,
    };
    // SAFETY: the message and all that it points to live through the call, as long as said.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    let Ok(length) = usize::try_from(length) else {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
    };
    if message.msg_flags & libc::MSG_TRUNC != 0 {
        return Err(io::Error::other("a frame that is too long"));
    }
    octets.truncate(length);
    Ok(Some(Heard::new(octets, &auxiliary(&message)?)))
}

/// What the kernel says about a frame beside its octets.
fn auxiliary(message: &libc::msghdr) -> io::Result<libc::tpacket_auxdata> {
    // SAFETY: recvmsg() has filled in the message, and its control octets live still.
    let header = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: null, or a header within the control octets, which are aligned for it.
    let header = unsafe { header.as_ref() };
    let kind = header.map(|header| (header.cmsg_level, header.cmsg_type));
    let Some(header) = header.filter(|_| kind == Some((libc::SOL_PACKET, libc::PACKET_AUXDATA)))
    else {
        return Err(io::Error::other("a frame without PACKET_AUXDATA"));
    };
    // SAFETY: the header is followed by its data.
    let data = unsafe { libc::CMSG_DATA(header) };
    // SAFETY: of this level and type it is a tpacket_auxdata, wherever it lies.
    Ok(unsafe { data.cast::<libc::tpacket_auxdata>().read_unaligned() })
}

impl Heard {
    /// The kernel takes the outer VLAN tag out of a frame: it is put back.
    fn new(mut octets: Vec<u8>, said: &libc::tpacket_auxdata) -> Self {
        let is = |status| said.tp_status & status != 0;
        if is(libc::TP_STATUS_VLAN_VALID) {
            let type_known = is(libc::TP_STATUS_VLAN_TPID_VALID);
            let ether_type = if type_known { said.tp_vlan_tpid } else { 0x8100 };
            let tag = [ether_type.to_be_bytes(), said.tp_vlan_tci.to_be_bytes()].concat();
            octets.splice(TAG..TAG, tag);
        }
        Self { octets, unfinished: is(libc::TP_STATUS_CSUMNOTREADY) }
    }
}

/// Frames that arrived since the last call and found no room in the socket's buffer.
fn lost(socket: &OwnedFd) -> io::Result<u32> {
    let mut counted = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
    let mut length = length_of::<libc::tpacket_stats>();
    let (level, option) = (libc::SOL_PACKET, libc::PACKET_STATISTICS);
    let pointer = (&raw mut counted).cast();
    let socket = socket.as_raw_fd();
    // SAFETY: writes at most `length` octets, which live through the call.
    check(unsafe { libc::getsockopt(socket, level, option, pointer, &raw mut length) })?;
    Ok(counted.tp_drops)
}

/// Set an option of a socket that is a number.
pub(super) fn set(
    socket: &impl AsRawFd,
    level: i32,
    option: i32,
    value: libc::c_int,
) -> io::Result<()> {
    let pointer = (&raw const value).cast();
    let length = length_of::<libc::c_int>();
    // SAFETY: reads one number, which lives through the call.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, pointer, length) }).map(drop)
}

fn length_of<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).expect("a small structure")
}

pub(super) fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
