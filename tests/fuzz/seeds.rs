//! What the fuzzer starts from: the frames of the cases, the files of `config/`, and a few made
//! by hand for the targets that take something else.

use std::fs;
use std::path::Path;

use xrouter::io::offload::{GSO_TCPV4, GSO_TCPV6, Header, NEEDS_CSUM};
use xrouter::packet::ethernet::{self, ether_type};
use xrouter::packet::text::parse_line;
use xrouter::packet::{checksum, ipv4, ipv6, protocol, tcp};

use crate::case::{Case, Input};
use crate::targets::{offload, pipeline};

/// An input of a target.
pub struct Seed {
    pub target: &'static str,
    pub name: String,
    pub octets: Vec<u8>,
}

impl Seed {
    fn new(target: &'static str, name: &str, octets: impl Into<Vec<u8>>) -> Self {
        Self { target, name: name.to_owned(), octets: octets.into() }
    }
}

/// All of them. `root` is the folder of the repository.
pub fn all(root: &Path) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for folder in Case::folders(&root.join("tests/cases")) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let case = Case::read(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
        of_case(&name, &case.input, &mut seeds);
        let config = folder.join("config.toml");
        seeds.extend(fs::read(config).ok().map(|text| Seed::new("config", &name, text)));
    }
    for name in ["reference.toml", "home.toml", "demo.toml"] {
        let text = fs::read(root.join("config").join(name)).expect("readable");
        seeds.push(Seed::new("config", name, text));
    }
    seeds.extend(segments());
    seeds.extend(changes());
    seeds.extend(requests());
    seeds
}

/// All frames together through the pipeline, and each by itself to whom it may concern.
fn of_case(name: &str, input: &[Input], seeds: &mut Vec<Seed>) {
    let together: Vec<_> = input.iter().flat_map(pipeline::input).collect();
    seeds.push(Seed::new("pipeline", name, together));
    for (number, frame) in input.iter().enumerate() {
        let name = format!("{name}-{number}");
        let mut seed = |target, octets: &[u8]| seeds.push(Seed::new(target, &name, octets));
        seed("notation", frame.line.trim_start_matches("tap ").as_bytes());
        seed("describe", &frame.octets);
        seed("ethernet", &frame.octets);
        let Some(view) = ethernet::View::new(&frame.octets) else { continue };
        match view.ether_type() {
            ether_type::IPV4 => seed("ipv4", view.payload()),
            ether_type::IPV6 => seed("ipv6", view.payload()),
            _ => continue,
        }
        seed("transport", view.payload());
    }
}

/// Large TCP segments as the kernel writes them to a tap. Of the second frame that they make, one
/// octet of the TCP header is changed, or of its data, which may be merged.
fn segments() -> Vec<Seed> {
    const STATIONS: &str = "lan > eth 02:00:00:00:00:01 > 02:00:00:00:01:02";
    const SEGMENT: &str = "tcp 80 > 1000 seq 1 ack 9 flags PA opt 0101080a00000001 / data 3000";
    let packet = |ip: &str| {
        let line = format!("{STATIONS} / {ip} / {SEGMENT}");
        parse_line(&line).unwrap_or_else(|error| panic!("{error}")).2
    };
    let v4 = packet("ip 10.1.0.1 > 10.1.0.2 id 7 df");
    let v6 = packet("ip6 2001:db8:1::1 > 2001:db8:1::2");
    let octets = [0, 3, 7, 11, 12, 13, 15, 19, 25, 40];
    let both = octets.iter().flat_map(|&at| {
        [large("ipv4", v4.clone(), GSO_TCPV4, at), large("ipv6", v6.clone(), GSO_TCPV6, at)]
    });
    both.collect()
}

fn large(name: &str, mut packet: Vec<u8>, gso_type: u8, damaged: u8) -> Seed {
    let ip = &packet[ethernet::HEADER..];
    let header = if gso_type == GSO_TCPV4 { ipv4::HEADER } else { ipv6::HEADER };
    let len = u16::try_from(ip.len() - header).expect("short");
    let pseudo = match ipv4::View::new(ip) {
        Ok(ip) => checksum::pseudo_v4(ip.source(), ip.destination(), protocol::TCP, len),
        Err(_) => {
            let ip = ipv6::View::new(ip).expect("one of both");
            checksum::pseudo_v6(ip.source(), ip.destination(), protocol::TCP, len.into())
        }
    };
    let start = ethernet::HEADER + header;
    let field = start + tcp::CHECKSUM;
    packet[field..field + 2].copy_from_slice(&checksum::fold(pseudo).to_be_bytes());
    let header = Header {
        flags: NEEDS_CSUM,
        gso_type,
        hdr_len: 0,
        gso_size: 700,
        csum_start: u16::try_from(start).expect("short"),
        csum_offset: 16,
    };
    let at = u8::try_from(start).expect("short") + damaged;
    let name = format!("{name}-{damaged}");
    Seed::new("offload", &name, offload::input(&header, at, &packet))
}

/// A few routes, each put in and taken out again, with the reader's rounds in between.
fn changes() -> Vec<Seed> {
    let changes = |octets: usize| -> Vec<u8> {
        let change = |code: u8| [vec![code, code], vec![code; octets], vec![230, 250]].concat();
        [1, 17, 33, 49, 161, 177].into_iter().flat_map(change).collect()
    };
    vec![Seed::new("fib4", "nested", changes(4)), Seed::new("fib6", "nested", changes(16))]
}

fn requests() -> Vec<Seed> {
    let request = |name, text: &str| Seed::new("api", name, text);
    vec![
        request("ports", "GET /v1/ports HTTP/1.1\r\nHost: xrouter\r\n\r\n"),
        request("route", "GET /v1/routes/10.1.0.2 HTTP/1.1\r\nConnection: close\r\n\r\n"),
        request("page", "GET / HTTP/1.0\r\n\r\n"),
        request(
            "chunked",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        ),
        request("address", "/2001:db8::1"),
        request("no-address", "/10.1.0.256"),
    ]
}
