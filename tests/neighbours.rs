//! ARP and neighbour discovery, as the hosts on the link see them.

mod net;

use net::{Router, Topology, eventually, ip, seconds};

fn started() -> (Topology, Router) {
    let net = Topology::lan_wan();
    let router = Router::start(&net, &net.config());
    (net, router)
}

#[test]
fn arping_finds_one_router() {
    let (net, _router) = started();
    let arping = net.lan.run("/usr/bin/arping -c 3 -I eth0 10.1.0.1").succeeds();
    let arping = arping.says("[02:00:0A:01:00:01]").says("Received 3 response(s)");
    assert_eq!(arping.lines_with("reply from"), 3, "{arping}");
}

#[test]
fn nobody_answers_for_an_address_of_somebody_else() {
    let (net, _router) = started();
    let arping = |address: &str| net.lan.run(&format!("/usr/bin/arping -c 2 -I eth0 {address}"));
    arping("10.1.0.77").fails().says("Received 0 response(s)");
    arping("10.2.0.2").fails().says("Received 0 response(s)");
}

#[test]
fn ndisc6_finds_one_router() {
    let (net, _router) = started();
    let ndisc = net.lan.run("ndisc6 -m -w 1000 2001:db8:1::1 eth0").succeeds();
    let ndisc = ndisc.says("02:00:0A:01:00:01");
    assert_eq!(ndisc.lines_with("from "), 1, "{ndisc}");
    net.lan.run("ndisc6 -1 -r 1 -w 1000 2001:db8:1::77 eth0").fails();
}

#[test]
fn the_first_packet_is_not_lost() {
    let (net, _router) = started();
    net.lan.run("ping -c 1 -W 3 10.2.0.2").succeeds();
    net.lan.run("ping -6 -c 1 -W 3 2001:db8:2::2").succeeds();
}

#[test]
fn neighbours_are_shown() {
    needs_xrouter!();
    let (net, router) = started();
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
    let (net, _router) = started();
    let ping = net.lan.run("ping -c 1 -W 8 10.2.0.77").fails();
    ping.says("From 10.1.0.1").says("Destination Host Unreachable");
    let ping = net.lan.run("ping -6 -c 1 -W 8 2001:db8:2::77").fails();
    ping.says("From 2001:db8:1::1").says("Address unreachable");
}

#[test]
fn a_host_that_changes_its_mac_is_followed_at_once() {
    let (net, _router) = started();
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
    let (net, _router) = started();
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
