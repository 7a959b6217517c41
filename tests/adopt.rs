//! `xrouter adopt`: a Linux router that runs is taken over, and is given back as it was, whatever ends
//! xrouter.

mod net;

use std::fs;
use std::time::Duration;

use net::canary::Canary;
use net::connection::Connection;
use net::daemon::{bgp_sessions, bird, birdc};
use net::state::{same_state, state};
use net::stream::Stream;
use net::{
    BINARY, LAN_DEVICE, Namespace, Outcome, Router, Topology, WAN_DEVICE, bpf, eventually, figure,
    holds_within, ip, seconds, sysctl,
};

const CARDS: [&str; 2] = [LAN_DEVICE, WAN_DEVICE];

/// A Linux router as somebody has set it up over the years.
fn lab() -> Topology {
    let net = Topology::builder().far().build();
    Router::kernel(&net, &net.config());
    let name = &net.router.name;
    for command in [
        "addr add 10.1.0.77/24 dev lan0 label lan0:old",
        "addr add 10.5.0.1/24 dev lan0 metric 50 noprefixroute",
        "addr add 2001:db8:5::1/64 dev lan0 preferred_lft 0",
        "route add 10.5.0.0/24 dev lan0 proto static scope link metric 50",
        "route add 10.6.0.0/16 via 10.2.0.2 proto static metric 20 mtu 1400",
        "route add 10.7.0.0/16 nexthop via 10.2.0.2 weight 2 nexthop via 10.1.0.2",
        "route add 10.8.0.0/16 via 10.2.0.2 src 10.1.0.77 table 100",
        "nexthop add id 7 via 10.2.0.2 dev wan0",
        "route add 10.9.0.0/16 nhid 7",
        "-6 route add 2001:db8:6::/48 via 2001:db8:2::2 metric 77",
        "-6 route add 2001:db8:7::/64 dev wan0",
        "neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev lan0",
    ] {
        ip(&format!("-n {name} {command}"));
    }
    sysctl(
        &net.router,
        &["net.ipv4.conf.lan0.send_redirects=0", "net.ipv4.neigh.wan0.gc_stale_time=99"],
    );
    net
}

/// Addresses and routes, without what tells a tap from a card.
fn routing(host: &Namespace) -> Vec<String> {
    let looks = "ip -br addr show; ip route show table all; ip -6 route show table all; ip nexthop";
    let said = host.run(looks).succeeds().stdout;
    let is_ours = |line: &&str| !line.contains("xr-") && !line.contains("ff00::/8");
    let without = |line: &str| {
        let words = line.split_whitespace().filter(|word| *word != "UNKNOWN" && *word != "UP");
        words.map(|word| word.split('@').next().unwrap_or_default()).collect::<Vec<_>>().join(" ")
    };
    let mut lines: Vec<_> = said.lines().filter(is_ours).map(without).collect();
    lines.sort();
    lines
}

/// Two connections through the router and one to it.
fn connections(net: &Topology) -> [Connection; 3] {
    [
        Connection::open(&net.lan, &net.wan, "10.2.0.2:5001"),
        Connection::open(&net.lan, &net.wan, "[2001:db8:2::2]:5002"),
        Connection::open(&net.lan, &net.router, "10.1.0.1:5003"),
    ]
}

fn programs(host: &Namespace) -> Vec<String> {
    let mut names: Vec<_> = bpf::programs(host).into_iter().map(|(device, _)| device).collect();
    names.sort();
    names
}

/// It forwards, and not the kernel: by the XDP program or by its workers.
#[track_caller]
fn is_the_router(net: &Topology, router: &Router) {
    assert_eq!(programs(&net.router), ["xr-lan0", "xr-wan0"]);
    for address in ["10.2.0.2", "10.3.0.2", "2001:db8:2::2", "2001:db8:3::2"] {
        let before = router.transmitted("wan0") + router.counter("wan0", "fast_path");
        net.lan.run(&format!("ping -c 5 -i 0.01 -W 1 {address}")).succeeds();
        eventually(seconds(2), "the packets are counted", || {
            router.transmitted("wan0") + router.counter("wan0", "fast_path") >= before + 5
        });
    }
    net.lan.run("ping -c 1 -W 1 10.1.0.1 && ping -c 1 -W 1 2001:db8:1::1").succeeds();
}

