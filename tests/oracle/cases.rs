//! The frames of `tests/cases/`, in the MACs and link-local addresses of the oracle's network.

use std::fs;
use std::path::Path;

use super::frame::{Frame, HOST_MACS, PORTS, ROUTER_MACS, octets};

/// All frames that come in by the wires `lan` and `wan`. The routers here are configured
/// otherwise than the cases', which does not matter: both are configured alike.
pub fn frames() -> Vec<Frame> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let entries = fs::read_dir(folder).expect("readable");
    let mut folders: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    folders.sort();
    let texts = folders.iter().filter_map(|folder| fs::read_to_string(folder.join("in.txt")).ok());
    let texts: Vec<_> = texts.collect();
    texts.iter().flat_map(|text| text.lines()).filter_map(frame).collect()
}

fn frame(line: &str) -> Option<Frame> {
    let (port, _) = line.trim().split_once(" < ")?;
    let port = PORTS.iter().position(|&known| known == port)?;
    Some(Frame { port, octets: octets(&translated(line)) })
}

fn translated(line: &str) -> String {
    let line = line.replace("fe80::ff:fe00:101", "fe80::aff:fe01:1");
    let line = line.replace("fe80::ff:fe00:201", "fe80::aff:fe02:1");
    [1, 2].into_iter().fold(line, |line, n| {
        let line = line.replace(&format!("02:00:00:00:0{n}:01"), ROUTER_MACS[n - 1]);
        line.replace(&format!("02:00:00:00:0{n}:02"), HOST_MACS[n - 1])
    })
}
