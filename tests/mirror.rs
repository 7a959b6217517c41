//! Routes that `ip route` puts into the kernel, forwarded by: what `router/control/mirror.rs` makes of
//! them, also when there are many.

mod net;

use std::time::{Duration, Instant};

use net::canary::Canary;
use net::flow::Flow;
use net::mirror::{
    BEHIND, BEHIND6, Batch, NET, NET6, batch, goes_by, goes_by_both, ip, kernel, lab, many, shows,
    shows_none, verified,
};
use net::{Router, Topology, at_length, eventually, figure, seconds, sysctl};

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

#[test]
fn routes_that_were_there_before_the_router() {
    needs_xrouter!();
    let (net, router) = lab();
    router.stop();
    // Nothing of it leads out of a tap, which was not there yet.
    net.router.run(&format!("ip route add blackhole {NET} proto static")).succeeds();
    net.router.run(&format!("ip -6 route add unreachable {NET6} proto static")).succeeds();
    let router = Router::start(&net, &net.config());
    shows(&router, NET, |route| route["type"] == "blackhole");
    shows(&router, NET6, |route| route["type"] == "unreachable");
    verified(&router);
}

#[test]
fn of_several_metrics_the_least_and_of_ours_first() {
    needs_xrouter!();
    let net = Topology::builder().dmz().build();
    let router = Router::start(&net, &net.config().route("198.51.100.0/24", "10.2.0.2"));
    for family in ["", "-6 "] {
        let (to, wan, dmz) = match family {
            "" => (NET, "10.2.0.2", "10.4.0.2"),
            _ => (NET6, "2001:db8:2::2", "2001:db8:4::2"),
        };
        ip(&router, &format!("{family}route add {to} via {wan} metric 200"));
        shows(&router, to, |route| route["port"] == "wan" && route["metric"] == 200);
        ip(&router, &format!("{family}route add {to} via {dmz} metric 100"));
        shows(&router, to, |route| route["port"] == "dmz" && route["metric"] == 100);
        verified(&router);
        ip(&router, &format!("{family}route del {to} metric 100"));
        shows(&router, to, |route| route["port"] == "wan" && route["metric"] == 200);
    }
    // router.toml has its word, even against the kernel's own least metric.
    ip(&router, "route add 198.51.100.0/24 via 10.4.0.2");
    verified(&router);
    shows(&router, "198.51.100.0/24", |r| r["origin"] == "static" && r["port"] == "wan");
}

#[test]
fn several_next_hops_with_their_weights() {
    needs_xrouter!();
    let (net, router) = lab();
    let both = "nexthop via 10.2.0.2 weight 3 nexthop via 10.4.0.2 weight 5";
    ip(&router, &format!("route add {NET} {both}"));
    let weights = |route: &serde_json::Value| -> Vec<u64> {
        let hops = route["next_hops"].as_array().into_iter().flatten();
        hops.filter_map(|hop| hop["weight"].as_u64()).collect()
    };
    shows(&router, NET, |route| weights(route) == [3, 5]);
    goes_by_both(&net, &router, BEHIND);

    ip(&router, &format!("-6 route add {NET6} via 2001:db8:2::2"));
    ip(&router, &format!("-6 route append {NET6} via 2001:db8:4::2"));
    shows(&router, NET6, |route| weights(route) == [1, 1]);
    verified(&router);
    ip(&router, &format!("-6 route del {NET6} via 2001:db8:2::2"));
    shows(&router, NET6, |route| weights(route) == [1] && route["port"] == "dmz");
    goes_by(&net, &router, BEHIND6, "dmz");
    verified(&router);
}

#[test]
fn next_hop_objects() {
    needs_xrouter!();
    next_hop_objects_where_routes_tell_them(1);
    // Then routes name only the object.
    next_hop_objects_where_routes_tell_them(0);
}

