//! Routing daemons behind the taps, as they are, and what they tell the kernel forwarded by.

mod net;

use std::net::Ipv4Addr;
use std::time::Instant;

use net::daemon::{bgp_sessions, bird, bird_again, frr, frr_daemon, killed, vtysh, zebra};
use net::flood::{Flood, Limit};
use net::mirror::{
    BEHIND, BEHIND6, NET, NET6, goes_by, goes_by_both, ip, lab, learned, shows, shows_none,
    shows_within, verified,
};
use net::stream::Stream;
use net::{Router, Running, Topology, at_length, eventually, figure, frames, seconds};

/// What BIRD in the router takes from its peers: rather from wan than from dmz.
const BIRD: &str = "
    router id 10.1.0.1;
    protocol device {}
    template bgp peer {
        local as 65001;
        hold time 9;
        connect retry time 1;
        connect delay time 1;
        error wait time 1, 2;
        graceful restart on;
    }
    filter from_wan { bgp_local_pref = 200; accept; }
    protocol kernel kernel4 { ipv4 { export all; }; }
    protocol kernel kernel6 { ipv6 { export all; }; }
    protocol bgp wan4 from peer {
        neighbor 10.2.0.2 as 65002;
        ipv4 { import filter from_wan; export none; };
    }
    protocol bgp wan6 from peer {
        neighbor 2001:db8:2::2 as 65002;
        ipv6 { import filter from_wan; export none; };
    }
    protocol bgp dmz4 from peer {
        neighbor 10.4.0.2 as 65004;
        ipv4 { import all; export none; };
    }
    protocol bgp dmz6 from peer {
        neighbor 2001:db8:4::2 as 65004;
        ipv6 { import all; export none; };
    }";

/// What BIRD in the host with this subnet tells the router, in sessions with these settings, too.
fn peer(subnet: u8, settings: &str) -> String {
    let session = |family: &str, router: String| {
        format!(
            "protocol bgp router{family} {{ local as 6500{subnet}; neighbor {router} as 65001; \
             hold time 9; connect retry time 1; connect delay time 1; error wait time 1, 2; \
             {settings} ipv{family} {{ import none; export all; }}; }}\n"
        )
    };
    format!(
        "router id 10.{subnet}.0.2;\n\
         protocol device {{}}\n\
         protocol static {{ ipv4; route {NET} blackhole; }}\n\
         protocol static {{ ipv6; route {NET6} blackhole; }}\n"
    ) + &session("4", format!("10.{subnet}.0.1"))
        + &session("6", format!("2001:db8:{subnet}::1"))
}

fn sessions(router: &Router) -> Vec<String> {
    bgp_sessions(router.host(), "router")
}

#[test]
fn bird_speaks_bgp_behind_the_taps() {
    needs_xrouter!();
    let (net, router) = lab();
    let _wan = bird(&net.wan, "wan", &peer(2, ""));
    let _dmz = bird(net.dmz(), "dmz", &peer(4, ""));
    let ours = bird(router.host(), "router", BIRD);
    let by = |port: &'static str| {
        move |route: &serde_json::Value| route["port"] == port && route["protocol"] == "bird"
    };
    shows_within(seconds(20), &router, NET, by("wan"));
    shows_within(seconds(20), &router, NET6, by("wan"));
    goes_by(&net, &router, BEHIND, "wan");
    goes_by(&net, &router, BEHIND6, "wan");
    verified(&router);

    // R28: BIRD is killed; what it told the kernel stays, and is forwarded by.
    killed(ours);
    goes_by(&net, &router, BEHIND, "wan");
    let _ours = bird(router.host(), "router", BIRD);

    // The link to wan is cut: the tap loses its carrier, BIRD its sessions there.
    eventually(seconds(20), "BIRD has its sessions again", || sessions(&router).len() == 4);
    let cut = Instant::now();
    net.wan.run("ip link set eth0 down").succeeds();
    shows_within(seconds(20), &router, NET, by("dmz"));
    shows_within(seconds(20), &router, NET6, by("dmz"));
    let took = cut.elapsed();
    goes_by(&net, &router, BEHIND, "dmz");
    goes_by(&net, &router, BEHIND6, "dmz");
    verified(&router);
    let asked = "a cut link, BGP: the other way, within the hold time of 9 s";
    figure("BIRD", asked, format!("{took:.1?}"), took <= seconds(9));
}

