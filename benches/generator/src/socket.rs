//! Packets of a socket: each is an skb, as a real host's behind a veth.

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::{mem, ptr};

use anyhow::{Context, Result};

use crate::frame::LENGTH;
use crate::stop;

/// Packets for each system call.
const BATCH: usize = 64;

/// Sends until a signal comes; says how many frames.
pub fn send(device: i32, frame: &[u8; LENGTH]) -> Result<u64> {
    let socket = open(device).context("packet socket")?;
    let mut data = libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: LENGTH };
    // SAFETY: zero is a valid value of every field.
    let mut message: libc::mmsghdr = unsafe { mem::zeroed() };
    message.msg_hdr.msg_iov = &raw mut data;
    message.msg_hdr.msg_iovlen = 1;
    let mut messages = [message; BATCH];
    let mut sent = 0;
    while !stop::requested() {
        // SAFETY: `messages` point to `data`, and that to `frame`; all live on.
        let count =
            unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), BATCH as u32, 0) };
        match u64::try_from(count) {
            Ok(count) => sent += count,
            Err(_) => survive(io::Error::last_os_error())?,
        }
    }
    Ok(sent)
}

/// A full queue is no reason to end.
fn survive(error: io::Error) -> Result<()> {
    match (error.kind(), error.raw_os_error()) {
        (ErrorKind::Interrupted | ErrorKind::WouldBlock, _) | (_, Some(libc::ENOBUFS)) => Ok(()),
        _ => Err(error).context("sendmmsg"),
    }
}

/// Protocol 0: it receives nothing.
fn open(device: i32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: zero is a valid value of every field.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = device;
    let length = mem::size_of_val(&address) as u32;
    // SAFETY: an address of the length that is said.
    match unsafe { libc::bind(fd, ptr::from_ref(&address).cast(), length) } {
        0 => Ok(socket),
        _ => Err(io::Error::last_os_error()),
    }
}