fn next_hop_objects_where_routes_tell_them(compatible: u8) {
    let (net, router) = lab();
    sysctl(router.host(), &[format!("net.ipv4.nexthop_compat_mode={compatible}")]);
    ip(&router, "nexthop add id 1 via 10.2.0.2 dev wan");
    ip(&router, "nexthop add id 2 via 10.4.0.2 dev dmz");
    ip(&router, "nexthop add id 10 group 1/2,7");
    ip(&router, &format!("route add {NET} nhid 10"));
    shows(&router, NET, |route| route["next_hops"][1]["weight"] == 7);
    goes_by_both(&net, &router, BEHIND);
    verified(&router);
    ip(&router, "nexthop replace id 10 group 2");
    shows(&router, NET, |r| r["port"] == "dmz" && r["next_hops"].get(1).is_none());
    goes_by(&net, &router, BEHIND, "dmz");
    ip(&router, "nexthop replace id 2 via 10.2.0.2 dev wan");
    shows(&router, NET, |route| route["port"] == "wan");
    verified(&router);
    // The kernel takes the route along without a word.
    ip(&router, "nexthop del id 2");
    shows_none(&router, NET);
    verified(&router);
}

#[test]
fn ipv4_over_an_ipv6_gateway_and_hosts_on_the_link() {
    needs_xrouter!();
    let (net, router) = lab();
    ip(&router, &format!("route add {NET} via inet6 2001:db8:2::2 dev wan"));
    shows(&router, NET, |route| route["via"] == "2001:db8:2::2");
    goes_by(&net, &router, BEHIND, "wan");
    net.dmz().run("ip addr add 198.51.100.7/32 dev lo").succeeds();
    ip(&router, "route add 198.51.100.0/24 dev dmz");
    shows(&router, "198.51.100.0/24", |route| route["type"] == "connected");
    goes_by(&net, &router, "198.51.100.7", "dmz");
    verified(&router);
    ip(&router, "route del 198.51.100.0/24 dev dmz");
    shows_none(&router, "198.51.100.0/24");
    net.lan.run("ping -c 1 -W 1 198.51.100.7").fails();
}

#[test]
fn routes_that_lead_nowhere() {
    needs_xrouter!();
    let (net, router) = lab();
    for (kind, says) in [
        ("blackhole", "100% packet loss"),
        ("unreachable", "Destination Host Unreachable"),
        ("prohibit", "Packet filtered"),
    ] {
        for (family, to) in [("", NET), ("-6 ", NET6)] {
            ip(&router, &format!("{family}route add {kind} {to}"));
            shows(&router, to, |route| route["type"] == kind);
        }
        net.lan.run(&format!("ping -c 1 -W 1 {BEHIND}")).fails().says(says);
        verified(&router);
        ip(&router, &format!("route del {kind} {NET}"));
        ip(&router, &format!("-6 route del {kind} {NET6}"));
        shows_none(&router, NET6);
    }
}

#[test]
fn what_leads_out_of_another_device_is_the_kernels() {
    needs_xrouter!();
    let (net, router) = lab();
    let other = &net.dmz().name;
    ip(&router, &format!("link add mgmt0 type veth peer name mgmt1 netns {other}"));
    ip(&router, "addr add 10.9.0.1/24 dev mgmt0");
    ip(&router, "link set mgmt0 up");
    net.dmz().run("ip addr add 10.9.0.2/24 dev mgmt1 && ip link set mgmt1 up").succeeds();
    sysctl(router.host(), &["net.ipv4.ip_forward=1"]);
    ip(&router, "route add 198.51.100.0/24 via 10.9.0.2");
    for to in ["10.9.0.0/24", "198.51.100.0/24"] {
        shows(&router, to, |route| route["type"] == "kernel");
    }
    let before = router.counter("lan", "punted");
    net.lan.run("ping -c 3 -i 0.1 -W 2 10.9.0.2").succeeds();
    assert!(router.counter("lan", "punted") >= before + 3, "up the tap of lan");
    verified(&router);
    // Of several ways only those by taps are taken, and the others are told.
    assert_eq!(kernel(&router, "partial"), 0);
    ip(&router, &format!("route add {NET} nexthop via 10.2.0.2 nexthop via 10.9.0.2"));
    shows(&router, NET, |route| route["port"] == "wan" && route["elsewhere"] == 1);
    assert_eq!(kernel(&router, "partial"), 1);
    router.command("show routes").succeeds().says("not used: 1 by other devices");
    goes_by(&net, &router, BEHIND, "wan");
    verified(&router);
    // IPv4 routes go with their device without a word.
    ip(&router, "link del mgmt0");
    shows_none(&router, "10.9.0.0/24");
    shows_none(&router, "198.51.100.0/24");
    verified(&router);
}

