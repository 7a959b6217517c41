//! Frames made up of everything that a router may be told, in the notation of
//! `router/packet/text.rs`: most are well-formed, so that they get far.

use std::net::{Ipv4Addr, Ipv6Addr};

use xrouter::packet::ethernet::MacAddress;

use super::frame::{Frame, HOST_MACS, ROUTER_MACS, octets};
use super::random::Random;

/// Hosts: connected, routed, more or less specifically.
const HOSTS_4: &str = "10.1.0.2 10.1.0.3 10.2.0.2 10.2.0.3 10.2.0.77 10.3.0.5 10.3.0.129 10.3.0.200 10.5.0.9 \
    10.4.0.2 10.4.0.3 10.6.0.9 10.6.7.8 10.7.0.9 10.7.6.5 \
    8.8.8.8";
/// Addresses with a meaning of their own, to be a source or a destination.
const SPECIAL_4: &str = "10.1.0.1 10.2.0.1 10.4.0.1 10.1.0.0 10.2.0.0 10.1.0.255 10.2.0.255 10.4.0.255 0.0.0.0 0.1.2.3 127.0.0.1 \
    127.255.0.9 169.254.1.1 224.0.0.1 224.0.0.5 224.0.1.1 239.1.2.3 240.0.0.1 \
    255.255.255.254 255.255.255.255 198.51.100.9 203.0.113.9 203.0.113.200 192.0.2.1 \
    10.1.0.200 10.2.0.201 192.168.0.1 172.16.0.1";
const HOSTS_6: &str = "2001:db8:1::2 2001:db8:1::3 2001:db8:2::2 2001:db8:2::3 2001:db8:3::5 2001:db8:3:80::9 \
    2001:db8:3:80::7 2001:db8:5::9 fd00::7 2001:db8:4::2 2001:db8:4::3 2001:db8:6::9 2001:db8:6:7::8 \
    2001:db8:7::9 2001:db8:7:6::5";
const SPECIAL_6: &str = "2001:db8:1::1 2001:db8:2::1 2001:db8:1:: 2001:db8:2:: :: ::1 ::ffff:10.2.0.2 ::10.2.0.2 \
    fe80::2 fe80::3 fe80::aff:fe01:1 fe80::aff:fe02:1 fe80:: fec0::9 ff00::1 ff01::1 ff02::1 \
    ff02::2 ff02::1:ff00:1 ff05::2 ff0e::9 2001:db8:b::9 2001:db8:c::9 2001:db8:d::9 3fff::1 \
    2001:db8:1::a01 2001:db8:2::a02";
/// Sizes of payloads: few octets, and around what the links carry.
const SIZES: [usize; 20] = [
    0, 1, 7, 8, 9, 16, 64, 512, 540, 548, 1200, 1232, 1300, 1340, 1352, 1372, 1373, 1440, 1452,
    1472,
];
/// Next headers and protocols that have no layer of their own here.
const PROTOCOLS: [u8; 16] = [0, 2, 4, 6, 17, 41, 47, 50, 51, 58, 59, 89, 103, 132, 140, 255];

/// A frame; None if it would be longer than its link carries.
pub fn frame(random: &mut Random) -> Option<Frame> {
    let port = random.pick(&[0, 0, 1, 2]);
    let (mut packet, destination) = match random.below(20) {
        0 => arp(random),
        1..11 => ipv4(random),
        _ => ipv6(random),
    };
    if random.once_in(20) {
        packet = format!("vlan {} / {packet}", random.pick(&[0, 1, 4095]));
    }
    let line = format!("lan < {} / {packet}", ethernet(random, port, &destination));
    let mut octets = octets(&line);
    if random.once_in(10) {
        let padding = random.below(64);
        octets.extend((0..padding).map(|_| random.octet()));
    }
    Some(Frame { port, octets }).filter(Frame::fits)
}

/// To the router, as a rule.
fn ethernet(random: &mut Random, port: usize, group: &str) -> String {
    let usual = ROUTER_MACS[port];
    let destination = match random.below(40) {
        0 => "ff:ff:ff:ff:ff:ff",
        1 => ROUTER_MACS[(port + 1) % ROUTER_MACS.len()],
        2 => "02:00:0a:01:00:99",
        3 => "01:00:5e:00:00:01",
        4 => "33:33:00:00:00:01",
        5..35 if !group.is_empty() => group,
        _ => usual,
    };
    let source = match random.below(80) {
        0 => "01:00:5e:00:00:01",
        1 => usual,
        2 => "00:00:00:00:00:00",
        _ => HOST_MACS[port],
    };
    format!("eth {source} > {destination}")
}