/// R22, R23: the stack that BIRD stands on is flooded from the link of its peers and from another,
/// for longer than a session lives without a word.
#[test]
fn sessions_outlive_a_flood() {
    needs_xrouter!();
    let (net, router) = lab();
    let _wan = bird(&net.wan, "wan", &peer(2, ""));
    let _ours = bird(router.host(), "router", BIRD);
    eventually(seconds(20), "BIRD has its sessions", || sessions(&router).len() == 2);
    // Whence the SYNs come.
    ip(&router, "route add 198.18.0.0/15 via 10.1.0.2");
    let before = sessions(&router);
    // From the host wan: for the router, for somebody else, and UDP.
    let [mut ours, mut others] = [frames::arp_request(), frames::arp_request_for_others()];
    for at in [9, 25, 29, 39] {
        (ours[at], others[at]) = (2, 2);
    }
    let udp = frames::udp4_from(2, Ipv4Addr::new(10, 2, 0, 1), 64, 18);
    let noise = vec![ours, others, udp.clone(), udp];
    let time = at_length(seconds(30), seconds(10));
    let limit = Limit { frames: u64::MAX, time, per_second: 40_000 };
    let noise = Flood::start(&net.wan, noise, limit);
    let syns = (0..5000).map(frames::syn_of_stranger).collect();
    let syns = Flood::start(&net.lan, syns, Limit { per_second: 20_000, ..limit });
    let rate = (noise.wait().accepted + syns.wait().accepted) / time.as_secs();
    let after = sessions(&router);
    let police = ["policed_other", "policed_neighbour"].map(|reason| router.dropped(reason));
    assert!(police.iter().all(|&dropped| dropped > 1000), "{police:?}: no flood");
    let measured = format!("{rate} packets per s for {time:?}: {} sessions", after.len());
    let asked = "BGP sessions with a hold time of 9 s outlive a flood of UDP, ARP and SYNs";
    figure("R22", asked, measured, after == before);
}

/// R28: what BIRD told the kernel outlives it, and goes when the next one does not want it.
#[test]
fn bird_is_killed_and_comes_back_without_its_route() {
    needs_xrouter!();
    let (net, router) = lab();
    goes_by(&net, &router, "10.2.0.2", "wan");
    let kernel = "router id 10.1.0.1;\n\
        protocol device {}\n\
        protocol kernel { persist; scan time 2; ipv4 { export all; }; }\n";
    let with_route = format!("{kernel}protocol static {{ ipv4; route {NET} via 10.2.0.2; }}");
    let first = bird(router.host(), "router", &with_route);
    shows_within(seconds(10), &router, NET, |route| route["protocol"] == "bird");
    let stream = Stream::start(&net.lan, BEHIND, &[&net.wan]);
    killed(first);
    std::thread::sleep(at_length(seconds(5), seconds(2)));
    let arrivals = stream.stop();
    verified(&router);
    let (lost, sent) = (arrivals.lost(), arrivals.sent());
    figure("R28", "BIRD killed: no loss", format!("{lost} of {sent} lost"), lost == 0);
    let restart = Instant::now();
    let _second = bird(router.host(), "router", kernel);
    shows_none(&router, NET);
    let took = restart.elapsed();
    net.lan.run(&format!("ping -c 1 -W 1 {BEHIND}")).fails();
    verified(&router);
    figure("R28", "BIRD back, without it: gone <= 5 s", format!("{took:.1?}"), took <= seconds(5));
}

/// R28: FRR's successor keeps the routes that it finds for as long as it is told to.
#[test]
fn frr_is_killed_and_its_route_kept_for_a_time() {
    const KEPT: u64 = 5;
    needs_xrouter!();
    let (net, router) = lab();
    goes_by(&net, &router, "10.2.0.2", "wan");
    let first = zebra(router.host(), "router", "", "");
    let route = format!("ip route {NET} 10.2.0.2\n");
    let staticd = frr_daemon(router.host(), "router", "staticd", &route, "");
    shows_within(seconds(20), &router, NET, |route| route["port"] == "wan");
    let stream = Stream::start(&net.lan, BEHIND, &[&net.wan]);
    killed(first);
    killed(staticd);
    let restart = Instant::now();
    let _second = zebra(router.host(), "router", "", &format!("-K {KEPT}"));
    std::thread::sleep(at_length(seconds(KEPT - 3), seconds(1)));
    let arrivals = stream.stop();
    shows(&router, NET, |route| route["port"] == "wan");
    let (lost, sent) = (arrivals.lost(), arrivals.sent());
    figure("R28", "FRR killed: no loss", format!("{lost} of {sent} lost"), lost == 0);
    eventually(seconds(3 * KEPT), "the route is swept", || {
        router.show("routes").iter().all(|route| route["to"] != NET)
    });
    let took = restart.elapsed();
    verified(&router);
    let asked = "FRR back, its route kept for 5 s and then swept";
    let met = took >= seconds(KEPT) && took <= seconds(2 * KEPT);
    figure("R28", asked, format!("after {took:.1?}"), met);
}