/// As OSPF and BGP routers have one, so that sessions live as long as any port does.
#[test]
fn an_address_of_the_loopback() {
    needs_xrouter!();
    let (net, router) = lab();
    for (address, bits) in [("10.255.0.1", 32), ("2001:db8:ff::1", 128)] {
        net.lan.run(&format!("ping -c 1 -W 1 {address}")).fails();
        ip(&router, &format!("addr add {address}/{bits} dev lo"));
        let to = format!("{address}/{bits}");
        shows(&router, &to, |route| route["type"] == "kernel");
        net.lan.run(&format!("ping -c 3 -i 0.1 -W 2 {address}")).succeeds();
        verified(&router);
        ip(&router, &format!("addr del {to} dev lo"));
        shows_none(&router, &to);
    }
}

#[test]
fn behind_a_route_stands_another() {
    needs_xrouter!();
    let (_net, router) = lab();
    ip(&router, &format!("route add {NET} via 10.2.0.2"));
    ip(&router, &format!("route append {NET} via 10.4.0.2"));
    shows(&router, NET, |route| route["port"] == "wan");
    verified(&router);
    ip(&router, &format!("route del {NET} via 10.2.0.2"));
    shows(&router, NET, |route| route["port"] == "dmz");
    verified(&router);
}

#[test]
fn tables_and_protocols_as_the_configuration_says() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let kernel = "[kernel]\ntables = [100, 254]\nignore_protocols = [\"dhcp\"]";
    let router = Router::start(&net, &net.config().and(kernel));
    ip(&router, &format!("route add blackhole {NET} table 100"));
    ip(&router, &format!("route add unreachable {NET}"));
    ip(&router, "route add blackhole 198.51.100.0/24 table 101");
    ip(&router, "route add blackhole 192.0.2.0/24 proto dhcp");
    ip(&router, &format!("-6 route add unreachable {NET6} table 100"));
    shows(&router, NET6, |route| route["type"] == "unreachable");
    shows(&router, NET, |route| route["type"] == "blackhole");
    shows_none(&router, "198.51.100.0/24");
    shows_none(&router, "192.0.2.0/24");
    ip(&router, &format!("route del {NET} table 100"));
    shows(&router, NET, |route| route["type"] == "unreachable");
    router.stop();

    let router = Router::start(&net, &net.config().and("[kernel]\nroutes = false"));
    assert_eq!(router.row("kernel", "state", "off")["routes"], 0);
    verified(&router);
    shows_none(&router, NET);
}

#[test]
fn a_neighbour_with_another_route_to_it_is_found_again() {
    needs_xrouter!();
    let (net, router) = lab();
    for to in ["10.2.0.2/32", "10.2.0.2/31"] {
        goes_by(&net, &router, "10.2.0.2", "wan");
        ip(&router, &format!("route add blackhole {to}"));
        shows(&router, to, |route| route["type"] == "blackhole");
        net.lan.run("ping -c 1 -W 1 10.2.0.2").fails();
        verified(&router);
        ip(&router, &format!("route del blackhole {to}"));
        shows_none(&router, to);
        goes_by(&net, &router, "10.2.0.2", "wan");
        verified(&router);
    }
}

