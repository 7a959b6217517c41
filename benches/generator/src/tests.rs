//! The XDP programs, run by hand over single frames (BPF_PROG_RUN, as root): what the sender makes
//! is what the sink and a receiver want, and no octet changes on the way without being seen.

use std::collections::HashSet;
use std::fs;
use std::mem::MaybeUninit;
use std::path::PathBuf;

use clap::Parser;
use libbpf_rs::{OpenObject, ProgramInput};
use serde_json::Value;

use crate::checksum::{fold, sum};
use crate::frame::Frame;
use crate::live::Live;
use crate::packets::Packets;
use crate::programs::{Role, program};
use crate::sink::Sink;
use crate::socket;
use crate::stream::Stream;

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    frame: Frame,
    #[command(flatten)]
    stream: Stream,
}

/// From one host to another, with more options.
fn options(family: u8, more: &str) -> Options {
    let addresses = match family {
        4 => "--source 10.1.0.2 --destination 10.3.0.2",
        _ => "--source fd01::2 --destination fd03::2",
    };
    let macs = "--source-mac 02:00:00:00:01:02 --destination-mac 02:00:00:00:01:01";
    Options::parse_from(format!("test {macs} {addresses} {more}").split_whitespace())
}

/// The next `count` frames of the XDP program.
fn generated(options: &Options, count: usize) -> Vec<Vec<u8>> {
    let mut storage = MaybeUninit::<OpenObject>::uninit();
    let live = Live::load(&mut storage, &options.frame, &options.stream).unwrap();
    let template = options.frame.template().unwrap().octets;
    let sender = program(&live.loaded, Role::Sender { is_ipv6: options.frame.is_ipv6() });
    let one = |_| {
        let mut out = vec![0; 2048];
        let input = ProgramInput {
            data_in: Some(&template),
            data_out: Some(&mut out),
            ..Default::default()
        };
        let run = sender.test_run(input).unwrap();
        assert_eq!(run.return_value, XDP_TX);
        run.data.unwrap().to_vec()
    };
    (0..count).map(one).collect()
}

/// What the sink says to these frames, and what it has counted then.
fn sunk(expected: &Frame, frames: &[Vec<u8>]) -> (Vec<u32>, Value) {
    let mut storage = MaybeUninit::<OpenObject>::uninit();
    let sink = Sink::load(&mut storage, expected).unwrap();
    let counter = program(&sink.loaded, Role::Sink { is_ipv6: expected.is_ipv6() });
    let one = |frame: &Vec<u8>| {
        let input = ProgramInput { data_in: Some(frame), ..Default::default() };
        counter.test_run(input).unwrap().return_value
    };
    (frames.iter().map(one).collect(), Value::Object(sink.counted().unwrap()))
}

fn wrong(counted: &Value) -> u64 {
    counted["wrong"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
}

/// The checksums as a receiver sees them: that of UDP, and of the IPv4 header.
fn is_right(frame: &[u8]) -> bool {
    let (addresses, udp) = if frame[14] >> 4 == 4 { (26, 34) } else { (22, 54) };
    let length = (frame.len() - udp) as u16;
    let pseudo_header =
        sum(&frame[addresses..udp]) + u64::from(17_u16.to_be()) + u64::from(length.to_be());
    let header = frame[14] >> 4 == 6 || fold(sum(&frame[14..34])) == 0xffff;
    header && fold(pseudo_header + sum(&frame[udp..])) == 0xffff
}

/// Some of everything.
fn variants() -> Vec<Options> {
    let many = ["", "--size 566", "--size 75", "--size 1514", "--imix", "--flows 1000000"];
    many.iter().flat_map(|more| [options(4, more), options(6, more)]).collect()
}

/// A file of destinations that ends with the test.
struct Destinations(PathBuf);

impl Destinations {
    fn new(name: &str, lines: &str) -> Self {
        let path = std::env::temp_dir().join(format!("generator-{}-{name}", std::process::id()));
        fs::write(&path, lines).unwrap();
        Self(path)
    }

    fn option(&self) -> String {
        format!("--destinations {}", self.0.display())
    }
}

impl Drop for Destinations {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn all_that_is_sent_arrives_and_nothing_is_wrong() {
    for options in variants() {
        let frames = generated(&options, 30);
        let (actions, counted) = sunk(&options.frame, &frames);
        assert_eq!(actions, [XDP_DROP; 30]);
        let octets: usize = frames.iter().map(Vec::len).sum();
        assert_eq!((&counted["received"], &counted["octets"]), (&30.into(), &octets.into()));
        assert_eq!((&counted["next"], &counted["lost"]), (&30.into(), &0.into()));
        assert_eq!(wrong(&counted), 0);
        assert!(frames.iter().all(|frame| is_right(frame)));
    }
}

/// As a router hands it on: RFC 1624 for the header's checksum.
fn one_hop(frame: &mut [u8]) {
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 2, 2, 2, 0, 0, 0, 2, 1]);
    if frame[14] >> 4 == 6 {
        frame[21] -= 1;
        return;
    }
    frame[22] -= 1;
    let old = u16::from_be_bytes([frame[24], frame[25]]);
    let (sum, carry) = old.overflowing_add(0x100);
    frame[24..26].copy_from_slice(&(sum + u16::from(carry)).to_be_bytes());
}

