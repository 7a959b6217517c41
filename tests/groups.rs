//! Multicast: what the router's own stack listens to comes up the tap from that moment on, and
//! nothing else does.

mod net;

use std::time::Duration;

use net::{HOST_DEVICE, Router, Running, Topology, eventually, figure, seconds, started};

/// A protocol that daemons speak to a group.
struct Protocol {
    name: &'static str,
    group: &'static str,
    /// IP's number for it.
    number: u8,
    /// The UDP port; 0: it is no UDP.
    port: u16,
}

const PROTOCOLS: &[Protocol] = &[
    Protocol { name: "OSPF hello", group: "224.0.0.5", number: 89, port: 0 },
    Protocol { name: "OSPF to designated routers", group: "224.0.0.6", number: 89, port: 0 },
    Protocol { name: "OSPFv3 hello", group: "ff02::5", number: 89, port: 0 },
    Protocol { name: "RIP", group: "224.0.0.9", number: 17, port: 520 },
    Protocol { name: "RIPng", group: "ff02::9", number: 17, port: 521 },
    Protocol { name: "VRRP", group: "224.0.0.18", number: 112, port: 0 },
    Protocol { name: "VRRP over IPv6", group: "ff02::12", number: 112, port: 0 },
    Protocol { name: "LDP hello", group: "224.0.0.2", number: 17, port: 646 },
    Protocol { name: "PIM hello", group: "224.0.0.13", number: 103, port: 0 },
    Protocol { name: "mDNS", group: "224.0.0.251", number: 17, port: 5353 },
];

/// Both ends of a protocol: `listen DEVICE` says after how many milliseconds the first packet came,
/// and goes on listening; `send DEVICE` sends one every 2 ms.
const SPEAKER: &str = r#"
import socket as s, struct, sys, time
verb, device, group, number, port = sys.argv[1:3] + [sys.argv[3]] + [int(a) for a in sys.argv[4:6]]
v6, index = ':' in group, s.if_nametoindex(device)
family, level = (s.AF_INET6, s.IPPROTO_IPV6) if v6 else (s.AF_INET, s.IPPROTO_IP)
so = s.socket(family, s.SOCK_DGRAM if port else s.SOCK_RAW, 0 if port else number)
so.setsockopt(s.SOL_SOCKET, s.SO_REUSEADDR, 1)
which = struct.pack('4s4si', s.inet_aton('0.0.0.0') if v6 else s.inet_aton(group), bytes(4), index)
if verb == 'listen':
    if port:
        so.bind((group, port, 0, index) if v6 else (group, port))
    start = time.monotonic()
    if v6:
        so.setsockopt(level, s.IPV6_JOIN_GROUP, s.inet_pton(s.AF_INET6, group) + struct.pack('i', index))
    else:
        so.setsockopt(level, s.IP_ADD_MEMBERSHIP, which)
    so.recv(2000)
    print('%.1f' % ((time.monotonic() - start) * 1000), flush=True)
    while True:
        so.recv(2000)
if v6:
    so.setsockopt(level, s.IPV6_MULTICAST_IF, index)
else:
    so.setsockopt(level, s.IP_MULTICAST_IF, which)
while True:
    so.sendto(b'x' * 32, (group, port, 0, index) if v6 else (group, port))
    time.sleep(0.002)
"#;

fn speak(at: &net::Namespace, verb: &str, device: &str, protocol: &Protocol) -> Running {
    let Protocol { group, number, port, .. } = protocol;
    let (number, port) = (number.to_string(), port.to_string());
    let python = ["/usr/bin/python3", "-c", SPEAKER, verb, device, group, &number, &port];
    at.spawn_args(&python)
}

/// How many frames went up the lan's tap in this time.
fn punted_in(router: &Router, time: Duration) -> u64 {
    let before = router.counter("lan", "punted");
    std::thread::sleep(time);
    router.counter("lan", "punted") - before
}

const MOMENT: Duration = Duration::from_millis(300);
/// What else may go up the tap in that time.
const NOISE: u64 = 10;

#[test]
fn a_group_that_is_joined_comes_up_from_that_moment_on() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    let mut longest = Duration::ZERO;
    for protocol in PROTOCOLS {
        let name = protocol.name;
        let _sender = speak(&net.lan, "send", HOST_DEVICE, protocol);
        let of_all = protocol.group == "224.0.0.2"; // which a router listens to in any case
        let passed = || router.row("counters", "port", "lan")["passed"].as_u64().unwrap_or(0);
        let before = passed();
        let sends = || of_all || passed() > before + 20;
        eventually(seconds(3), "the host sends to the group", sends);
        assert!(of_all || punted_in(&router, MOMENT) < NOISE, "{name}: up before it was joined");

        let listener = speak(router.host(), "listen", "lan", protocol);
        eventually(seconds(3), name, || !listener.stdout().is_empty());
        assert!(punted_in(&router, MOMENT) > 30, "{name}: joined");
        let milliseconds = listener.stdout().trim().parse().expect("a number");
        longest = longest.max(Duration::from_secs_f64(f64::max(milliseconds, 0.0) / 1000.0));

        drop(listener);
        eventually(seconds(1), "it is left again", || of_all || punted_in(&router, MOMENT) < NOISE);
    }
    let found = format!("{longest:.1?}");
    figure("groups", "join to first packet <= 100 ms", found, longest.as_millis() <= 100);
    router.stop();
}

/// What asks a router without a group of its own: DHCP's broadcasts, MLD's queries, solicitations.
#[test]
fn what_is_for_every_router_comes_up_in_any_case() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    let sees = |filter: &str, command: &str| {
        let witness = router.host().watch("lan", &format!("-c 1 '{filter}'"));
        let _outcome = net.lan.run(command);
        witness.wait(seconds(3)).succeeds();
    };
    sees("icmp6[icmp6type] = 133", "timeout 1 rdisc6 -1 -w 200 eth0");
    let discover = "from scapy.all import *; \
        sendp(Ether(dst='ff:ff:ff:ff:ff:ff')/IP(src='0.0.0.0',dst='255.255.255.255')/\
        UDP(sport=68,dport=67)/BOOTP(chaddr=b'abcdef')/DHCP(options=[('message-type','discover'),'end']),\
        iface='eth0', verbose=0)";
    sees("udp port 67", &format!("/usr/bin/python3 -c \"{discover}\""));
    let query = "from scapy.all import *; \
        sendp(Ether()/IPv6(src='fe80::9',dst='ff02::1',hlim=1)/IPv6ExtHdrHopByHop(options=[RouterAlert()])/\
        ICMPv6MLQuery(), iface='eth0', verbose=0)";
    sees("ip6 and src host fe80::9", &format!("/usr/bin/python3 -c \"{query}\""));
    router.stop();
}
