//! The wires that tests listen at: they hear all that arrives, as it was sent, and nothing else.

mod net;

use std::time::Duration;

use net::wire::{Wire, collect};
use net::{HOST_DEVICE, LAN_DEVICE, Topology, seconds, sysctl};

#[test]
fn a_wire_hears_what_arrives_as_it_was_sent() {
    let net = Topology::lan_wan();
    net.lan.silence();
    sysctl(&net.router, &["net.ipv6.conf.all.disable_ipv6=1"]);
    let (host, router) = (Wire::open(&net.lan, HOST_DEVICE), Wire::open(&net.router, LAN_DEVICE));
    let plain = [[2; 12].as_slice(), &[0x88, 0xb5], &[7; 46]].concat();
    let tagged = [[4; 12].as_slice(), &[0x81, 0, 0x20, 5], &plain[12..]].concat();
    let frames = [plain, tagged].map(|frame| vec![frame; 1000]).concat();
    host.send(&frames);
    let heard = collect(&[&host, &router], Duration::from_millis(200), seconds(5));
    assert_eq!(heard[0], [], "the sender hears what arrives only");
    let at_router: Vec<_> = heard[1].iter().map(|heard| heard.octets.clone()).collect();
    assert!(at_router == frames, "{} frames arrived", at_router.len());
}
