//! ARP and neighbour discovery, as the hosts on the link see them.

mod net;

use net::{
    LAN_DEVICE, Router, Topology, eventually, ip, kernel_is_router, seconds, started, sysctl,
};

/// A router that has said on lan what it says of its own accord when the link comes up.
fn settled() -> (Topology, Router) {
    let net = Topology::lan_wan();
    let last = "icmp6 and src net fe80::/10 and dst host ff02::1 and ip6[40] = 136";
    let last = net.lan.watch("eth0", &format!("-c 1 '{last}'"));
    let router = Router::start(&net, &net.config());
    if !kernel_is_router() {
        last.wait(seconds(5)).succeeds();
    }
    (net, router)
}

#[test]
fn arping_finds_one_router() {
    let (net, _router) = started(Topology::builder());
    let arping = net.lan.run("/usr/bin/arping -c 3 -I eth0 10.1.0.1").succeeds();
    let arping = arping.says("[02:00:0A:01:00:01]").says("Received 3 response(s)");
    assert_eq!(arping.lines_with("reply from"), 3, "{arping}");
}

#[test]
fn nobody_answers_for_an_address_of_somebody_else() {
    let (net, _router) = started(Topology::builder());
    let arping = |address: &str| net.lan.run(&format!("/usr/bin/arping -c 2 -I eth0 {address}"));
    arping("10.1.0.77").fails().says("Received 0 response(s)");
    arping("10.2.0.2").fails().says("Received 0 response(s)");
}

#[test]
fn ndisc6_finds_one_router() {
    let (net, _router) = settled();
    let ndisc = net.lan.run("ndisc6 -m -w 1000 2001:db8:1::1 eth0").succeeds();
    let ndisc = ndisc.says("02:00:0A:01:00:01");
    assert_eq!(ndisc.lines_with("from "), 1, "{ndisc}");
    net.lan.run("ndisc6 -1 -r 1 -w 1000 2001:db8:1::77 eth0").fails();
}

#[test]
fn the_first_packet_is_not_lost() {
    let (net, _router) = started(Topology::builder());
    net.lan.run("ping -c 1 -W 3 10.2.0.2").succeeds();
    net.lan.run("ping -6 -c 1 -W 3 2001:db8:2::2").succeeds();
}

#[test]
fn neighbours_are_shown() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    net.lan.run("ping -c 2 -i 0.2 10.2.0.2 && ping -6 -c 2 -i 0.2 2001:db8:2::2").succeeds();
    for (address, mac, port) in [
        ("10.1.0.2", net.lan.mac(), "lan"),
        ("2001:db8:1::2", net.lan.mac(), "lan"),
        ("10.2.0.2", net.wan.mac(), "wan"),
        ("2001:db8:2::2", net.wan.mac(), "wan"),
    ] {
        let neighbour = router.row("neighbours", "address", address);
        assert_eq!(neighbour["mac"], mac.as_str(), "{neighbour}");
        assert_eq!(neighbour["port"], port, "{neighbour}");
        // The wan host has answered a request; of the lan host the router may only have heard.
        let answered = neighbour["state"] == net::names::REACHABLE;
        assert!(answered || port == "lan", "{neighbour}");
    }
}

#[test]
fn the_router_announces_itself() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let arp = net.lan.watch("eth0", "-c 1 'arp and src host 10.1.0.1 and dst host 10.1.0.1'");
    // An unsolicited neighbour advertisement for the router's address, to all nodes.
    let advertisement = "icmp6 and dst host ff02::1 and ip6[40] = 136";
    let ndp = net.lan.watch("eth0", &format!("-v -c 1 '{advertisement}'"));
    let _router = Router::start(&net, &net.config());
    arp.wait(seconds(5)).succeeds().says("10.1.0.1");
    ndp.wait(seconds(5)).succeeds().says("router");
}

#[test]
fn a_host_that_is_not_there_is_reported_unreachable() {
    let (net, _router) = started(Topology::builder());
    let ping = net.lan.run("ping -c 1 -W 8 10.2.0.77").fails();
    ping.says("From 10.1.0.1").says("Destination Host Unreachable");
    let ping = net.lan.run("ping -6 -c 1 -W 8 2001:db8:2::77").fails();
    ping.says("From 2001:db8:1::1").says("Address unreachable");
}

