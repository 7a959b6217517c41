//! Frames are never lost: every one is accounted for, under any load (R02, R03, R04).

mod net;

use std::time::Instant;

use net::flood::{Flood, Limit};
use net::ledger::{Books, closes, umem_comes_to_rest, umem_is_whole};
use net::names::reason;
use net::{
    Config, HOST_DEVICE, LAN_DEVICE, Router, Topology, at_length, eventually, frames, seconds,
};

/// Chunks of the small UMEM: its rings take most of them, so that it runs dry.
const FEW_FRAMES: u32 = 512;

fn small(net: &Topology) -> Config {
    net.config().router("ring = 64").router(&format!("frames = {FEW_FRAMES}"))
}

fn everything() -> Vec<Vec<u8>> {
    [frames::resolved(), frames::unresolved(), frames::invalid(), frames::for_the_router()].concat()
}

/// The generator's own books, on which all else rests: what it says was sent is what the link took.
#[test]
fn the_generator_counts_what_it_sent() {
    let net = Topology::lan_wan();
    net.lan.silence();
    let before = net.lan.transmitted();
    let limit = Limit { frames: 20_000, time: seconds(20), per_second: 0 };
    let sent = Flood::start(&net.lan, everything(), limit).wait();
    assert_eq!(sent.accepted, 20_000);
    assert_eq!(net.lan.transmitted() - before, sent.accepted);
}

/// Resolved, unresolved, invalid and host-destined packets at once into a small UMEM.
#[test]
fn every_frame_of_a_flood_is_accounted_for() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = Router::start(&net, &small(&net));
    net.lan.run("ping -c 1 10.2.0.2 && ping -6 -c 1 2001:db8:2::2").succeeds();
    // From here on the lan host sends nothing but the flood.
    net.lan.silence();
    let chunks = umem_is_whole(&router);
    let (before, witnessed_before) = with_witness(&router, &net);

    let time = at_length(seconds(60), seconds(5));
    let limit = Limit { frames: u64::MAX, time, per_second: 0 };
    let flood = Flood::start(&net.lan, everything(), limit);
    let start = Instant::now();
    while flood.is_running() {
        assert_eq!(umem_is_whole(&router), chunks, "after {:.1?}", start.elapsed());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let sent = flood.wait();

    umem_comes_to_rest(&router);
    let (after, witnessed) = with_witness(&router, &net);
    let arrived = after.arrived("lan") - before.arrived("lan");
    eprintln!("{sent:?}; of these {} lost by the kernel", after.lost_by_kernel("lan"));
    assert_eq!(sent.accepted, arrived, "sent = received + passed + lost by the kernel");
    after.close();
    after.no_invalid_descriptors();
    assert_eq!(umem_is_whole(&router), chunks);
    let left = after.of("wan", "transmitted") - before.of("wan", "transmitted");
    let witnessed = witnessed - witnessed_before;
    assert_eq!(witnessed, left, "what the router says it sent is what arrived");
    for name in [reason::NO_ROUTE, reason::TTL_EXCEEDED, reason::IPV4_CHECKSUM] {
        assert!(router.dropped(name) > 0, "no drop for {name}");
    }
    router.stop();
}

/// The books at rest, and what the witness at the other end of the wan cable has seen by then: the
/// router announces itself when it likes.
fn with_witness(router: &Router, net: &Topology) -> (Books, u64) {
    for _ in 0..10 {
        let seen = net.wan.received();
        let books = Books::at_rest(router);
        if net.wan.received() == seen {
            return (books, seen);
        }
    }
    panic!("the router never falls silent");
}

/// R02 one by one: each way for a frame to end gives its chunk back.
#[test]
fn each_kind_of_frame_gives_its_chunk_back() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = Router::start(&net, &small(&net));
    net.lan.run("ping -c 1 10.2.0.2 && ping -6 -c 1 2001:db8:2::2").succeeds();
    let chunks = umem_is_whole(&router);
    let kinds: [fn() -> Vec<Vec<u8>>; 4] =
        [frames::resolved, frames::unresolved, frames::invalid, frames::for_the_router];
    for frames in kinds {
        let limit = Limit { frames: 20_000, time: seconds(10), per_second: 20_000 };
        let _sent = Flood::start(&net.lan, frames(), limit).wait();
        closes(&router, chunks);
    }
}

