//! The router's own kernel stack, behind the taps: an operator's services on it just work.

mod net;

use net::{Builder, Topology, seconds, started};

#[test]
fn the_router_answers_pings() {
    let (net, router) = started(Topology::builder());
    router.carries("lan", 12, || {
        for address in ["10.1.0.1", "10.2.0.1", "2001:db8:1::1", "2001:db8:2::1"] {
            let ping = net.lan.run(&format!("ping -c 3 -i 0.2 {address}")).succeeds();
            ping.says("ttl=64").says(" 0% packet loss").does_not_say("DUP!");
        }
    });
    for address in ["10.1.0.1", "10.2.0.1", "2001:db8:1::1", "2001:db8:2::1"] {
        net.wan.run(&format!("ping -c 2 -i 0.2 {address}")).succeeds();
    }
}

#[test]
fn the_router_pings_its_neighbours() {
    let (_net, router) = started(Topology::builder());
    for address in ["10.1.0.2", "10.2.0.2", "2001:db8:1::2", "2001:db8:2::2"] {
        let ping = router.host().run(&format!("ping -c 3 -i 0.2 {address}")).succeeds();
        ping.says("ttl=64").says(" 0% packet loss");
    }
}

#[test]
fn the_routers_link_local_address_answers() {
    let (net, router) = started(Topology::builder());
    let device = if net::kernel_is_router() { "lan0" } else { "lan" };
    let show = format!("ip -6 -br addr show dev {device} scope link");
    let addresses = router.host().run(&show).succeeds().stdout;
    let own = addresses.split_whitespace().find(|word| word.starts_with("fe80"));
    let own = own.and_then(|word| word.split('/').next()).expect("a link-local address");
    net.lan.run(&format!("ping -6 -c 2 -i 0.2 {own}%eth0")).succeeds();
    net.lan.run("ping -6 -c 1 ff02::1%eth0").succeeds().says("bytes from fe80");
}

/// RFC 4291 2.6.1 and 2.8: the subnet's own address is any of its routers', and all routers of the
/// site have a group.
#[test]
fn the_router_is_any_router_and_one_of_all() {
    let (net, _router) = started(Topology::builder());
    let ping = net.lan.run("ping -6 -c 2 -i 0.2 2001:db8:1::").succeeds();
    ping.says("bytes from 2001:db8:1::1");
    for group in ["ff02::2", "ff05::2"] {
        net.lan.run(&format!("ping -6 -c 1 -I eth0 {group}")).succeeds().says("bytes from");
    }
}

#[test]
fn a_web_page_on_the_router() {
    let (net, router) = started(Topology::builder());
    let page = "<p>the router's own page</p>";
    let site = net.directory.join("site");
    std::fs::create_dir_all(&site).unwrap();
    std::fs::write(site.join("index.html"), page).unwrap();
    let serve = format!("exec python3 -m http.server --bind :: --directory {} 80", site.display());
    let _server = router.host().serve(80, &serve);
    router.carries("lan", 8, || {
        net.lan.run("curl -sS http://10.1.0.1/").succeeds().says(page);
        net.lan.run("curl -sS -g 'http://[2001:db8:1::1]/'").succeeds().says(page);
    });
    net.wan.run("curl -sS http://10.2.0.1/").succeeds().says(page);
}

#[test]
fn a_client_beyond_the_link_is_answered() {
    let (net, router) = started(Topology::builder().far());
    net.far().run("ping -c 2 -i 0.2 10.2.0.1").succeeds();
    net.far().run("ping -6 -c 2 -i 0.2 2001:db8:2::1").succeeds();
    router.host().run("ping -c 2 -i 0.2 10.3.0.2").succeeds();
    router.host().run("ping -6 -c 2 -i 0.2 2001:db8:3::2").succeeds();
}

#[test]
fn a_file_to_and_from_the_router() {
    files(Topology::builder());
}

#[test]
fn a_file_to_and_from_the_router_with_checksum_offload() {
    files(Topology::builder().offloads());
}

