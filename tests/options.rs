//! Options that are meant for every router on the way, on the wire. The kernel as the router does
//! the same with all of them (`ROUTER=kernel`).

mod net;

use net::{Router, Topology, at_length, sysctl};

/// What the scripts here begin with.
const PRELUDE: &str = r#"
from random import Random
from scapy.utils import checksum

def ip(options, dst=WAN4):
    # By hand: scapy has opinions of its own on options that are wrong.
    options = bytes.fromhex(options)
    lengths = dict(ihl=5 + len(options) // 4, len=27 + len(options), chksum=0)
    header = bytes(IP(src=LAN4, dst=dst, id=7, proto=253, **lengths)) + options
    header = header[:10] + checksum(header).to_bytes(2, "big") + header[12:]
    return Ether(src=LAN, dst=ROUTER_LAN, type=0x800) / Raw(header + b"payload")

def ip6(options, dst=WAN6):
    options = bytes.fromhex(options)
    header = bytes([59, (len(options) + 2) // 8 - 1]) + options
    return to_router(IPv6(src=LAN6, dst=dst, nh=0), Raw(header))

def options_of(frame):
    fresh = frame[IP].copy()
    del fresh.chksum
    same(IP(bytes(fresh)).chksum, frame[IP].chksum, "header checksum")
    return bytes(frame[IP])[20:frame[IP].ihl * 4].hex()

came = lambda f: IP in f and f[IP].src == LAN4 and f[IP].proto == 253
came6 = lambda f: IPv6 in f and f[IPv6].src == LAN6 and f[IPv6].nh == 0
problem = lambda f: ICMP in f and f[ICMP].type == 12
problem6 = lambda f: ICMPv6ParamProblem in f
"#;

fn started() -> (Topology, Router) {
    let (net, router) = net::started(Topology::builder());
    net.lan.run("ping -c 1 10.2.0.2 && ping -6 -c 1 2001:db8:2::2").succeeds();
    // The kernel would not send so many errors at once.
    sysctl(&net.router, &["net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0"]);
    (net, router)
}

fn run(net: &Topology, script: &str) {
    net.lan.scapy(&format!("{PRELUDE}\n{script}")).succeeds();
}

#[test]
fn ipv4_options_are_processed() {
    let (net, _router) = started();
    run(
        &net,
        r#"
passes = lambda sent: options_of(exchange(ip(sent), came, at=wan))
for options in "99040102", "01010101", "94040000", "0707080a09090900", "44080502000000" + "00":
    same(passes(options), options, "unchanged")
same(passes("070b0400000000000000" + "0001"), "070b080a02000100000000" + "01", "record route")
same(passes("440809e001020304"), "440809f001020304", "overflow")
same(passes("440c05030a09090900000000"), "440c05030a09090900000000", "somebody else's timestamp")

def stamp(options, at):
    stamped = options_of(exchange(ip(options), came, at=wan))
    now, then = time.time() % 86400 * 1000, int(stamped[at * 2:at * 2 + 8], 16)
    assert abs(now - then) < 5000 or abs(now - then) > 86395000, (now, then)
    return stamped[:at * 2]

same(stamp("440805" + "00" * 5, 4), "44080900", "time")
same(stamp("440c05030a01000100000000", 8), "440c0d030a010001", "our own timestamp")
same(stamp("440c0501" + "00" * 8, 8)[:8], "440c0d01", "address and time")
"#,
    );
}

#[test]
fn ipv4_options_are_refused() {
    let (net, _router) = started();
    run(
        &net,
        r#"
for options, pointer in [
    ("99000000", 20), ("01990100", 21), ("99050000", 20), ("01010199", 23), ("07020000", 21),
    ("0707030000000000", 22), ("0708060000000000", 22), ("44030500", 21), ("4408040000000000", 22),
    ("440809f001020304", 23), ("94030000", 21),
]:
    answer = exchange(ip(options), problem)[ICMP]
    same((answer.code, answer.ptr), (0, pointer), options)
for options in "8307040a09090900", "8907040a09090900", "8307080a09090900":
    vanishes(ip(options), came)
    vanishes(ip(options, dst=ROUTER4), came)
"#,
    );
}

#[test]
fn hop_by_hop_options_do_what_their_type_says() {
    let (net, _router) = started();
    run(
        &net,
        r#"
for options in "1e0400000000", "050200000100", "010400000000", "1e00" * 8 + "010400000000":
    got = exchange(ip6(options), came6, at=wan)
    same(bytes(got[IPv6])[42:42 + len(options) // 2].hex(), options, "unchanged")
for options in "400400000000", "010400000001", "1e0500000000", "1e00" * 9 + "01020000", "00" * 14:
    vanishes(ip6(options), came6)
# RFC 4443 3.4: where, and what. To a group too (2.4 (e.3)), which the kernel behind the tap does.
for options, code, pointer in [
    ("800400000000", 2, 42), ("c10400000000", 2, 42), ("1e0000008000", 2, 46),
    ("c20400010000", 0, 42), ("c2040000ffff", 0, 44),
]:
    answer = exchange(ip6(options), problem6)[ICMPv6ParamProblem]
    same((answer.code, answer.ptr), (code, pointer), options)
for destination in ROUTER6, "ff02::1":
    sent = ip6("800400000000", destination)
    if destination != ROUTER6:
        sent.dst = "33:33:00:00:00:01"
    answer = exchange(sent, problem6)[ICMPv6ParamProblem]
    same((answer.code, answer.ptr), (2, 42), destination)
"#,
    );
}

#[test]
fn routing_headers_are_for_whom_they_are_addressed_to() {
    let (net, _router) = started();
    run(
        &net,
        r#"
def routed(dst):
    header = bytes([59, 2, 0, 1, 0, 0, 0, 0]) + socket.inet_pton(socket.AF_INET6, WAN6)
    return to_router(IPv6(src=LAN6, dst=dst, nh=43), Raw(header))

# RFC 5095 3: type 0 with segments left, at the node that it is for.
answer = exchange(routed(ROUTER6), problem6)[ICMPv6ParamProblem]
same((answer.code, answer.ptr), (0, 42), "type 0")
sent = routed(WAN6)
got = exchange(sent, lambda f: IPv6 in f and f[IPv6].nh == 43, at=wan)
same(bytes(got[IPv6])[40:], bytes(sent[IPv6])[40:], "in transit")
"#,
    );
}

/// C094: whatever the octets, the router lives, and what is good goes on.
#[test]
fn random_options_harm_nobody() {
    let (net, _router) = started();
    let frames = at_length(100_000, 10_000);
    let script = format!(
        r#"
random = Random(1)
ipv4 = bytes(ip("00" * 40))
ipv6 = bytes(ip6("00" * 46))
for number in range({frames} // 2):
    header = ipv4[14:24] + bytes(2) + ipv4[26:34] + random.randbytes(40)
    sum = checksum(header).to_bytes(2, "big")
    lan.send(ipv4[:14] + header[:10] + sum + header[12:] + ipv4[74:])
    lan.send(ipv6[:56] + random.randbytes(46))
"#
    );
    run(&net, &script);
    let canary = net.lan.run("ping -c 20 -i 0.05 10.2.0.2 && ping -6 -c 20 -i 0.05 2001:db8:2::2");
    assert_eq!(canary.succeeds().lines_with(" 0% packet loss"), 2);
}
