//! Sends test packets as fast as one core can, and counts those that arrive unharmed.
//!
//! Two kinds of sender, because they rank forwarders differently: `live` frames never were an skb,
//! as behind a card; those of a `socket` are, as from a host behind a veth.

mod frame;
mod live;
mod sink;
mod socket;
mod stop;

use std::ffi::CString;
use std::io;
use std::ptr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use core_affinity::CoreId;
use serde_json::json;

use frame::{Frame, LENGTH};
use skeleton::OpenTrafficSkel;
use skeleton::types::{bss as Counters, places as Places};

/// Bits of two words of the destination, 13 in the high one and 7 in the low one. Mirrored by
/// adversary.py, which has routes for them, and by `scattered` in traffic.bpf.c.
const VARIED: u32 = 0x1fff_c0f8;

// Generated.
#[allow(clippy::all, clippy::pedantic, clippy::restriction)]
mod skeleton {
    include!(concat!(env!("OUT_DIR"), "/traffic.skel.rs"));
}

#[derive(Parser)]
#[command(about)]
struct Command {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Send XDP live frames until SIGTERM, then say how many
    Live {
        #[command(flatten)]
        sender: Sender,
        #[command(flatten)]
        spread: Spread,
    },
    /// Send from a packet socket until SIGTERM, then say how many
    Socket(Sender),
    /// Count what arrives; the frame given is the one expected
    Sink {
        /// The device that they arrive at
        device: String,
        #[command(flatten)]
        frame: Frame,
        #[command(flatten)]
        spread: Spread,
    },
}

#[derive(Args, Clone, Copy)]
struct Spread {
    /// To 2^20 destinations, not to one
    #[arg(long)]
    spread: bool,
}

#[derive(Args)]
struct Sender {
    /// The device to send from
    device: String,
    /// The core to send on
    #[arg(long)]
    core: usize,
    #[command(flatten)]
    frame: Frame,
}

fn main() -> Result<()> {
    match Command::parse().role {
        Role::Live { sender, spread } => {
            send(&sender, |device, frame| live::send(device, &Test::new(frame, spread)?))
        }
        Role::Socket(sender) => {
            send(&sender, |device, frame| socket::send(device, &frame.octets()?))
        }
        Role::Sink { device, frame, spread } => {
            sink::run(index(&device)?, &Test::new(&frame, spread)?)
        }
    }
}

fn send(sender: &Sender, by: impl Fn(i32, &Frame) -> Result<u64>) -> Result<()> {
    let core = CoreId { id: sender.core };
    ensure!(core_affinity::set_for_current(core), "no core {}", sender.core);
    stop::on_signals();
    let device = index(&sender.device)?;
    let start = Instant::now();
    let sent = by(device, &sender.frame)?;
    println!("{}", json!({"sent": sent, "seconds": start.elapsed().as_secs_f64()}));
    Ok(())
}

/// The kernel's number of a device.
fn index(device: &str) -> Result<i32> {
    let name = CString::new(device)?;
    // SAFETY: a string with a zero at its end.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()).with_context(|| device.to_owned()),
        index => Ok(i32::try_from(index)?),
    }
}

/// What both programs are loaded with.
struct Test {
    octets: [u8; LENGTH],
    places: Places,
    varied: u32,
}

impl Test {
    fn new(frame: &Frame, spread: Spread) -> Result<Self> {
        let varied = if spread.spread { VARIED } else { 0 };
        Ok(Self { octets: frame.octets()?, places: frame.places(), varied })
    }

    fn write(&self, open: &mut OpenTrafficSkel<'_>) {
        let constants = open.maps.rodata_data.as_deref_mut().expect("the programs have constants");
        let (words, rest) = self.octets.as_chunks::<8>();
        for (to, word) in constants.frame.words.iter_mut().zip(words) {
            *to = u64::from_ne_bytes(*word);
        }
        constants.frame.rest = u32::from_ne_bytes(rest.try_into().expect("60 = 7 * 8 + 4"));
        constants.places = self.places;
        constants.varied = self.varied;
    }
}

/// The memory of both programs' counters.
fn counters<'a>(mapped: &'a Option<&mut Counters>) -> Result<&'a Counters> {
    mapped.as_deref().context("the counters are not mapped")
}

/// A counter that an XDP program writes meanwhile.
fn read(counter: &u64) -> u64 {
    // SAFETY: a reference is valid to read from; volatile, since it changes behind our back.
    unsafe { ptr::read_volatile(counter) }
}
