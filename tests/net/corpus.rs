//! Frames with damage: every frame of tests/cases that comes from the wire, cut short at each
//! length and with octets changed.

use std::fs;
use std::path::Path;

use xrouter::packet::text::{Direction, parse_line};

use super::random::Random;

/// The MACs of the cases' lan port, and of this harness's.
const OF_CASES: [u8; 6] = [2, 0, 0, 0, 1, 1];
const LAN_PORT: [u8; 6] = [2, 0, 0x0a, 1, 0, 1];
/// What AF_PACKET sends on a link with an MTU of 1500.
const LENGTHS: std::ops::RangeInclusive<usize> = 14..=1514;

/// The frames of all cases that arrive at lan, undamaged, addressed to the router here.
pub fn seeds() -> Vec<Vec<u8>> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let folders = fs::read_dir(cases).expect("the cases are there").flatten();
    let mut files: Vec<_> = folders.map(|folder| folder.path().join("in.txt")).collect();
    files.sort();
    let texts: Vec<_> = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
    let mut seeds: Vec<_> = texts.iter().flat_map(|text| text.lines()).filter_map(seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    seeds
}

/// The frame of a line, if it comes in by lan.
fn seed(line: &str) -> Option<Vec<u8>> {
    let (port, direction, mut octets) = parse_line(line).ok()?;
    let arrives = port == "lan" && matches!(direction, Direction::Arrives);
    if octets.starts_with(&OF_CASES) {
        octets[..6].copy_from_slice(&LAN_PORT);
    }
    (arrives && LENGTHS.contains(&octets.len())).then_some(octets)
}

/// Each seed cut off at every length of its first 128 octets: all headers end there.
pub fn truncated(seeds: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let cuts = |seed: &Vec<u8>| {
        let seed = seed.clone();
        (*LENGTHS.start()..seed.len().min(128)).map(move |length| seed[..length].to_vec())
    };
    seeds.iter().flat_map(cuts).collect()
}

/// So many copies, seed after seed, each with one or two octets behind the MACs replaced.
pub fn mutated(seeds: &[Vec<u8>], copies: usize) -> Vec<Vec<u8>> {
    let mut random = Random::new(1); // the same damage in every run
    let damaged = |seed: &Vec<u8>| {
        let mut frame = seed.clone();
        for _ in 0..=random.below(2) {
            // Mostly in the headers.
            let length = if random.once_in(4) { frame.len() } else { frame.len().min(80) };
            frame[12 + random.below(length - 12)] = random.octet();
        }
        frame
    };
    seeds.iter().cycle().take(copies).map(damaged).collect()
}