/// R26: 100,000 changes as fast as `ip` makes them, and those who have nothing to do with them.
#[test]
fn a_storm_of_changes_harms_nobody() {
    needs_xrouter!();
    let (net, router) = lab();
    let routes = at_length(25_000, 5_000);
    let canary = Canary::start(&net);
    let before = Instant::now();
    let storm = many("add", routes, "10.4.0.2") + &many("replace", routes, "10.2.0.2");
    let storm = storm + &many("replace", routes, "10.4.0.2") + &many("del", routes, "10.4.0.2");
    batch(&net, &router, &storm);
    let took = before.elapsed();
    eventually(seconds(10), "no route of the storm is left", || kernel(&router, "routes") == 0);
    let behind = before.elapsed() - took;
    verified(&router);
    let flight = canary.stop();
    let rate = f64::from(routes) * 4.0 / took.as_secs_f64();
    let measured = format!("{flight}; {rate:.0} changes per s, {behind:.1?} behind");
    figure("R26", "no loss on stable prefixes", measured, flight.lost_nothing());
}

/// What the kernel has no room to tell is asked for, and nothing stops meanwhile.
#[test]
fn news_that_are_lost_are_asked_for() {
    needs_xrouter!();
    let (net, router) = lab();
    ip(&router, &format!("route add {NET} via 10.2.0.2"));
    ip(&router, "route add 198.51.100.0/24 via 10.2.0.2");
    shows(&router, NET, |route| route["port"] == "wan");
    let routes = 20_000;
    router.signal(libc::SIGSTOP);
    // More than the socket's buffer holds: twice as much in whole.
    for _ in 0..5 {
        batch(&net, &router, &many("add", routes, "10.2.0.2"));
        batch(&net, &router, &many("del", routes, "10.2.0.2"));
    }
    ip(&router, "route del 198.51.100.0/24");
    batch(&net, &router, &many("add", routes, "10.4.0.2"));
    router.signal(libc::SIGCONT);
    let canary = Canary::start(&net);
    eventually(seconds(20), "the kernel's routes are in step", || {
        kernel(&router, "overruns") > 0 && router.show("kernel")[0]["state"] == "in step"
    });
    verified(&router);
    shows_none(&router, "198.51.100.0/24");
    assert_eq!(kernel(&router, "routes"), u64::from(routes) + 1);
    goes_by(&net, &router, BEHIND, "wan");
    let flight = canary.stop();
    assert!(flight.lost_nothing(), "{flight}");
}

/// From the moment that `ip` is told to change a route until the first packet takes the new way.
#[test]
fn the_first_packet_on_a_new_way() {
    needs_xrouter!();
    let (net, router) = lab();
    goes_by(&net, &router, "10.2.0.2", "wan");
    goes_by(&net, &router, "10.4.0.2", "dmz");
    let flow = Flow::start(&net.lan, BEHIND, &[&net.wan, net.dmz()]);
    let mut ip = Batch::start(&router);
    let mut change = |n: usize| {
        let (host, via) = [(0, "10.2.0.2"), (1, "10.4.0.2")][n % 2];
        let told = Instant::now();
        ip.tell(&format!("route replace {NET} via {via} proto bird"));
        let arrived = flow.first(host, told, seconds(2)).expect("packets take the new way");
        std::thread::sleep(Duration::from_millis(5));
        arrived - told
    };
    // Others may have the cores for a while: the quietest of some rounds is the router's own.
    let round = |_| {
        let mut took: Vec<_> = (0..at_length(200, 100)).map(&mut change).collect();
        took.sort_unstable();
        (took[took.len() * 99 / 100], took[took.len() / 2])
    };
    let (p99, median) = (0..3).map(round).min().expect("three rounds");
    ip.end();
    let measured = format!("p99 {p99:.1?}, median {median:.1?}");
    let asked = "route change to first packet on the new path: p99 <= 5 ms";
    figure("mirror", asked, measured, p99 <= Duration::from_millis(5));
}