/// R28: the daemon of a neighbour is dead for a while and comes back, and its routes are forwarded by
/// meanwhile, since it has said that it would (RFC 4724).
fn outlives<T>(
    what: &str,
    (net, router): (&Topology, &Router),
    is_up: impl Fn() -> bool,
    daemon: Running,
    again: impl FnOnce() -> T,
) {
    eventually(seconds(20), "the session is up", &is_up);
    shows_within(seconds(10), router, NET, |route| route["port"] == "wan");
    goes_by(net, router, BEHIND, "wan");
    let stream = Stream::start(&net.lan, BEHIND, &[&net.wan]);
    killed(daemon);
    eventually(seconds(5), "the session is down", || !is_up());
    std::thread::sleep(at_length(seconds(5), seconds(1)));
    shows(router, NET, |route| route["port"] == "wan");
    let _again = again();
    eventually(seconds(20), "the session is up again", &is_up);
    // What it does not tell again is forgotten soon after.
    std::thread::sleep(seconds(2));
    let arrivals = stream.stop();
    verified(router);
    let (lost, sent) = (arrivals.lost(), arrivals.sent());
    let asked = format!("a neighbour's {what} killed and back: no loss on its routes");
    figure("R28", &asked, format!("{lost} of {sent} lost"), lost == 0);
}

#[test]
fn a_neighbours_bird_is_killed_and_comes_back() {
    needs_xrouter!();
    let (net, router) = lab();
    let settings = "graceful restart on; graceful restart time 60;";
    let theirs = bird(&net.wan, "wan", &peer(2, settings));
    let _ours = bird(router.host(), "router", BIRD);
    let is_up = || sessions(&router).len() == 2;
    outlives("BIRD", (&net, &router), is_up, theirs, || bird_again(&net.wan, "wan"));
}

/// BGP with one neighbour, for FRR: it tells what is behind it, and keeps its routes when it is killed.
fn bgp(ours: u16, neighbour: &str, theirs: u16, network: &str) -> String {
    format!(
        "router bgp {ours}\n no bgp ebgp-requires-policy\n no bgp network import-check\n \
         bgp graceful-restart\n bgp graceful-restart preserve-fw-state\n \
         bgp graceful-restart restart-time 60\n neighbor {neighbour} remote-as {theirs}\n \
         neighbor {neighbour} timers 3 9\n neighbor {neighbour} timers connect 1\n \
         address-family ipv4 unicast\n {network}\n exit-address-family\n"
    )
}

#[test]
fn a_neighbours_frr_is_killed_and_comes_back() {
    needs_xrouter!();
    let (net, router) = lab();
    let theirs = bgp(65002, "10.2.0.1", 65001, &format!("network {NET}"));
    let [_zebra, bgpd] = frr(&net.wan, "wan", "bgpd", &theirs);
    let _ours = frr(router.host(), "router", "bgpd", &bgp(65001, "10.2.0.2", 65002, ""));
    let show = ["show bgp neighbors 10.2.0.2"];
    let is_up = || vtysh(router.host(), "router", "bgpd", &show).has("BGP state = Established");
    let again = || frr_daemon(&net.wan, "wan", "bgpd", &theirs, "");
    outlives("FRR", (&net, &router), is_up, bgpd, again);
}

/// OSPF on these interfaces, for FRR.
fn ospf(interfaces: &[&str]) -> String {
    let interface = |name: &&str| {
        format!(
            "interface {name}\n ip ospf network point-to-point\n ip ospf hello-interval 1\n \
             ip ospf dead-interval 4\n ip ospf area 0\n!\n"
        )
    };
    interfaces.iter().map(interface).collect::<String>() + "router ospf\n!\n"
}

/// OSPF's packets are for a group; zebra's routes lead through next-hop objects.
#[test]
fn frr_speaks_ospf_behind_the_taps() {
    needs_xrouter!();
    let (net, router) = lab();
    let _wan = frr(&net.wan, "wan", "ospfd", &ospf(&["eth0", "lo"]));
    let _dmz = frr(net.dmz(), "dmz", "ospfd", &ospf(&["eth0", "lo"]));
    let _ours = frr(router.host(), "router", "ospfd", &ospf(&["wan", "dmz"]));
    let to = format!("{BEHIND}/32");
    shows_within(seconds(60), &router, &to, learned("ospf", 2));
    goes_by_both(&net, &router, BEHIND);
    verified(&router);

    let cut = Instant::now();
    net.wan.run("ip link set eth0 down").succeeds();
    shows_within(seconds(20), &router, &to, learned("ospf", 1));
    let took = cut.elapsed();
    goes_by(&net, &router, BEHIND, "dmz");
    verified(&router);
    let asked = "a cut link, OSPF: the other way, within the dead interval of 4 s";
    figure("FRR", asked, format!("{took:.1?}"), took <= seconds(4));
}