#[test]
fn a_host_that_changes_its_mac_is_followed_at_once() {
    let (net, _router) = started(Topology::builder());
    net.wan.run("ping -c 1 10.1.0.2 && ping -6 -c 1 2001:db8:1::2").succeeds();
    change_mac(&net);
    // The host speaks first: its ARP request and its solicitation carry the new MAC.
    net.lan.run("ping -c 2 -i 0.2 10.2.0.2 && ping -6 -c 2 -i 0.2 2001:db8:2::2").succeeds();
    net.wan.run("ping -c 2 -i 0.2 10.1.0.2").succeeds().says(" 0% packet loss");
    net.wan.run("ping -6 -c 2 -i 0.2 2001:db8:1::2").succeeds().says(" 0% packet loss");
}

#[test]
fn a_host_that_changes_its_mac_in_silence_is_found_again() {
    let net = Topology::lan_wan();
    let impatient = net.config().and("[resolution]\nreachable_s = 2\ndelay_s = 1");
    let _router = Router::start(&net, &impatient);
    net.wan.run("ping -c 1 10.1.0.2").succeeds();
    change_mac(&net);
    // RFC 4861 7.3: believed for a time (the kernel: up to 45 s), then not probed for a moment
    // (the kernel: 5 s), probed, and asked for anew.
    eventually(seconds(75), "the router finds the new MAC", || {
        net.wan.run("ping -c 1 -W 1 10.1.0.2").ok()
    });
}

fn change_mac(net: &Topology) {
    ip(&format!("-n {} link set eth0 address 02:00:0a:01:00:99", net.lan.name));
}

#[test]
fn a_card_that_changes_its_mac_is_announced() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    net.lan.run("ping -c 1 10.1.0.1 && ping -6 -c 1 2001:db8:1::1").succeeds();
    let new = "02:00:0a:01:00:77";
    ip(&format!("-n {} link set {LAN_DEVICE} address {new}", net.router.name));
    eventually(seconds(3), "show ports says the new MAC", || {
        router.row("ports", "name", "lan")["mac"] == new
    });
    for neighbours in ["ip neigh show 10.1.0.1", "ip neigh show 2001:db8:1::1"] {
        eventually(seconds(3), "the host is told", || net.lan.run(neighbours).has(new));
    }
    net.lan.run("ping -c 1 10.2.0.2 && ping -6 -c 1 2001:db8:2::2").succeeds();
}

#[test]
fn a_static_neighbour_is_not_asked_for_and_not_moved() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let neighbour = "address = \"10.2.0.50\"\nmac = \"02:00:00:00:00:50\"\nport = \"wan\"";
    let config = net.config().and(&format!("[[neighbour]]\n{neighbour}"));
    let router = Router::start(&net, &config);
    let witness = net.wan.watch("eth0", "-e -c 1 'icmp and dst host 10.2.0.50'");
    net.lan.run("ping -c 1 -W 1 10.2.0.50").fails();
    witness.wait(seconds(5)).succeeds().says("> 02:00:00:00:00:50");
    // Somebody claims the address: the entry stays.
    ip(&format!("-n {} addr add 10.2.0.50/24 dev eth0", net.wan.name));
    net.wan.run("/usr/bin/arping -c 2 -w 1 -U -I eth0 10.2.0.50 || true").succeeds();
    net.wan.run("ping -c 1 -W 1 -I 10.2.0.50 10.2.0.1 || true").succeeds();
    assert_eq!(router.row("neighbours", "address", "10.2.0.50")["mac"], "02:00:00:00:00:50");
    // Nor does the kernel behind the tap believe it.
    let known = router.host().run("ip neigh show 10.2.0.50 dev wan").succeeds();
    known.says("lladdr 02:00:00:00:00:50").says("PERMANENT");
}

