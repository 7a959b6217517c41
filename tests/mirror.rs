//! Routes that `ip route` and routing daemons put into the kernel, forwarded by: what
//! `router/control/mirror.rs` makes of them.

mod net;

use net::{Router, Topology, eventually, seconds, started};

/// An address behind the hosts wan and dmz, which both have it.
const BEHIND: &str = "203.0.113.1";
const BEHIND6: &str = "2001:db8:b::1";
/// Where these are.
const NET: &str = "203.0.113.0/24";

/// Three links, and something behind two of them.
fn lab() -> (Topology, Router) {
    let (net, router) = started(Topology::builder().dmz());
    for host in [&net.wan, net.dmz()] {
        host.run(&format!("ip addr add {BEHIND}/32 dev lo && ip addr add {BEHIND6}/128 dev lo"))
            .succeeds();
    }
    (net, router)
}

/// A command of `ip` in the router's namespace.
#[track_caller]
fn ip(router: &Router, command: &str) {
    router.host().run(&format!("ip {command}")).succeeds();
}

/// Wait until the router has as many routes to these destinations as it should.
#[track_caller]
fn shows(router: &Router, to: &str, wanted: impl Fn(&serde_json::Value) -> bool) {
    eventually(seconds(5), &format!("the route to {to} is as it should be"), || {
        router.show("routes").iter().any(|route| route["to"] == to && wanted(route))
    });
}

#[track_caller]
fn shows_none(router: &Router, to: &str) {
    eventually(seconds(5), &format!("no route to {to}"), || {
        router.show("routes").iter().all(|route| route["to"] != to)
    });
}

/// The kernel, the RIB and the FIB say the same.
#[track_caller]
fn verified(router: &Router) {
    router.command("show routes --verify").succeeds();
}

/// Pings from lan go out by this port.
#[track_caller]
fn goes_by(net: &Topology, router: &Router, address: &str, port: &str) {
    router.carries(port, 3, || {
        net.lan.run(&format!("ping -c 3 -i 0.01 -W 2 {address}")).succeeds();
    });
}

#[test]
fn a_route_of_the_kernel_is_forwarded_by_until_it_goes() {
    needs_xrouter!();
    let (net, router) = lab();
    let ping = |address: &str| net.lan.run(&format!("ping -c 1 -W 1 {address}"));
    ping(BEHIND).fails();
    ip(&router, &format!("route add {NET} via 10.2.0.2 proto bird metric 32"));
    shows(&router, NET, |route| {
        route["origin"] == "kernel" && route["protocol"] == "bird" && route["metric"] == 32
    });
    goes_by(&net, &router, BEHIND, "wan");
    router.command("show routes").succeeds().says("kernel bird");
    ip(&router, &format!("route replace {NET} via 10.4.0.2 proto bird metric 32"));
    shows(&router, NET, |route| route["port"] == "dmz");
    goes_by(&net, &router, BEHIND, "dmz");
    verified(&router);
    ip(&router, &format!("route del {NET}"));
    shows_none(&router, NET);
    ping(BEHIND).fails();
    verified(&router);
}