/// R02: a port that takes nothing holds no chunks for ever.
#[test]
fn a_dead_egress_link_holds_no_chunks() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = Router::start(&net, &small(&net));
    net.lan.run("ping -c 1 10.2.0.2").succeeds();
    let chunks = umem_is_whole(&router);
    let limit = Limit { frames: u64::MAX, time: seconds(5), per_second: 20_000 };
    let flood = Flood::start(&net.lan, frames::resolved(), limit);
    for _ in 0..5 {
        net::ip(&format!("-n {} link set {HOST_DEVICE} down", net.wan.name));
        assert_eq!(umem_is_whole(&router), chunks);
        net.wan.configure();
        assert_eq!(umem_is_whole(&router), chunks);
    }
    let _sent = flood.wait();
    closes(&router, chunks);
}

/// R03: the largest of everything, and the kernel refuses no descriptor.
#[test]
fn frames_of_full_size_make_no_invalid_descriptors() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = Router::start(&net, &net.config());
    net.lan.run("ping -c 20 -i 0.01 -M do -s 1472 10.2.0.2").succeeds();
    net.lan.run("ping -6 -c 20 -i 0.01 -M do -s 1452 2001:db8:2::2").succeeds();
    net.lan.run("ping -c 5 -i 0.01 -s 9000 10.1.0.1").succeeds();
    router.host().run("ping -c 5 -i 0.01 -s 9000 10.1.0.2").succeeds();
    // The largest ICMP quotes (576 and 1280 octets).
    net.lan.run("ping -c 2 -i 0.2 -t 1 -s 1472 10.2.0.2").fails().says("Time to live exceeded");
    net.lan.run("ping -6 -c 2 -i 0.2 -t 1 -s 1452 2001:db8:2::2").fails().says("Hop limit");
    let books = Books::at_rest(&router);
    books.no_invalid_descriptors();
    books.close();
}

/// R04: what the kernel loses before the router sees it can be seen.
#[test]
fn losses_in_the_kernel_are_visible() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = Router::start(&net, &small(&net));
    net.lan.run("ping -c 1 10.2.0.2").succeeds();
    net.lan.silence();
    let before = Books::at_rest(&router);
    router.signal(libc::SIGSTOP);
    let limit = Limit { frames: 5_000, time: seconds(10), per_second: 0 };
    let sent = Flood::start(&net.lan, frames::resolved(), limit).wait();
    router.signal(libc::SIGCONT);
    let after = Books::at_rest(&router);
    let arrived = after.arrived("lan") - before.arrived("lan");
    let lost = after.lost_by_kernel("lan") - before.lost_by_kernel("lan");
    assert!(lost > 1000, "a stopped router loses most of {sent:?}, but shows {lost}");
    assert_eq!(sent.accepted, arrived);
    let shown = router.host().run(&format!("ethtool -S {LAN_DEVICE}")).succeeds();
    eprintln!("the driver says:\n{shown}");
    after.close();
}

/// The sum holds while packets flow, too: received = transmitted + punted + dropped + waiting.
#[test]
fn the_books_close_after_ordinary_traffic() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = Router::start(&net, &net.config());
    let server = net.wan.serve(5201, "exec iperf3 -s -1");
    net.lan.run("iperf3 -c 10.2.0.2 -t 2").succeeds();
    server.wait(seconds(10)).succeeds();
    let server = router.host().serve(5201, "exec iperf3 -s -1");
    net.lan.run("iperf3 -c 10.1.0.1 -t 2 -R").succeeds();
    server.wait(seconds(10)).succeeds();
    eventually(seconds(30), "the books close", || {
        let books = Books::at_rest(&router);
        books.close();
        books.sum("received") > 1000
    });
}