#[track_caller]
fn gap(what: &str, longest: Duration) {
    figure("adopt", what, format!("{longest:.1?}"), longest.as_millis() < 100);
}

#[test]
fn taken_over_and_given_back() {
    needs_xrouter!();
    let net = lab();
    net.lan.run("ping -c 1 10.2.0.2").succeeds();
    let (before, routes) = (state(&net.router), routing(&net.router));
    let mut connections = connections(&net);
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let canary = Canary::start(&net);
        let router = Router::adopt(&net, &CARDS);
        is_the_router(&net, &router);
        connections.iter_mut().for_each(Connection::is_alive);
        assert_eq!(routing(&net.router), routes);
        net.router
            .run("ip neigh show 10.1.0.9")
            .succeeds()
            .says("dev lan0 lladdr 02:00:00:00:00:09 PERMANENT");
        net.router.run("sysctl -n net.ipv4.conf.lan0.send_redirects").succeeds().says("0");
        has_label(&net);
        let flight = canary.stop();
        eprintln!("taking: {flight}");
        gap("taken over: gap < 100 ms", flight.longest_gap);

        let canary = Canary::start(&net);
        router.stop_by(signal);
        net.lan.run("ping -c 3 -i 0.05 10.2.0.2").succeeds();
        connections.iter_mut().for_each(Connection::is_alive);
        let flight = canary.stop();
        eprintln!("giving back: {flight}");
        gap("given back: gap < 100 ms", flight.longest_gap);
        same_state(&before, &state(&net.router));
        has_label(&net);
    }
}

#[track_caller]
fn has_label(net: &Topology) {
    let said = net.router.run("ip -o addr show label lan0:old").succeeds().stdout;
    assert!(said.contains("10.1.0.77/24") && said.lines().count() == 1, "{said}");
}

/// However long it takes to move all routes, packets by those that have moved go on.
#[test]
fn a_large_table_is_taken_over() {
    needs_xrouter!();
    let net = lab();
    let routes = (0..10_000)
        .map(|n| format!("route add 100.{}.{}.0/24 via 10.2.0.2 proto bird\n", n / 256, n % 256));
    let file = net.directory.join("routes");
    fs::write(&file, routes.collect::<String>()).expect("the directory is writable");
    ip(&format!("-n {} -batch {}", net.router.name, file.display()));
    let stream = Stream::start(&net.lan, "10.3.0.2", &[net.far()]);
    let router = Router::adopt(&net, &CARDS);
    net.lan.run("ping -c 3 -i 0.05 10.3.0.2").succeeds();
    router.stop_by(libc::SIGINT);
    net.lan.run("ping -c 3 -i 0.05 10.3.0.2").succeeds();
    let arrivals = stream.stop();
    let count = net.router.run("ip route show proto bird | wc -l").succeeds().stdout;
    assert_eq!(count.trim(), "10000");
    let (lost, sent) = (arrivals.lost(), arrivals.sent());
    // The stream is one of 4000 packets a second.
    figure(
        "adopt",
        "10000 routes, taken and given back: lost less than 100 ms' worth",
        format!("{lost} of {sent}"),
        lost < 400,
    );
}

/// The processes that would give back if the router died.
fn keepers(net: &Topology) -> Vec<u32> {
    let said = net.router.run(&format!("ip netns pids {}", net.router.name)).succeeds().stdout;
    let is_keeper = |process: &u32| {
        let arguments = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        arguments.split(|octet| *octet == 0).nth(1) == Some(b"keep")
    };
    said.lines().filter_map(|line| line.trim().parse().ok()).filter(is_keeper).collect()
}

