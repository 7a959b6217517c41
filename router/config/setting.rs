//! Every key that stands once in a file, by its name and as the difference of two files shows it.
#![forbid(unsafe_code)]

use std::fmt::Debug;

use super::{Config, Port};

/// A key of `T`, and its value as text.
pub(super) type Key<T> = (&'static str, fn(&T) -> String);

/// What a running router follows.
pub(super) const LIVE: &[Key<Config>] = &[
    ("[router] fastpath", |c| word(c.router.fastpath)),
    ("[router] icmp_errors_per_s", |c| word(c.router.icmp_errors_per_s)),
    ("[router] icmp_errors_burst", |c| word(c.router.icmp_errors_burst)),
    ("[router] icmp_errors_per_host_per_s", |c| word(c.router.icmp_errors_per_host_per_s)),
    ("[router] icmp_errors_per_host_burst", |c| word(c.router.icmp_errors_per_host_burst)),
    ("[policy] class_e", |c| word(c.policy.class_e)),
    ("[policy] link_local4", |c| word(c.policy.link_local4)),
    ("[policy] icmp_error_source", |c| word(c.policy.icmp_error_source)),
    ("[policy] tiny_fragments", |c| word(c.policy.tiny_fragments)),
    ("[policy] ipv4_options", |c| word(c.policy.ipv4_options)),
    ("[policy] hop_by_hop", |c| word(c.policy.hop_by_hop)),
    // In the order of the classes.
    ("[police] neighbour_per_s", |c| word(c.police.per_s[0])),
    ("[police] routing_per_s", |c| word(c.police.per_s[1])),
    ("[police] management_per_s", |c| word(c.police.per_s[2])),
    ("[police] icmp_per_s", |c| word(c.police.per_s[3])),
    ("[police] other_per_s", |c| word(c.police.per_s[4])),
    ("[police] management_ports", |c| word(&c.police.management_ports)),
    ("[resolution] reachable_s", |c| word(c.resolution.reachable.as_secs())),
    ("[resolution] delay_s", |c| word(c.resolution.delay.as_secs())),
    ("[resolution] retransmit_ms", |c| word(c.resolution.retransmit.as_millis())),
    ("[resolution] probes", |c| word(c.resolution.probes)),
    ("[resolution] stale_s", |c| word(c.resolution.stale.as_secs())),
    ("[resolution] failed_hold_s", |c| word(c.resolution.failed_hold.as_secs())),
];

/// What memory, threads, sockets and taps are made with at start, once.
pub(super) const AT_START: &[Key<Config>] = &[
    ("[router] workers", |c| optional(c.router.workers.as_ref())),
    ("[router] poll", |c| word(c.router.poll)),
    ("[router] huge_pages", |c| word(c.router.huge_pages)),
    ("[router] ring", |c| word(c.router.ring)),
    ("[router] frames", |c| optional(c.router.frames)),
    ("[router] busy_poll_us", |c| word(c.router.busy_poll_us)),
    ("[router] busy_poll_budget", |c| word(c.router.busy_poll_budget)),
    ("[router] taps_persist", |c| word(c.router.taps_persist)),
    ("[router] on_exit", |c| word(c.router.on_exit)),
    ("[router] hash_seed", |c| optional(c.router.hash_seed)),
    ("[tables] neighbours", |c| word(c.tables.neighbours)),
    ("[tables] ipv4_groups", |c| word(c.tables.ipv4_groups)),
    ("[tables] ipv6_nodes", |c| word(c.tables.ipv6_nodes)),
    ("[tables] ipv6_skips", |c| word(c.tables.ipv6_skips)),
    ("[tables] next_hops", |c| word(c.tables.next_hops)),
    ("[tables] ecmp_groups", |c| word(c.tables.ecmp_groups)),
    ("[tables] hold_packets", |c| word(c.tables.hold_packets)),
    ("[kernel] routes", |c| word(c.kernel.routes)),
    ("[kernel] tables", |c| word(&c.kernel.tables)),
    ("[kernel] ignore_protocols", |c| word(&c.kernel.ignore_protocols)),
    ("[api] socket", |c| word(&c.api.socket)),
    ("[api] listen", |c| word(&c.api.listen)),
];

/// Another value of these is another card, or another way to use it: the port is taken anew.
pub(super) const OF_CARD: &[Key<Port>] = &[
    ("device", |p| p.device.clone()),
    ("mode", |p| word(p.mode)),
    ("queues", |p| optional(p.queues)),
];

/// What a port follows while it is in use. Its addresses are not among these.
pub(super) const OF_PORT: &[Key<Port>] = &[
    ("mtu", |p| optional(p.mtu)),
    ("fastpath", |p| word(p.fastpath)),
    ("directed_broadcast", |p| word(p.policy.directed_broadcast)),
    ("source_validation", |p| word(p.policy.source_validation)),
    ("redirects", |p| word(p.policy.redirects)),
    ("proxy_arp", |p| word(p.policy.proxy_arp)),
];

/// A value as it stands in a file: `ZeroCopy` is "zero-copy" there.
fn word(value: impl Debug) -> String {
    let mut text = String::new();
    for c in format!("{value:?}").chars() {
        if c.is_uppercase() && text.ends_with(char::is_lowercase) {
            text.push('-');
        }
        text.extend(c.to_lowercase());
    }
    text
}

fn optional(value: Option<impl Debug>) -> String {
    value.map_or_else(|| "left out".to_owned(), word)
}
