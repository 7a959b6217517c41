//! What a start finds: things that others left, cards that are down, signals that mean nothing.

mod net;

use std::collections::BTreeSet;

use net::bpf::{self, Pins};
use net::canary::Canary;
use net::{LAN_DEVICE, Router, Topology, WAN_DEVICE, figure, ip, launch, seconds};

/// xrouter does not start, says this, and has taken nothing.
#[track_caller]
fn is_refused(net: &Topology, words: &[&str]) {
    let outcome = launch(net, &net.config()).wait(seconds(10)).fails().does_not_say("panicked");
    let said = outcome.stderr.lines().last().unwrap_or_default();
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    net.router.run("ip -d link show dev wan0").succeeds().does_not_say("NOARP");
    net.router.run("bpftool net").succeeds().does_not_say(WAN_DEVICE);
}

#[track_caller]
fn starts_and_forwards(net: &Topology) {
    let router = Router::start(net, &net.config());
    net.lan.run("ping -c 1 -W 3 10.2.0.2 && ping -c 1 -W 3 10.1.0.1").succeeds();
    router.stop();
}

/// R14: a tap that a router with `taps_persist`, or the operator, left.
#[test]
fn a_tap_of_the_same_name_is_taken_over_or_refused() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let name = &net.router.name;
    ip(&format!("-n {name} tuntap add dev lan mode tap multi_queue"));
    starts_and_forwards(&net);
    for other in ["tuntap add dev lan mode tap", "link add lan type veth peer name other"] {
        ip(&format!("-n {name} {other}"));
        is_refused(&net, &["port lan", "delete it or rename the port"]);
        ip(&format!("-n {name} link del lan"));
    }
    starts_and_forwards(&net);
    figure("R14", "leftover tap: takeover or clear error", "both", true);
}

const XDP_PASS: u8 = 2;

/// R14: somebody else's XDP program.
#[test]
fn a_foreign_xdp_program_is_refused() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let object = net.compile("foreign", "xdp", XDP_PASS);
    let object = object.display();
    for mode in ["xdpgeneric", "xdp"] {
        let name = &net.router.name;
        ip(&format!("-n {name} link set dev {LAN_DEVICE} {mode} obj {object} sec xdp"));
        let off = format!("ip link set dev {LAN_DEVICE} {mode} off");
        is_refused(&net, &["port lan", "another XDP program", &off]);
        net.router.run(&off).succeeds();
    }
    starts_and_forwards(&net);
    figure("R14", "foreign XDP program: clear error", "names the mend", true);
}

/// R14: a killed router's taps and socket, and its programs and maps, which somebody has pinned.
#[test]
fn what_a_killed_router_left_is_no_hindrance() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let config = net.config().router("taps_persist = true");
    let router = Router::start(&net, &config);
    let pins = Pins::new(&net);
    let programs = bpf::programs(&net.router);
    programs.iter().for_each(|&(_, program)| pins.pin(&net.router, "prog", program));
    let maps = programs.iter().flat_map(|&(_, program)| bpf::maps_of(&net.router, program));
    // The ports share some of them.
    for map in maps.collect::<BTreeSet<_>>() {
        pins.pin(&net.router, "map", map);
    }
    router.kill();
    let left = net.router.run("ip -br link").succeeds();
    assert_eq!(left.lines_with("lan ") + left.lines_with("wan "), 2, "taps are left: {left}");
    assert!(net.directory.join("api.sock").exists(), "a socket is left");
    let router = Router::start(&net, &config);
    net.lan.run("ping -c 1 -W 3 10.2.0.2 && ping -c 1 -W 3 10.1.0.1").succeeds();
    router.stop();
    figure("R14", "leftovers and pinned maps of a killed router: takeover", "it forwards", true);
}

/// R14: the link by which the program hangs on the card is pinned: so it stays there.
#[test]
fn a_pinned_program_of_a_killed_router_is_refused() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = Router::start(&net, &net.config());
    let pins = Pins::new(&net);
    pins.pin(
        &net.router,
        "link",
        bpf::link_of(&net.router, bpf::program_on(&net.router, LAN_DEVICE)),
    );
    router.kill();
    let refused = launch(&net, &net.config()).wait(seconds(10)).fails();
    refused.says("port lan").says("another XDP program").says("remove its pin (`bpftool -f link`)");
    drop(pins);
    starts_and_forwards(&net);
    figure("R14", "pinned link of a killed router: clear error", "names the mend", true);
}

/// R31: each prefix that is shorter than those before it rearranges them, and takes no room for that:
/// in the end there are five skips for each of the 40.
#[test]
fn routes_in_the_worst_order() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let mut config = net.config().and("[tables]\nipv6_skips = 256");
    for site in 0..40 {
        for length in (56..=128).rev().step_by(8) {
            config = config.route(&format!("fd03:0:{site:x}::/{length}"), "2001:db8:2::2");
        }
    }
    let router = Router::start(&net, &config);
    router.command("show routes fd03:0:27::1").succeeds().says("fd03:0:27::/120");
    router.stop();
}

/// R14, R15: a card that is down is set up; a host that comes later is found.
#[test]
fn a_card_that_is_down_and_a_host_that_is_late() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let (ours, lan) = (&net.router.name, &net.lan.name);
    ip(&format!("-n {lan} link set eth0 down"));
    ip(&format!("-n {ours} link set {LAN_DEVICE} down"));
    let router = Router::start(&net, &net.config());
    net.wan.run("ping -c 1 -W 1 10.1.0.2").fails();
    net.lan.configure();
    net.lan.run("ping -c 1 -W 3 10.2.0.2").succeeds();
    router.stop();
    net.router.run(&format!("ip link show dev {LAN_DEVICE}")).succeeds().says("state DOWN");
}

/// R15.
#[test]
fn a_storm_of_hangups() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let mut router = Router::start(&net, &net.config());
    let canary = Canary::start(&net);
    for _ in 0..2_000 {
        router.signal(libc::SIGHUP);
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
    assert!(router.is_running());
    let flight = canary.stop();
    figure("R15", "2000 SIGHUPs: transit loss 0", flight, flight.lost_nothing());
    router.stop();
}
