//! ICMP errors and redirects, as hosts and their operators see them.

mod net;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use net::flood::{Flood, Limit};
use net::ledger::Books;
use net::{Namespace, Router, Topology, eventually, frames, ip, seconds, sysctl};

/// The defaults of `icmp_errors_per_s` and `icmp_errors_burst`, and those for one host.
const RATE: u64 = 1000;
const BURST: u64 = 200;
const HOST_RATE: u64 = 10;
const HOST_BURST: u64 = 20;

/// More addresses of the lan host, as if there were more hosts.
fn more_hosts(net: &Topology) {
    ip(&format!("-n {} route replace local 10.1.0.128/25 dev eth0", net.lan.name));
    ip(&format!("-n {} route replace local 2001:db8:1::/112 dev eth0", net.lan.name));
}

/// Packets whose TTL ends at the router, from `hosts` of those.
fn expiring(hosts: u8) -> Vec<Vec<u8>> {
    let to4 = Ipv4Addr::new(10, 2, 0, 2);
    (0..hosts).map(|n| frames::udp4_of([10, 1, 0, 128 + n], to4, 1, 18)).collect()
}

/// Whether a traceroute and an mtr from this address have no gap.
fn answers_all(net: &Topology, from: &str) -> bool {
    let trace = net.lan.run(&format!("traceroute -n -q 3 -w 2 -s {from} 10.2.0.2")).succeeds();
    let report = net.lan.run(&format!("mtr -r -n -c 10 -i 0.2 -a {from} 10.2.0.2")).succeeds();
    let first = report.stdout.lines().find(|line| line.contains("10.1.0.1 "));
    let complete = first.is_some_and(|line| line.contains(" 0.0%"));
    complete && trace.has(" 1  10.1.0.1 ") && trace.has(" 2  10.2.0.2 ") && !trace.has("*")
}

#[test]
fn a_quiet_host_gets_every_answer_while_others_flood() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    more_hosts(&net);
    let router = Router::start(&net, &net.config());
    net.lan.run("ping -c 1 10.2.0.2 && ping -6 -c 1 2001:db8:2::2").succeeds();
    let start = Instant::now();
    let to6 = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2);
    let noise = [expiring(2), vec![frames::udp6(to6, 1, 18)]].concat();
    let limit = Limit { frames: u64::MAX, time: seconds(60), per_second: 3000 };
    let flood = Flood::start(&net.lan, noise, limit);
    eventually(seconds(5), "the flood is refused", || {
        router.counter("lan", "icmp_suppressed") > 500
    });
    let quiet = ["10.1.0.2", "10.1.0.250", "10.1.0.251"];
    let answered = quiet.map(|host| answers_all(&net, host)).into_iter().filter(|all| *all).count();
    // One pair of hosts in 1024 shares a bucket: that two of these are unlucky will not happen.
    assert!(answered >= 2, "{answered} of {quiet:?}");
    let sent = flood.stop();
    let errors = router.counter("lan", "icmp_errors");
    let elapsed = start.elapsed().as_secs() + 1;
    // Two hosts and one that floods over IPv6; of each quiet one three probes of traceroute and
    // ten of mtr.
    let most = 3 * (HOST_BURST + HOST_RATE * elapsed) + 3 * (3 + 10);
    eprintln!("{errors} errors in {elapsed} s, at most {most}, for {sent:?}");
    assert!(errors <= most && errors > 3 * HOST_BURST);
    Books::at_rest(&router).close();
    router.stop();
}

#[test]
fn all_errors_together_keep_to_the_budget() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    more_hosts(&net);
    let router = Router::start(&net, &net.config());
    net.lan.run("ping -c 1 10.2.0.2").succeeds();
    let (before, start) = (net.lan.received(), Instant::now());
    let limit = Limit { frames: u64::MAX, time: seconds(5), per_second: 10_000 };
    let sent = Flood::start(&net.lan, expiring(120), limit).wait();
    // The router has other things to say as well: it asks for each of the 120.
    let received = net.lan.received() - before;
    let errors = router.counter("lan", "icmp_errors");
    let most = BURST + RATE * (start.elapsed().as_secs() + 1);
    eprintln!("{errors} errors, at most {most}, for {sent:?}; the host had {received} frames");
    assert!(errors <= most && received <= most + 500);
    assert!(errors > RATE, "half of the rate is for everybody");
    let refused = router.counter("lan", "icmp_suppressed");
    assert_eq!(router.dropped(net::names::reason::TTL_EXCEEDED), errors + refused);
    // The kernel's answers are not of this budget.
    net.lan.run("ping -c 20 -i 0.01 10.1.0.1").succeeds().says(" 0% packet loss");
    Books::at_rest(&router).close();
}

