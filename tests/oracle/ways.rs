//! Routes with several next hops (ECMP). Which of them a flow takes is up to each router's hash (RFC
//! 2992). That it is one of them, that all packets of the flow take it, and that the shares are the
//! weights, is watched here, in each router for itself.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use xrouter::packet::ethernet::{HEADER, MacAddress};
use xrouter::packet::ipv4;

use super::flows::Flow;
use super::frame::{Frame, ROUTER_MACS};
use super::network::SUBNETS;
use super::octets::{blot4, view4, view6};

/// The next hops of 10.N.0.0/16 and of 2001:db8:N::/48.
#[derive(Debug)]
pub struct Group {
    pub subnet: u8,
    pub members: &'static [Member],
}

/// One of them, with a MAC of its own.
#[derive(Debug)]
pub struct Member {
    pub port: usize,
    host: u8,
    weight: u32,
}

/// One with equal shares behind one port, one with weights over two ports.
pub const GROUPS: [Group; 2] = [
    Group {
        subnet: 6,
        members: &[Member { port: 1, host: 4, weight: 1 }, Member { port: 1, host: 5, weight: 1 }],
    },
    Group {
        subnet: 7,
        members: &[
            Member { port: 1, host: 4, weight: 1 },
            Member { port: 1, host: 5, weight: 2 },
            Member { port: 2, host: 4, weight: 5 },
        ],
    },
];

impl Group {
    /// Its routes, as sections of router.toml.
    pub fn routes(&self) -> [String; 2] {
        let to = self.prefixes();
        [0, 1].map(|family| {
            let via = |member: &Member| {
                let (address, weight) = (member.addresses()[family], member.weight);
                format!("{{ via = \"{address}\", weight = {weight} }}")
            };
            let via: Vec<_> = self.members.iter().map(via).collect();
            format!("[[route]]\nto = \"{}\"\nvia = [{}]", to[family], via.join(", "))
        })
    }

    fn prefixes(&self) -> [String; 2] {
        let n = self.subnet;
        [format!("10.{n}.0.0/16"), format!("2001:db8:{n}::/48")]
    }

    /// That to which packets for this address go.
    fn of(address: IpAddr) -> Option<usize> {
        let subnet = match address {
            IpAddr::V4(address) => match address.octets() {
                [10, subnet, ..] => subnet,
                _ => return None,
            },
            IpAddr::V6(address) => match address.octets() {
                [0x20, 1, 0x0d, 0xb8, 0, subnet, ..] => subnet,
                _ => return None,
            },
        };
        GROUPS.iter().position(|group| group.subnet == subnet)
    }

    /// The ports behind which it has members.
    pub fn ports(&self) -> HashSet<usize> {
        self.members.iter().map(|member| member.port).collect()
    }
}

impl Member {
    pub fn addresses(&self) -> [IpAddr; 2] {
        let n = SUBNETS[self.port];
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, n.into(), 0, 0, 0, 0, self.host.into());
        [Ipv4Addr::new(10, n, 0, self.host).into(), v6.into()]
    }

    pub fn mac(&self) -> MacAddress {
        MacAddress([2, 0, 10, SUBNETS[self.port], 0, self.host])
    }
}

/// The group to which packets for this address go.
pub fn group(address: IpAddr) -> Option<&'static Group> {
    Group::of(address).map(|group| &GROUPS[group])
}

fn destination(octets: &[u8]) -> Option<IpAddr> {
    let v4 = view4(octets).map(|view| view.destination().into());
    v4.or_else(|| view6(octets).map(|view| view.destination().into()))
}

/// The group, and which of its members a packet went to. None if it did not go to a member of its
/// own destination's group.
fn way(frame: &Frame) -> Option<(usize, usize)> {
    let group = Group::of(destination(&frame.octets)?)?;
    let is_to = |member: &Member| {
        let header = [member.mac(), router_mac(member.port)].map(MacAddress::octets).concat();
        member.port == frame.port && frame.octets.starts_with(&header)
    };
    Some((group, GROUPS[group].members.iter().position(is_to)?))
}

/// Say that a packet that went to one of a group's members went to the first of them, also in what
/// the router wrote into its options: the address that it has there.
pub fn blot_member(frame: &mut Frame) -> bool {
    let Some((group, member)) = way(frame) else { return false };
    let members = GROUPS[group].members;
    let port = members[0].port;
    let own = |port: usize| Ipv4Addr::new(10, SUBNETS[port], 0, 1).octets();
    replace_in_options(&mut frame.octets, own(members[member].port), own(port));
    frame.port = port;
    frame.octets[..6].copy_from_slice(&members[0].mac().octets());
    frame.octets[6..12].copy_from_slice(&router_mac(port).octets());
    true
}

fn router_mac(port: usize) -> MacAddress {
    ROUTER_MACS[port].parse().expect("a MAC")
}

fn replace_in_options(octets: &mut [u8], address: [u8; 4], by: [u8; 4]) {
    let options = view4(octets).map(|view| view.options().len());
    let Some(options) = options.filter(|&length| length > 0) else { return };
    let start = HEADER + ipv4::HEADER;
    for at in start..(start + options).saturating_sub(address.len() - 1) {
        if octets[at..][..4] == address {
            octets[at..][..4].copy_from_slice(&by);
        }
    }
    blot4(octets, 10, 2);
}

