//! What this kernel cannot do for AF_XDP: asked for with each socket, lived without, and said.
#![forbid(unsafe_code)]

use crate::io::xsk::{BindMode, Socket};

const NO_METADATA: &str = "no AF_XDP TX metadata (Linux 6.8 has it): the worker finishes the checksums that a host \
     behind a veth or tap leaves to its card; `ethtool -K DEVICE tx off` at the host saves the time";
const NO_BUDGET: &str = "no AF_XDP transmit budget (Linux 6.17 has it): sending takes a system call for each 32 packets";

/// What a card's sockets asked the kernel for and did not get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lacks {
    /// The kernel does not finish checksums.
    tx_metadata: bool,
    /// The kernel sends a few packets in a call, whatever lies in the ring.
    tx_budget: bool,
}

impl Lacks {
    /// What these sockets lack. In zero-copy mode the card sends, and both are its matter.
    pub fn of<'s>(sockets: impl IntoIterator<Item = &'s Socket>) -> Self {
        let copies = |socket: &&Socket| socket.mode() == BindMode::Copy;
        let mut lacks = Self { tx_metadata: false, tx_budget: false };
        for socket in sockets.into_iter().filter(copies) {
            lacks.tx_metadata |= !socket.tx_metadata();
            lacks.tx_budget |= !socket.tx_budget();
        }
        lacks
    }

    /// In words, with what it costs and the mend; empty if nothing is missing.
    pub fn text(self) -> String {
        let notes = [(self.tx_metadata, NO_METADATA), (self.tx_budget, NO_BUDGET)];
        let missing: Vec<_> = notes.iter().filter(|(is, _)| *is).map(|(_, note)| *note).collect();
        if missing.is_empty() {
            return String::new();
        }
        format!("this kernel has {}", missing.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_said() {
        let text = |tx_metadata, tx_budget| Lacks { tx_metadata, tx_budget }.text();
        assert_eq!(text(false, false), "");
        assert!(!text(true, false).contains("budget"));
        assert!(!text(false, true).contains("metadata"));
        let both = text(true, true);
        assert!(both.contains("metadata") && both.contains("budget"), "{both}");
    }
}
