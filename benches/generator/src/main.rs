//! Sends test packets at a rate or as fast as one core can, and counts those that arrive unharmed.
//!
//! Two kinds of sender, because they rank forwarders differently: `live` frames never were an skb,
//! as behind a card; those of a `socket` are, as from a host behind a veth. And a client and a
//! server that do nothing but open and close connections of TCP.

mod checksum;
mod connections;
mod frame;
mod live;
mod packets;
mod programs;
mod sink;
mod socket;
mod stop;
mod stream;
#[cfg(test)]
mod tests;

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use core_affinity::CoreId;
use serde_json::json;

use frame::Frame;
use live::Live;
use packets::Packets;
use sink::Sink;
use stream::Stream;

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
    /// Send XDP live frames, then say how many
    Live(Sender),
    /// Send from a packet socket, then say how many
    Socket(Sender),
    /// Count what arrives; the frame given is the one expected
    Sink {
        /// The device that they arrive at; it has one queue
        device: String,
        #[command(flatten)]
        frame: Frame,
    },
    /// Accept connections of TCP until the process is ended
    Accept { address: SocketAddr },
    /// Open connections of TCP, then say how many
    Connect {
        address: SocketAddr,
        #[arg(long)]
        seconds: f64,
    },
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
    #[command(flatten)]
    stream: Stream,
}

fn main() -> Result<()> {
    let mut storage = MaybeUninit::uninit();
    match Command::parse().role {
        Role::Live(sender) => {
            let device = index(&sender.device)?;
            let live = Live::load(&mut storage, &sender.frame, &sender.stream)?;
            send(&sender, || live.send(device))
        }
        Role::Socket(sender) => {
            let device = index(&sender.device)?;
            let mut packets = Packets::new(&sender.frame, &sender.stream)?;
            let pace = sender.stream.pace()?;
            send(&sender, || socket::send(device, &mut packets, pace))
        }
        Role::Sink { device, frame } => Sink::load(&mut storage, &frame)?.run(index(&device)?),
        Role::Accept { address } => connections::accept(address),
        Role::Connect { address, seconds } => connections::connect(address, seconds),
    }
}

/// Prints "ready" when all is prepared, and at the end what was sent.
fn send(sender: &Sender, mut by: impl FnMut() -> Result<u64>) -> Result<()> {
    let core = CoreId { id: sender.core };
    ensure!(core_affinity::set_for_current(core), "no core {}", sender.core);
    stop::on_signals();
    println!("ready");
    if let Some(seconds) = sender.stream.seconds {
        stop::after(seconds)?;
    }
    let start = Instant::now();
    let sent = by()?;
    let seconds = start.elapsed().as_secs_f64();
    let offered = sent as f64 / seconds;
    println!("{}", json!({"sent": sent, "seconds": seconds, "offered_pps": offered}));
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
