//! R01 over the wire: damaged frames harm nobody.

mod net;

use net::canary::Canary;
use net::flood::{Flood, Limit, Sent};
use net::ledger::{Books, umem_comes_to_rest, umem_is_whole};
use net::{
    Router, Topology, at_length, corpus, eventually, figure, kernel_complaints, seconds, soak,
};

/// At a pace that leaves the canary room.
fn send(net: &Topology, frames: Vec<Vec<u8>>) -> Sent {
    let count = u64::try_from(frames.len()).expect("not that many");
    let limit = Limit { frames: count, time: seconds(600), per_second: 20_000 };
    Flood::start(&net.lan, frames, limit).wait()
}

#[test]
fn damaged_frames_from_the_wire() {
    needs_xrouter!();
    let seeds = corpus::seeds();
    assert!(seeds.len() > 100, "{} seeds", seeds.len());
    let net = Topology::lan_wan();
    let mut router = Router::start(&net, &net.config());
    let chunks = umem_is_whole(&router);
    let complaints = kernel_complaints();
    let canary = Canary::start(&net);
    // Whatever memory the kinds of frames need is had from here on.
    let mut sent = send(&net, seeds.clone()).accepted;
    let before = router.usage();
    sent += send(&net, corpus::truncated(&seeds)).accepted;
    for _ in 0..soak() {
        sent += send(&net, corpus::mutated(&seeds, at_length(100_000, 10_000))).accepted;
    }
    assert!(router.is_running(), "{}", router.log());
    let flight = canary.stop();
    umem_comes_to_rest(&router);
    assert_eq!(umem_is_whole(&router), chunks);
    let books = Books::at_rest(&router);
    books.close();
    books.no_invalid_descriptors();
    let grown = router.usage().resident.saturating_sub(before.resident);
    eventually(seconds(5), "the router answers", || net.wan.run("ping -c 1 10.2.0.1").ok());
    let new = kernel_complaints().saturating_sub(complaints); // old ones leave the kernel's ring
    figure("R01", "damaged frames: canary loss 0", flight, flight.lost_nothing());
    figure("R01", "memory growth < 1 MiB", format!("{grown} KiB after {sent}"), grown < 1024);
    figure("R01", "the kernel's log is clean", format!("{new} complaints"), new == 0);
    router.stop();
}
