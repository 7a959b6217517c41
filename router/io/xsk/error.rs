//! Why a socket could not be made, and what to do about it.

use std::fmt;
use std::io;

use thiserror::Error;

/// Which call failed, where, and what the kernel said.
#[derive(Debug)]
pub struct Failure {
    /// The device, or `interface N` if it is gone.
    pub device: String,
    /// The device's queue, counted from 0.
    pub queue: u32,
    /// The system call and its option.
    pub call: &'static str,
    /// The kernel's answer.
    pub cause: io::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, queue, call, cause } = self;
        write!(f, "{device} queue {queue}: {call}: {cause}")
    }
}

/// An AF_XDP socket could not be made.
#[derive(Debug, Error)]
pub enum XskError {
    /// Another socket has the queue, and kept it for as long as we waited.
    #[error("{0}; another program uses this queue with AF_XDP: stop it (`ss --xdp -p` names it)")]
    Busy(Failure),
    /// A capability is missing.
    #[error("{0}; run as root, or grant CAP_NET_RAW and CAP_NET_ADMIN")]
    Permission(Failure),
    /// The kernel may not pin that much memory, or has not that much.
    #[error(
        "{0}; raise the limit of locked memory (`LimitMEMLOCK=infinity`, `ulimit -l \
             unlimited`) or grant CAP_IPC_LOCK, or use fewer frames"
    )]
    Memory(Failure),
    /// The driver cannot do the mode that was asked for.
    #[error("{0}; the driver has no zero-copy: set the port's mode to \"auto\" or \"copy\"")]
    NoZeroCopy(Failure),
    /// The device has no such queue.
    #[error("{0}; the device has no such queue in use: see `ethtool -l`")]
    NoSuchQueue(Failure),
    /// The rings cannot have that many entries.
    #[error("{0}; a ring's size is a power of two")]
    RingSize(Failure),
    /// The device is down or has gone.
    #[error("{0}; the device is down or has gone: `ip link set dev DEVICE up`")]
    Down(Failure),
    /// This kernel has no AF_XDP.
    #[error("{0}; this kernel was built without AF_XDP (CONFIG_XDP_SOCKETS)")]
    Unsupported(Failure),
    /// Something else.
    #[error("{0}")]
    Other(Failure),
}

impl XskError {
    /// Name the mend by the call and the kernel's answer.
    pub(super) fn new(failure: Failure) -> Self {
        let binding = failure.call == super::bind::BIND;
        match failure.cause.raw_os_error() {
            Some(libc::EBUSY) => Self::Busy(failure),
            Some(libc::EPERM | libc::EACCES) => Self::Permission(failure),
            Some(libc::ENOBUFS | libc::ENOMEM) => Self::Memory(failure),
            Some(libc::EOPNOTSUPP) if binding => Self::NoZeroCopy(failure),
            Some(libc::EINVAL) if binding => Self::NoSuchQueue(failure),
            Some(libc::EINVAL) if failure.call.ends_with("_RING") => Self::RingSize(failure),
            Some(libc::ENETDOWN | libc::ENODEV) => Self::Down(failure),
            Some(libc::EAFNOSUPPORT) => Self::Unsupported(failure),
            _ => Self::Other(failure),
        }
    }

    /// What failed.
    pub fn failure(&self) -> &Failure {
        match self {
            Self::Busy(failure)
            | Self::Permission(failure)
            | Self::Memory(failure)
            | Self::NoZeroCopy(failure)
            | Self::NoSuchQueue(failure)
            | Self::RingSize(failure)
            | Self::Down(failure)
            | Self::Unsupported(failure)
            | Self::Other(failure) => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(call: &'static str, errno: i32) -> XskError {
        let cause = io::Error::from_raw_os_error(errno);
        XskError::new(Failure { device: "eth7".to_owned(), queue: 3, call, cause })
    }

    #[test]
    fn the_same_answer_to_two_calls_has_two_mends() {
        let no_queue = error(super::super::bind::BIND, libc::EINVAL);
        assert!(matches!(no_queue, XskError::NoSuchQueue(_)));
        assert!(matches!(error("XDP_RX_RING", libc::EINVAL), XskError::RingSize(_)));
        assert!(matches!(error("XDP_UMEM_REG", libc::EINVAL), XskError::Other(_)));
    }

    #[test]
    fn the_text_says_where_what_and_what_to_do() {
        let text = error("XDP_UMEM_REG", libc::ENOBUFS).to_string();
        for part in ["eth7", "queue 3", "XDP_UMEM_REG", "os error 105", "ulimit -l"] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
    }
}
