//! Packets between hosts, through the router: with the tools that operators use.

mod net;

use net::{Builder, Config, Router, Topology, seconds, started};

fn far() -> (Topology, Router) {
    started(Topology::builder().far())
}

#[test]
fn ping() {
    let (net, router) = started(Topology::builder());
    router.carries("wan", 3, || {
        net.lan.run("ping -c 3 -i 0.2 10.2.0.2").succeeds().says("ttl=63").says(" 0% packet loss");
    });
    router.carries("lan", 3, || net.wan.run("ping -c 3 -i 0.2 10.1.0.2").succeeds());
}

#[test]
fn ping_6() {
    let (net, router) = started(Topology::builder());
    router.carries("wan", 3, || {
        let ping = net.lan.run("ping -6 -c 3 -i 0.2 2001:db8:2::2").succeeds();
        ping.says("ttl=63").says(" 0% packet loss");
    });
    router.carries("lan", 3, || net.wan.run("ping -6 -c 3 -i 0.2 2001:db8:1::2").succeeds());
}

#[test]
fn ping_of_every_size() {
    let (net, _router) = started(Topology::builder());
    for size in [0, 1, 17, 18, 19, 1000, 1471, 1472] {
        net.lan.run(&format!("ping -c 1 -W 3 -M do -s {size} 10.2.0.2")).succeeds();
    }
    for size in [0, 1, 1000, 1451, 1452] {
        net.lan.run(&format!("ping -6 -c 1 -W 3 -M do -s {size} 2001:db8:2::2")).succeeds();
    }
}

#[test]
fn traceroute() {
    let (net, _router) = far();
    let hops = ["1  10.1.0.1 ", "2  10.2.0.2 ", "3  10.3.0.2 "];
    for way in ["", "-I", "-T -p 7"] {
        let trace = net.lan.run(&format!("traceroute -n -q 1 -w 3 {way} 10.3.0.2")).succeeds();
        hops.iter().fold(trace, |trace, hop| trace.says(hop));
    }
}

#[test]
fn traceroute_6() {
    let (net, _router) = far();
    let hops = ["1  2001:db8:1::1 ", "2  2001:db8:2::2 ", "3  2001:db8:3::2 "];
    for way in ["", "-I"] {
        let line = format!("traceroute -6 -n -q 1 -w 3 {way} 2001:db8:3::2");
        let trace = net.lan.run(&line).succeeds();
        hops.iter().fold(trace, |trace, hop| trace.says(hop));
    }
}

#[test]
fn tracepath() {
    let (net, _router) = far();
    net.lan.run("tracepath -n 10.3.0.2").succeeds().says("10.1.0.1").says("pmtu 1500 hops 3");
    let trace = net.lan.run("tracepath -6 -n 2001:db8:3::2").succeeds();
    trace.says("2001:db8:1::1").says("pmtu 1500 hops 3");
}

#[test]
fn mtr() {
    let (net, _router) = far();
    let report = net.lan.run("mtr -r -n -c 3 -i 0.3 10.3.0.2").succeeds();
    report.says("1.|-- 10.1.0.1").says("2.|-- 10.2.0.2").says("3.|-- 10.3.0.2");
    let report = net.lan.run("mtr -6 -r -n -c 3 -i 0.3 2001:db8:3::2").succeeds();
    report.says("1.|-- 2001:db8:1::1").says("2.|-- 2001:db8:2::2").says("3.|-- 2001:db8:3::2");
}

#[test]
fn curl() {
    let (net, router) = started(Topology::builder());
    let page = "<p>a page behind the router</p>";
    let site = net.directory.join("site");
    std::fs::create_dir_all(&site).unwrap();
    std::fs::write(site.join("index.html"), page).unwrap();
    let serve = format!("exec python3 -m http.server --bind :: --directory {} 80", site.display());
    let _server = net.wan.serve(80, &serve);
    router.carries("wan", 5, || net.lan.run("curl -sS http://10.2.0.2/").succeeds().says(page));
    router.carries("wan", 5, || {
        net.lan.run("curl -sS -g 'http://[2001:db8:2::2]/'").succeeds().says(page);
    });
}

#[test]
fn a_file_arrives_as_it_was_sent() {
    file_arrives(Topology::builder());
}

#[test]
fn a_file_arrives_as_it_was_sent_with_checksum_offload() {
    file_arrives(Topology::builder().offloads());
}