#[test]
fn what_a_router_does_is_expected() {
    for family in [4, 6] {
        let mut frames = generated(&options(family, "--flows 1000 --imix"), 1000);
        frames.iter_mut().for_each(|frame| one_hop(frame));
        let mut expected = options(family, "--ttl 63 --imix").frame;
        expected.source_mac = "02:00:00:00:02:01".parse().unwrap();
        expected.destination_mac = "02:00:00:00:02:02".parse().unwrap();
        let (_, counted) = sunk(&expected, &frames);
        assert_eq!((&counted["received"], wrong(&counted)), (&1000.into(), 0));
    }
}

#[test]
fn sizes_follow_each_other_as_imix_has_them() {
    let frames = generated(&options(4, "--imix"), 24);
    let count = |length| frames.iter().filter(|frame| frame.len() == length).count();
    assert_eq!([count(60), count(566), count(1514)], [14, 8, 2]);
}

#[test]
fn both_senders_send_the_same() {
    let four = Destinations::new("four", "10.3.0.9\n10.4.5.6\n192.0.2.1\n");
    let six = Destinations::new("six", "fd03::9\n2001:db8::1\n");
    let some = [(4, four.option()), (6, six.option()), (4, "--imix".into()), (6, "--imix".into())];
    for (family, more) in some {
        let options = options(family, &format!("--flows 3 {more}"));
        let mut packets = Packets::new(&options.frame, &options.stream).unwrap();
        let mut buffer = packets.blank();
        for frame in generated(&options, 30) {
            let time = options.frame.template().unwrap().places.sequence() + 4;
            let mut now = [0; 8];
            now[..6].copy_from_slice(&frame[time..time + 6]);
            let length = packets.write(&mut buffer, u64::from_le_bytes(now));
            assert_eq!(frame, buffer[..length]);
        }
    }
}

#[test]
fn destinations_are_taken_in_turn() {
    let file = Destinations::new("turn", "10.3.0.9\n10.4.5.6\n192.0.2.1\n");
    let options = options(4, &file.option());
    let frames = generated(&options, 4);
    let to: Vec<_> =
        frames.iter().map(|frame| <[u8; 4]>::try_from(&frame[30..34]).unwrap()).collect();
    assert_eq!(to, [[10, 3, 0, 9], [10, 4, 5, 6], [192, 0, 2, 1], [10, 3, 0, 9]]);
    let (_, counted) = sunk(&options.frame, &frames);
    assert_eq!(counted["received"], 4);
}

#[test]
fn a_destination_of_the_other_kind_is_refused() {
    let file = Destinations::new("other", "10.3.0.9\nfd03::9\n");
    let options = options(4, &file.option());
    let error = options.stream.destinations(&options.frame).unwrap_err();
    assert_eq!(error.to_string(), "fd03::9 is of another kind");
}

#[test]
fn each_flow_has_a_port_and_then_an_address_of_its_own() {
    let options = options(4, "--flows 40000");
    let frames = generated(&options, 40001);
    let flow =
        |frame: &Vec<u8>| <[u8; 6]>::try_from([&frame[26..30], &frame[34..36]].concat()).unwrap();
    let flows: HashSet<_> = frames.iter().map(flow).collect();
    assert_eq!(flows.len(), 40000);
    assert_eq!(flow(&frames[0]), flow(&frames[40000]));
    assert_eq!(flow(&frames[32768]), [10, 1, 0, 3, 128, 0]);
}

