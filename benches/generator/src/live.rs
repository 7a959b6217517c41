//! Live frames: the kernel runs the XDP program over pages of its own and sends each out of the
//! device, without an skb. The nearest thing on a veth to what a card's receive path hands over.

use std::io::{self, ErrorKind};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result};
use libbpf_rs::libbpf_sys::{bpf_prog_test_run_opts, bpf_test_run_opts};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags};

use crate::frame::{Frame, octets_of};
use crate::programs::{self, Role, counters, program, read};
use crate::skeleton::{OpenTrafficSkel, TrafficSkel, TrafficSkelBuilder};
use crate::stop;
use crate::stream::Stream;

/// The kernel's flag of the same name.
const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;

/// The sender's program, loaded.
pub struct Live<'a> {
    pub loaded: TrafficSkel<'a>,
    octets: Vec<u8>,
    burst: u32,
    is_ipv6: bool,
}

impl<'a> Live<'a> {
    pub fn load(
        storage: &'a mut MaybeUninit<libbpf_rs::OpenObject>,
        frame: &Frame,
        stream: &Stream,
    ) -> Result<Self> {
        let template = frame.template()?;
        let destinations = stream.destinations(frame)?;
        let mut open = TrafficSkelBuilder::default().open(storage)?;
        programs::write(&mut open, &template, Role::Sender { is_ipv6: frame.is_ipv6() })?;
        let width = octets_of(frame.destination).len();
        let count = (destinations.len() / width) as u32;
        write(&mut open, frame, stream, count)?;
        open.maps.destinations.set_value_size(width as u32)?;
        open.maps.destinations.set_max_entries(count)?;
        let loaded = open.load()?;
        let keys: Vec<u8> = (0..count).flat_map(u32::to_ne_bytes).collect();
        let (map, none) = (&loaded.maps.destinations, MapFlags::ANY);
        map.update_batch(&keys, &destinations, count, none, none)?;
        let burst = stream.pace()?.burst as u32;
        Ok(Self { loaded, octets: template.octets, burst, is_ipv6: frame.is_ipv6() })
    }

    /// Sends until it shall stop; says how many frames.
    pub fn send(&self, device: i32) -> Result<u64> {
        while !stop::requested() {
            match self.run(device) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    return Err(error).context("BPF_PROG_RUN with live frames");
                }
                _ => {}
            }
        }
        Ok(read(&counters(&self.loaded.maps.bss_data)?.sent))
    }

    /// One long run: between two, the kernel frees its pages and waits.
    fn run(&self, device: i32) -> io::Result<()> {
        let context = context(device, self.octets.len());
        // SAFETY: zero is a valid value of every field.
        let mut options: bpf_test_run_opts = unsafe { mem::zeroed() };
        options.sz = size_of_val(&options) as _;
        options.ctx_in = context.as_ptr().cast();
        options.ctx_size_in = context.len() as u32;
        options.data_in = self.octets.as_ptr().cast();
        options.data_size_in = self.octets.len() as u32;
        options.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
        options.repeat = i32::MAX;
        // What was sent in one batch leaves when the batch ends.
        options.batch_size = self.burst;
        let program = program(&self.loaded, Role::Sender { is_ipv6: self.is_ipv6 });
        // SAFETY: the options point to memory of the lengths said, which lives on.
        match unsafe { bpf_prog_test_run_opts(program.as_fd().as_raw_fd(), &raw mut options) } {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(-error)),
        }
    }
}

fn write(
    open: &mut OpenTrafficSkel<'_>,
    frame: &Frame,
    stream: &Stream,
    destinations: u32,
) -> Result<()> {
    let pace = stream.pace()?;
    let source = octets_of(frame.source);
    let low = source.last_chunk().context("an address has four octets")?;
    let constants = programs::constants(open)?;
    constants.flow_count = stream.flows;
    constants.first_source = u32::from_be_bytes(*low);
    constants.destination_count = destinations;
    constants.burst = pace.burst as u32;
    constants.interval = pace.interval;
    constants.backlog = pace.backlog;
    Ok(())
}

/// `struct xdp_md`: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
/// XDP_TX goes out of the ingress device.
fn context(device: i32, length: usize) -> [u8; 24] {
    let mut context = [0; 24];
    context[4..8].copy_from_slice(&(length as u32).to_ne_bytes());
    context[12..16].copy_from_slice(&device.to_ne_bytes());
    context
}
