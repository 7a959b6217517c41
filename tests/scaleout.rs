//! More than one router: they share the load, and one takes over from another, by what networks have for
//! it (OSPF, BGP, BFD), as the examples in config/examples/ have it.

mod net;

use std::time::{Duration, Instant};

use net::canary::{Canary, Flight};
use net::daemon::{bird, birdc, frr};
use net::flow::Flow;
use net::join::{SWITCH, splice, take_link};
use net::mirror::{learned, send_flows, shows, shows_within, verified};
use net::{
    Config, DMZ_DEVICE, HOST_DEVICE, Host, Namespace, Router, Running, Topology, WAN_DEVICE,
    eventually, example, figure, ip, seconds, sysctl,
};

/// The names of the ports between two routers.
const LINKS: [&str; 2] = ["link1", "link2"];
/// How many of 64 flows each way has at least. What daemons say meanwhile is less.
const SHARE: u64 = 12;

/// A router as in an example, in the middle of this network.
fn router(net: &Topology, file: &str) -> Router {
    Router::start(net, &Config::example(&example(file), &net.directory))
}

/// One of two routers, with FRR beside it.
struct Member {
    router: Router,
    _frr: [Running; 2],
    net: Topology,
}

impl Member {
    fn start(net: Topology, place: &str, name: &str, daemon: &str) -> Self {
        let router = router(&net, &format!("{place}/router-{name}.toml"));
        let config = example(&format!("{place}/frr-{name}.conf"));
        let frr = frr(router.host(), "frr", daemon, &config);
        Self { router, _frr: frr, net }
    }
}

/// Two routers with two links between them, each through a switch, and a host behind each router.
///
/// ```text
///  10.1.0.2 ---- lan  a  link1 ---- switch ---- link1  b  lan ---- 10.2.0.2
///                        link2 ---- switch ---- link2
/// ```
struct Pair {
    a: Member,
    b: Member,
    /// Of the routes by which each knows the host behind the other.
    protocol: &'static str,
}

impl Pair {
    /// As in this example.
    fn start(place: &str, daemon: &str, protocol: &'static str) -> Self {
        let a = Topology::builder().dmz().build();
        let b = a.twin();
        splice(&a, &b, |net| &net.wan, WAN_DEVICE);
        splice(&a, &b, Topology::dmz, DMZ_DEVICE);
        renumber(&b.lan);
        let a = Member::start(a, place, "a", daemon);
        let b = Member::start(b, place, "b", daemon);
        Self { a, b, protocol }
    }

    /// Each router has so many ways to the network behind the other.
    fn know_ways(&self, count: usize) {
        for (member, to) in [(&self.a, "10.2.0.0/24"), (&self.b, "10.1.0.0/24")] {
            let wanted = learned(self.protocol, count);
            shows_within(seconds(30), &member.router, to, wanted);
        }
    }

    /// Flows from the one host to the other are shared by both links.
    fn share(&self) {
        let (router, lan) = (&self.a.router, &self.a.net.lan);
        lan.run("ping -c 2 -i 0.2 10.2.0.2").succeeds();
        let send = || send_flows(lan, "10.2.0.2");
        router.carries(LINKS[0], SHARE, || router.carries(LINKS[1], SHARE, send));
        self.verify();
    }

    fn verify(&self) {
        verified(&self.a.router);
        verified(&self.b.router);
    }

    /// The switch of a link that is in use forwards nothing any more, without a word to anybody. The
    /// other link gets the traffic.
    fn cut_a_link_in_use(&self) -> Flight {
        let canary = Canary::between(&self.a.net.lan, &self.b.net.lan);
        let switches = [&self.a.net.wan, self.a.net.dmz()];
        let switch = switches[link_in_use(&self.a.router)];
        ip(&format!("-n {} link set {SWITCH} down", switch.name));
        self.know_ways(1);
        canary.wait_until_seen(seconds(5));
        self.verify();
        canary.stop()
    }

    fn stop(self) {
        self.a.router.stop();
        self.b.router.stop();
    }
}

/// The host behind the second router is in another network than that behind the first.
fn renumber(host: &Host) {
    let host = &host.name;
    ip(&format!("-n {host} addr flush dev {HOST_DEVICE} scope global"));
    for (family, net, bits) in [("-4", "10.2.0.", 24), ("-6", "2001:db8:2::", 64)] {
        ip(&format!("-n {host} addr add {net}2/{bits} dev {HOST_DEVICE}"));
        ip(&format!("-n {host} {family} route replace default via {net}1"));
    }
}

/// The number of the link by which most frames leave.
fn link_in_use(router: &Router) -> usize {
    let before = LINKS.map(|link| router.transmitted(link));
    let mut busy = None;
    eventually(seconds(5), "a link is in use", || {
        busy = (0..2).find(|&n| router.transmitted(LINKS[n]) > before[n] + 100);
        busy.is_some()
    });
    busy.expect("it was found")
}

/// A link that dies without a word is given up when the hellos by it fail to come.
#[test]
fn ospf_uses_both_links_and_then_the_one_that_is_left() {
    needs_xrouter!();
    let pair = Pair::start("ospf", "ospfd", "ospf");
    pair.know_ways(2);
    pair.share();
    let gap = pair.cut_a_link_in_use().longest_gap;
    let asked = "OSPF: a dead link, gap <= 5 s (dead interval 4 s, then the news)";
    figure("scale-out", asked, format!("{gap:.1?}"), gap <= seconds(5));
    pair.stop();
}

