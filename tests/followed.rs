//! What an operator or a daemon does to a tap is done to its port: addresses, neighbours, MTU, MAC,
//! up and down. And what happens to the card is seen on the tap.

mod net;

use std::time::{Duration, Instant};

use net::canary::Canary;
use net::{
    HOST_DEVICE, LAN_DEVICE, Router, Topology, eventually, figure, holds_within, ip, seconds,
    started,
};

/// `ip COMMAND` where the router is.
fn on_the_router(router: &Router, command: &str) {
    ip(&format!("-n {} {command}", router.host().name));
}

/// How long it takes until `condition` holds.
#[track_caller]
fn time_until(what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < seconds(3), "not within 3 s: {what}");
    }
    start.elapsed()
}

fn has_route(router: &Router, to: &str) -> bool {
    router.show("routes").iter().any(|route| route["to"] == to)
}

#[test]
fn an_address_that_is_given_to_the_tap() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    let routes = ["10.9.0.0/24", "10.9.0.1/32", "10.9.0.255/32", "fd09::/64", "fd09::1/128"];
    net.lan
        .run("ip addr add 10.9.0.2/24 dev eth0; ip addr add fd09::2/64 dev eth0 nodad")
        .succeeds();
    for _ in 0..2 {
        let probes = net.lan.watch(HOST_DEVICE, "-c 1 'arp and host 10.9.0.1 and host 0.0.0.0'");
        on_the_router(&router, "address add 10.9.0.1/24 dev lan");
        on_the_router(&router, "address add fd09::1/64 dev lan nodad");
        eventually(seconds(1), "the routes are there", || {
            routes.iter().all(|to| has_route(&router, to))
        });
        net.lan.run("ping -c 1 -W 1 10.9.0.1 && ping -c 1 -W 1 fd09::1").succeeds();
        probes.wait(seconds(1)).succeeds();
        // A host of the new subnet is reached, and reaches others.
        net.lan.run("ip route add 10.2.0.2 via 10.9.0.1").succeeds();
        net.wan.run("ping -c 1 -W 1 10.9.0.2 && ping -c 1 -W 1 fd09::2").succeeds();
        net.lan.run("ping -c 1 -W 1 -I 10.9.0.2 10.2.0.2").succeeds();
        net.lan.run("ip route del 10.2.0.2").succeeds();
        let addresses = router.row("ports", "name", "lan")["addresses"].to_string();
        assert!(addresses.contains("10.9.0.1/24 (kernel)"), "{addresses}");

        on_the_router(&router, "address del 10.9.0.1/24 dev lan");
        on_the_router(&router, "address del fd09::1/64 dev lan");
        eventually(seconds(1), "the routes are gone", || {
            !routes.iter().any(|to| has_route(&router, to))
        });
        assert_eq!(router.neighbour("10.9.0.2"), None);
        net.lan.run("ip neigh flush all; ping -c 1 -W 1 10.9.0.1").fails();
        net.wan.run("ping -c 1 -W 1 10.9.0.2").fails();
    }
    net.lan.run("ping -c 1 10.2.0.2").succeeds();
    router.stop();
}

/// Of two addresses in one subnet either keeps it; and a configured one can be taken, too.
#[test]
fn an_address_that_is_taken_from_the_tap() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    on_the_router(&router, "address add 10.1.0.77/24 dev lan");
    eventually(seconds(1), "it is there", || has_route(&router, "10.1.0.77/32"));
    // The kernel would take the second of a subnet with the first.
    router.host().run("sysctl -w net.ipv4.conf.lan.promote_secondaries=1").succeeds();
    on_the_router(&router, "address del 10.1.0.1/24 dev lan");
    eventually(seconds(1), "it is gone", || !has_route(&router, "10.1.0.1/32"));
    assert!(has_route(&router, "10.1.0.0/24") && has_route(&router, "10.1.0.255/32"));
    net.lan.run("ping -c 1 -W 1 10.1.0.77").succeeds();
    net.lan.run("ping -c 1 -W 1 10.1.0.1").fails();
    // It does not come back with the link.
    ip(&format!("-n {} link set {HOST_DEVICE} down", net.lan.name));
    ip(&format!("-n {} link set {HOST_DEVICE} up", net.lan.name));
    eventually(seconds(3), "the link is back", || net.lan.run("ping -c 1 -W 1 10.1.0.77").ok());
    assert!(!has_route(&router, "10.1.0.1/32"));
    router.stop();
}

