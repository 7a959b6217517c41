//! Counts the frames that arrive as they should, and where the others differ.

use std::io;
use std::mem::MaybeUninit;
use std::time::Instant;

use anyhow::{Context, Result};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use serde_json::json;

use crate::skeleton::TrafficSkelBuilder;
use crate::{Test, counters, read};

/// The names of `enum wrong` in traffic.bpf.c, in its order.
const WRONG: [&str; 5] = ["length", "MAC address", "TTL", "checksum", "contents"];

/// Prints "ready"; then, for each line of standard input, what has been counted so far, and when
/// (seconds of the monotonic clock). Ends with the input.
pub fn run(device: i32, expected: &Test) -> Result<()> {
    let mut storage = MaybeUninit::uninit();
    let mut open = TrafficSkelBuilder::default().open(&mut storage)?;
    expected.write(&mut open);
    let loaded = open.load()?;
    let _link = loaded.progs.count.attach_xdp(device).context("the XDP program of the sink")?;
    let start = Instant::now();
    println!("ready");
    for line in io::stdin().lines() {
        line?;
        let counted = counters(&loaded.maps.bss_data)?;
        let wrong: serde_json::Map<_, _> = WRONG
            .iter()
            .zip(&counted.wrong)
            .map(|(name, count)| ((*name).to_owned(), read(count).into()))
            .collect();
        let time = start.elapsed().as_secs_f64();
        println!("{}", json!({"time": time, "received": read(&counted.received), "wrong": wrong}));
    }
    Ok(())
}
