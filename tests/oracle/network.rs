//! The networks that both routers stand in: links, routes, neighbours, and what else the routers are
//! told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::frame::{HOST_MACS, PORTS};
use super::net::{Config, DMZ_DEVICE, LAN_DEVICE, Topology, WAN_DEVICE};
use super::ways::GROUPS;

/// The devices of the ports.
pub const DEVICES: [&str; 3] = [LAN_DEVICE, WAN_DEVICE, DMZ_DEVICE];
/// The numbers of their subnets: 10.N.0.0/24, 2001:db8:N::/64.
pub const SUBNETS: [u8; 3] = [1, 2, 4];

/// A key of a port: the port, and the line.
pub type Key = (&'static str, &'static str);
/// What ports may be told and are not by default: to validate sources, loosely and strictly, and to
/// pass directed broadcasts on.
pub const OPTIONS: [Key; 3] = [
    ("lan", "source_validation = \"loose\""),
    ("wan", "directed_broadcast = true"),
    ("dmz", "source_validation = \"strict\""),
];

/// Whether this port validates sources, by OPTIONS.
pub fn validates(port: usize) -> bool {
    OPTIONS.iter().any(|(name, line)| *name == PORTS[port] && line.starts_with("source_validation"))
}

/// Whether packets to this broadcast address may leave, by OPTIONS.
pub fn allows_broadcasts(address: Ipv4Addr) -> bool {
    let port = SUBNETS.iter().position(|&subnet| subnet == address.octets()[1]);
    let is_told = |(name, line): &Key| {
        port.is_some_and(|port| PORTS[port] == *name) && line.starts_with("directed_broadcast")
    };
    OPTIONS.iter().any(is_told)
}

/// Three hosts, each on a link of its own.
pub fn topology() -> Topology {
    Topology::builder().dmz().wan_mtu(1400).dmz_mtu(1400).build()
}

/// The router: every kind of route, and neighbours that are known but for some. No limit matters.
/// The kernel takes the source of an ICMPv6 error from the port that the packet came in by, always.
pub fn config(net: &Topology, options: &[Key]) -> Config {
    let budget = ["per_s", "burst", "per_host_per_s", "per_host_burst"];
    let mut config = net.config();
    for limit in budget {
        config = config.router(&format!("icmp_errors_{limit} = 1000000"));
    }
    let classes = ["neighbour", "routing", "management", "icmp", "other"];
    let police = classes.map(|class| format!("{class}_per_s = 1000000"));
    config = config
        .and(&format!("[police]\n{}", police.join("\n")))
        .and("[policy]\nicmp_error_source = \"ingress\"")
        .and("[resolution]\nretransmit_ms = 100\nprobes = 1\nfailed_hold_s = 1");
    config = options.iter().fold(config, |config, (port, line)| config.port(port, line));
    let (lan4, wan4, lan6, wan6) = ("10.1.0.3", "10.2.0.2", "2001:db8:1::3", "2001:db8:2::2");
    let routes = [
        // Of the unspecified, loopback and class A; of link-local; of groups and class E.
        ("0.0.0.0/1", wan4),
        ("169.254.0.0/16", wan4),
        ("192.0.0.0/2", wan4),
        ("10.3.0.0/16", wan4),
        ("10.3.0.128/25", "10.2.0.3"),
        ("10.3.0.200/32", "10.1.0.4"),
        ("10.5.0.0/16", lan4),
        ("::/8", wan6),
        ("fc00::/7", wan6),
        ("fec0::/10", lan6),
        ("2001:db8:3::/48", wan6),
        ("2001:db8:3:80::/57", "2001:db8:2::3"),
        ("2001:db8:3:80::7/128", "2001:db8:1::4"),
        ("2001:db8:5::/48", lan6),
    ];
    let dead_ends = [
        ("198.51.100.0/24", "blackhole"),
        ("203.0.113.0/25", "unreachable"),
        ("203.0.113.128/25", "prohibit"),
        ("2001:db8:b::/48", "blackhole"),
        ("2001:db8:c::/48", "unreachable"),
        ("2001:db8:d::/48", "prohibit"),
    ];
    config = routes.iter().fold(config, |config, (to, via)| config.route(to, via));
    config = dead_ends.iter().fold(config, |config, (to, kind)| config.route_of_type(to, kind));
    config = GROUPS.iter().flat_map(|group| group.routes()).fold(config, |c, text| c.and(&text));
    neighbours().fold(config, |config, (port, address)| {
        let (name, mac) = (PORTS[port], mac(port, address));
        config.and(&format!(
            "[[neighbour]]\naddress = \"{address}\"\nmac = \"{mac}\"\nport = \"{name}\""
        ))
    })
}

