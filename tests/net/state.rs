//! The machine as an operator finds it, before the router and after.

use super::command::Namespace;

/// What an operator finds in the router's namespace, without what moves by itself.
pub fn state(namespace: &Namespace) -> String {
    let looks = [
        "ip -d link show",
        "ip -br addr show",
        "ip route show table all",
        "ip -6 route show table all | sed 's/expires [^ ]*//'",
        "ip rule; ip -6 rule",
        "bpftool net",
        "tc qdisc show",
        "for d in lan0 wan0; do ethtool -k $d; ethtool -l $d; done",
        "sysctl -a 2>/dev/null | grep -E '^net.(ipv4|ipv6|core)' | \
         grep -vE 'random|stable_secret|nf_|flowcache|rt_cache|fs.|uuid|mem'",
        "ls /sys/fs/bpf",
    ];
    looks.map(|look| format!("# {look}\n{}", namespace.run(look).stdout)).join("\n")
}

/// The two differ in no line.
#[track_caller]
pub fn same_state(before: &str, after: &str) {
    let differs = |a: &str, b: &str| -> Vec<_> {
        a.lines().filter(|line| !b.contains(line)).map(str::to_owned).collect()
    };
    let (gone, new) = (differs(before, after), differs(after, before));
    assert!(gone.is_empty() && new.is_empty(), "gone: {gone:#?}\nnew: {new:#?}");
}
