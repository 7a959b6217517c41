//! Drops that only a running router has: too many wait, too little memory, a port that is gone.
//! The others have their case in tests/cases, or stand in links.rs, pauses.rs, taps.rs; reasons.rs
//! sees to it that none is left out.

mod net;

use std::net::Ipv4Addr;
use std::time::Duration;

use net::flood::{Flood, Limit};
use net::freeze::Frozen;
use net::ledger::{closes, umem_is_whole};
use net::{Config, HOST_DEVICE, Router, Topology, eventually, frames, ip, seconds};

const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);

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

/// What is in the ring of a card is read after the card is gone.
#[test]
fn frames_of_a_card_that_has_gone() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    is_counted(&net, &net.config(), "port_down", |router| {
        let frozen = Frozen::thread(router.id(), "worker-0");
        send(&net, frames::resolved(), 10);
        net.unplug();
        eventually(seconds(3), "lan is gone", || {
            router.row("ports", "name", "lan")["mode"] == "absent"
        });
        drop(frozen);
    });
}

/// A worker with sixteen queues finds more for the kernel in one round than has room before the tap.
#[test]
fn more_for_the_kernel_than_has_room() {
    needs_xrouter!();
    let net = Topology::builder().queues(16).build();
    let config = net.config().router("ring = 64").router("frames = 16384");
    let config = config.and("[police]\nother_per_s = 1000000");
    is_counted(&net, &config, "tap_full", |router| {
        let frozen = Frozen::thread(router.id(), "worker-0");
        // Many flows, so that some come by each queue.
        let flows = (2000..3000).map(|port| frames::udp4_to(port, ROUTER, 64, 18));
        send(&net, flows.collect(), 2);
        drop(frozen);
    });
}

/// Each class has its limit, and its name.
#[test]
fn more_for_the_kernel_than_its_class_may_have() {
    needs_xrouter!();
    const SSH: u16 = 22;
    const BFD: u16 = 3784; // RFC 5881 4
    let net = Topology::lan_wan();
    let to_port = |port| frames::udp4_to(port, ROUTER, 255, 24);
    for (reason, frame) in [
        ("policed_neighbour", frames::arp_request_for_others()),
        ("policed_routing", to_port(BFD)),
        ("policed_management", to_port(SSH)),
        ("policed_icmp", frames::echo4(ROUTER)),
        ("policed_other", to_port(9)),
    ] {
        let class = reason.trim_start_matches("policed_");
        let config = net.config().and(&format!("[police]\n{class}_per_s = 10"));
        is_counted(&net, &config, reason, |_| send(&net, vec![frame], 1000));
    }
}

/// A packet socket has the kernel ask for TCP segments of what is said to be IPv6 and is not.
#[test]
fn segments_of_another_kind_than_the_packet() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    is_counted(&net, &net.config(), "offload_malformed", |router| {
        router.host().run(&format!("/usr/bin/python3 -c '{SEGMENTS}'")).succeeds();
    });
}

/// `struct virtio_net_hdr`: checksum to be computed, TCP over IPv4, segments of 100 octets.
const SEGMENTS: &str = r#"
import socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
SOL_PACKET, PACKET_VNET_HDR = 263, 15
s.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
s.bind(("lan", 0x0800))
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 540, 0, 0, 64, 6, 0, bytes([10, 1, 0, 1]), bytes([10, 1, 0, 2]))
tcp = struct.pack("!HHIIBBHHH", 1000, 2000, 0, 0, 0x50, 0x10, 100, 0, 0)
ethernet = bytes([2, 0, 10, 1, 0, 2, 2, 0, 10, 1, 0, 1, 0x86, 0xdd])
s.send(struct.pack("<BBHHHH", 1, 1, 54, 100, 34, 16) + ethernet + ip + tcp + bytes(500))
"#;

/// An error waits for its receiver's MAC. By the time that the worker hears of it, the link is down.
#[test]
fn an_error_whose_way_is_gone() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    is_counted(&net, &net.config(), "own_echo", |router| {
        let dying = frames::udp4_of([10, 1, 0, 77], Ipv4Addr::new(10, 2, 0, 2), 1, 18);
        send(&net, vec![dying], 1);
        eventually(seconds(2), "the error waits", || router.counter("lan", "waiting") == 1);
        let control = Frozen::thread(router.id(), "xrouter");
        send(&net, vec![frames::arp_request_of_stranger(77)], 1);
        std::thread::sleep(Duration::from_millis(200)); // the worker passes it on
        let worker = Frozen::thread(router.id(), "worker-0");
        drop(control);
        eventually(seconds(3), "control knows the receiver", || {
            router.neighbour("10.1.0.77").is_some_and(|neighbour| neighbour["mac"].is_string())
        });
        ip(&format!("-n {} link set {HOST_DEVICE} down", net.lan.name));
        eventually(seconds(3), "control knows that the link is down", || {
            router.row("ports", "name", "lan")["link"] == "down"
        });
        drop(worker);
    });
}
