//! Links of different MTU: path MTU discovery, fragments.

mod net;

use net::{Builder, Topology, WAN_DEVICE, eventually, ip, launch, seconds, started};

/// The smallest that IPv6 allows (RFC 8200 section 5).
const SMALL: u32 = 1280;

#[test]
fn too_big_is_answered_with_the_right_mtu() {
    let (net, _router) = started(Topology::builder().wan_mtu(SMALL));
    let ping = net.lan.run("ping -c 1 -W 2 -M do -s 1400 10.2.0.2").fails();
    ping.says("From 10.1.0.1").says("Frag needed and DF set (mtu = 1280)");
    let ping = net.lan.run("ping -6 -c 1 -W 2 -M do -s 1400 2001:db8:2::2").fails();
    ping.says("From 2001:db8:1::1").says("Packet too big: mtu=1280");
    net.lan.run("ip route get 10.2.0.2").succeeds().says("mtu 1280");
    net.lan.run("ip route get 2001:db8:2::2").succeeds().says("mtu 1280");
    // What just fits goes through.
    net.lan.run("ping -c 1 -W 3 -M do -s 1252 10.2.0.2").succeeds();
    net.lan.run("ping -6 -c 1 -W 3 -M do -s 1232 2001:db8:2::2").succeeds();
}

#[test]
fn a_changed_mtu_is_honoured_by_the_next_packet() {
    let (net, _router) = started(Topology::builder());
    let ping = || net.lan.run("ping -c 1 -W 1 -M do -s 1400 10.2.0.2");
    ping().succeeds();
    ip(&format!("-n {} link set {WAN_DEVICE} mtu {SMALL}", net.router.name));
    eventually(seconds(3), "the host is told the new MTU", || ping().has("mtu = 1280"));
    ip(&format!("-n {} link set {WAN_DEVICE} mtu 1500", net.router.name));
    net.lan.run("ip route flush cache").succeeds();
    eventually(seconds(3), "the old MTU is good again", || ping().ok());
}

#[test]
fn an_mtu_that_no_chunk_holds_is_refused_at_start() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    for namespace in [&net.router.name, &net.wan.name] {
        let device = if *namespace == net.wan.name { "eth0" } else { WAN_DEVICE };
        ip(&format!("-n {namespace} link set {device} mtu 9000"));
    }
    let start = launch(&net, &net.config()).wait(seconds(10)).fails();
    start.says("wan0: an MTU of 9000 does not fit: at most 3818 octets");
}

#[test]
fn tracepath_finds_the_path_mtu() {
    let (net, _router) = started(Topology::builder().far().far_mtu(1400).wan_mtu(1450));
    net.lan.run("tracepath -n 10.3.0.2").succeeds().says("pmtu 1450").says("pmtu 1400 hops 3");
    let trace = net.lan.run("tracepath -6 -n 2001:db8:3::2").succeeds();
    trace.says("pmtu 1450").says("pmtu 1400 hops 3");
}

#[test]
fn tcp_finds_its_way_over_a_smaller_link() {
    transfers(Topology::builder().far().far_mtu(SMALL));
}

#[test]
fn tcp_finds_its_way_over_a_smaller_link_of_ours() {
    transfers(Topology::builder().far().wan_mtu(SMALL));
}

#[test]
fn tcp_finds_its_way_over_a_smaller_link_with_checksum_offload() {
    transfers(Topology::builder().far().wan_mtu(SMALL).offloads());
}

fn transfers(builder: Builder) {
    let (net, router) = started(builder);
    let (sent, got) = (net.directory.join("sent"), net.directory.join("got"));
    net.lan.run(&format!("head -c 1M /dev/urandom > {}", sent.display())).succeeds();
    for (family, address) in [("-4", "10.3.0.2"), ("-6", "2001:db8:3::2")] {
        let listen = format!("exec nc {family} -N -l 7000 > {} < /dev/null", got.display());
        let server = net.far().serve(7000, &listen);
        let send = format!("nc -N -w 10 {address} 7000 < {}", sent.display());
        router.carries("wan", 20, || net.lan.run(&send).succeeds());
        server.wait(seconds(10)).succeeds();
        assert_eq!(net.lan.sha256(&sent), net.far().sha256(&got), "over {address}");
    }
}

