//! What ARP and NDP say, and what an entry makes of it (RFC 826, RFC 4861 7.2.3 and 7.2.5).
#![forbid(unsafe_code)]

use std::net::IpAddr;

use super::entry::{Entry, State};
use crate::id::PortId;
use crate::packet::ethernet::MacAddress;

/// A message about who has which MAC. The packet itself has passed its own checks (RFC 826,
/// RFC 4861 7.1); whether the Ethernet source agrees with it is the caller's policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    /// Where it came in.
    pub port: PortId,
    /// Who it speaks of: ARP's sender protocol address, the source of a solicitation, the target
    /// of an advertisement.
    pub address: IpAddr,
    /// ARP's sender hardware address, or the source or target link-layer address option.
    pub mac: Option<MacAddress>,
    /// What it says.
    pub message: Message,
    /// The address is one that the port's subnets hold (a link-local one always is), and neither
    /// their network nor their broadcast address. Others are never learned.
    pub on_link: bool,
    /// The address is one of our own, on any port: nobody else may have it. Not for our own
    /// packets when a loop brings them back.
    pub ours: bool,
}

/// What kind of message it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// An ARP request.
    ArpRequest {
        /// It asks for an address of ours.
        for_us: bool,
    },
    /// An ARP reply.
    ArpReply {
        /// It was sent to our MAC, not to the broadcast address.
        to_us: bool,
    },
    /// A gratuitous ARP, request or reply: sender and target address are the same (RFC 5227 3).
    ArpAnnouncement,
    /// A neighbour solicitation.
    Solicitation {
        /// It asks for an address of ours.
        for_us: bool,
    },
    /// A neighbour advertisement.
    Advertisement {
        /// R: the sender is a router.
        router: bool,
        /// S: the answer to a solicitation.
        solicited: bool,
        /// O: replaces what is known.
        overrides: bool,
    },
}

/// A message in the terms of the state machine, which are those of RFC 4861 7.2.5.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Claim {
    pub mac: Option<MacAddress>,
    /// The sender answers us: it is there, and it hears us.
    pub solicited: bool,
    /// What follows if another MAC is known.
    pub otherwise: Otherwise,
    /// What it says about being a router, if it says.
    pub router: Option<bool>,
    /// An entry is made if there is none.
    pub creates: bool,
}

/// What a claim does to another MAC that is already known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Otherwise {
    /// Takes its place.
    Replace,
    /// Makes it doubtful (RFC 4861 7.2.5, O flag clear).
    Doubt,
    /// Nothing, if the known one is still locked.
    ReplaceUnlessLocked,
}

impl Message {
    /// Nothing if the message teaches nothing.
    pub(super) fn claim(self, mac: Option<MacAddress>) -> Option<Claim> {
        use Otherwise::{Doubt, Replace, ReplaceUnlessLocked};
        let claim = |solicited, otherwise, router, creates| {
            Some(Claim { mac, solicited, otherwise, router, creates })
        };
        match self {
            // RFC 826: merge what is there already, add only if we are the target. An ARP sender
            // has no S flag: that it can be heard does not say that it hears us, so it is STALE.
            // One that asks for us comes from the host itself: its new MAC counts at once.
            Self::ArpRequest { for_us: true } => claim(false, Replace, None, true),
            Self::ArpRequest { for_us: false } => claim(false, ReplaceUnlessLocked, None, false),
            Self::ArpReply { to_us } => claim(to_us, ReplaceUnlessLocked, None, false),
            Self::ArpAnnouncement => claim(false, Replace, None, false),
            // RFC 4861 7.2.3: only with a valid target; the source option is what is learned, and
            // IsRouter is left alone.
            Self::Solicitation { for_us } => {
                mac.filter(|_| for_us).and_then(|_| claim(false, Replace, None, true))
            }
            // RFC 4861 7.2.5: no entry, no effect.
            Self::Advertisement { router, solicited, overrides } => {
                claim(solicited, if overrides { Replace } else { Doubt }, Some(router), false)
            }
        }
    }
}

/// What a claim does to an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// REACHABLE becomes STALE; nothing else changes.
    Doubt,
    /// This MAC from now on, in this state.
    Learn(MacAddress, State),
    /// The MAC is right, and the sender has answered.
    Confirm,
    /// The MAC is right, or was not spoken of.
    Agree,
}

impl Claim {
    /// RFC 4861 7.2.5 and appendix C. `locked`: the known MAC is too young to be replaced by ARP.
    pub fn effect(&self, entry: &Entry, locked: bool) -> Effect {
        let learned = if self.solicited { State::Reachable } else { State::Stale };
        match (entry.mac, self.mac) {
            _ if entry.state == State::Permanent => Effect::None,
            // INCOMPLETE: without a MAC, silently discard; the O flag does not matter.
            (None, None) => Effect::None,
            (None, Some(mac)) => Effect::Learn(mac, learned),
            (Some(known), Some(mac)) if known != mac => match self.otherwise {
                Otherwise::Replace => Effect::Learn(mac, learned),
                Otherwise::ReplaceUnlessLocked if !locked => Effect::Learn(mac, learned),
                // I.a: REACHABLE becomes STALE, "but do not update the entry in any other way".
                Otherwise::Doubt if entry.state == State::Reachable => Effect::Doubt,
                Otherwise::ReplaceUnlessLocked | Otherwise::Doubt => Effect::None,
            },
            _ if self.solicited => Effect::Confirm,
            _ => Effect::Agree,
        }
    }
}