#[test]
fn a_host_is_redirected_and_its_packets_are_forwarded() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let gateway = |address: &str| {
        format!(
            "[[neighbour]]\naddress = \"{address}\"\nmac = \"02:00:00:00:00:03\"\nport = \"lan\""
        )
    };
    let config = net.config().and(&gateway("10.1.0.3")).and(&gateway("fe80::3"));
    let config = config
        .route("10.7.0.0/16", "10.1.0.3")
        .and("[[route]]\nto = \"2001:db8:7::/48\"\nvia = \"fe80::3\"\nport = \"lan\"");
    let router = Router::start(&net, &config);
    sysctl(
        &net.lan,
        &["net.ipv4.conf.all.accept_redirects=1", "net.ipv4.conf.eth0.accept_redirects=1"],
    );
    sysctl(&net.lan, &["net.ipv6.conf.eth0.accept_redirects=1"]);
    // A host believes its first hop only, and knows a router by its link-local address.
    let first_hop = "fe80::aff:fe01:1";
    ip(&format!("-n {} -6 route replace default via {first_hop} dev eth0", net.lan.name));
    // It goes over to a neighbour that it has, not to a name.
    known_neighbour(&net.lan, "eth0", "10.1.0.3");
    net.lan.run("ping -c 1 10.2.0.2 && ping -6 -c 1 2001:db8:2::2").succeeds();
    let goes = |to: &str, by: &str| net.lan.run(&format!("ip route get {to}")).has(by);
    assert!(goes("10.7.0.7", "via 10.1.0.1 ") && goes("2001:db8:7::7", first_hop));
    let forwarded = router.transmitted("lan");
    net.lan.run("ping -c 1 -W 1 10.7.0.7").fails().says("Redirect Host(New nexthop: 10.1.0.3)");
    net.lan.run("ping -6 -c 1 -W 1 2001:db8:7::7").fails();
    eventually(seconds(3), "the host has learned both ways", || {
        goes("10.7.0.7", "via 10.1.0.3 ") && goes("2001:db8:7::7", "via fe80::3 ")
    });
    assert_eq!(router.counter("lan", "redirects"), 2);
    assert!(router.transmitted("lan") >= forwarded + 4, "two packets, two redirects");
}

fn known_neighbour(of: &Namespace, device: &str, address: &str) {
    let mac = "02:00:00:00:00:03";
    ip(&format!("-n {} neigh replace {address} lladdr {mac} dev {device} nud permanent", of.name));
}

/// RFC 1812 5.2.7.2, RFC 4861 8.2: a router does not listen to redirects, neither its workers nor,
/// which is the danger, the kernel behind its taps.
#[test]
fn a_redirect_to_the_router_changes_nothing() {
    needs_xrouter!();
    let net = Topology::builder().far().build();
    // Unless told otherwise at both, the kernel listens (`IN_DEV_RX_REDIRECTS`).
    sysctl(&net.router, &["net.ipv4.conf.all.accept_redirects=1"]);
    // IPv6 believes the gateway that is in use, by its link-local address.
    let by_link_local =
        "[[route]]\nto = \"2001:db8:4::/64\"\nvia = \"fe80::aff:fe02:2\"\nport = \"wan\"";
    let router = Router::start(&net, &net.config().and(by_link_local));
    known_neighbour(router.host(), "wan", "10.2.0.66");
    router.host().run("ping -c 1 10.3.0.2 && ping -6 -c 1 2001:db8:3::2").succeeds();
    let script = r#"
# As the kernel wants it: about an echo reply of its own, from the gateway in use, which names a
# neighbour.
quote = IP(src="10.2.0.1", dst="10.3.0.2") / ICMP(type=0, id=1, seq=1) / Raw(b"x" * 8)
message = ICMP(type=5, code=1, gw="10.2.0.66") / Raw(bytes(quote))
wan.send(Ether(src=WAN, dst=ROUTER_WAN) / IP(src=WAN4, dst="10.2.0.1") / message)

link_local = "fe80::aff:fe02:2"
quote = IPv6(src="2001:db8:2::1", dst="2001:db8:4::4") / ICMPv6EchoReply(id=1, seq=1)
option = ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:00:03") / ICMPv6NDOptRedirectedHdr(pkt=bytes(quote))
message = ICMPv6ND_Redirect(tgt="fe80::66", dst="2001:db8:4::4") / option
wan.send(Ether(src=WAN, dst=ROUTER_WAN) / IPv6(src=link_local, dst="2001:db8:2::1", hlim=255) / message)
"#;
    net.wan.scapy(script).succeeds();
    // What was sent before this has been looked at.
    net.wan.run("ping -c 2 -i 0.2 10.2.0.1 && ping -6 -c 2 -i 0.2 2001:db8:2::1").succeeds();
    router.host().run("ip route get 10.3.0.2").succeeds().says("via 10.2.0.2 ");
    router.host().run("ip route get 2001:db8:4::4").succeeds().says("via fe80::aff:fe02:2 ");
    router.host().run("ping -c 1 10.3.0.2 && ping -6 -c 1 2001:db8:3::2").succeeds();
}
