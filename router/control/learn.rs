//! What the workers heard, to the neighbour table; what the table wants, to tables and workers.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use super::Router;
use super::neighbour::{Action, Heard, Message, Wanted};
use super::port::Port;
use super::speak;
use crate::id::PortId;
use crate::packet::ethernet::MacAddress;
use crate::pipeline::report::{Report, Said};
use crate::pipeline::verdict::Awaited;
use crate::worker::{Command, Mail, SmallFrame};

/// Messages of one worker that are read in one turn: a flood of ARP must not keep control from
/// its timers and from who asks it.
const MAIL_PER_TURN: usize = 1024;

impl Router {
    /// Read what the workers have said.
    pub(super) fn read_mail(&mut self) {
        // The bell is silenced before the mail is read, or a ring in between would be lost.
        while matches!(self.bell.try_read(&mut [0; 64]), Ok(64)) {}
        for worker in 0..self.workers.len() {
            let mut read = 0;
            while let Some(mail) = self.workers[worker].mailbox.read() {
                match mail {
                    Mail::Report(report) => self.learn(report),
                    Mail::Detached(port) => self.queues_closed(port),
                }
                read += 1;
                if read == MAIL_PER_TURN {
                    // The rest in another turn.
                    self.workers[worker].mailbox.control_bell.ring();
                    break;
                }
            }
        }
        self.act();
    }

    fn queues_closed(&mut self, port: PortId) {
        if let Some(port) = self.ports.get_mut(port) {
            port.queues_closed();
        }
    }

    fn learn(&mut self, report: Report) {
        let now = self.now();
        match report {
            Report::Wanted(awaited) => self.want(awaited),
            Report::AskedByKernel { port, address } => {
                if self.ports.get(port).is_some() {
                    self.neighbours.wanted_by_kernel(port, address, now, &mut self.actions);
                }
            }
            Report::GroupsChanged(port) => self.update_groups_of(port),
            Report::Heard { port, said } => {
                if let Some(heard) = self.heard(port, said) {
                    self.neighbours.heard(&heard, now, &mut self.actions);
                }
            }
        }
    }

    /// Packets wait for a neighbour.
    fn want(&mut self, awaited: Awaited) {
        let known = self.hops.neighbour_of(awaited);
        let Some((port, address)) = known.filter(|(port, _)| self.ports.get(*port).is_some())
        else {
            return self.tell_all(|| Command::Fail(awaited));
        };
        let now = self.now();
        match self.neighbours.wanted(port, address, now, &mut self.actions) {
            Wanted::Resolving => {}
            // Known by now, or its route was lost to a full table: once more.
            Wanted::Usable(mac) => self.install(port, address, mac),
            Wanted::Unreachable | Wanted::Refused => self.tell_all(|| Command::Fail(awaited)),
        }
    }

    /// What was said, in the neighbour table's terms.
    fn heard(&self, port: PortId, said: Said) -> Option<Heard> {
        let snapshot = self.snapshot.load();
        let interface = snapshot.interface(port)?;
        let (address, mac, message): (IpAddr, _, _) = match said {
            Said::ArpAnnouncement { sender, mac } => {
                (sender.into(), Some(mac), Message::ArpAnnouncement)
            }
            Said::ArpRequest { sender, mac, for_us } => {
                (sender.into(), Some(mac), Message::ArpRequest { for_us })
            }
            Said::ArpReply { sender, mac, for_us } => {
                (sender.into(), Some(mac), Message::ArpReply { to_us: for_us })
            }
            Said::Solicitation { source, mac, for_us } => {
                (source.into(), mac, Message::Solicitation { for_us })
            }
            Said::Advertisement { target, mac, router, solicited, overrides } => {
                (target.into(), mac, Message::Advertisement { router, solicited, overrides })
            }
        };
        // Two ports on one link hear each other: nothing is learned from that.
        if mac.is_some_and(|mac| snapshot.present().any(|own| own.takes(mac))) {
            return None;
        }
        let (on_link, ours) = match address {
            IpAddr::V4(address) => (interface.on_link4(address), snapshot.is_own4(address)),
            IpAddr::V6(address) => {
                (interface.on_link6(address), interface.has6(address) || snapshot.is_own6(address))
            }
        };
        Some(Heard { port, address, mac, message, on_link, ours })
    }

    /// Do everything that the neighbour table wants done.
    pub(super) fn act(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            self.do_one(action);
        }
        self.actions = actions;
    }

    fn do_one(&mut self, action: Action) {
        match action {
            Action::SendSolicitation { port, target, to } => {
                let snapshot = self.snapshot.load_full();
                let interface = snapshot.interface(port);
                self.send(port, interface.and_then(|i| speak::solicitation(i, target, to)));
            }
            Action::Install { port, address, mac, .. } => self.install(port, address, mac),
            Action::Withdraw { port, address } => {
                self.hops.withdraw(port, address, &self.rib, &mut self.fib);
            }
            Action::Unresolvable { port, address } => self.give_up(port, address),
            Action::AnswerKernel { port, address, mac } => {
                let snapshot = self.snapshot.load_full();
                let interface = snapshot.interface(port);
                let answer = interface.and_then(|i| speak::answer_to_kernel(i, address, mac));
                if let Some(port) = self.ports.get(port) {
                    port.tell_kernel(answer);
                }
            }
            Action::Defend { port, address, claimant } => self.defend(port, address, claimant),
        }
    }

    /// A neighbour's MAC is known: into the tables, and on with what waited.
    fn install(&mut self, port: PortId, address: IpAddr, mac: MacAddress) {
        if let Err(full) = self.hops.install(port, address, mac, &self.rib, &mut self.fib) {
            tracing::warn!("neighbour {address}: {full}; raise the budget in [tables]");
        }
        for awaited in self.hops.awaited(port, address) {
            self.tell_all(|| Command::Release(awaited));
        }
    }

    /// A neighbour does not answer. What waits for it as one gateway of several is looked up again,
    /// and takes another, or fails if it comes back to this one.
    fn give_up(&mut self, port: PortId, address: IpAddr) {
        let one_of_several = self.hops.fail(port, address, &mut self.fib);
        for awaited in self.hops.awaited(port, address) {
            if one_of_several && awaited.neighbour.is_none() {
                self.tell_all(|| Command::Release(awaited));
            } else {
                self.tell_all(|| Command::Fail(awaited));
            }
        }
    }

    /// Ask for the gateways that groups do without: no packet does.
    pub(super) fn ask_missed(&mut self) {
        let now = self.now();
        for (port, address) in self.hops.missed() {
            let known = self.neighbours.wanted(port, address, now, &mut self.actions);
            if let Wanted::Usable(mac) = known {
                self.install(port, address, mac);
            }
        }
        self.act();
    }

    /// Have a worker that has a queue of the port send a frame.
    pub(super) fn send(&self, port: PortId, frame: Option<SmallFrame>) {
        let sender = self.ports.get(port).and_then(Port::sender);
        if let (Some(frame), Some(worker)) = (frame, sender) {
            self.workers[worker].tell(Command::Send(port, frame));
        }
    }

    /// The same command to every worker.
    pub(super) fn tell_all(&self, command: impl Fn() -> Command) {
        for worker in &self.workers {
            worker.tell(command());
        }
    }
}
