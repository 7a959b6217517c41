//! What is compared if both routers send it, and not missed if only one does: it comes by a limit or
//! at a time of each one's own.

use xrouter::packet::ethernet::HEADER;
use xrouter::packet::{icmpv4, icmpv6, ipv6, redirect};

use super::facts::{is_anycast, own_advertisement, own_announcement, own_probe, own4, own6};
use super::frame::Frame;
use super::pair::Outputs;

/// Frames that may be missing.
pub struct Sporadic {
    pub name: &'static str,
    pub reason: &'static str,
    /// What two of them that must be equal have in common; None if a frame is none of these.
    about: fn(&Frame) -> Option<&[u8]>,
}

pub const SPORADIC: &[Sporadic] = &[
    Sporadic {
        name: "redirect",
        reason: "RFC 1812 5.2.7.2, RFC 4861 8.2: each has a limit of its own, for each host",
        about: redirected,
    },
    Sporadic {
        name: "own address defended",
        reason: "RFC 5227 2.4 (b): xrouter announces it to who claims it, sooner or later",
        about: |frame| Some(&frame.octets[..]).filter(|octets| own_announcement(octets)),
    },
    Sporadic {
        name: "who is the anycast address",
        reason: "RFC 4861 7.2.7: is answered after a random time",
        about: |frame| Some(&frame.octets[..]).filter(|octets| is_about_anycast(octets)),
    },
    Sporadic {
        name: "whether a neighbour is still there",
        reason: "RFC 4861 7.3.3: is asked seconds after an earlier frame told who it is",
        about: |frame| Some(&frame.octets[..]).filter(|octets| own_probe(octets)),
    },
];

impl Sporadic {
    /// Take from both outputs what the other has nothing like. Returns how many.
    pub fn forget_unpaired(&self, outputs: &mut Outputs) -> u64 {
        let paired = |frame: &Frame, others: &[Frame]| {
            let what = (self.about)(frame);
            what.is_none() || others.iter().any(|other| (self.about)(other) == what)
        };
        let Outputs { kernel, xrouter } = outputs;
        let before = kernel.len() + xrouter.len();
        kernel.retain(|frame| paired(frame, xrouter));
        xrouter.retain(|frame| paired(frame, kernel));
        (before - kernel.len() - xrouter.len()) as u64
    }
}

/// An advertisement of an anycast address.
fn is_about_anycast(octets: &[u8]) -> bool {
    const TARGET: usize = HEADER + ipv6::HEADER + 8;
    let target = octets.get(TARGET..).and_then(<[u8]>::first_chunk::<16>);
    own_advertisement(octets) && target.is_some_and(|&target| is_anycast(target.into()))
}

/// The packet that a redirect of the router's is about, as far as it tells one from another. None if
/// it is no redirect, or goes to another host than the packet's sender.
fn redirected(frame: &Frame) -> Option<&[u8]> {
    if let Some(packet) = own4(&frame.octets) {
        let quote = packet.payload().get(icmpv4::HEADER..)?;
        let is_redirect = packet.payload()[0] == icmpv4::Type::Redirect as u8;
        let to_sender = quote.get(12..16)? == packet.destination().octets();
        return Some(&quote[4..quote.len().min(28)]).filter(|_| is_redirect && to_sender);
    }
    let (packet, at) = quoted6(&frame.octets)?;
    let quote = &packet.payload()[at..];
    let to_sender = quote.get(8..24)? == packet.destination().octets();
    Some(&quote[8..quote.len().min(48)]).filter(|_| to_sender)
}

/// A redirect of IPv6, and where in its message the quote begins. The option that names the target's
/// MAC is left out if it is not known.
fn quoted6(octets: &[u8]) -> Option<(ipv6::View<'_>, usize)> {
    const TARGET_MAC: usize = 40;
    let packet = own6(octets)?;
    let is_redirect = packet.payload().first() == Some(&(icmpv6::Type::Redirect as u8));
    let has_mac = packet.payload().get(TARGET_MAC) == Some(&2);
    let at = if has_mac { redirect::HEADER } else { redirect::HEADER - 8 };
    (is_redirect && packet.payload().len() > at).then_some((packet, at))
}
