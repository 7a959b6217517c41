//! The two bounded rings between a worker and control, and the bells that wake who sleeps.
#![forbid(unsafe_code)]

use std::io;
use std::sync::Arc;

use arrayvec::ArrayVec;
use crossbeam::queue::ArrayQueue;

use super::handover::Handover;
use crate::id::PortId;
use crate::io::event::Bell;
use crate::io::{tap, xsk};
use crate::pipeline::budget::ErrorBudget;
use crate::pipeline::report::Report;
use crate::pipeline::verdict::Awaited;
use crate::table::police::Policers;

/// Longest frame that control has a worker send: ARP, and neighbour discovery with one option.
pub const SEND_MAX: usize = 128;

/// A small frame that control made.
pub type SmallFrame = ArrayVec<u8, SEND_MAX>;

/// What control tells a worker.
#[derive(Debug)]
pub enum Command {
    /// A port is there: take its queues.
    Attach(Box<Attachment>),
    /// A port is gone or going: close its sockets and take the chunks back.
    Detach(PortId),
    /// There are more ports, or other limits.
    Allow(Box<Allowance>),
    /// The port's tap is another one: this is the worker's queue of it.
    Tap(PortId, tap::Queue),
    /// Send this frame by this port.
    Send(PortId, SmallFrame),
    /// The neighbour's MAC is known and in the tables: what waited may go on.
    Release(Awaited),
    /// The neighbour does not answer: what waited is refused.
    Fail(Awaited),
    /// Finish what is in hand and end.
    Stop,
}

/// What a worker gets of a port.
#[derive(Debug)]
pub struct Attachment {
    /// The port.
    pub port: PortId,
    /// One socket for each receive queue that the worker owns.
    pub sockets: Vec<xsk::Socket>,
    /// The worker's queue of the port's tap, if it has sockets.
    pub tap: Option<tap::Queue>,
    /// Who sends for this worker; without, it sends by its first socket. The port has fewer queues
    /// than there are workers, or fewer to transmit than to receive.
    pub through: Option<Arc<Handover>>,
}

/// How many ports there are, and what a worker may do for them.
#[derive(Clone, Debug)]
pub struct Allowance {
    /// More than the highest number of a port.
    pub ports: usize,
    /// This worker's share of the ICMP error budget.
    pub icmp_errors: ErrorBudget,
    /// How much the kernel's stack gets, from all workers together.
    pub policers: Arc<Policers>,
}

/// What a worker tells control.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mail {
    /// Something about a neighbour.
    Report(Report),
    /// The sockets of this port are closed.
    Detached(PortId),
}

/// Reports that may wait for control; more are lost and counted.
const MAIL_MAX: usize = 4096;
/// Commands that may wait for the worker; more are lost and logged.
const COMMANDS_MAX: usize = 4096;

/// The mailbox of one worker, shared by it and control.
#[derive(Debug)]
pub struct Mailbox {
    commands: ArrayQueue<Command>,
    mail: ArrayQueue<Mail>,
    /// Wakes the worker.
    pub worker_bell: Arc<Bell>,
    /// Wakes control: one bell for all workers.
    pub control_bell: Arc<Bell>,
}

impl Mailbox {
    /// An empty mailbox.
    pub fn new(control_bell: Arc<Bell>) -> io::Result<Self> {
        Ok(Self {
            commands: ArrayQueue::new(COMMANDS_MAX),
            mail: ArrayQueue::new(MAIL_MAX),
            worker_bell: Arc::new(Bell::new()?),
            control_bell,
        })
    }

    /// Control: tell the worker. False if the ring is full: the worker is stuck or far behind, and
    /// the command is lost.
    #[must_use]
    pub fn command(&self, command: Command) -> bool {
        let taken = self.commands.push(command).is_ok();
        self.worker_bell.ring();
        taken
    }

    /// Control: what the worker said.
    pub fn read(&self) -> Option<Mail> {
        self.mail.pop()
    }

    /// Worker: the next command.
    pub fn next_command(&self) -> Option<Command> {
        self.commands.pop()
    }

    /// Worker: tell control, who is woken by the bell once all is said. False if the ring is full.
    pub fn say(&self, mail: Mail) -> bool {
        self.mail.push(mail).is_ok()
    }
}