#[track_caller]
fn signal(net: &Topology, signal: &str, process: u32) {
    net.router.run(&format!("kill -{signal} {process}")).succeeds();
}

fn taps(net: &Topology) -> usize {
    net.router.run("ip -d link show").lines_with("tun type tap")
}

#[test]
fn a_killed_router_is_given_back_by_its_keeper() {
    needs_xrouter!();
    let net = lab();
    let before = state(&net.router);
    let mut connections = connections(&net);
    let router = Router::adopt(&net, &CARDS);
    is_the_router(&net, &router);
    // A keeper that dies is replaced.
    let first = keepers(&net);
    assert_eq!(first.len(), 1);
    signal(&net, "KILL", first[0]);
    eventually(
        seconds(2),
        "there is another",
        || matches!(keepers(&net)[..], [other] if other != first[0]),
    );
    let canary = Canary::start(&net);
    router.kill();
    eventually(seconds(2), "all is given back", || taps(&net) == 0 && keepers(&net).is_empty());
    net.lan.run("ping -c 3 -i 0.05 10.2.0.2").succeeds();
    connections.iter_mut().for_each(Connection::is_alive);
    let flight = canary.stop();
    eprintln!("killed: {flight}");
    gap("killed: given back by the keeper, gap < 100 ms", flight.longest_gap);
    same_state(&before, &state(&net.router));
}

#[test]
fn when_the_keeper_is_killed_too_an_operator_gives_back() {
    needs_xrouter!();
    let net = lab();
    // With the last process a tap loses its carrier, and the kernel removes such objects.
    ip(&format!("-n {} nexthop del id 7", net.router.name));
    let before = state(&net.router);
    let mut connections = connections(&net);
    let router = Router::adopt(&net, &CARDS);
    give_back(&net).fails().says("stop the xrouter that runs");
    is_the_router(&net, &router);
    // A router that is stopped starts no other keeper.
    router.signal(libc::SIGSTOP);
    signal(&net, "KILL", keepers(&net)[0]);
    eventually(seconds(2), "the keeper is dead", || keepers(&net).is_empty());
    router.kill();
    assert_eq!(taps(&net), 2, "nobody has given back");
    give_back(&net).succeeds().says("lan0, wan0: given back");
    net.lan.run("ping -c 3 -i 0.05 10.2.0.2").succeeds();
    connections.iter_mut().for_each(Connection::is_alive);
    same_state(&before, &state(&net.router));
    give_back(&net).succeeds();
    same_state(&before, &state(&net.router));
}

/// Of a start that fails at its last step nothing remains.
#[test]
fn what_cannot_be_started_is_given_back() {
    needs_xrouter!();
    let net = lab();
    let before = state(&net.router);
    // Somebody else's program is in the way.
    let object = net.compile("other", "xdp", 2);
    let load = format!("link set dev wan0 xdpdrv object {} section xdp", object.display());
    ip(&format!("-n {} {load}", net.router.name));
    let canary = Canary::start(&net);
    net.router.run(&format!("{BINARY} adopt lan0 wan0")).fails().says("wan0");
    let flight = canary.stop();
    gap("a start that fails: gap < 100 ms", flight.longest_gap);
    ip(&format!("-n {} link set dev wan0 xdpdrv off", net.router.name));
    same_state(&before, &state(&net.router));
}

/// `xrouter adopt`, which refuses with these words.
#[track_caller]
fn is_refused(net: &Topology, cards: &str, words: &[&str]) {
    let refused = net.router.run(&format!("{BINARY} adopt {cards}")).fails();
    let said = refused.does_not_say("panicked").stderr;
    let said = said.lines().last().unwrap_or_default();
    words.iter().for_each(|word| assert!(said.contains(word), "{word:?} is not in: {said}"));
}