/// What one router did with flows to groups.
#[derive(Debug, Default)]
pub struct Ways {
    /// The member that each flow went to.
    taken: HashMap<(usize, Flow), usize>,
    /// Hosts of which a flow is counted: others of theirs may share its hash.
    counted: HashSet<(usize, [IpAddr; 2])>,
    /// How many of these flows went to each member, for each group and IP version.
    shares: BTreeMap<(usize, bool), Vec<u32>>,
}

impl Ways {
    /// Take note of where a packet went. False if an earlier one of its flow went to another member.
    pub fn keeps(&mut self, frame: &Frame) -> bool {
        let Some((group, member)) = way(frame) else { return true };
        let Some(flow) = Flow::of(&frame.octets) else { return true };
        if self.counted.insert((group, flow.hosts())) {
            let shares = self.shares.entry((group, frame.is_ipv6())).or_default();
            shares.resize(GROUPS[group].members.len(), 0);
            shares[member] += 1;
        }
        *self.taken.entry((group, flow)).or_insert(member) == member
    }

    /// How many flows of each group and IP version went to each member.
    pub fn shares(&self) -> impl Iterator<Item = Share<'_>> {
        let families = (0..GROUPS.len()).flat_map(|group| [(group, false), (group, true)]);
        families.map(|family| Share {
            group: &GROUPS[family.0],
            is_ipv6: family.1,
            flows: self.shares.get(&family).map(Vec::as_slice).unwrap_or_default(),
        })
    }
}

/// The flows of one group and IP version.
#[derive(Debug)]
pub struct Share<'a> {
    group: &'static Group,
    is_ipv6: bool,
    flows: &'a [u32],
}

impl Share<'_> {
    /// Whether the shares are the weights, as far as so many flows can tell: within five standard
    /// deviations of a hash that is fair. Without flows nothing is.
    pub fn is_fair(&self) -> bool {
        let flows = f64::from(self.flows.iter().sum::<u32>());
        let weights = self.group.members.iter().map(|member| member.weight);
        let total = f64::from(weights.clone().sum::<u32>());
        let mut members = weights.zip(self.flows);
        flows > 0.0
            && members.all(|(weight, &share)| {
                let part = f64::from(weight) / total;
                let deviation = (flows * part * (1.0 - part)).sqrt();
                (f64::from(share) - flows * part).abs() <= 5.0 * deviation
            })
    }
}

impl fmt::Display for Share<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [v4, v6] = self.group.prefixes();
        let weights: Vec<_> = self.group.members.iter().map(|member| member.weight).collect();
        let to = if self.is_ipv6 { v6 } else { v4 };
        write!(f, "{to}: of weights {weights:?} {:?} flows", self.flows)
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::octets;
    use super::*;

    /// A packet as the router sends it to a member of the group 10.6.0.0/16.
    fn sent_to(member: usize, packet: &str) -> Frame {
        let member = &GROUPS[0].members[member];
        let line = format!("lan < eth {} > {} / {packet}", ROUTER_MACS[member.port], member.mac());
        Frame { port: member.port, octets: octets(&line) }
    }

    #[test]
    fn a_flow_that_goes_two_ways_is_noticed() {
        let flow = "ip 10.1.0.9 > 10.6.0.9 ttl 63 / udp 7 > 53 / data 8";
        let later = "ip 10.1.0.9 > 10.6.0.9 ttl 1 id 3 tos 0xb9 / udp 7 > 53 / data 100";
        let error = "ip 10.1.0.3 > 10.6.0.9 ttl 63 / icmp unreachable 4 mtu 1280 / \
                     quote / ip 10.6.0.9 > 10.1.0.9 df / udp 53 > 7 / data 8";
        let other = "ip 10.1.0.9 > 10.6.0.9 ttl 63 / udp 8 > 53 / data 8";
        let mut ways = Ways::default();
        assert!(ways.keeps(&sent_to(0, flow)));
        assert!([flow, later, error].iter().all(|packet| ways.keeps(&sent_to(0, packet))));
        assert!([flow, later, error].iter().all(|packet| !ways.keeps(&sent_to(1, packet))));
        assert!(ways.keeps(&sent_to(1, other)));
        let first = "ip 10.1.0.9 > 10.6.0.9 id 5 mf / udp 7 > 53 / data 8";
        let last = "ip 10.1.0.9 > 10.6.0.9 id 5 frag 2 proto 17 / data 8";
        assert!(ways.keeps(&sent_to(1, first)) && !ways.keeps(&sent_to(0, last)));
    }

    #[test]
    fn only_members_are_taken_for_each_other() {
        let packet = "ip 10.1.0.9 > 10.6.0.9 opt 0707080a02000100 / udp 7 > 53 / data 8";
        let (mut first, mut second) = (sent_to(0, packet), sent_to(1, packet));
        assert!(blot_member(&mut first) && blot_member(&mut second));
        assert_eq!(first, second);
        let mut by_another_port = Frame { port: 0, ..sent_to(1, packet) };
        let mut from_another = sent_to(1, packet);
        from_another.octets[11] ^= 1;
        let mut of_no_group = sent_to(1, "ip 10.1.0.9 > 10.3.0.9 / udp 7 > 53 / data 8");
        let others = [&mut by_another_port, &mut from_another, &mut of_no_group];
        assert!(others.into_iter().all(|frame| !blot_member(frame)));
    }

    #[test]
    fn shares_that_are_not_the_weights_are_noticed() {
        let share = |flows| Share { group: &GROUPS[1], is_ipv6: false, flows };
        assert!(share(&[95, 210, 495]).is_fair());
        assert!(!share(&[267, 267, 266]).is_fair() && !share(&[]).is_fair());
    }
}
