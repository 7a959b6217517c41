//! What may differ between xrouter and the kernel, and why: nothing else may.

use std::net::{Ipv4Addr, Ipv6Addr};

use xrouter::packet::ethernet::{HEADER, MacAddress};
use xrouter::packet::{icmpv6, ipv6, protocol};

use super::facts::*;
use super::frame::Frame;
use super::options::*;
use super::ways::{self, blot_member};

/// What is made equal in every frame that comes out, before it is compared.
pub struct Mask {
    pub name: &'static str,
    pub reason: &'static str,
    /// Blot it out; false if it is not in this frame. What is left empty did not come out.
    pub blot: fn(&mut Frame) -> bool,
}

/// A difference that is meant.
#[derive(Debug)]
pub struct Difference {
    pub name: &'static str,
    pub reason: &'static str,
    /// Whether it is this one.
    pub explains: fn(&Case) -> bool,
}

pub const MASKS: &[Mask] = &[
    Mask {
        name: "member of a group",
        reason: "RFC 2992: each router has a hash of its own. The shares, and that flows keep to theirs, \
                 ways.rs looks after",
        blot: blot_member,
    },
    Mask {
        name: "identification of own packets",
        reason: "RFC 6864 4: any value will do that is not used twice at a time",
        blot: |frame| own4(&frame.octets).is_some() && blot4(&mut frame.octets, 4, 2),
    },
    Mask {
        name: "type of service of ICMP errors",
        reason: "RFC 1349 5.1: errors go with the default; the kernel takes that of the packet",
        blot: |frame| own_error4(&frame.octets) && blot4(&mut frame.octets, 1, 1),
    },
    Mask {
        name: "flow label of own packets",
        reason: "RFC 6437 3: a source chooses it; the kernel takes a hash with a secret",
        blot: |frame| own6(&frame.octets).is_some() && blot_flow(&mut frame.octets),
    },
    Mask {
        name: "identification of own fragments",
        reason: "RFC 7739 5: is not to be guessed",
        blot: |Frame { octets, .. }| {
            own6(octets).is_some_and(|view| {
                view.next_header() == protocol::FRAGMENT && view.payload().len() >= 8
            }) && {
                octets[HEADER + ipv6::HEADER + 4..][..4].fill(0);
                true
            }
        },
    },
    Mask {
        name: "source of solicitations",
        reason: "RFC 4861 7.2.2: any of the port's; the kernel takes the packet's, if its own",
        blot: |Frame { octets, .. }| {
            own_message6(octets, |kind| kind == SOLICITATION) && set6(octets, SOURCE6, &ANY_OWN)
        },
    },
    Mask {
        name: "times in IPv4 options",
        reason: "no two routers write at the same time",
        blot: |frame| blot_times(&mut frame.octets),
    },
];

