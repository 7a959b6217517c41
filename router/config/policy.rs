//! The `[policy]` section: what is done where the RFCs leave the choice, and the keys of a port
//! for the same.
#![forbid(unsafe_code)]

use super::section::{Keys, Section};
use crate::table::policy::{ErrorSource, OptionPolicy, Policy, PortPolicy, SourceValidation};

pub(super) const KEYS: Keys = &[
    "class_e",
    "link_local4",
    "icmp_error_source",
    "tiny_fragments",
    "ipv4_options",
    "hop_by_hop",
];

const ERROR_SOURCES: &[(&str, ErrorSource)] =
    &[("egress", ErrorSource::Egress), ("ingress", ErrorSource::Ingress)];

pub(super) fn read(section: &mut Section<'_, '_>) -> Policy {
    let default = Policy::default();
    Policy {
        class_e: section.boolean("class_e").unwrap_or(default.class_e),
        link_local4: section.boolean("link_local4").unwrap_or(default.link_local4),
        icmp_error_source: section
            .choice("icmp_error_source", ERROR_SOURCES)
            .unwrap_or(default.icmp_error_source),
        tiny_fragments: section.boolean("tiny_fragments").unwrap_or(default.tiny_fragments),
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
        source_validation: read_validation(section).unwrap_or(default.source_validation),
        redirects: section.boolean("redirects").unwrap_or(default.redirects),
        proxy_arp: section.boolean("proxy_arp").unwrap_or(default.proxy_arp),
    }
}

fn read_validation(section: &mut Section<'_, '_>) -> Option<SourceValidation> {
    let choices = [
        ("off", SourceValidation::Off),
        ("strict", SourceValidation::Strict),
        ("loose", SourceValidation::Loose),
    ];
    section.choice("source_validation", &choices)
}