#[test]
fn what_cannot_be_adopted_is_said_with_its_mend() {
    needs_xrouter!();
    let net = lab();
    let before = state(&net.router);
    is_refused(&net, "lan0 nosuch0", &["nosuch0", "ip link"]);
    is_refused(&net, "lan0 lan0", &["named twice"]);
    is_refused(&net, "lo", &["lo is not an Ethernet device"]);
    for (make, unmake, cards, words) in [
        (
            "ip link add br0 type bridge && ip link set lan0 master br0",
            "ip link del br0",
            "lan0",
            ["a member of br0", "nomaster"],
        ),
        (
            "ip link add mv0 link lan0 type macvlan",
            "ip link del mv0",
            "lan0",
            ["carrying mv0", "ip link del"],
        ),
        (
            "ip tuntap add dev tap0 mode tap",
            "ip link del tap0",
            "tap0",
            ["tap0 is a tap", "the card behind it"],
        ),
        (
            "ip link add averylongname0 type veth peer name p0",
            "ip link del averylongname0",
            "averylongname0",
            ["too long", "at most 12"],
        ),
        (
            "ip link add dum0 type veth peer name p0",
            "ip link del dum0",
            "dum0",
            ["dum0 is down", "ip link set dum0 up"],
        ),
        (
            "sysctl -w net.ipv4.ip_forward=0",
            "sysctl -w net.ipv4.ip_forward=1",
            "lan0",
            ["no router", "sysctl -w net.ipv4.ip_forward=1"],
        ),
        (
            "ip rule add from 10.1.0.0/24 table 100 priority 500",
            "ip rule del priority 500",
            "lan0",
            ["priority 500", "ip rule del"],
        ),
        (
            "nft 'add table ip nat; add chain ip nat post { type nat hook postrouting priority 100 ; }'",
            "nft delete table ip nat",
            "lan0",
            ["nft chain nat post", "--ignore-netfilter"],
        ),
    ] {
        net.router.run(make).succeeds();
        is_refused(&net, cards, &words);
        net.router.run(unmake).succeeds();
    }
    same_state(&before, &state(&net.router));
}

#[test]
fn netfilter_is_passed_by_only_when_asked_for() {
    needs_xrouter!();
    let net = lab();
    let nat =
        "add table ip nat; add chain ip nat post { type nat hook postrouting priority 100 ; }";
    net.router.run(&format!("nft '{nat}'")).succeeds();
    let router = Router::adopt(&net, &["--ignore-netfilter", LAN_DEVICE, WAN_DEVICE]);
    is_the_router(&net, &router);
    assert!(router.log().contains("nft chain nat post: packets that xrouter forwards pass by it"));
    router.stop();
}

#[test]
fn the_configuration_that_it_would_be() {
    needs_xrouter!();
    let net = lab();
    sysctl(&net.router, &["net.ipv4.conf.lan0.rp_filter=1"]);
    let file = net.directory.join("written.toml");
    let write = |to: &str| net.router.run(&format!("{BINARY} adopt --write {to} lan0 wan0"));
    write(&file.display().to_string()).succeeds();
    write(&file.display().to_string()).fails().says("exists");
    let text = fs::read_to_string(&file).expect("it was written");
    assert_eq!(write("-").succeeds().stdout.trim_end(), text.trim_end());
    net.router.run(&format!("{BINARY} check -c {}", file.display())).succeeds().says("2 ports");
    for wanted in
        ["source_validation = \"strict\"", "to = \"10.3.0.0/24\"", "10.1.0.9", "2001:db8:6::/48"]
    {
        assert!(text.contains(wanted), "{wanted} is not in:\n{text}");
    }
    assert_eq!(programs(&net.router), [""; 0], "nothing is taken");

    // It is what it says: as an operator would start it.
    net.router.run("ip addr flush dev lan0; ip addr flush dev wan0").succeeds();
    let config = net::Config::of(text.parse().expect("TOML"), &net.directory);
    let router = Router::start(&net, &config);
    for address in ["10.2.0.2", "10.3.0.2", "2001:db8:3::2", "10.1.0.1"] {
        net.lan.run(&format!("ping -c 1 -W 3 {address}")).succeeds();
    }
    router.stop();
}

