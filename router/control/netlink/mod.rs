//! What is asked of the kernel over rtnetlink: taps that look like their ports, cards that keep
//! quiet under them, static routes and neighbours for the kernel's own packets, news of links.
//!
//! Before working here, read rtnetlink(7), and `Documentation/networking/ip-sysctl.rst` for what
//! [`sysctl`] writes. Everything that is ours in the kernel bears our number ([`PROTOCOL`]), so
//! that it is found again after a crash and nothing of others is touched.
#![forbid(unsafe_code)]

pub mod address;
pub mod belongings;
pub mod feed;
pub mod filters;
pub mod link;
pub mod monitor;
pub mod neighbour;
pub mod object;
pub mod quiet;
mod raw;
pub mod route;
pub mod routes;
pub mod rules;
pub mod statistics;
pub mod sysctl;

use std::io;

use rtnetlink::Handle;

/// `RTPROT_XROUTER`, the origin of our routes (`rtm_protocol`) and addresses (`IFA_PROTO`) in the
/// kernel, as in `ip route show proto 120`. Neither the kernel's `rtnetlink.h`, nor iproute2's or
/// FRR's `rt_protos` has assigned it; it is the letter x.
pub const PROTOCOL: u8 = 120;

/// A connection to the kernel's rtnetlink, in the network namespace of the thread that made it.
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: Handle,
}

/// The kernel did not do what was asked.
#[derive(thiserror::Error, Debug)]
#[error("{object}: {call}: {source}{}", mend(.source))]
pub struct NetlinkError {
    /// The device, the address or the route.
    pub object: String,
    /// What was tried.
    pub call: &'static str,
    /// What the kernel said.
    pub source: io::Error,
}

fn mend(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        // As libc has them; this file does without it.
        Some(1 | 13) => "; run as root or with CAP_NET_ADMIN",
        Some(19) => "; the device is gone",
        Some(95) => "; the kernel was built or booted without it (ipv6.disable=1?)",
        Some(100) => "; the device is down",
        Some(101) => "; the gateway is in no subnet of the device",
        Some(30) => "; mount /proc/sys writable (ProtectKernelTunables=no)",
        _ => "",
    }
}

impl NetlinkError {
    /// Whether the thing to be removed or looked at was not there.
    pub fn is_absent(&self) -> bool {
        // ENOENT, ESRCH (routes), ENODEV, EADDRNOTAVAIL (addresses)
        matches!(self.source.raw_os_error(), Some(2 | 3 | 19 | 99))
    }

    /// Whether the thing to be made was there already, or need not be.
    fn is_there(&self) -> bool {
        // EEXIST, EOPNOTSUPP
        matches!(self.source.raw_os_error(), Some(17 | 95))
    }

    /// Whether the device is down: it is to be tried again when it is up.
    pub fn is_down(&self) -> bool {
        self.source.raw_os_error() == Some(100) // ENETDOWN
    }

    fn new(object: impl ToString, call: &'static str, error: rtnetlink::Error) -> Self {
        let source = match error {
            rtnetlink::Error::NetlinkError(message) => message.to_io(),
            other => io::Error::other(other),
        };
        Self { object: object.to_string(), call, source }
    }
}

impl Netlink {
    /// Connect. The connection is served by a task of the current Tokio runtime, and ends with the
    /// last clone of this.
    ///
    /// # Errors
    /// [`NetlinkError`], if no socket can be had.
    pub fn connect() -> Result<Self, NetlinkError> {
        // Strict: the kernel filters dumps by what the request says, so that finding our ten
        // routes does not mean reading a million of others.
        let (connection, handle, _) =
            rtnetlink::new_connection_with_strict_check().map_err(|source| NetlinkError {
                object: "rtnetlink".into(),
                call: "socket",
                source,
            })?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_where_and_how_to_mend_it() {
        let source = io::Error::from_raw_os_error(1);
        let error = NetlinkError { object: "lan".into(), call: "set MTU", source };
        assert!(error.to_string().starts_with("lan: set MTU: Operation not permitted"));
        assert!(error.to_string().ends_with("CAP_NET_ADMIN") && !error.is_absent());
    }
}
