//! A card is opened: the XDP program in place, a socket at each queue, in the best mode that works.
#![forbid(unsafe_code)]

use super::Router;
use super::attach::{AttachError, Found};
use super::fastpath::Engine;
use super::lacks::Lacks;
use super::netlink::quiet::Quieted;
use super::port::{Card, Port};
use crate::config::{PortMode, RouterSection};
use crate::id::PortId;
use crate::io::device::{self, Device};
use crate::io::xdp::{Attached, Facts, Mode, Program};
use crate::io::xsk::{Bind, BindMode, BusyPoll, Socket, XskError};

/// Queues of a card that can be used: the XDP program's map of sockets has that many places.
pub(super) const QUEUES_MAX: usize = 64;

/// A card that is open, and not used yet.
#[derive(Debug)]
pub(super) struct Opened {
    pub found: Found,
    /// None: the kernel uses it.
    pub quieted: Option<Quieted>,
    pub program: Program,
    /// Each with the worker that it is for.
    pub sockets: Vec<(usize, Socket)>,
}

impl Router {
    /// Program and sockets of a card, each socket with the worker that it is for.
    pub(super) fn open(
        &self,
        id: PortId,
        device: &Device,
    ) -> Result<(Program, Vec<(usize, Socket)>), AttachError> {
        let port = &self.ports[id.index()];
        let mut program = Program::load(device.ifindex, at_first(id, device), &self.xdp)?;
        let (xdp_mode, bind_modes) = modes(port.config.mode);
        program.attach(xdp_mode)?;
        let queues = queues_of(port, device)?;
        let mut sockets = Vec::new();
        for queue in 0..queues {
            let worker = port.tap_queues.worker_of(queue);
            let memory = &self.workers[worker].memory;
            let number = u32::try_from(queue).unwrap_or(u32::MAX);
            let bind = |mode| {
                let (ring, busy_poll) = (self.config.router.ring, busy_poll(&self.config.router));
                let bind = Bind { ifindex: device.ifindex, queue: number, ring, mode, busy_poll };
                Socket::bind(memory, id, &bind)
            };
            let socket = match (bind(bind_modes.0), bind_modes.1) {
                (Err(XskError::NoZeroCopy(_)), Some(second)) => bind(second)?,
                (outcome, _) => outcome?,
            };
            program.set_socket(number, socket.fd())?;
            sockets.push((worker, socket));
        }
        Ok((program, sockets))
    }
}

impl Card {
    pub(super) fn new(
        device: &Device,
        mtu: u16,
        quieted: Option<Quieted>,
        program: Program,
        sockets: &[(usize, Socket)],
    ) -> Self {
        let (mode, why) = mode_of(&program, sockets);
        Self {
            ifindex: device.ifindex,
            mac: device.mac,
            mtu,
            mtu_max: mtu,
            running: device.running,
            queues: sockets.len(),
            senders: senders(sockets, device.queues.transmit),
            mode,
            why,
            lacks: Lacks::of(sockets.iter().map(|(_, socket)| socket)),
            tx_metadata: sockets.iter().all(|(_, socket)| socket.tx_metadata()),
            unfinished_checksums: mode != "zero-copy",
            groups: Vec::new(),
            sender: sockets.first().map_or(0, |(worker, _)| *worker),
            quieted,
            program,
            engine: Engine::default(),
        }
    }
}

/// What the program is told until its sockets are there: leave all to the kernel.
fn at_first(port: PortId, device: &Device) -> Facts {
    Facts {
        port,
        mac: device.mac,
        mtu: 0,
        engine: 0,
        active: false,
        fast: false,
        unfinished_checksums: true,
    }
}

/// The queues that a socket is needed for, once the program is in place: virtio_net takes as many
/// more into use as there are processors, if it has them, and frames come in by those too.
fn queues_of(port: &Port, before: &Device) -> Result<usize, AttachError> {
    let queues = device::queues(&before.name)?.receive.max(1) as usize;
    let most = port.config.queues.map_or(QUEUES_MAX, usize::from).min(QUEUES_MAX);
    if queues > most {
        let added = queues.saturating_sub(before.queues.receive as usize);
        return Err(AttachError::Queues { device: before.name.clone(), queues, added, most });
    }
    Ok(queues)
}

/// How many workers can send: the kernel sends nothing from a socket whose queue is not one of
/// those that the device transmits by. Those that came with the program are not.
fn senders(sockets: &[(usize, Socket)], transmit_queues: u32) -> usize {
    let owners = sockets.iter().map(|(worker, _)| worker + 1).max().unwrap_or(1);
    owners.min(transmit_queues.max(1) as usize)
}

/// How the program is attached, and how sockets are bound: first, and if that cannot be.
fn modes(mode: PortMode) -> (Mode, (BindMode, Option<BindMode>)) {
    match mode {
        PortMode::Auto => (Mode::Auto, (BindMode::ZeroCopy, Some(BindMode::Copy))),
        PortMode::ZeroCopy => (Mode::Driver, (BindMode::ZeroCopy, None)),
        PortMode::Copy => (Mode::Driver, (BindMode::Copy, None)),
        PortMode::Generic => (Mode::Generic, (BindMode::Copy, None)),
    }
}

fn busy_poll(router: &RouterSection) -> Option<BusyPoll> {
    (router.busy_poll_us > 0).then(|| BusyPoll {
        microseconds: router.busy_poll_us,
        budget: u32::from(router.busy_poll_budget),
    })
}

/// What the generic mode costs, and the mend.
const GENERIC: &str = "slow, and packets that a host's GSO makes are lost (`ethtool -K DEVICE gso off \
     tso off` there)";

/// What became of the wish for the best mode, and why.
fn mode_of(program: &Program, sockets: &[(usize, Socket)]) -> (&'static str, String) {
    let zero_copy = sockets.iter().all(|(_, socket)| socket.mode() == BindMode::ZeroCopy);
    match program.attached() {
        Some(Attached::Generic { reason: Some(reason) }) => {
            ("generic", format!("the driver did not take the program: {reason}; {GENERIC}"))
        }
        Some(Attached::Generic { reason: None }) => {
            ("generic", format!("as configured; {GENERIC}"))
        }
        _ if zero_copy => ("zero-copy", "the driver reads and writes our memory".to_owned()),
        _ => ("copy", "the driver has native XDP, but no zero-copy".to_owned()),
    }
}