/// What an operator types when both are dead.
fn give_back(net: &Topology) -> Outcome {
    net.router.run(&format!("{BINARY} adopt --give-back lan0 wan0"))
}

/// BIRD in the router; with `multihop` it does not ask which interface its neighbour is on.
fn router_bird(session: &str) -> String {
    format!(
        "router id 10.1.0.1;\n\
         protocol device {{}}\n\
         protocol direct {{ ipv4; }}\n\
         protocol kernel {{ ipv4 {{ export where source = RTS_BGP; }}; }}\n\
         protocol bgp wan {{ local 10.2.0.1 as 65001; neighbor 10.2.0.2 as 65002; {session}\n\
         hold time 9; connect retry time 1; connect delay time 1; error wait time 1, 2;\n\
         ipv4 {{ import all; export none; }}; }}\n"
    )
}

const PEER: &str = "router id 10.2.0.2;
    protocol device {}
    protocol static { ipv4; route 203.0.113.0/24 blackhole; }
    protocol bgp toward { local 10.2.0.2 as 65002; neighbor 10.2.0.1 as 65001; multihop 2;
    hold time 9; connect retry time 1; connect delay time 1; error wait time 1, 2;
    ipv4 { import none; export all; next hop self; }; }";

fn sessions(net: &Topology) -> Vec<String> {
    bgp_sessions(&net.router, "router")
}

/// For longer than the hold time.
#[track_caller]
fn keeps_session(net: &Topology, up: &[String]) {
    let is_another = || !sessions(net).is_empty() && sessions(net) != up;
    let is_lost = holds_within(seconds(12), is_another) || sessions(net) != up;
    assert!(!is_lost, "{up:?}; {}", birdc(&net.router, "router", "show protocols all wan"));
}

#[test]
fn bird_keeps_its_session() {
    needs_xrouter!();
    let net = lab();
    let _peer = bird(&net.wan, "peer", PEER);
    let _ours = bird(&net.router, "router", &router_bird("multihop 2;"));
    eventually(seconds(20), "the session is up", || !sessions(&net).is_empty());
    let has_route = || net.router.run("ip route show 203.0.113.0/24").has("via 10.2.0.2 dev wan0");
    eventually(seconds(5), "its route is there", has_route);
    let up = sessions(&net);
    let router = Router::adopt(&net, &CARDS);
    eventually(seconds(5), "xrouter forwards by it", || {
        router.show("routes").iter().any(|route| route["to"] == "203.0.113.0/24")
    });
    keeps_session(&net, &up);
    assert!(has_route());
    router.stop();
    keeps_session(&net, &up);
    eventually(seconds(5), "the kernel has its route", has_route);
}

/// A session to a neighbour on a card's link ends with the card's number: BIRD's own doing. Its routes
/// come back with it.
#[test]
fn bird_starts_a_direct_session_anew() {
    needs_xrouter!();
    let net = lab();
    let _peer = bird(&net.wan, "peer", PEER);
    let _ours = bird(&net.router, "router", &router_bird("direct;"));
    eventually(seconds(20), "the session is up", || !sessions(&net).is_empty());
    let up = sessions(&net);
    let router = Router::adopt(&net, &CARDS);
    eventually(seconds(20), "another session is up, and xrouter forwards by its route", || {
        !sessions(&net).is_empty()
            && sessions(&net) != up
            && router.show("routes").iter().any(|route| route["to"] == "203.0.113.0/24")
    });
    router.stop();
    eventually(seconds(20), "the kernel has its route", || {
        !sessions(&net).is_empty()
            && net.router.run("ip route show 203.0.113.0/24").has("via 10.2.0.2 dev wan0")
    });
}