fn files(builder: Builder) {
    let (net, router) = started(builder);
    let (sent, got) = (net.directory.join("sent"), net.directory.join("got"));
    net.lan.run(&format!("head -c 1M /dev/urandom > {}", sent.display())).succeeds();
    let (sent_path, got_path) = (sent.display(), got.display());
    for (family, address) in [("-4", "10.1.0.1"), ("-6", "2001:db8:1::1")] {
        let listen = format!("exec nc {family} -N -l 7000 > {got_path} < /dev/null");
        let server = router.host().serve(7000, &listen);
        let send = format!("nc -N -w 10 {address} 7000 < {sent_path}");
        router.carries("lan", 1, || net.lan.run(&send).succeeds());
        server.wait(seconds(10)).succeeds();
        assert_eq!(net.lan.sha256(&sent), net.lan.sha256(&got), "to {address}");

        let listen = format!("exec nc {family} -N -l 7001 < {sent_path}");
        let server = router.host().serve(7001, &listen);
        let fetch = format!("nc -d -w 10 {address} 7001 > {got_path}");
        router.carries("lan", 20, || net.lan.run(&fetch).succeeds());
        server.wait(seconds(10)).succeeds();
        assert_eq!(net.lan.sha256(&sent), net.lan.sha256(&got), "from {address}");
    }
}

#[test]
fn iperf3_to_and_from_the_router() {
    throughput(Topology::builder());
}

#[test]
fn iperf3_to_and_from_the_router_with_checksum_offload() {
    throughput(Topology::builder().offloads());
}

fn throughput(builder: Builder) {
    let (net, router) = started(builder);
    for way in ["-c 10.1.0.1", "-c 10.1.0.1 -R", "-c 2001:db8:1::1"] {
        let server = router.host().serve(5201, "exec iperf3 -s -1");
        router.carries("lan", 20, || {
            net.lan.run(&format!("iperf3 {way} -t 2")).succeeds().says("receiver");
        });
        server.wait(seconds(10)).succeeds();
    }
}

#[test]
fn udp_of_every_size_reaches_the_routers_stack_whole() {
    let (net, router) = started(Topology::builder());
    // Larger than the MTU: fragments, which the router's own stack puts together.
    for size in [0, 1, 1000, 1472, 1473, 4000, 9000] {
        net.lan.run(&format!("ping -c 1 -W 3 -s {size} 10.1.0.1")).succeeds();
        net.lan.run(&format!("ping -6 -c 1 -W 3 -s {size} 2001:db8:1::1")).succeeds();
        router.host().run(&format!("ping -c 1 -W 3 -s {size} 10.1.0.2")).succeeds();
    }
}

#[test]
fn a_closed_port_of_the_router_says_so() {
    let (net, _router) = started(Topology::builder());
    net.lan.run("nc -z -w 3 -v 10.1.0.1 9").fails().says("refused");
    net.lan.run("traceroute -n -q 1 -w 3 10.2.0.1").succeeds().says("1  10.2.0.1 ");
}

#[test]
fn tcpdump_on_the_tap_sees_what_is_for_the_router() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    let witness = router.host().watch("lan", "-c 2 'icmp and host 10.1.0.2'");
    net.lan.run("ping -c 1 10.1.0.1").succeeds();
    let seen = witness.wait(seconds(5)).succeeds();
    seen.says("10.1.0.2 > 10.1.0.1: ICMP echo request").says("ICMP echo reply");
}

#[test]
fn the_tap_is_as_the_card() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder().wan_mtu(1400));
    let link = router.host().run("ip link show dev wan").succeeds();
    link.says("mtu 1400").says("02:00:0a:02:00:01").says("LOWER_UP");
    let addresses = router.host().run("ip -br addr show dev wan").succeeds();
    addresses.says("10.2.0.1/24").says("2001:db8:2::1/64");
    net::ip(&format!("-n {} link set eth0 down", net.wan.name));
    net::eventually(seconds(3), "the tap loses its carrier with the card", || {
        router.host().run("ip link show dev wan").has("NO-CARRIER")
    });
}

#[test]
fn programs_that_bind_to_the_tap_are_heard_and_answered() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder());
    router.host().run("ping -c 1 -I lan 10.1.0.2").succeeds();
    let bound = "import socket as s; l = s.socket(); \
                 l.setsockopt(s.SOL_SOCKET, s.SO_BINDTODEVICE, b'lan'); \
                 l.bind(('', 7)); l.listen(); l.accept()[0].send(b'heard')";
    let _server = router.host().serve(7, &format!("exec python3 -c \"{bound}\""));
    net.lan.run("nc -d -w 3 10.1.0.1 7").succeeds().says("heard");
}
