//! Live frames: the kernel runs the XDP program over pages of its own and sends each out of the
//! device, without an skb. The nearest thing on a veth to what a card's receive path hands over.

use std::mem::MaybeUninit;

use anyhow::{Context, Result};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{ErrorKind, ProgramInput};

use crate::frame::LENGTH;
use crate::skeleton::TrafficSkelBuilder;
use crate::{Test, counters, read, stop};

/// The kernel's flag of the same name.
const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;

/// Sends until a signal comes; says how many frames.
pub fn send(device: i32, test: &Test) -> Result<u64> {
    let mut storage = MaybeUninit::uninit();
    let mut open = TrafficSkelBuilder::default().open(&mut storage)?;
    test.write(&mut open);
    let loaded = open.load()?;
    let mut context = context(device);
    while !stop::requested() {
        let input = ProgramInput {
            context_in: Some(&mut context),
            data_in: Some(&test.octets),
            flags: BPF_F_TEST_XDP_LIVE_FRAMES,
            // One long run: between two, the kernel frees its pages and waits.
            repeat: u32::MAX,
            ..Default::default()
        };
        match loaded.progs.generate.test_run(input) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                return Err(error).context("BPF_PROG_RUN with live frames");
            }
            _ => {}
        }
    }
    Ok(read(&counters(&loaded.maps.bss_data)?.sent))
}

/// `struct xdp_md`: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
/// XDP_TX goes out of the ingress device.
fn context(device: i32) -> [u8; 24] {
    let mut context = [0; 24];
    context[4..8].copy_from_slice(&(LENGTH as u32).to_ne_bytes());
    context[12..16].copy_from_slice(&device.to_ne_bytes());
    context
}
