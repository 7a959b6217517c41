//! Drops that only a running router has: too many wait, too little memory, a port that is gone.
//! The others have their case in tests/cases, or stand in links.rs, pauses.rs, taps.rs.

mod net;

use std::net::Ipv4Addr;

use net::flood::{Flood, Limit};
use net::ledger::{closes, umem_is_whole};
use net::{Config, Router, Topology, eventually, frames, ip, seconds};

/// The drop for this reason is counted once `act` is done, and no chunk is lost by it.
#[track_caller]
fn is_counted(net: &Topology, config: &Config, reason: &str, act: impl FnOnce(&Router)) {
    let router = Router::start(net, config);
    net.lan.run("ping -c 1 10.2.0.2").succeeds();
    let chunks = umem_is_whole(&router);
    act(&router);
    eventually(seconds(3), &format!("a drop for {reason}"), || router.dropped(reason) > 0);
    closes(&router, chunks);
    router.stop();
}

fn send(net: &Topology, frames: Vec<Vec<u8>>, times: u64) {
    let frames_max = times * u64::try_from(frames.len()).expect("few");
    let limit = Limit { frames: frames_max, time: seconds(5), per_second: 0 };
    assert_eq!(Flood::start(&net.lan, frames, limit).wait().accepted, frames_max);
}

/// Hosts of the wan's subnet that are not there.
fn to_nobody(hosts: std::ops::Range<u8>) -> Vec<Vec<u8>> {
    hosts.map(|host| frames::udp4(Ipv4Addr::new(10, 2, 0, host), 64, 18)).collect()
}

#[test]
fn more_packets_than_are_held_for_a_neighbour() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    is_counted(&net, &net.config(), "hold_overflow", |_| send(&net, to_nobody(99..100), 64));
}

#[test]
fn more_neighbours_than_packets_are_held_for() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let nobody = [to_nobody(3..250), frames::unresolved()].concat();
    is_counted(&net, &net.config(), "neighbours_full", |_| send(&net, nobody, 1));
}

/// The kernel's large segments need more chunks than are left.
#[test]
fn no_chunk_for_what_the_kernel_sends() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let config = net.config().router("ring = 64").router("frames = 256");
    is_counted(&net, &config, "no_frame", |router| {
        let server = net.lan.serve(5201, "exec iperf3 -s -1");
        router.host().run("iperf3 -c 10.1.0.2 -t 1").succeeds();
        server.wait(seconds(10)).succeeds();
    });
}

/// Whoever is behind it is unreachable at once, a static neighbour too.
#[test]
fn a_port_without_a_card() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let entry = "address = \"10.2.0.50\"\nmac = \"02:00:0a:02:00:50\"\nport = \"wan\"";
    let config = net.config().and(&format!("[[neighbour]]\n{entry}"));
    is_counted(&net, &config, "host_unreachable", |router| {
        ip(&format!("-n {} link del eth0", net.wan.name));
        eventually(seconds(3), "wan is gone", || {
            router.row("ports", "name", "wan")["mode"] == "absent"
        });
        send(&net, to_nobody(50..51), 10);
    });
}
