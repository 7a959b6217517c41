//! Ethernet frames, and ARP in them.
#![forbid(unsafe_code)]

use std::net::Ipv4Addr;

use xrouter::packet::arp::{self, Operation, Packet};
use xrouter::packet::ethernet::{self, MacAddress};

use super::octets::assert_within;

/// `frame` is a frame.
pub fn run(frame: &[u8]) {
    let Some(view) = ethernet::View::new(frame) else {
        return assert!(frame.len() < ethernet::HEADER);
    };
    assert_within(view.payload(), frame);
    assert_eq!(view.payload().len() + ethernet::HEADER, frame.len());
    let mut written = frame.to_vec();
    written[..ethernet::HEADER].fill(0xa5);
    let header = view.header();
    ethernet::write(&mut written, header.destination, header.source, header.ether_type);
    assert_eq!(written, frame);
    for mac in [header.source, header.destination] {
        assert_eq!(mac.to_string().parse(), Ok(mac));
    }
    if let Ok(packet) = arp::View::new(view.payload()) {
        arp_packet(&packet, view.payload(), header.destination);
    }
}

fn arp_packet(view: &arp::View, payload: &[u8], mac: MacAddress) {
    let packet = view.packet();
    let mut written = [0xa5; arp::PACKET];
    packet.write(&mut written);
    assert_eq!(written[..], payload[..arp::PACKET]);
    assert!(!(view.is_probe() && view.is_gratuitous()));
    let mut answer = [0xa5; arp::FRAME];
    arp::reply(&mut answer, mac, view);
    let answer = arp_in(&answer);
    assert_eq!((answer.operation, answer.sender_mac), (Operation::Reply, mac));
    assert_eq!(answer.sender_address, packet.target_address);
    assert_eq!(
        (answer.target_mac, answer.target_address),
        (packet.sender_mac, packet.sender_address)
    );
    questions(mac, packet.sender_address, packet.target_address);
}

/// What we write ourselves is understood as what it is.
fn questions(mac: MacAddress, own: Ipv4Addr, target: Ipv4Addr) {
    let mut frame = [0xa5; arp::FRAME];
    arp::request(&mut frame, mac, own, target);
    let asked = arp_in(&frame);
    assert_eq!((asked.operation, asked.target_address), (Operation::Request, target));
    arp::announcement(&mut frame, mac, own);
    let told = arp_in(&frame);
    assert_eq!((told.sender_mac, told.sender_address, told.target_address), (mac, own, own));
}

fn arp_in(frame: &[u8; arp::FRAME]) -> Packet {
    arp::View::new(&frame[ethernet::HEADER..]).expect("we wrote it").packet()
}
