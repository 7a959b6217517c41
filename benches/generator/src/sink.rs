//! Counts the frames that arrive as they should, and says of the others where they differ.

use std::io;
use std::mem::MaybeUninit;
use std::time::Instant;

use anyhow::{Context, Result};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use serde_json::{Map, Value, json};

use crate::frame::Frame;
use crate::programs::{self, Role, counters, program, read};
use crate::skeleton::types::bss as Counters;
use crate::skeleton::{TrafficSkel, TrafficSkelBuilder};

/// The names of `enum wrong` in traffic.bpf.c, in its order.
const WRONG: [&str; 5] = ["length", "MAC address", "TTL", "checksum", "contents"];

/// The sink's program, loaded.
pub struct Sink<'a> {
    pub loaded: TrafficSkel<'a>,
    is_ipv6: bool,
}

impl<'a> Sink<'a> {
    pub fn load(
        storage: &'a mut MaybeUninit<libbpf_rs::OpenObject>,
        expected: &Frame,
    ) -> Result<Self> {
        let is_ipv6 = expected.is_ipv6();
        let mut open = TrafficSkelBuilder::default().open(storage)?;
        programs::write(&mut open, &expected.template()?, Role::Sink { is_ipv6 })?;
        Ok(Self { loaded: open.load()?, is_ipv6 })
    }

    /// Prints "ready"; then, for each line of standard input, what has been counted so far, and
    /// when (seconds of the monotonic clock). Ends with the input.
    pub fn run(&self, device: i32) -> Result<()> {
        let program = program(&self.loaded, Role::Sink { is_ipv6: self.is_ipv6 });
        let _link = program.attach_xdp(device).context("the XDP program of the sink")?;
        let start = Instant::now();
        println!("ready");
        for line in io::stdin().lines() {
            line?;
            let mut counted = self.counted()?;
            counted.insert("time".to_owned(), start.elapsed().as_secs_f64().into());
            println!("{}", Value::Object(counted));
        }
        Ok(())
    }

    /// `latency_ns`: pairs of nanoseconds and of how many frames took as long.
    pub fn counted(&self) -> Result<Map<String, Value>> {
        let counted: &Counters = counters(&self.loaded.maps.bss_data)?;
        let wrong: Map<_, _> = WRONG
            .iter()
            .zip(&counted.wrong)
            .map(|(name, count)| ((*name).to_owned(), read(count).into()))
            .collect();
        let latency: Vec<_> = (0_u32..)
            .zip(&counted.latency)
            .map(|(index, count)| (middle(index), read(count)))
            .filter(|(_, count)| *count > 0)
            .collect();
        let counted = json!({
            "received": read(&counted.received),
            "octets": read(&counted.octets),
            "next": read(&counted.next),
            "lost": read(&counted.lost),
            "reordered": read(&counted.reordered),
            "duplicated": read(&counted.duplicated),
            "wrong": wrong,
            "latency_ns": latency,
        });
        let Value::Object(counted) = counted else { unreachable!("it was made as one") };
        Ok(counted)
    }
}

/// Nanoseconds in the middle of a bucket: 64 buckets of one, then 32 for each octave, as
/// `bucket_of` in traffic.h has them. No value of a bucket is farther off than 1.6 %.
fn middle(bucket: u32) -> f64 {
    let shift = (bucket / 32).saturating_sub(1);
    let least = u64::from(bucket - shift * 32) << shift;
    least as f64 + ((1_u64 << shift) - 1) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_and_are_narrow() {
        for bucket in 64..896 {
            let (before, middle) = (middle(bucket - 1), middle(bucket));
            assert!(middle > before);
            assert!((middle - before) / middle < 1.0 / 32.0);
        }
        assert_eq!([0, 63, 64, 65, 96].map(middle), [0.0, 63.0, 64.5, 66.5, 129.5]);
        assert!(middle(895) < 2_f64.powi(32));
    }
}