#[test]
fn a_tap_that_is_set_down_shuts_its_port() {
    needs_xrouter!();
    let net = Topology::builder().dmz().build();
    let router = Router::start(&net, &net.config().route("10.7.0.0/16", "10.4.0.2"));
    let dmz = net.dmz();
    on_the_router(&router, "address add 10.9.0.1/24 dev dmz");
    dmz.run("ping -c 1 10.1.0.2").succeeds();
    let canary = Canary::start(&net);
    for _ in 0..3 {
        on_the_router(&router, "link set dmz down");
        eventually(seconds(1), "the port is shut", || {
            router.row("ports", "name", "dmz")["link"] == "shut"
        });
        assert!(dmz.run("ping -c 2 -i 0.2 -W 1 10.1.0.2").fails().has("100% packet loss"));
        dmz.run("ip neigh flush all; arping -c 2 -i 0.2 -I eth0 10.4.0.1").fails();
        for address in ["10.4.0.2", "10.7.0.1"] {
            net.lan.run(&format!("ping -c 1 -W 1 {address}")).fails().says("Unreachable");
        }
        on_the_router(&router, "link set dmz up");
        eventually(seconds(3), "packets pass again", || {
            dmz.run("ping -c 1 -W 1 10.1.0.2 && ping -6 -c 1 -W 1 2001:db8:1::2").ok()
        });
        dmz.run("ping -c 1 -W 1 10.4.0.1 && ping -6 -c 1 -W 1 2001:db8:4::1").succeeds();
    }
    assert!(router.dropped("port_down") > 0);
    assert!(has_route(&router, "10.9.0.1/32"), "what is the kernel's stays, too");
    let flight = canary.stop();
    figure("R09", "a port that is shut: transit loss of others 0", flight, flight.lost_nothing());
    router.stop();
}

#[test]
fn a_link_that_is_lost_takes_the_taps_carrier() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    let has_carrier = || !router.host().run("ip link show dev lan").has("NO-CARRIER");
    assert!(has_carrier());
    let mut longest = Duration::ZERO;
    for _ in 0..3 {
        let news = router.host().spawn("exec ip -o monitor link");
        std::thread::sleep(Duration::from_millis(200));
        let lost = |device: &str| {
            let about = |line: &&str| line.contains(&format!(": {device}"));
            news.stdout().lines().filter(about).any(|line| line.contains("NO-CARRIER"))
        };
        ip(&format!("-n {} link set {HOST_DEVICE} down", net.lan.name));
        // The kernel itself may take a second to tell of the card's (net/core/link_watch.c).
        time_until("the card has no carrier", || lost(&format!("{LAN_DEVICE}@")));
        longest = longest.max(time_until("nor has the tap", || lost("lan:")));
        ip(&format!("-n {} link set {HOST_DEVICE} up", net.lan.name));
        eventually(seconds(3), "the carrier is back", has_carrier);
    }
    let found = format!("{longest:.1?}");
    figure("links", "card's carrier lost to the tap's <= 50 ms", found, longest.as_millis() <= 50);
    router.stop();
}

