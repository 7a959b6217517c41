//! Redirects: what they say is compared, but not how often it is said: each router has a limit of
//! its own for each host.

use xrouter::packet::{icmpv4, icmpv6, ipv6, redirect};

use super::facts::{own4, own6, set6};
use super::pair::{Frame, Outputs};

/// Take from both outputs the redirects about packets that the other router sent none about.
/// Returns how many.
pub fn forget_unpaired(outputs: &mut Outputs) -> u64 {
    let paired = |frame: &Frame, others: &[Frame]| {
        let packet = about(frame);
        packet.is_none() || others.iter().any(|other| about(other) == packet)
    };
    let Outputs { kernel, xrouter } = outputs;
    let before = kernel.len() + xrouter.len();
    kernel.retain(|frame| paired(frame, xrouter));
    xrouter.retain(|frame| paired(frame, kernel));
    (before - kernel.len() - xrouter.len()) as u64
}

/// The packet that a redirect of the router's is about, as far as it tells one from another. None if
/// it is no redirect, or goes to another host than the packet's sender.
fn about(frame: &Frame) -> Option<&[u8]> {
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

/// The hop limit in the packet that a redirect of IPv6 quotes.
pub fn blot_hops6(octets: &mut [u8]) -> bool {
    const HOP_LIMIT: usize = 7;
    let at = quoted6(octets).map(|(_, at)| ipv6::HEADER + at + HOP_LIMIT);
    at.is_some_and(|at| set6(octets, at, &[0]))
}
