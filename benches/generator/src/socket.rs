//! Packets of a socket: each is an skb, as a real host's behind a veth.

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::{hint, mem, ptr};

use anyhow::{Context, Result};

use crate::packets::Packets;
use crate::stop;
use crate::stream::Pace;

/// Sends until it shall stop; says how many frames.
pub fn send(device: i32, packets: &mut Packets, pace: Pace) -> Result<u64> {
    let socket = open(device).context("packet socket")?;
    let mut frames = vec![packets.blank(); pace.burst as usize];
    let mut due = 0;
    let mut sent = 0;
    while !stop::requested() {
        let now = wait(&mut due, pace);
        let burst: Vec<libc::iovec> = frames
            .iter_mut()
            .map(|frame| libc::iovec {
                iov_len: packets.write(frame, now),
                iov_base: frame.as_mut_ptr().cast(),
            })
            .collect();
        sent += transmit(&socket, burst)?;
    }
    Ok(sent)
}

/// Until the next burst is due; nanoseconds now. As `begin_burst` in traffic.bpf.c.
fn wait(due: &mut u64, pace: Pace) -> u64 {
    let mut time = now();
    if pace.interval > 0 {
        *due = time.saturating_sub(pace.backlog).max(*due);
        while time < *due && !stop::requested() {
            hint::spin_loop();
            time = now();
        }
        *due += pace.interval;
    }
    time
}

/// Nanoseconds of the clock that XDP programs have too.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for the time.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Send all of these frames, unless it shall stop; how many were sent.
fn transmit(socket: &OwnedFd, mut burst: Vec<libc::iovec>) -> Result<u64> {
    let mut messages: Vec<libc::mmsghdr> = burst
        .iter_mut()
        .map(|frame| {
            // SAFETY: zero is a valid value of every field.
            let mut message: libc::mmsghdr = unsafe { mem::zeroed() };
            message.msg_hdr.msg_iov = frame;
            message.msg_hdr.msg_iovlen = 1;
            message
        })
        .collect();
    let mut sent = 0;
    while sent < messages.len() && !stop::requested() {
        let rest = &mut messages[sent..];
        // SAFETY: the messages point to `burst`, and that to the caller's frames; all live on.
        let count =
            unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, 0) };
        match usize::try_from(count) {
            Ok(count) => sent += count,
            Err(_) => survive(io::Error::last_os_error())?,
        }
    }
    Ok(sent as u64)
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