#[test]
fn what_may_be_fragmented_is() {
    let (net, _router) = started(Topology::builder().wan_mtu(SMALL));
    net.lan.run("ping -c 1 10.2.0.2").succeeds();
    // Both pieces of one request: more fragments set, or an offset that is not 0.
    let witness = net.wan.watch("eth0", "-v -c 2 'icmp and ip[6:2] & 0x3fff != 0'");
    net.lan.run("ping -c 1 -W 3 -M dont -s 1400 10.2.0.2").succeeds();
    let seen = witness.wait(seconds(5)).succeeds();
    seen.says("flags [+]").says("offset 1256").does_not_say("bad cksum");
    for size in [1253, 1300, 1471, 1472] {
        let ping = format!("ping -c 3 -i 0.2 -M dont -s {size} 10.2.0.2");
        net.lan.run(&ping).succeeds().says(" 0% packet loss");
    }
}

#[test]
fn fragments_are_as_rfc_791_wants_them() {
    let (net, _router) = started(Topology::builder().wan_mtu(SMALL));
    net.lan.run("ping -c 1 10.2.0.2").succeeds();
    let script = r#"
packet = IP(src=LAN4, dst=WAN4, id=4711, ttl=9, tos=0x1c) / UDP(sport=7, dport=9) / Raw(os.urandom(1460))
sent = to_router(packet)
lan.send(sent)
mine = lambda f: IP in f and f[IP].id == 4711
pieces = [wan.receive(mine), wan.receive(mine)]
assert all(pieces), "two pieces"
assert wan.receive(mine, 0.3) is None, "a third piece"
pieces.sort(key=lambda f: f[IP].frag)
first, second = (f[IP] for f in pieces)
same((int(first.flags), first.frag, first.len), (1, 0, 20 + 1256), "first")
same((int(second.flags), second.frag, second.len), (0, 157, 20 + 1468 - 1256), "second")
octets = b"".join(bytes(p)[20:p.len] for p in (first, second))
same(octets, bytes(sent[IP])[20:], "payload")
for piece in (first, second):
    same((piece.ttl, piece.tos, piece.src, piece.dst), (8, 0x1c, LAN4, WAN4), "header")
    fresh = piece.copy()
    del fresh.chksum
    same(IP(bytes(fresh)).chksum, piece.chksum, "checksum")

# With DF it is refused, and the whole MTU is named (RFC 1191 section 4).
packet.flags, packet.id = "DF", 4712
got = exchange(to_router(packet), lambda f: ICMP in f and (f[ICMP].type, f[ICMP].code) == (3, 4))
same((got[ICMP].nexthopmtu, got[IP].src), (1280, ROUTER4), "fragmentation needed")

# IPv6 routers never fragment (RFC 8200 section 4.5).
packet6 = to_router(IPv6(src=LAN6, dst=WAN6, hlim=9), UDP(sport=7, dport=9), Raw(b"x" * 1400))
got = exchange(packet6, lambda f: ICMPv6PacketTooBig in f)
same((got[ICMPv6PacketTooBig].mtu, got[IPv6].src), (1280, ROUTER6), "packet too big")
assert len(bytes(got[IPv6])) <= 1280, "an error is at most 1280 octets (RFC 4443 2.4)"
"#;
    net.lan.scapy(script).succeeds();
}

#[test]
fn the_routers_own_packets_fit_the_link() {
    let (net, router) = started(Topology::builder().wan_mtu(SMALL));
    for size in [1252, 1253, 3000] {
        router.host().run(&format!("ping -c 1 -W 3 -s {size} 10.2.0.2")).succeeds();
        router.host().run(&format!("ping -6 -c 1 -W 3 -s {size} 2001:db8:2::2")).succeeds();
        net.wan.run(&format!("ping -c 1 -W 3 -s {size} 10.2.0.1")).succeeds();
    }
}