pub const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "from a group's MAC, the router's own, or none",
        reason: "IEEE 802.3 3.2.3: none of them is ever a sender",
        explains: |case| case.only_kernel() && case.impossible_sender(),
    },
    Difference {
        name: "priority tag",
        reason: "no VLANs yet: a tag of VLAN 0 is not taken off",
        explains: |case| case.only_kernel() && case.tagged_for_priority(),
    },
    Difference {
        name: "ARP that claims a group's MAC or none",
        reason: "RFC 1812 3.3.2: must not be believed; the kernel answers",
        explains: |case| case.only_kernel() && case.claims_no_host(),
    },
    Difference {
        name: "from 0.0.0.0/8",
        reason: "RFC 1812 5.3.7, 4.2.2.11 (b): this network's hosts only; the kernel knows 0.0.0.0",
        explains: |case| case.only_kernel() && case.source4().is_some_and(|a| a.octets()[0] == 0),
    },
    Difference {
        name: "ARP from 0.0.0.0/8",
        reason: "RFC 1812 5.3.7: nobody's address; the kernel answers all but 0.0.0.0 as anybody",
        explains: |case| {
            let sender = case.octet(14).filter(|_| case.is_arp());
            case.only_kernel() && sender == Some(0)
        },
    },
    Difference {
        name: "to 0.0.0.0/8",
        reason: "RFC 1812 5.3.7: not a destination; the kernel forwards if a route covers it",
        explains: |case| {
            case.only_kernel() && case.destination4().is_some_and(|a| a.octets()[0] == 0)
        },
    },
    Difference {
        name: "IPv4 link-local",
        reason: "RFC 3927 7: not forwarded, whatever the routes",
        explains: |case| {
            let ends = [case.source4(), case.destination4()];
            case.only_kernel() && ends.into_iter().flatten().any(|a| a.is_link_local())
        },
    },
    Difference {
        name: "from a subnet's broadcast address",
        reason: "RFC 1812 4.2.3.1: never a source",
        explains: |case| case.only_kernel() && case.source4().is_some_and(is_subnet_broadcast),
    },
    Difference {
        name: "ICMP error to class E",
        reason: "RFC 1812 4.3.2.7: a source that is not one host gets none",
        explains: |case| {
            let class_e = |a: Ipv4Addr| a.octets()[0] >= 240;
            case.only_kernel() && case.source4().is_some_and(class_e) && case.kernel_all(own_error4)
        },
    },
    Difference {
        name: "ICMP error about rare ICMP",
        reason: "RFC 1256, RFC 8335: types 9, 10, 42, 43 are no errors; the kernel takes them for such",
        explains: |case| {
            let kind = case.view4().and_then(|view| view.payload().first().copied());
            case.only_xrouter()
                && matches!(kind, Some(9 | 10 | 42 | 43))
                && case.xrouter_all(|octets| own_error4(octets) || own_question(octets))
        },
    },
    Difference {
        name: "limit on errors about routes",
        reason: "the kernel's, for each sender, is one of the whole machine (route.error_cost)",
        explains: |case| case.only_xrouter() && case.no_way() && case.xrouter_all(own_error4),
    },
    Difference {
        name: "unfinished checksum",
        reason: "a host on a veth leaves it to its card, and a raw frame cannot say so",
        explains: |case| {
            case.unfinished() && (case.only_xrouter() || case.equal_but(|octets| finish(octets)))
        },
    },
    Difference {
        name: "IPv4 options in ICMP errors",
        reason: "quoted as received (RFC 1812 4.3.2.3); the kernel has written, and sends a copy",
        explains: |case| case.has_options() && case.equal_but(without_options),
    },
    Difference {
        name: "ICMP error along a source route",
        reason: "RFC 7126 4.3: nobody is to use it; the kernel turns it round for its errors",
        explains: |case| case.has_source_route() && case.errors_of_same_kinds4(),
    },
    Difference {
        name: "ICMP error about an odd route",
        reason: "RFC 1812 4.3.3: is told; the kernel gives up at a route of no whole addresses",
        explains: |case| {
            case.only_xrouter() && case.has_odd_route() && case.xrouter_all(own_error4)
        },
    },
    Difference {
        name: "CIPSO",
        reason: "RFC 1812 5.3.13.1: passed unchanged; the kernel reads and refuses it",
        explains: |case| {
            case.has_option(|option| option[0] == CIPSO) && case.kernel_all(own_problem4)
        },
    },
    Difference {
        name: "address with a time stamp",
        reason: "RFC 1812 4.3.2.4, 5.2.4.1: that of the way out; the kernel gives that of the way in",
        explains: |case| {
            case.has_option(is_stamp_with_address)
                && case.equal_but(|octets| blot_stamps_whole(octets))
        },
    },
    Difference {
        name: "time stamp for no host",
        reason: "RFC 791 3.1: of the router so named; the kernel is also 0.0.0.0 and every group",
        explains: |case| {
            case.has_option(is_stamp_for_nobody)
                && case.equal_but(|octets| blot_stamps_whole(octets))
        },
    },
    Difference {
        name: "hop-by-hop options of others",
        reason: "RFC 8200 4.2: skipped by who does not know them; the kernel checks CALIPSO and IOAM",
        explains: |case| case.has_hop_option_of_linux() && case.kernel_all(own_problem6),
    },
    Difference {
        name: "payload length 0 with hop-by-hop options",
        reason: "RFC 2675 3: without its jumbo option it is an error; the kernel forwards it",
        explains: |case| {
            let jumbo = [case.octet(4), case.octet(5), case.octet(6)] == [Some(0); 3];
            case.only_kernel()
                && case.view6().is_none()
                && jumbo
                && case.octet(0).is_some_and(|first| first >> 4 == 6)
        },
    },
    Difference {
        name: "hop-by-hop options to a group",
        reason: "RFC 8200 4.2: of packets for nobody here nothing is read; the kernel reads first",
        explains: |case| {
            let group = case.destination6().is_some_and(|address| address.is_multicast());
            case.only_kernel() && group && case.kernel_all(own_problem6)
        },
    },
    Difference {
        name: "options of a fragment's fragments",
        reason: "RFC 791 3.2: those to be copied; the kernel copies all but from a first fragment",
        explains: |case| {
            let later = case.view4().is_some_and(|view| view.fragment_offset() != 0);
            later && case.equal_but(|octets| blot_options(octets))
        },
    },
    Difference {
        name: "ICMPv6 error from an anycast address",
        reason: "RFC 4443 2.2 (b): from one of the node's own; the kernel takes what it was sent to",
        explains: |case| {
            case.destination6().is_some_and(is_anycast)
                && case.equal_but(|octets| without_own_source6(octets))
        },
    },
    Difference {
        name: "ICMPv6 error about what may be one",
        reason: "RFC 4443 2.4 (e.1): nobody can tell; the kernel sends one",
        explains: |case| case.hides_icmp6() && case.kernel_adds(own_error6_or_question),
    },
    Difference {
        name: "code for unreachable routes",
        reason: "RFC 4443 3.1: address unreachable; the kernel says no route",
        explains: |case| {
            case.equal_but(|octets| {
                if is_to_link_local(octets) {
                    without_receiver(octets);
                }
                own_error6(octets) && set6(octets, ipv6::HEADER + 1, &[0])
            })
        },
    },
    Difference {
        name: "IPv4-mapped and unspecified IPv6 addresses",
        reason: "RFC 4291 2.5.2, RFC 4038 4.2: never on a wire; the kernel forwards if routed",
        explains: |case| {
            let no = |a: Ipv6Addr| a.is_unspecified() || a.to_ipv4_mapped().is_some();
            let ends = [case.source6(), case.destination6()];
            case.only_kernel() && ends.into_iter().flatten().any(no)
        },
    },
    Difference {
        name: "to link-local IPv6 of others",
        reason: "RFC 4291 2.5.6 allows it on one link, where nobody needs a router",
        explains: |case| {
            let stays = |output: &Frame| output.port == case.frame.port;
            let own_error = |output: &Frame| own6(&output.octets).is_some();
            case.only_kernel()
                && case.destination6().is_some_and(ipv6::is_link_local)
                && case.outputs.kernel.iter().all(|output| stays(output) || own_error(output))
        },
    },
    Difference {
        name: "ICMPv6 error about a redirect",
        reason: "RFC 4443 2.4 (e.2): none; the kernel sends one",
        explains: |case| {
            let upper = case.view6().map(|view| view.upper_layer().offset);
            let kind = upper.and_then(|offset| case.octet(offset));
            kind == Some(icmpv6::Type::Redirect as u8) && case.kernel_adds(own_error6_or_question)
        },
    },
    Difference {
        name: "from the router's own IPv6 address",
        reason: "as RFC 1812 5.3.7 says for IPv4: somebody forges it; the kernel forwards",
        explains: |case| case.only_kernel() && own6(&case.frame.octets).is_some(),
    },
    Difference {
        name: "error to a link-local sender",
        reason: "goes back to the MAC that it came from; the kernel asks its neighbour table",
        explains: |case| {
            case.source6().is_some_and(ipv6::is_link_local)
                && case.xrouter_all(own_error6)
                && (case.kernel_all(own_question)
                    || case.equal_but(|octets| without_receiver(octets)))
        },
    },
    Difference {
        name: "link-local sender to a group behind several ports",
        reason: "RFC 4007 9: is forwarded on its own link, refused beyond; which, the hash decides",
        explains: |case| {
            let group = case.destination6().and_then(|to| ways::group(to.into()));
            case.source6().is_some_and(ipv6::is_link_local)
                && group.is_some_and(|group| group.ports().len() > 1)
                && ((case.kernel_passes_on6() && case.xrouter_all(own_error6_or_question))
                    || (case.xrouter_passes_on6() && case.kernel_all(own_error6_or_question)))
        },
    },
    Difference {
        name: "link-local beyond fe80::/64",
        reason: "RFC 4291 2.5.6 wants zeros there; the kernel has no route back",
        explains: |case| {
            let odd = |a: Ipv6Addr| ipv6::is_link_local(a) && a.segments()[1..4] != [0; 3];
            case.source6().is_some_and(odd) && case.xrouter_adds(own_error6)
        },
    },
    Difference {
        name: "IPv6 in a broadcast frame",
        reason: "RFC 2464 7: groups have MACs of their own, all has none",
        explains: |case| {
            let receiver = case.receiver();
            case.only_kernel()
                && case.view6().is_some()
                && receiver.is_some_and(|mac| mac.is_broadcast())
        },
    },
    Difference {
        name: "frame of another group than the packet's",
        reason: "RFC 1112 6.4, RFC 2464 7: each has its own; the kernel takes any that it hears",
        explains: |case| {
            let group = case.receiver().filter(|mac| mac.is_multicast());
            let group6 = case.destination6().filter(Ipv6Addr::is_multicast);
            let group4 = case.destination4().filter(Ipv4Addr::is_multicast);
            let right6 = group6.map(MacAddress::for_ipv6_multicast);
            let right4 = group4.map(MacAddress::for_ipv4_multicast);
            case.only_kernel() && group.is_some() && group != right6 && group != right4
        },
    },
    Difference {
        name: "ARP of IEEE 802",
        reason: "RFC 826: not our hardware type; the kernel takes 6 for Ethernet",
        explains: |case| {
            let arp = [8, 6, 0, 6];
            case.only_kernel() && case.frame.octets.get(HEADER - 2..HEADER + 2) == Some(&arp)
        },
    },
    Difference {
        name: "answer to a unicast solicitation",
        reason: "RFC 4861 7.2.4: its target's MAC may be left out, and the kernel does",
        explains: |case| case.equal_but(without_target_mac),
    },
    Difference {
        name: "hops left in host unreachable",
        reason: "quoted as received (RFC 1812 4.3.2.3); the kernel has counted, and cut, first",
        explains: |case| {
            case.equal_but(|octets| {
                if is_to_link_local(octets) {
                    without_receiver(octets);
                }
                without_quoted_way(octets)
            })
        },
    },
    Difference {
        name: "silent sender",
        reason: "is asked for to be redirected or refused, never hears of it, and each has its limits",
        explains: |case| case.sender_is_asked_for(),
    },
    Difference {
        name: "solicitation without its sender's MAC",
        reason: "answered where it came from; the kernel would have to ask for it",
        explains: |case| case.xrouter_all(own_advertisement) && case.kernel_all(own_question),
    },
];