#[test]
fn an_arp_reply_is_exact() {
    let (net, _router) = settled();
    let script = r#"
ask = Ether(src=LAN, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=LAN, psrc=LAN4, pdst=ROUTER4)
got = exchange(ask, lambda f: ARP in f and f[ARP].op == 2)
same((got.src, got.dst), (ROUTER_LAN, LAN), "MACs")
same((got[ARP].hwsrc, got[ARP].psrc, got[ARP].hwdst, got[ARP].pdst), (ROUTER_LAN, ROUTER4, LAN, LAN4), "fields")
assert lan.receive(lambda f: ARP in f and f[ARP].op == 2, 0.5) is None, "answered twice"

group = in6_getnsma(inet_pton(socket.AF_INET6, ROUTER6))
target = socket.inet_ntop(socket.AF_INET6, group)
ask = Ether(src=LAN, dst=in6_getnsmac(group)) / IPv6(src=LAN6, dst=target, hlim=255)
ask = ask / ICMPv6ND_NS(tgt=ROUTER6) / ICMPv6NDOptSrcLLAddr(lladdr=LAN)
got = exchange(ask, lambda f: ICMPv6ND_NA in f)
same((got[IPv6].src, got[IPv6].dst, got[IPv6].hlim), (ROUTER6, LAN6, 255), "addresses")
na = got[ICMPv6ND_NA]
same((na.tgt, na.S, na.O), (ROUTER6, 1, 1), "target, solicited, override")
same(got[ICMPv6NDOptDstLLAddr].lladdr, ROUTER_LAN, "target link-layer address")
assert lan.receive(lambda f: ICMPv6ND_NA in f, 0.5) is None, "answered twice"

# RFC 4861 7.1.1: from beyond the link (hop limit below 255) it is not valid.
ask[IPv6].hlim = 254
del ask[ICMPv6ND_NS].cksum
vanishes(ask, lambda f: ICMPv6ND_NA in f, at=lan)
"#;
    net.lan.scapy(script).succeeds();
}

/// Checklist C145.
#[test]
fn flows_keep_away_from_a_gateway_that_does_not_answer() {
    needs_xrouter!();
    let net = Topology::builder().far().build();
    let impatient = "[resolution]\nreachable_s = 1\ndelay_s = 1";
    let ways = "[{ via = \"10.2.0.2\" }, { via = \"10.2.0.3\" }]";
    let route = format!("[[route]]\nto = \"192.0.2.0/24\"\nvia = {ways}");
    let _router = Router::start(&net, &net.config().and(impatient).and(&route));
    let (wan, far) = (&net.wan.name, &net.far().name);
    ip(&format!("-n {far} addr add 192.0.2.1/32 dev eth0"));
    ip(&format!("-n {wan} route add 192.0.2.0/24 via 10.3.0.2"));
    // Ten flows: half of them are the absent gateway's.
    let all_arrive = || {
        let trace = net.lan.run("traceroute -n -f 3 -m 3 -q 10 -N 10 -w 1 192.0.2.1");
        trace.stdout.matches(" ms").count() == 10
    };
    eventually(seconds(10), "only the gateway that is there is used", all_arrive);
    // They change places.
    sysctl(&net.wan, &["net.ipv4.conf.eth0.promote_secondaries=1"]);
    ip(&format!("-n {wan} addr add 10.2.0.3/24 dev eth0"));
    ip(&format!("-n {wan} addr del 10.2.0.2/24 dev eth0"));
    ip(&format!("-n {wan} route replace default via 10.2.0.1"));
    eventually(seconds(20), "the other one is found, and the first one is missed", all_arrive);
}