fn file_arrives(builder: Builder) {
    let (net, router) = started(builder);
    let (sent, got) = (net.directory.join("sent"), net.directory.join("got"));
    net.lan.run(&format!("head -c 1M /dev/urandom > {}", sent.display())).succeeds();
    for (family, address) in [("-4", "10.2.0.2"), ("-6", "2001:db8:2::2")] {
        let listen = format!("exec nc {family} -N -l 7000 > {} < /dev/null", got.display());
        let server = net.wan.serve(7000, &listen);
        router.carries("wan", 20, || {
            let send = format!("nc -N -w 10 {address} 7000 < {}", sent.display());
            net.lan.run(&send).succeeds();
        });
        server.wait(seconds(10)).succeeds();
        assert_eq!(net.lan.sha256(&sent), net.wan.sha256(&got), "over {address}");
    }
}

#[test]
fn iperf3() {
    throughput(Topology::builder());
}

#[test]
fn iperf3_with_checksum_offload() {
    throughput(Topology::builder().offloads());
}

fn throughput(builder: Builder) {
    let (net, router) = started(builder);
    for (address, way) in [("10.2.0.2", ""), ("10.2.0.2", "-R"), ("2001:db8:2::2", "")] {
        let server = net.wan.serve(5201, "exec iperf3 -s -1");
        router.carries("wan", 1000, || {
            net.lan.run(&format!("iperf3 -c {address} -t 2 {way}")).succeeds().says("receiver");
        });
        server.wait(seconds(10)).succeeds();
    }
}

#[test]
fn iperf3_udp_at_a_modest_rate_loses_nothing() {
    let (net, _router) = started(Topology::builder());
    let server = net.wan.serve(5201, "exec iperf3 -s -1");
    let report = net.lan.run("iperf3 -u -c 10.2.0.2 -t 2 -b 10M -l 1000 -J").succeeds();
    let report: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(report["end"]["sum"]["lost_packets"], 0, "{}", report["end"]["sum"]);
    server.wait(seconds(10)).succeeds();
}

#[test]
fn the_wire_shows_a_lower_ttl_and_new_macs() {
    let (net, _router) = started(Topology::builder());
    net.lan.run("ping -c 1 10.2.0.2").succeeds();
    let witness = net.wan.watch("eth0", "-e -v -c 1 'icmp[icmptype] = icmp-echo'");
    net.lan.run("ping -c 1 -t 33 10.2.0.2").succeeds();
    let seen = witness.wait(seconds(5)).succeeds();
    seen.says("02:00:0a:02:00:01 > 02:00:0a:02:00:02").says("ttl 32").does_not_say("bad cksum");

    net.lan.run("ping -6 -c 1 2001:db8:2::2").succeeds();
    let witness = net.wan.watch("eth0", "-e -v -c 1 'icmp6 and ip6[40] = 128'");
    net.lan.run("ping -6 -c 1 -t 33 2001:db8:2::2").succeeds();
    let seen = witness.wait(seconds(5)).succeeds();
    seen.says("02:00:0a:02:00:01 > 02:00:0a:02:00:02").says("hlim 32");
}

#[test]
fn a_crafted_packet_changes_only_where_the_rfc_says() {
    let (net, _router) = started(Topology::builder());
    net.lan.run("ping -c 1 10.2.0.2 && ping -6 -c 1 2001:db8:2::2").succeeds();
    let script = r#"
        # RFC 1624's corner: the checksum after the decrement is 0x0000, never 0xffff.
        head = bytes.fromhex("4500002e67b900004011feff0a0100020a020002")
        sent = to_router(IP(head + bytes(UDP(sport=7, dport=9) / (b"x" * 18))))
        got = exchange(sent, lambda f: IP in f and f[IP].id == 0x67b9, at=wan)
        same((got.src, got.dst), (ROUTER_WAN, WAN), "MACs")
        same(bytes(got[IP])[:20].hex(), "4500002e67b900003f1100000a0100020a020002", "header")
        same(bytes(got)[34:60], bytes(sent)[34:60], "the rest")

        # Options of IPv4, every bit of the TOS, an unknown protocol: carried as they are.
        sent = to_router(IP(src=LAN4, dst=WAN4, tos=0xff, id=77, proto=253, ttl=2), Raw(b"payload"))
        got = exchange(sent, lambda f: IP in f and f[IP].id == 77, at=wan)
        same((got[IP].ttl, got[IP].tos, got[IP].proto), (1, 0xff, 253), "fields")
        same(bytes(got[IP].payload)[:7], b"payload", "payload")

        sent = to_router(IPv6(src=LAN6, dst=WAN6, tc=0xff, fl=0xabcde, hlim=2, nh=253), Raw(b"pay"))
        got = exchange(sent, lambda f: IPv6 in f and f[IPv6].nh == 253, at=wan)
        want = bytes(sent[IPv6])
        same(bytes(got[IPv6]), want[:7] + b"\x01" + want[8:], "all but the hop limit")
    "#;
    net.lan.scapy(&unindent(script)).succeeds();
}

