//! Every reason for a drop is met in the running router: in a case of tests/cases that goes over
//! veth, or in a test of tests/*.rs that names it. Which are not, and why, stands here.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use xrouter::pipeline::verdict::DropReason;

/// No frame and no fault brings these about from outside.
const NOT_FROM_OUTSIDE: [(&str, &str); 4] = [
    ("runt", "no link carries less than an Ethernet header; in memory: ethernet-runt"),
    ("not_for_us", "the XDP program leaves such frames to the kernel (`passed`)"),
    ("ether_type_unknown", "the XDP program leaves such frames to the kernel (`passed`)"),
    ("internal", "stands only where a check before it has ruled it out: each one is a bug"),
];

#[test]
fn every_reason_is_met_or_said_why_not() {
    let (cases, tests) = (named_by_cases(), named_by_tests());
    for reason in DropReason::ALL.iter().map(|reason| reason.name()) {
        let in_tests = tests.contains(&format!("\"{reason}\""));
        match NOT_FROM_OUTSIDE.iter().find(|(name, _)| *name == reason) {
            Some((_, why)) => assert!(!in_tests, "{reason} is met, though it says here: {why}"),
            None => assert!(in_tests || cases.contains(reason), "{reason} is met nowhere"),
        }
    }
}

#[test]
fn what_is_said_here_is_about_reasons() {
    for (name, why) in NOT_FROM_OUTSIDE {
        assert!(DropReason::ALL.iter().any(|reason| reason.name() == name), "{name}: {why}");
    }
}

/// The reasons of all cases that go over veth.
fn named_by_cases() -> HashSet<String> {
    let cases = entries("tests/cases").filter(|case| !case.join("only-in-memory").exists());
    let drops = cases.filter_map(|case| fs::read_to_string(case.join("drops.txt")).ok());
    // `lan ttl_exceeded 1`
    let reason = |line: &str| line.split(' ').nth(1).map(str::to_owned);
    drops.flat_map(|drops| drops.lines().filter_map(reason).collect::<Vec<_>>()).collect()
}

fn named_by_tests() -> String {
    let this = Path::new(file!()).file_name();
    let tests = entries("tests").filter(|file| file.file_name() != this);
    let texts = tests.filter_map(|file| fs::read_to_string(file).ok());
    texts.collect()
}

fn entries(folder: &str) -> impl Iterator<Item = PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.map(|entry| entry.expect("readable").path())
}