fn arp(random: &mut Random) -> (String, String) {
    let who =
        random.pick(&["10.1.0.1", "10.2.0.1", "10.1.0.2", "10.2.0.9", "10.1.0.255", "8.8.8.8"]);
    let tell =
        random.pick(&["10.1.0.2", "10.2.0.2", "10.1.0.1", "0.0.0.0", "10.3.0.5", "10.1.0.3"]);
    let to = random.pick(&["ff:ff:ff:ff:ff:ff", ""]).to_owned();
    let odd = [" op 2", " op 3", " op 8", " hlen 8", " ptype 0x86dd", " htype 6"];
    let operation = if random.once_in(2) { "" } else { random.pick(&odd) };
    let from = random.pick(&["", "", "", " from ff:ff:ff:ff:ff:ff", " from 02:00:00:00:00:77"]);
    (format!("arp request who {who} tell {tell}{from}{operation}"), to)
}

fn ipv4(random: &mut Random) -> (String, String) {
    let (source, destination) = (address4(random, 6), address4(random, 3));
    let mut line = format!("ip {source} > {destination} id {}", random.below(0x1_0000));
    line += &format!(" ttl {}", random.pick(&[0, 1, 2, 3, 64, 64, 64, 128, 255]));
    line += random.pick(&["", "", "", " tos 0xb9", " tos 0x03", " tos 0xff"]);
    line += random.pick(&["", "", " df", " df", " rf"]);
    if random.once_in(8) {
        line += &format!(
            " frag {}{}",
            random.pick(&[0, 0, 1, 3, 170, 8000, 8191]),
            random.pick(&["", " mf"])
        );
    }
    if random.once_in(8) {
        line += &format!(" opt {}", options4(random));
    }
    if random.once_in(12) {
        line += &format!(" proto {}", random.pick(&PROTOCOLS));
    }
    if random.once_in(30) {
        line +=
            &format!(" {} {}", random.pick(&["len", "ihl", "version", "sum"]), random.below(16));
    }
    (format!("{line}{}", upper(random, 4)), group4(destination))
}

/// Special addresses once in `n` times, and any at all seldom.
fn address4(random: &mut Random, n: usize) -> Ipv4Addr {
    if random.once_in(40) {
        return Ipv4Addr::from([(); 4].map(|()| random.octet()));
    }
    if random.once_in(4) {
        return Ipv4Addr::new(10, random.pick(&[3, 6, 7]), random.octet(), random.octet());
    }
    // Any neighbour that is known: each is told of better ways so often and no more.
    if random.once_in(4) {
        return Ipv4Addr::new(10, random.pick(&[1, 2, 4]), 0, random.octet() & 0x7f | 2);
    }
    let from = if random.once_in(n) { SPECIAL_4 } else { HOSTS_4 };
    random.word(from).parse().expect("an address")
}

/// The MAC that a packet for a group or for all is sent to; empty for others.
fn group4(address: Ipv4Addr) -> String {
    match address {
        _ if address.octets()[3] == 255 => MacAddress::BROADCAST.to_string(),
        _ if address.is_multicast() => MacAddress::for_ipv4_multicast(address).to_string(),
        _ => String::new(),
    }
}

/// Padding, router alert, unknown, record route with room and full, time stamps, also for named
/// routers, source routes, and malformed ones.
fn options4(random: &mut Random) -> &'static str {
    random.word(
        "01010101 00000000 94040000 94040001 99040000 820b 0707040000000000 07070a0000000000 \
         070b08010203040000000000 44080500 440c0d0100000000 83070400000000 8307040a02000200 \
         89070808080808 0702 0700 44040500 0728 \
         440c05010000000000000000 440c05030a01000100000000 440c0503e000000100000000",
    )
}

fn ipv6(random: &mut Random) -> (String, String) {
    let (source, destination) = (address6(random, 6), address6(random, 3));
    let mut line = format!("ip6 {source} > {destination} flow {}", random.below(0x10_0000));
    line += &format!(" hlim {}", random.pick(&[0, 1, 2, 3, 64, 64, 64, 128, 255]));
    line += random.pick(&["", "", "", " class 0xb9", " class 0x03", " class 0xff"]);
    if random.once_in(20) {
        line += &format!(" next {}", random.pick(&PROTOCOLS));
    }
    if random.once_in(30) {
        line += &format!(" {} {}", random.pick(&["len", "version"]), random.below(16));
    }
    if random.once_in(3) {
        for _ in 0..=random.below(3) {
            line += &format!(" / {}", extension(random));
        }
    }
    (format!("{line}{}", upper(random, 6)), group6(destination))
}

