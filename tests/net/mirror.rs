//! A lab for routes of the kernel: two links with the same thing behind them, `ip route` in the
//! router's namespace, and what the router then shows and does.

use std::fs;
use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::{Namespace, Router, Topology, eventually, seconds, started};

/// An address behind the hosts wan and dmz, which both have it.
pub const BEHIND: &str = "203.0.113.1";
pub const BEHIND6: &str = "2001:db8:b::1";
/// Where these are.
pub const NET: &str = "203.0.113.0/24";
pub const NET6: &str = "2001:db8:b::/48";

/// Three links, and something behind two of them.
pub fn lab() -> (Topology, Router) {
    let (net, router) = started(Topology::builder().dmz());
    for host in [&net.wan, net.dmz()] {
        host.run(&format!("ip addr add {BEHIND}/32 dev lo && ip addr add {BEHIND6}/128 dev lo"))
            .succeeds();
    }
    (net, router)
}

/// A command of `ip` in the router's namespace.
#[track_caller]
pub fn ip(router: &Router, command: &str) {
    router.host().run(&format!("ip {command}")).succeeds();
}

/// Wait until the router has such a route to these destinations.
#[track_caller]
pub fn shows(router: &Router, to: &str, wanted: impl Fn(&serde_json::Value) -> bool) {
    shows_within(seconds(5), router, to, wanted);
}

#[track_caller]
pub fn shows_within(
    limit: Duration,
    router: &Router,
    to: &str,
    wanted: impl Fn(&serde_json::Value) -> bool,
) {
    eventually(limit, &format!("the route to {to} is as it should be"), || {
        router.show("routes").iter().any(|route| route["to"] == to && wanted(route))
    });
}

/// Wait until the router has no route to these destinations.
#[track_caller]
pub fn shows_none(router: &Router, to: &str) {
    eventually(seconds(5), &format!("no route to {to}"), || {
        router.show("routes").iter().all(|route| route["to"] != to)
    });
}

/// The kernel, the RIB and the FIB say the same.
#[track_caller]
pub fn verified(router: &Router) {
    router.command("show routes --verify").succeeds();
}

/// Pings from lan go out by this port.
#[track_caller]
pub fn goes_by(net: &Topology, router: &Router, address: &str, port: &str) {
    router.carries(port, 3, || {
        net.lan.run(&format!("ping -c 3 -i 0.01 -W 2 {address}")).succeeds();
    });
}

/// Flows from lan to this address go out by both ports.
#[track_caller]
pub fn goes_by_both(net: &Topology, router: &Router, address: &str) {
    router.carries("wan", 5, || router.carries("dmz", 5, || send_flows(&net.lan, address)));
}

/// 64 flows of one packet each.
#[track_caller]
pub fn send_flows(from: &Namespace, address: &str) {
    let send = format!("for p in $(seq 5001 5064); do echo > /dev/udp/{address}/$p; done");
    from.run(&send).succeeds();
}

/// Whether a route is a daemon's that speaks this protocol, with so many next hops.
pub fn learned(protocol: &'static str, hops: usize) -> impl Fn(&serde_json::Value) -> bool {
    move |route| {
        let there = route["next_hops"].as_array().map_or(0, Vec::len);
        route["protocol"] == protocol && there == hops
    }
}

/// A number of `show kernel`.
#[track_caller]
pub fn kernel(router: &Router, column: &str) -> u64 {
    router.show("kernel")[0][column].as_u64().expect("a number")
}

/// Run a file of commands of `ip` in the router's namespace.
#[track_caller]
pub fn batch(net: &Topology, router: &Router, commands: &str) {
    let file = net.directory.join("batch.ip");
    fs::write(&file, commands).expect("the directory is writable");
    let line = format!("ip -batch {}", file.display());
    router.host().run_for(seconds(120), &line).succeeds();
}

/// `ip` in the router's namespace that does each line as it is told.
#[derive(Debug)]
pub struct Batch {
    ip: Child,
    commands: ChildStdin,
}

impl Batch {
    #[track_caller]
    pub fn start(router: &Router) -> Self {
        let mut ip = Command::new("nsenter")
            .arg(format!("--net={}", router.host().path().display()))
            .args(["ip", "-batch", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("ip is installed");
        let commands = ip.stdin.take().expect("a pipe");
        Self { ip, commands }
    }

    /// Tell it some lines; it may be behind by what a pipe holds.
    #[track_caller]
    pub fn tell(&mut self, lines: &str) {
        writeln!(self.commands, "{lines}").expect("ip reads on");
    }

    /// Wait until it has done them all, and without a mistake.
    #[track_caller]
    pub fn end(self) {
        let Self { mut ip, commands } = self;
        drop(commands);
        assert!(ip.wait().expect("it is our child").success(), "ip has failed");
    }
}

/// `count` routes of /28 from 100.64.0.0 on: `verb` and each by this gateway.
pub fn many(verb: &str, count: u32, via: &str) -> String {
    let line = |n: u32| {
        let to = std::net::Ipv4Addr::from(0x6440_0000 + (n << 4));
        format!("route {verb} {to}/28 via {via} proto bird metric 32\n")
    };
    (0..count).map(line).collect()
}