#[test]
fn every_octet_counts() {
    for options in variants() {
        let [frame] = generated(&options, 1).try_into().unwrap();
        let flipped = |at: usize| {
            let mut frame = frame.clone();
            frame[at] ^= 0x10;
            frame
        };
        let frames: Vec<_> = (0..frame.len()).map(flipped).collect();
        let (actions, counted) = sunk(&options.frame, &frames);
        assert_eq!(counted["received"], 0);
        // Another type, protocol or port: it is not ours, and so it is lost.
        let passed = actions.iter().filter(|action| **action == XDP_PASS).count();
        assert_eq!(passed, 5);
        assert_eq!(wrong(&counted), (frame.len() - passed) as u64);
    }
}

#[test]
fn what_is_wrong_has_a_name() {
    let places = [(0, "MAC address"), (11, "MAC address"), (22, "TTL"), (17, "length")];
    let more =
        [(24, "checksum"), (33, "checksum"), (41, "checksum"), (18, "contents"), (59, "contents")];
    for (at, name) in places.into_iter().chain(more) {
        let options = options(4, "");
        let mut frames = generated(&options, 1);
        frames[0][at] ^= 1;
        assert_eq!(sunk(&options.frame, &frames).1["wrong"][name], 1, "octet {at}");
    }
}

#[test]
fn a_frame_that_grew_or_shrank_is_wrong() {
    let options = options(4, "--size 100");
    let mut frames = generated(&options, 2);
    frames[0].push(0);
    frames[1].pop();
    assert_eq!(sunk(&options.frame, &frames).1["wrong"]["length"], 2);
}

#[test]
fn the_sink_counts_what_is_lost_late_and_twice() {
    let options = options(4, "");
    let all = generated(&options, 9000);
    let counts = |order: &[usize]| {
        let frames: Vec<_> = order.iter().map(|&at| all[at].clone()).collect();
        let counted = sunk(&options.frame, &frames).1;
        ["next", "lost", "reordered", "duplicated"].map(|name| counted[name].as_u64().unwrap())
    };
    assert_eq!(counts(&[0, 1, 5]), [6, 3, 0, 0]);
    assert_eq!(counts(&[2]), [3, 2, 0, 0]);
    assert_eq!(counts(&[0, 2, 1, 3]), [4, 0, 1, 0]);
    assert_eq!(counts(&[0, 1, 1, 0]), [2, 0, 0, 2]);
    assert_eq!(counts(&[0, 2, 1, 1]), [3, 0, 1, 1]);
    // Over the words of the window, and beyond it.
    assert_eq!(counts(&[63, 64, 0, 4000, 1, 1]), [4001, 3996, 2, 1]);
    assert_eq!(counts(&[0, 8999, 1]), [9000, 8998, 1, 0]);
    assert_eq!(counts(&[0, 4096, 8192, 8192, 4096]), [8193, 8190, 1, 1]);
}

#[test]
fn latency_is_within_three_per_cent() {
    let options = options(6, "");
    for past in [20e6, 300e6, 3e9] {
        let mut packets = Packets::new(&options.frame, &options.stream).unwrap();
        let mut frame = packets.blank();
        let start = socket::now();
        packets.write(&mut frame, start - past as u64);
        let counted = sunk(&options.frame, &[frame]).1;
        // Loading the sink takes its time too.
        let most = past + (socket::now() - start) as f64;
        let measured = counted["latency_ns"][0][0].as_f64().unwrap();
        assert!((past * 0.97..most * 1.03).contains(&measured), "{measured} for {past}");
        assert_eq!(counted["latency_ns"][0][1], 1);
    }
}

#[test]
fn latency_is_measured_of_one_frame_in_thirteen() {
    let options = options(4, "");
    let counted = sunk(&options.frame, &generated(&options, 131)).1;
    let pairs = counted["latency_ns"].as_array().unwrap();
    assert_eq!(pairs.iter().map(|pair| pair[1].as_u64().unwrap()).sum::<u64>(), 11);
}