#[test]
fn the_taps_mtu_is_the_ports() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    let ping = |size: u32| net.lan.run(&format!("ping -M do -c 1 -W 1 -s {size} 10.2.0.2"));
    let mtu = |port: &str| router.row("ports", "name", port)["mtu"].clone();
    let is = |port: &str, value: u32| holds_within(seconds(1), || mtu(port) == value);
    ping(1472).succeeds();
    on_the_router(&router, "link set wan mtu 1400");
    assert!(is("wan", 1400));
    ping(1472).fails().says("mtu = 1400");
    net.lan.run("ip route flush cache").succeeds();
    ping(1372).succeeds();
    // More than the card has is refused.
    on_the_router(&router, "link set wan mtu 3000");
    let tap_has = |tap: &str, mtu: u32| {
        router.host().run(&format!("ip link show dev {tap}")).has(&format!("mtu {mtu} "))
    };
    eventually(seconds(1), "the tap is as before", || tap_has("wan", 1400));
    assert!(mtu("wan") == 1400 && router.log().contains("an MTU of 3000 is refused"));
    // The card's own follows to the tap, and the tap's is kept where it is less.
    on_the_router(&router, &format!("link set {LAN_DEVICE} mtu 1300"));
    eventually(seconds(1), "the tap follows", || tap_has("lan", 1300));
    on_the_router(&router, "link set wan mtu 1500");
    assert!(is("wan", 1500) && is("lan", 1300));
    router.stop();
}

#[test]
fn the_taps_mac_is_the_cards() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    net.lan.run("ping -c 1 10.2.0.2").succeeds();
    on_the_router(&router, "link set lan address 02:00:00:00:77:77");
    eventually(seconds(1), "the port follows", || {
        router.row("ports", "name", "lan")["mac"] == "02:00:00:00:77:77"
    });
    eventually(seconds(1), "the host was told", || {
        net.lan.run("ip neigh show 10.1.0.1").has("02:00:00:00:77:77")
    });
    net.lan.run("ping -c 1 -W 1 10.2.0.2 && ping -c 1 -W 1 10.1.0.1").succeeds();
    let host = router.host().clone();
    router.stop();
    let card = host.run(&format!("ip link show dev {LAN_DEVICE}")).succeeds();
    card.says("02:00:0a:01:00:01");
}

/// Even after kill -9: how the card was is noted on it.
#[test]
fn a_killed_routers_successor_gives_the_card_its_mac_back() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    let card = || net.router.run(&format!("ip link show dev {LAN_DEVICE}")).succeeds();
    on_the_router(&router, "link set lan address 02:00:00:00:77:77");
    eventually(seconds(1), "the card follows", || card().has("02:00:00:00:77:77"));
    router.kill();
    card().says("02:00:00:00:77:77").says("mac=02:00:0a:01:00:01");
    let successor = Router::start(&net, &net.config());
    net.lan.run("ping -c 1 -W 3 10.2.0.2").succeeds();
    successor.stop();
    card().says("link/ether 02:00:0a:01:00:01").does_not_say("alias");
}

/// A static neighbour of the kernel's is the router's, as long as it is there.
#[test]
fn a_neighbour_that_the_kernel_is_told() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    let entry = |address: &str| router.neighbour(address).map(|n| n["state"].clone());
    // The host has the address, and does not answer for it.
    net.lan
        .run("ip addr add 10.1.0.50/32 dev lo && sysctl -w net.ipv4.conf.all.arp_ignore=1")
        .succeeds();
    net.wan.run("ping -c 1 -W 1 10.1.0.50").fails();
    for state in ["permanent", "noarp"] {
        let host = net.lan.mac();
        let add = format!("neigh replace 10.1.0.50 lladdr {host} dev lan nud {state}");
        on_the_router(&router, &add);
        eventually(seconds(1), "it counts", || entry("10.1.0.50") == Some("PERMANENT".into()));
        net.wan.run("ping -c 1 -W 1 10.1.0.50").succeeds();
        on_the_router(&router, "neigh del 10.1.0.50 dev lan");
        eventually(seconds(1), "it is gone", || entry("10.1.0.50") != Some("PERMANENT".into()));
    }
    // What the kernel learned by itself does not.
    on_the_router(
        &router,
        "neigh replace 10.1.0.60 lladdr 02:00:00:00:00:60 dev lan nud reachable",
    );
    on_the_router(&router, "neigh replace 10.1.0.61 lladdr 02:00:00:00:00:61 dev lan");
    eventually(seconds(1), "the later one counts", || entry("10.1.0.61").is_some());
    assert_eq!(entry("10.1.0.60"), None);
    router.stop();
}
