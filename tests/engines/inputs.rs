//! What goes into both engines: the frames of all cases, everything that the fuzzer has once found
//! worth keeping, generated frames, and changed copies of all of them.

use std::fs;
use std::path::{Path, PathBuf};

use xrouter::config::Config;
use xrouter::packet::ethernet::{self, HEADER, MacAddress, ether_type};

use crate::case::{Case, Source, config_file};
use crate::frame::{Frame, ROUTER_MACS};
use crate::octets::Octets;
use crate::random::Random;
use crate::{generate, mutate, packets};

/// The cards of the cases, which are those of tests/cases/router.rs.
const CASE_MACS: [MacAddress; 3] = [
    MacAddress([2, 0, 0, 0, 1, 1]),
    MacAddress([2, 0, 0, 0, 2, 1]),
    MacAddress([2, 0, 0, 0, 3, 1]),
];
/// Octets of an address.
const MAC_LEN: usize = 6;
const HOST_MAC: MacAddress = MacAddress([2, 0, 0, 0, 1, 2]);
/// Longer ones no port of the tests takes.
const LENGTHS: std::ops::RangeInclusive<usize> = HEADER..=2000;
/// For each frame that is changed so many are made: those of the oracle are slow to come by.
const COPIES: usize = 16;

/// The configurations of the cases, each with the frames that its cases have from the wire.
pub fn cases(root: &Path) -> Vec<(Config, Vec<Frame>)> {
    let mut found: Vec<(PathBuf, Config, Vec<Frame>)> = Vec::new();
    for folder in Case::folders(&root.join("tests/cases")) {
        let case = Case::read(&folder).unwrap_or_else(|what| panic!("{what}"));
        let file = config_file(&folder);
        let input = case.input.into_iter().filter(|input| input.from == Source::Wire);
        let frames = input.map(|input| Frame { port: input.port.index(), octets: input.octets });
        let frames = frames.filter(goes_in);
        match found.iter_mut().find(|(known, ..)| *known == file) {
            Some((.., known)) => known.extend(frames),
            None => found.push((file, case.config, frames.collect())),
        }
    }
    found.into_iter().map(|(_, config, frames)| (config, frames)).collect()
}

/// What is below tests/fuzz/corpus and tests/regress: frames, lists of frames, and packets, which
/// get a header. All of it is tried as all of this, whatever it was meant for.
pub fn corpora(root: &Path) -> Vec<Frame> {
    let folders = ["tests/fuzz/corpus", "tests/regress"].map(|folder| root.join(folder));
    let targets = folders.iter().flat_map(|folder| files(folder));
    let texts = targets.flat_map(|target| files(&target)).filter_map(|file| fs::read(file).ok());
    let frames = texts.flat_map(|octets| {
        let packets = [ether_type::IPV4, ether_type::IPV6];
        let mut frames = list(&octets);
        frames.extend(packets.map(|kind| Frame { port: 0, octets: with_header(&octets, kind) }));
        frames.push(Frame { port: 0, octets });
        frames
    });
    frames.filter(goes_in).collect()
}

/// As tests/fuzz/targets/pipeline.rs reads it.
fn list(octets: &[u8]) -> Vec<Frame> {
    let (mut octets, mut frames) = (Octets(octets), Vec::new());
    while !octets.is_empty() {
        let port = usize::from(octets.u8()) % 2; // as in the corpus
        frames.push(Frame { port, octets: octets.list().to_vec() });
    }
    frames
}

fn with_header(packet: &[u8], kind: u16) -> Vec<u8> {
    let mut frame = vec![0; HEADER];
    ethernet::write(&mut frame, CASE_MACS[0], HOST_MAC, kind).expect("room");
    frame.extend(packet);
    frame
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    files
}

fn goes_in(frame: &Frame) -> bool {
    LENGTHS.contains(&frame.octets.len())
}

/// Changed copies of these frames, without an end.
pub fn changed<'f>(frames: &'f [Frame], random: &'f mut Random) -> impl Iterator<Item = Frame> {
    frames.iter().cycle().map(|frame| mutate::changed(frame, random))
}

/// Packets for every way out, frames of the oracle, and changed copies of both, without an end.
pub fn generated(mut random: Random) -> impl Iterator<Item = Frame> {
    let mut frame = of_the_oracle(&mut random);
    (1..).map(move |number| {
        if number % COPIES == 0 {
            frame = if random.once_in(2) {
                packets::frame(&mut random)
            } else {
                of_the_oracle(&mut random)
            };
            return frame.clone();
        }
        if random.once_in(2) {
            packets::frame(&mut random)
        } else {
            mutate::changed(&frame, &mut random)
        }
    })
}

/// To the cards here.
fn of_the_oracle(random: &mut Random) -> Frame {
    let mut made = std::iter::repeat_with(|| generate::frame(random)).flatten();
    let mut frame = made.next().expect("without an end");
    for mac in frame.octets[..2 * MAC_LEN].chunks_mut(MAC_LEN) {
        let card = ROUTER_MACS.map(|mac| mac.parse::<MacAddress>().expect("an address"));
        if let Some(number) = card.iter().position(|card| card.octets() == *mac) {
            mac.copy_from_slice(&CASE_MACS[number].octets());
        }
    }
    frame
}