/// RFC 5227 2.1, RFC 4862 5.4, checklist C184: the router asks whether its addresses are free.
#[test]
fn a_host_that_has_the_routers_address_already_is_reported() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    for address in ["10.1.0.1/32", "2001:db8:1::1/128"] {
        ip(&format!("-n {} addr add {address} dev eth0", net.lan.name));
    }
    let router = Router::start(&net, &net.config());
    let conflicts = || router.row("ports", "name", "lan")["conflicts"].to_string();
    let says = |address: &str| {
        conflicts().contains(&format!("{address} is also used by {}", net.lan.mac()))
    };
    eventually(seconds(5), "both conflicts are shown", || {
        says("10.1.0.1") && says("2001:db8:1::1")
    });
    let warning = format!("port lan: {} uses our address 10.1.0.1", net.lan.mac());
    assert!(router.log().contains(&warning), "{}", router.log());
    assert!(router.dropped("address_conflict") >= 2);
    // The router goes on, and the port is itself again when the other one gives way.
    net.wan.run("ping -c 1 10.2.0.1").succeeds();
    for address in ["10.1.0.1/32", "2001:db8:1::1/128"] {
        ip(&format!("-n {} addr del {address} dev eth0", net.lan.name));
    }
    eventually(seconds(5), "packets pass", || net.lan.run("ping -c 1 -W 1 10.2.0.2").ok());
}

/// RFC 5227 2.4 (c), checklist C106.
#[test]
fn a_host_that_takes_the_routers_address_is_reported_and_contradicted() {
    needs_xrouter!();
    let (net, router) = settled();
    let script = r#"
claim = Ether(src=LAN, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=LAN, psrc=ROUTER4, pdst=ROUTER4)
for _ in range(3):
    lan.send(claim)
defends = lambda f: ARP in f and f[ARP].psrc == f[ARP].pdst == ROUTER4
same(lan.receive(defends).src, ROUTER_LAN, "who contradicts")
assert lan.receive(defends, 2) is None, "more than once in ten seconds"
"#;
    net.lan.scapy(script).succeeds();
    let conflicts = router.row("ports", "name", "lan")["conflicts"].to_string();
    let expected = format!("10.1.0.1 is also used by {}", net.lan.mac());
    assert!(conflicts.contains(&expected), "{conflicts}");
    assert_eq!(router.dropped("address_conflict"), 3);
    net.lan.run("ping -c 1 10.2.0.2").succeeds();
}

/// Checklist C122.
#[test]
fn a_port_whose_card_changes_its_mac_says_so() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    net.lan.run("ping -c 1 10.2.0.2").succeeds();
    let filter = "arp and src host 10.1.0.1 and dst host 10.1.0.1 and ether src 02:00:0a:01:00:77";
    let announced = net.lan.watch("eth0", &format!("-c 1 '{filter}'"));
    ip(&format!("-n {} link set lan0 address 02:00:0a:01:00:77", net.router.name));
    announced.wait(seconds(5)).succeeds();
    assert_eq!(router.row("ports", "name", "lan")["mac"], "02:00:0a:01:00:77");
    net.lan.run("ping -c 2 -i 0.2 10.2.0.2 && ping -c 1 10.1.0.1").succeeds();
    net.lan.run("ping -6 -c 2 -i 0.2 2001:db8:2::2").succeeds();
}

/// Checklist C124.
#[test]
fn a_gateway_that_is_in_no_subnet_resolves() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let route = |to: &str, via: &str| {
        format!("[[route]]\nto = \"{to}\"\nvia = \"{via}\"\nport = \"wan\"\nonlink = true\n")
    };
    let routes = route("203.0.113.0/24", "198.51.100.1") + &route("fd00:3::/64", "fd00:7::1");
    let _router = Router::start(&net, &net.config().and(&routes));
    for address in ["198.51.100.1/32", "203.0.113.1/32", "fd00:7::1/128", "fd00:3::1/128"] {
        ip(&format!("-n {} addr add {address} dev eth0", net.wan.name));
    }
    net.lan.run("ping -c 1 -W 3 203.0.113.1").succeeds();
    net.lan.run("ping -6 -c 1 -W 3 fd00:3::1").succeeds();
}

/// RFC 3810 5, RFC 4862 5.4.2: a switch that looks at memberships lets solicitations through.
/// Checklist C185.
#[test]
fn the_router_reports_the_groups_that_it_listens_to() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let report = net.lan.watch("eth0", "-v -c 1 'ip6 and dst host ff02::16'");
    let _router = Router::start(&net, &net.config());
    report.wait(seconds(5)).succeeds().says("rtalert").says("multicast listener report");
}
