//! Options of sockets, for those who make them.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::{io, ptr};

/// Let so many octets wait in the socket, whatever `net.core.rmem_max` says. The kernel counts what
/// they take with its own book-keeping, and doubles the number for that.
///
/// # Errors
/// `EPERM` without CAP_NET_ADMIN.
pub fn force_receive_buffer(socket: BorrowedFd<'_>, octets: i32) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &octets)
}

/// Set a socket option whose value is of the kernel's type `T`.
pub(super) fn set<T: Copy>(
    fd: BorrowedFd<'_>,
    level: i32,
    option: i32,
    value: &T,
) -> io::Result<()> {
    let (value, size) = (ptr::from_ref(value).cast(), length_of::<T>());
    // SAFETY: the kernel reads `size` octets at `value`, which is alive during the call.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, value, size) })
}

/// Octets of a `T`, as system calls count them.
#[expect(clippy::cast_possible_truncation, reason = "asserted to be small")]
pub(super) fn length_of<T>() -> libc::socklen_t {
    const { assert!(size_of::<T>() < 1 << 16) };
    size_of::<T>() as libc::socklen_t
}

/// What a system call returned.
pub(super) fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