#[test]
fn time_exceeded_is_answered_exactly() {
    let (net, _router) = started(Topology::builder());
    net.lan.run("ping -c 1 10.2.0.2 && ping -6 -c 1 2001:db8:2::2").succeeds();
    let script = r#"
        sent = to_router(IP(src=LAN4, dst=WAN4, ttl=1, id=99), UDP(sport=7, dport=9), Raw(b"x" * 40))
        got = exchange(sent, lambda f: ICMP in f and f[ICMP].type == 11)
        same((got.src, got.dst), (ROUTER_LAN, LAN), "MACs")
        same((got[IP].src, got[IP].dst, got[ICMP].code), (ROUTER4, LAN4, 0), "addresses, code")
        quoted = bytes(got[ICMP])[8:]
        same(quoted[:28], bytes(sent[IP])[:28], "quoted")
        fresh = got[IP].copy()
        del fresh.chksum, fresh[ICMP].chksum
        same(IP(bytes(fresh)).chksum, got[IP].chksum, "IP checksum")
        same(IP(bytes(fresh))[ICMP].chksum, got[ICMP].chksum, "ICMP checksum")

        sent = to_router(IPv6(src=LAN6, dst=WAN6, hlim=1), UDP(sport=7, dport=9), Raw(b"x" * 40))
        got = exchange(sent, lambda f: ICMPv6TimeExceeded in f)
        same((got[IPv6].src, got[IPv6].dst), (ROUTER6, LAN6), "addresses")
        same(bytes(got[ICMPv6TimeExceeded])[8:], bytes(sent[IPv6]), "quoted whole")
    "#;
    net.lan.scapy(&unindent(script)).succeeds();
}

#[test]
fn a_bad_packet_vanishes() {
    let (net, _router) = started(Topology::builder());
    net.lan.run("ping -c 1 10.2.0.2").succeeds();
    let script = r#"
        def packet(**fields):
            return to_router(IP(src=LAN4, dst=WAN4, id=55, **fields), UDP(sport=7, dport=9), Raw(b"x" * 18))

        arrived = lambda f: IP in f and f[IP].id == 55
        assert exchange(packet(), arrived, at=wan)
        vanishes(packet(chksum=0x1234), arrived)
        vanishes(packet(version=5), arrived)
        vanishes(packet(ihl=4), arrived)
        vanishes(packet(len=10), arrived)
        vanishes(packet(len=2000), arrived)
        broadcast = packet()
        broadcast.dst = "ff:ff:ff:ff:ff:ff"
        vanishes(broadcast, arrived)
        stranger = packet()
        stranger.dst = "02:00:00:00:00:99"
        vanishes(stranger, arrived)
        assert exchange(packet(), arrived, at=wan)
    "#;
    net.lan.scapy(&unindent(script)).succeeds();
}

#[test]
fn a_route_that_leads_nowhere_says_so() {
    let net = Topology::lan_wan();
    let _router = Router::start(&net, &nowhere(net.config()));
    let ping = |options: &str| net.lan.run(&format!("ping -c 1 -W 2 {options}")).fails();
    ping("192.0.2.1").says("100% packet loss").does_not_say("From");
    ping("198.51.100.1").says("From 10.1.0.1").says("Destination Host Unreachable");
    ping("203.0.113.1").says("From 10.1.0.1").says("Packet filtered");
    ping("192.88.99.1").says("From 10.1.0.1").says("Destination Net Unreachable");
    ping("-6 2001:db8:a::1").says("100% packet loss").does_not_say("From");
    ping("-6 2001:db8:b::1").says("From 2001:db8:1::1");
    ping("-6 2001:db8:c::1").says("From 2001:db8:1::1").says("prohibited");
    ping("-6 2001:db8:d::1").says("From 2001:db8:1::1").says("No route");
}

fn nowhere(config: Config) -> Config {
    config
        .route_of_type("192.0.2.0/24", "blackhole")
        .route_of_type("198.51.100.0/24", "unreachable")
        .route_of_type("203.0.113.0/24", "prohibit")
        .route_of_type("2001:db8:a::/48", "blackhole")
        .route_of_type("2001:db8:b::/48", "unreachable")
        .route_of_type("2001:db8:c::/48", "prohibit")
}

/// A script as Python wants it: without the indentation that it has in the test.
fn unindent(script: &str) -> String {
    let lines = script.lines().map(|line| line.strip_prefix("        ").unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}
