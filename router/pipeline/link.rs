//! The frame's first question: is it for us?
#![forbid(unsafe_code)]

use std::ops::ControlFlow::{Break, Continue};

use crate::frame::Frame;
use crate::packet::ethernet;
use crate::table::interface::Interface;

use super::Tables;
use super::verdict::{DropReason, Step, Verdict};

/// To whom a frame was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Audience {
    /// To the port's own MAC, or that of a virtual router that it is.
    Us,
    /// To all.
    Broadcast,
    /// To a group that the port has joined.
    Group,
}

/// What the Ethernet header said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Arrival {
    pub audience: Audience,
    pub ether_type: u16,
}

/// The interface that a frame came in by, if the frame is for it.
#[inline(always)]
pub(super) fn accept<'t>(frame: &Frame, tables: &Tables<'t>) -> Step<(&'t Interface, Arrival)> {
    let Some(interface) = tables.snapshot.interface(frame.ingress()) else {
        return Break(Verdict::Drop(DropReason::PortDown));
    };
    let Some(header) = ethernet::View::new(frame.bytes()) else {
        return Break(Verdict::Drop(DropReason::Runt));
    };
    let destination = header.destination();
    let audience = if interface.takes(destination) {
        Audience::Us
    } else if destination.is_broadcast() {
        Audience::Broadcast
    } else if destination.is_multicast() && interface.joined(destination) {
        Audience::Group
    } else {
        return Break(Verdict::Drop(DropReason::NotForUs));
    };
    // IEEE 802.3: a group never sends, nor who has no MAC; our own coming in means a loop or a forger.
    if !header.source().is_unicast() || header.source() == interface.mac {
        return Break(Verdict::Drop(DropReason::SourceMac));
    }
    Continue((interface, Arrival { audience, ether_type: header.ether_type() }))
}
