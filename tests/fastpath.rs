//! The XDP program forwards plain packets: that is seen and counted, and changes nothing but speed.

mod net;

use net::flood::{Flood, Limit};
use net::{Router, Topology, eventually, frames, seconds};

const PACKETS: u64 = 2_000;

/// A router with this in `[router]`, whose neighbours are known.
fn with(net: &Topology, line: &str) -> Router {
    let router = Router::start(net, &net.config().router(line));
    net.lan.run("ping -c 1 -W 2 10.2.0.2 && ping -6 -c 1 -W 2 2001:db8:2::2").succeeds();
    router
}

/// Plain packets of both families and all lengths from lan to wan; how many of them the program
/// forwarded itself.
#[track_caller]
fn forwarded_by_program(net: &Topology, router: &Router) -> u64 {
    let (arrived, before) = (net.wan.received(), router.counter("lan", "fast_path"));
    let limit = Limit { frames: PACKETS, time: seconds(20), per_second: 2_000 };
    router.carries("wan", PACKETS, || Flood::start(&net.lan, frames::resolved(), limit).wait());
    eventually(seconds(3), "all arrive", || net.wan.received() >= arrived + PACKETS);
    router.counter("lan", "fast_path") - before
}

/// What `show ports` says of a port.
#[track_caller]
fn shown(router: &Router, port: &str, key: &str) -> String {
    router.row("ports", "name", port)[key].as_str().expect("a text").to_owned()
}

#[test]
fn plain_packets_go_the_fast_way_and_are_counted_as_all() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = with(&net, "fastpath = \"auto\"");
    assert_eq!([shown(&router, "lan", "engine"), shown(&router, "wan", "engine")], ["xdp"; 2]);
    let before = router.counter("lan", "received");
    let forwarded = forwarded_by_program(&net, &router);
    assert!(forwarded >= PACKETS, "{forwarded} of {PACKETS}");
    assert!(router.counter("lan", "received") >= before + forwarded);
    router.stop();
}

#[test]
fn off_is_off() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = with(&net, "fastpath = \"off\"");
    assert_eq!(shown(&router, "lan", "engine"), "worker");
    assert!(shown(&router, "lan", "why").contains("fastpath = \"off\""));
    assert_eq!(forwarded_by_program(&net, &router), 0);
    router.stop();
}

/// A veth takes an XDP program's frames only while its peer has NAPI: without, the worker sends.
#[test]
fn a_device_that_takes_no_frames_is_sent_to_by_the_worker() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    net.wan.run("ethtool -K eth0 gro off").succeeds();
    let router = with(&net, "fastpath = \"auto\"");
    assert!(shown(&router, "wan", "why").contains("ethtool -K PEER gro on"));
    assert_eq!(forwarded_by_program(&net, &router), 0);
    net.wan.run("ethtool -K eth0 gro on").succeeds();
    eventually(seconds(5), "that is seen", || !shown(&router, "wan", "why").contains("gro on"));
    assert!(forwarded_by_program(&net, &router) >= PACKETS);
    router.stop();
}

/// Traffic that only the program sees keeps its neighbours: they are asked before they are lost.
#[test]
fn a_neighbour_in_use_does_not_go_stale() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let impatient = "[resolution]\nreachable_s = 1\ndelay_s = 1\nstale_s = 3";
    let config = net.config().router("fastpath = \"auto\"").and(impatient);
    let router = Router::start(&net, &config);
    net.lan.run("ping -c 1 -W 2 10.2.0.2 && ping -6 -c 1 -W 2 2001:db8:2::2").succeeds();
    let arrived = net.wan.received();
    let limit = Limit { frames: 8_000, time: seconds(20), per_second: 1_000 };
    let before = router.counter("lan", "fast_path");
    let sent = Flood::start(&net.lan, frames::resolved(), limit).wait();
    eventually(seconds(3), "all arrive", || net.wan.received() >= arrived + sent.accepted);
    let slow = sent.accepted - (router.counter("lan", "fast_path") - before).min(sent.accepted);
    assert!(slow <= 10, "{slow} packets waited for a neighbour that was in use");
    router.stop();
}

/// What a card's program has counted is not forgotten with the card.
#[test]
fn the_counters_outlive_the_card() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = with(&net, "fastpath = \"auto\"");
    forwarded_by_program(&net, &router);
    let counted = router.counter("lan", "fast_path");
    net.unplug();
    eventually(seconds(5), "the card is gone", || shown(&router, "lan", "mode") == "absent");
    net.plug_lan();
    eventually(seconds(10), "the card is back", || shown(&router, "lan", "link") == "up");
    assert!(router.counter("lan", "fast_path") >= counted);
    net.lan.run("ping -c 1 -W 2 10.2.0.2 && ping -6 -c 1 -W 2 2001:db8:2::2").succeeds();
    assert!(forwarded_by_program(&net, &router) >= PACKETS);
    router.stop();
}