fn address6(random: &mut Random, n: usize) -> Ipv6Addr {
    if random.once_in(40) {
        return Ipv6Addr::from(u128::from(random.number()) << 64 | u128::from(random.number()));
    }
    if random.once_in(6) {
        let host = 2 + u16::from(random.octet() & 7);
        return Ipv6Addr::new(0x2001, 0xdb8, random.pick(&[1, 2, 4, 6, 7]), 0, 0, 0, 0, host);
    }
    let from = if random.once_in(n) { SPECIAL_6 } else { HOSTS_6 };
    random.word(from).parse().expect("an address")
}

fn group6(address: Ipv6Addr) -> String {
    let group = || MacAddress::for_ipv6_multicast(address).to_string();
    if address.is_multicast() { group() } else { String::new() }
}

fn extension(random: &mut Random) -> String {
    // Padding, router alert, and unknown: to be skipped, discarded, told about, a jumbogram, too much
    // padding, and those that only Linux knows: CALIPSO, IOAM.
    let options = random.word(
        "00 010400000000 050200000100 1e0400000000 5e0400000000 9e0400000000 de0400000000 \
         c20400010000 01ff00000000 c9100000000000000000000000000000 0708000000010000ffff \
         310200000000",
    );
    let routing = random.pick(&["0000", "0001", "0200", "0201", "0400", "0401", "6301"]);
    match random.below(5) {
        0 => format!("hbh {options}"),
        1 | 2 => format!("dstopt {options}"),
        3 => format!("routing {routing}"),
        _ => format!(
            "fragment {}{} id {}",
            random.pick(&[0, 0, 1, 170, 8191]),
            random.pick(&["", " mf"]),
            random.below(1 << 30)
        ),
    }
}

/// What the packet carries, with its ` / `.
fn upper(random: &mut Random, version: u8) -> String {
    let (size, id) = (random.pick(&SIZES), random.below(0x1_0000));
    let sum =
        if random.once_in(10) { random.pick(&[" sum 0", " sum 0xffff", " sum 7"]) } else { "" };
    let data = format!("hex {:016x} / data {size}", random.number());
    let echo = random.pick(&["echo-request", "echo-reply"]);
    let icmp = if version == 4 { "icmp" } else { "icmp6" };
    match random.below(16) {
        0 => String::new(),
        1..6 => format!(" / udp {id} > {}{sum} / {data}", random.pick(&[9, 53, 179, 500, 33434])),
        6..9 => format!(
            " / tcp {id} > {} seq {id} flags {}{sum} / {data}",
            random.pick(&[22, 80, 179]),
            random.pick(&["S", "A", "SA", "R", "FA", "PA"])
        ),
        9..11 => format!(" / {icmp} {echo} id {id} seq {}{sum} / {data}", random.below(9)),
        11 => format!(" / {icmp} {} {} rest {id}{sum} / {data}", random.octet(), random.below(17)),
        12..14 => format!(" / {icmp} {}", error(random, version)),
        14 if version == 6 => discovery(random),
        _ => format!(" / {data}"),
    }
}

/// An ICMP error that quotes a packet.
fn error(random: &mut Random, version: u8) -> String {
    let kinds: &[u8] = if version == 4 { &[3, 4, 5, 11, 12] } else { &[1, 2, 3, 4, 127, 137] };
    let (from, to) = if version == 4 {
        (address4(random, 4).to_string(), address4(random, 4).to_string())
    } else {
        (address6(random, 4).to_string(), address6(random, 4).to_string())
    };
    let header = if version == 4 { "ip" } else { "ip6" };
    format!(
        "{} {} rest {} / quote / {header} {from} > {to} / udp {} > 53 / data {}",
        random.pick(kinds),
        random.below(16),
        random.pick(&[0, 68, 1280, 1400, 0x0a01_0003]),
        random.below(0x1_0000),
        random.pick(&[0, 8, 500])
    )
}

fn discovery(random: &mut Random) -> String {
    let (kind, target) = (random.pick(&["ns", "na"]), address6(random, 2));
    let option =
        random.pick(&["", " slla 02:00:0a:01:00:02", " tlla 02:00:0a:01:00:02", " opt 0100"]);
    format!(" / {kind} {target}{option}")
}
