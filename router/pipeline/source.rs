//! Whether a packet can have come from where it says (BCP 38, BCP 84).
#![forbid(unsafe_code)]

use std::net::IpAddr;
use std::ops::ControlFlow::{Break, Continue};

use crate::table::interface::Interface;
use crate::table::policy::SourceValidation;
use crate::table::{Adjacency, AdjacencyKind};

use super::verdict::{DropReason, Step, Verdict};
use super::{Tables, route};

/// Drop a packet that no route leads back to the sender of. A lookup, for the ports that ask for
/// it; the caller exempts the sources that no route can lead to.
#[inline]
pub(super) fn validate(source: IpAddr, interface: &Interface, tables: &Tables) -> Step {
    let port = match interface.policy.source_validation {
        SourceValidation::Off => return Continue(()),
        SourceValidation::Loose => None,
        SourceValidation::Strict => Some(interface.port.octet()),
    };
    let fits = |way: &Adjacency| leads_somewhere(way) && port.is_none_or(|port| way.port == port);
    let back = route(source, tables).is_some_and(|hop| tables.fib.next_hops.any(hop, fits));
    if back { Continue(()) } else { Break(Verdict::Drop(DropReason::SourceUnreachable)) }
}

/// Whether packets for this way leave the router.
pub(super) fn leads_somewhere(way: &Adjacency) -> bool {
    use AdjacencyKind::{Forward, Glean, Incomplete};
    matches!(way.kind(), Forward | Glean | Incomplete)
}
