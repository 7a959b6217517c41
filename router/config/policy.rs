//! The `[policy]` section: what is done where the RFCs leave the choice, and the keys of a port
//! for the same.
#![forbid(unsafe_code)]

use super::section::{Keys, Section};
use crate::table::policy::{OptionPolicy, Policy, PortPolicy};

pub(super) const KEYS: Keys = &["class_e", "link_local4", "ipv4_options", "hop_by_hop"];

pub(super) fn read(section: &mut Section<'_, '_>) -> Policy {
    let default = Policy::default();
    Policy {
        class_e: section.boolean("class_e").unwrap_or(default.class_e),
        link_local4: section.boolean("link_local4").unwrap_or(default.link_local4),
        ipv4_options: options(section, "ipv4_options").unwrap_or(default.ipv4_options),
        hop_by_hop: options(section, "hop_by_hop").unwrap_or(default.hop_by_hop),
    }
}

fn options(section: &mut Section<'_, '_>, key: &str) -> Option<OptionPolicy> {
    use OptionPolicy::{Drop, Ignore, Process};
    section.choice(key, &[("process", Process), ("ignore", Ignore), ("drop", Drop)])
}

/// What a `[[port]]` says of it.
pub(super) fn read_port(section: &mut Section<'_, '_>) -> PortPolicy {
    let default = PortPolicy::default();
    PortPolicy {
        directed_broadcast: section
            .boolean("directed_broadcast")
            .unwrap_or(default.directed_broadcast),
    }
}