/// Next hops are IPv6 link-local addresses, for IPv4 too (RFC 8950).
#[test]
fn bgp_needs_no_addresses_between_two_routers() {
    needs_xrouter!();
    let pair = Pair::start("bgp-unnumbered", "bgpd", "bgp");
    pair.know_ways(2);
    let router = &pair.a.router;
    shows(router, "10.2.0.0/24", |route| {
        let hops = route["next_hops"].as_array().expect("an array");
        hops.iter().all(|hop| hop["via"].as_str().is_some_and(|via| via.starts_with("fe80::")))
    });
    shows_within(seconds(10), router, "2001:db8:2::/64", learned("bgp", 2));
    pair.a.net.lan.run("ping -c 2 -i 0.2 2001:db8:2::2").succeeds();
    pair.share();
    let gap = pair.cut_a_link_in_use().longest_gap;
    let asked = "BGP unnumbered: a dead link, gap <= 4 s (hold time 3 s, then the news)";
    figure("scale-out", asked, format!("{gap:.1?}"), gap <= seconds(4));
    pair.stop();
}

/// The address that both routers have, of `lo`.
const SERVICE: &str = "192.0.2.53";

/// One of the two: the router, and BIRD beside it.
fn server(net: &Topology, name: &str) -> (Router, Running) {
    let router = router(net, &format!("anycast/router-{name}.toml"));
    ip(&format!("-n {} addr add {SERVICE}/32 dev lo", router.host().name));
    let bird = bird(router.host(), "bird", &example(&format!("anycast/bird-{name}.conf")));
    (router, bird)
}

/// The host wan of a network is upstream of its router and of that of its twin, and far is a client.
fn join_upstream(net: &Topology, twin: &Topology) {
    let upstream = &net.wan;
    take_link(upstream, &twin.wan, "eth2");
    ip(&format!("-n {} link set eth2 up", upstream.name));
    ip(&format!("-n {} addr add 10.4.0.2/24 dev eth2", upstream.name));
    ip(&format!("-n {} route del default", upstream.name));
    sysctl(upstream, &["net.ipv4.fib_multipath_hash_policy=1"]);
}

/// Upstream has a route to both, and knows within three intervals when one is gone.
fn both_serve(upstream: &Namespace) -> bool {
    let ways = upstream.run(&format!("ip route show {SERVICE}")).lines_with("nexthop");
    let sessions = birdc(upstream, "upstream", "show bfd sessions");
    ways == 2 && sessions.lines_with("0.300") == 2
}

/// Datagrams that came up to the kernel and found nobody who wants them.
fn unwanted(host: &Namespace) -> u64 {
    let shown = host.run("nstat -asz --json UdpNoPorts").succeeds().stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("nstat writes JSON");
    shown["kernel"]["UdpNoPorts"].as_u64().expect("a number")
}

/// Flows of this client come to both of these hosts.
fn asks_both(client: &Host, hosts: [&Namespace; 2]) {
    let before = hosts.map(unwanted);
    send_flows(client, SERVICE);
    eventually(seconds(5), "both are asked", || {
        hosts.iter().zip(before).all(|(host, before)| unwanted(host) >= before + SHARE)
    });
}

/// Requests are shared by both. When one is killed the other has all of them within BFD's timers, until
/// that one comes back.
#[test]
fn anycast_survives_the_death_of_one_of_two() {
    needs_xrouter!();
    let net = Topology::builder().far().build();
    let twin = net.twin();
    join_upstream(&net, &twin);
    let _upstream = bird(&net.wan, "upstream", &example("anycast/bird-upstream.conf"));
    let [(a, _bird_a), (b, _bird_b)] = [server(&net, "a"), server(&twin, "b")];
    eventually(seconds(20), "both serve", || both_serve(&net.wan));
    net.far().run(&format!("ping -c 2 -i 0.2 {SERVICE}")).succeeds();
    asks_both(net.far(), [&net.router, &twin.router]);

    let flow = Flow::start(net.far(), SERVICE, &[&net.router, &twin.router]);
    let asks_b = flow.first(0, Instant::now(), seconds(1)).is_none();
    eventually(seconds(20), "both serve", || both_serve(&net.wan));
    let (victim, other, left) = if asks_b { (b, 0, a) } else { (a, 1, b) };
    let killed = Instant::now();
    victim.kill();
    let first = flow.first(other, killed, seconds(10)).expect("the other one serves");
    drop(flow);
    let gap = first - killed;
    let (place, name) = if asks_b { (&twin, "b") } else { (&net, "a") };
    let back = router(place, &format!("anycast/router-{name}.toml"));
    eventually(seconds(20), "both serve again", || both_serve(&net.wan));
    let bar = "anycast: one of two killed, gap <= 400 ms (BFD: 3 x 100 ms)";
    figure("scale-out", bar, format!("{gap:.0?}"), gap <= Duration::from_millis(400));
    left.stop();
    back.stop();
}
