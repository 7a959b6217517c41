//! All routes of the Internet, as config/examples/bgp has it: FRR tells them by BGP, BIRD beside the router
//! gives them to the kernel, and xrouter forwards by them. A million of them:
//! `SOAK=1 cargo test --release --test full_table`

mod net;

use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;
use net::daemon::{bird, frr, vtysh};
use net::mirror::{BEHIND, NET, goes_by, kernel, verified};
use net::stream::Stream;
use net::{
    Config, Host, Router, Running, Topology, at_length, eventually, example, figure, is_set,
    seconds,
};

/// They come and go so often: the quietest time is the router's own, or the kernel's.
const ROUNDS: usize = 3;
/// Longest that a million routes take, whatever they are waiting for.
const LONGEST: Duration = seconds(180);

/// How many routes there are, and within how many times the time that the kernel takes to have them xrouter
/// has them. A few take so short that it counts what else the cores do, and that nothing is optimised.
fn bar() -> (u32, f64) {
    if is_set("SOAK") { (1_000_000, 1.2) } else { (at_length(50_000, 20_000), 3.0) }
}

/// Prefixes that nobody here uses, as long as most of the Internet's; every fourth has another in it.
fn prefix(n: u32) -> Ipv4Net {
    let length = if n % 4 == 3 { 23 } else { 24 };
    Ipv4Net::new(Ipv4Addr::from(0x1000_0000 + (n << 8)), length).expect("a length of IPv4").trunc()
}

/// FRR in the host wan. It has these routes, and another one, which it never withdraws.
struct Provider<'net> {
    host: &'net Host,
    routes: u32,
    _frr: [Running; 2],
}

impl<'net> Provider<'net> {
    fn start(net: &'net Topology, routes: u32) -> Self {
        let host = &net.wan;
        host.run(&format!("ip addr add {BEHIND}/32 dev lo")).succeeds();
        let all = (0..routes).map(|n| prefix(n).to_string()).chain([NET.to_owned()]);
        let commands: String = all.map(|to| format!("route add blackhole {to}\n")).collect();
        let file = net.directory.join("provider.ip");
        fs::write(&file, commands).expect("the directory is writable");
        host.run_for(LONGEST, &format!("ip -batch {}", file.display())).succeeds();
        let frr = frr(host, "upstream", "bgpd", &example("bgp/frr-upstream.conf"));
        let provider = Self { host, routes, _frr: frr };
        eventually(seconds(10), "bgpd answers", || {
            vtysh(host, "upstream", "bgpd", &["show version"]).ok()
        });
        let only = format!("ip prefix-list TOLD seq 5 permit {NET}");
        let filter = "neighbor 10.2.0.1 prefix-list TOLD out";
        let family = "address-family ipv4 unicast";
        provider.does(&["configure terminal", &only, "router bgp 65002", family, filter]);
        eventually(LONGEST, "FRR has all routes", || provider.knows() > u64::from(routes));
        provider
    }

    /// Commands of bgpd, and what it answers.
    fn does(&self, commands: &[&str]) -> String {
        vtysh(self.host, "upstream", "bgpd", commands).succeeds().stdout
    }

    /// It tells its neighbour all of its routes, or withdraws all but one.
    fn tells_all(&self, all: bool) {
        let no = if all { "" } else { "no " };
        let list = format!("{no}ip prefix-list TOLD seq 10 permit any");
        self.does(&["configure terminal", &list, "end", "clear bgp ipv4 unicast * soft out"]);
    }

    fn knows(&self) -> u64 {
        let said = self.does(&["show bgp ipv4 unicast summary json"]);
        let said: serde_json::Value = serde_json::from_str(&said).expect("FRR writes JSON");
        said["ribCount"].as_u64().unwrap_or_default()
    }

    /// How long it takes until the router forwards by all of them, or by none.
    fn comes_and_goes(&self, router: &Router) -> [Duration; 2] {
        let (before, last) = (forwards_by(router), prefix(self.routes - 1));
        [(true, before + u64::from(self.routes)), (false, before)].map(|(all, count)| {
            let start = Instant::now();
            self.tells_all(all);
            // Routes come and go in order. To look at one takes no time, to count them all does.
            eventually(LONGEST, &format!("{count} routes are there"), || {
                has(router, last) == all && forwards_by(router) == count
            });
            let took = start.elapsed();
            if !router.is_kernel() {
                verified(router);
            }
            took
        })
    }
}

/// Whether the router, xrouter or the kernel, forwards by this route.
fn has(router: &Router, to: Ipv4Net) -> bool {
    let (address, to) = (to.broadcast(), to.to_string());
    if router.is_kernel() {
        return router.host().run(&format!("ip route get {address} fibmatch")).has(&to);
    }
    router.command(&format!("show routes {address} --json")).succeeds().has(&to)
}

/// How many routes there are, in xrouter or in the kernel.
fn forwards_by(router: &Router) -> u64 {
    if !router.is_kernel() {
        return kernel(router, "routes");
    }
    // Both of its tables, which are often one: the first is `main`.
    let statistics = router.host().run("cat /proc/net/fib_triestat").succeeds().stdout;
    let mut numbers = statistics.lines().filter_map(|line| line.trim().strip_prefix("Prefixes:"));
    numbers.next().and_then(|number| number.trim().parse().ok()).expect("Linux counts prefixes")
}

/// BIRD learns the routes and loses them again, some times, while others use the one that stays. The
/// shortest time that they took to come, the shortest to go, and how many packets were lost of how many.
fn learn(net: &Topology, router: &Router, provider: &Provider) -> ([Duration; 2], [u64; 2]) {
    let _bird = bird(router.host(), "edge", &example("bgp/bird.conf"));
    let ping = format!("ping -c 1 -W 1 {BEHIND}");
    eventually(seconds(30), "the route that stays is there", || net.lan.run(&ping).ok());
    goes_by(net, router, BEHIND, "wan");
    let stream = Stream::start(&net.lan, BEHIND, &[&net.wan]);
    let times: Vec<_> = (0..ROUNDS).map(|_| provider.comes_and_goes(router)).collect();
    let arrivals = stream.stop();
    let least = |which: usize| times.iter().map(|time| time[which]).min().expect("some rounds");
    ([least(0), least(1)], [arrivals.lost(), arrivals.sent()])
}

#[test]
fn all_routes_of_the_internet() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let (routes, most) = bar();
    let provider = Provider::start(&net, routes);
    let config = Config::example(&example("bgp/router.toml"), &net.directory);

    let router = Router::start(&net, &config);
    let ([ours, gone], [lost, sent]) = learn(&net, &router, &provider);
    let [overruns, refused] = ["overruns", "refused"].map(|column| kernel(&router, column));
    assert_eq!(refused, 0, "there is room for all");
    router.stop();

    let router = Router::kernel(&net, &config);
    let ([kernels, gone_there], [lost_there, _]) = learn(&net, &router, &provider);

    let stays = format!("{lost} of {sent} lost, the kernel alone {lost_there}");
    let asked = format!("{routes} routes come and go by BGP: no loss on one that stays");
    figure("scale-out", &asked, stays, lost == 0);
    let ratio = ours.as_secs_f64() / kernels.as_secs_f64();
    let came = format!("{ratio:.2}: {ours:.2?} for {kernels:.2?}, {overruns} overruns");
    let went = format!("gone in {gone:.2?} for {gone_there:.2?}");
    let asked = format!("{routes} routes into forwarding: <= {most} of the kernel's time");
    figure("scale-out", &asked, format!("{came}; {went}"), ratio <= most);
}