/// Who is known: the lower half of each IPv4 subnet, and a few of each IPv6 subnet.
fn neighbours() -> impl Iterator<Item = (usize, IpAddr)> {
    let on = |port: usize| {
        let n = SUBNETS[port];
        let v4 = (2..128).map(move |host| Ipv4Addr::new(10, n, 0, host).into());
        let v6 = [Ipv6Addr::new(0x2001, 0xdb8, n.into(), 0, 0, 0, 0, 0), LINK_LOCAL];
        let hosts = (2..10).flat_map(move |host| v6.map(|net| (net | Ipv6Addr::from(host)).into()));
        v4.chain(hosts).map(move |address: IpAddr| (port, address))
    };
    (0..PORTS.len()).flat_map(on)
}

/// The MAC of a neighbour: that of its port's host, but of its own if it is a member of groups.
fn mac(port: usize, address: IpAddr) -> String {
    let members = GROUPS.iter().flat_map(|group| group.members);
    let mut members = members.filter(|member| member.port == port);
    let member = members.find(|member| member.addresses().contains(&address));
    member.map_or(HOST_MACS[port].to_owned(), |member| member.mac().to_string())
}

/// The router's link-local addresses, which follow from its MACs.
pub const LINK_LOCAL_OWN: [[u16; 8]; 3] = [
    [0xfe80, 0, 0, 0, 0, 0x0aff, 0xfe01, 1],
    [0xfe80, 0, 0, 0, 0, 0x0aff, 0xfe02, 1],
    [0xfe80, 0, 0, 0, 0, 0x0aff, 0xfe04, 1],
];
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);

/// Whether the routers would have to ask for this address, and nobody will answer.
pub fn is_silent(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            matches!(address.octets(), [10, 1 | 2 | 4, 0, host] if host == 0 || (128..255).contains(&host))
        }
        IpAddr::V6(address) => match address.segments() {
            // The subnet's, the router's own, and those of neighbours().
            [0xfe80, 0, 0, 0, 0, 0, 0, 0 | 2..10] | [_, 0xdb8, _, 0, 0, 0, 0, 0..10] => false,
            own if LINK_LOCAL_OWN.contains(&own) => false,
            [0xfe80, ..] | [0x2001, 0xdb8, 1 | 2 | 4, 0, ..] => true,
            _ => false,
        },
    }
}

/// The kernel's own stack answers as often as it is asked, and gives up a neighbour when xrouter
/// does. Datagrams that are never complete are waited for longer than a run takes.
pub fn limits(devices: [&str; 3]) -> Vec<String> {
    let mut settings: Vec<_> = [
        "ipv4.icmp_msgs_per_sec=1000000",
        "ipv4.icmp_msgs_burst=1000000",
        "ipv4.ipfrag_time=86400",
        "ipv6.ip6frag_time=86400",
        // None of the errors: one that is counted uses up the redirects to its host.
        "ipv6.icmp.ratemask=128",
    ]
    .map(|setting| format!("net.{setting}"))
    .into();
    for device in devices {
        for family in ["ipv4", "ipv6"] {
            let neighbour = format!("net.{family}.neigh.{device}");
            settings.push(format!("{neighbour}.mcast_solicit=1"));
            settings.push(format!("{neighbour}.retrans_time_ms=100"));
        }
    }
    settings
}
