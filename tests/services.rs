//! Daemons on the router, behind the taps, as the examples in config/examples/ have them.

mod net;

use net::{
    Config, HOST_DEVICE, Router, Topology, eventually, example, example_path, figure, seconds,
    sysctl,
};

/// What udhcpc calls when it has an address.
const ON_LEASE: &str = "#!/bin/sh\n\
    [ \"$1\" = bound ] || exit 0\n\
    ip addr add $ip/$mask dev $interface && ip route replace default via $router\n\
    echo \"leased $ip router $router dns $dns domain $domain\"\n";

/// dnsmasq serves the lan: a host without an address gets one, a default route and a name server, by
/// DHCP and by router advertisements, and is routed.
#[test]
fn a_host_gets_its_addresses_and_names_from_dnsmasq() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let config = Config::example(&example("dnsmasq/router.toml"), &net.directory);
    let router = Router::start(&net, &config);
    let directory = net.directory.display();
    let _dnsmasq = router.host().spawn(&format!(
        "exec dnsmasq --keep-in-foreground --conf-file={} --user=root --pid-file= --no-resolv \
         --no-hosts --dhcp-leasefile={directory}/leases",
        example_path("dnsmasq/dnsmasq.conf").display()
    ));
    eventually(seconds(5), "dnsmasq listens", || {
        router.host().run("ss -Hlun 'sport = :67'").has(":67")
    });
    net.lan.run(&format!("ip addr flush dev {HOST_DEVICE}; ip -6 route flush default")).succeeds();
    // The harness has switched these off.
    let asks = ["accept_ra=1", "autoconf=1", "router_solicitations=3"];
    sysctl(&net.lan, &asks.map(|key| format!("net.ipv6.conf.{HOST_DEVICE}.{key}")));
    net.lan
        .run(&format!("ip link set {HOST_DEVICE} down; ip link set {HOST_DEVICE} up"))
        .succeeds();
    let script = net.directory.join("on-lease");
    std::fs::write(&script, ON_LEASE).expect("the test's directory is writable");
    let client = format!(
        "chmod +x {0} && udhcpc -f -q -n -t 10 -T 1 -i {HOST_DEVICE} -s {0}",
        script.display()
    );
    let started = std::time::Instant::now();
    let lease = net.lan.run(&client).succeeds();
    let took = started.elapsed();
    lease.says("leased 10.1.0.1").says("router 10.1.0.1 dns 10.1.0.1 domain home.arpa");
    net.lan.run("ping -c 2 -i 0.2 10.2.0.2").succeeds();
    let lookup = net.lan.run("busybox nslookup router.home.arpa 10.1.0.1").succeeds();
    lookup.says("10.1.0.1").says("2001:db8:1::1");
    eventually(seconds(10), "an IPv6 address and a route were advertised", || {
        net.lan.run(&format!("ip -6 addr show dev {HOST_DEVICE} scope global")).has("2001:db8:1:")
            && net.lan.run("ip -6 route show default").has("via fe80::")
    });
    eventually(seconds(5), "IPv6 is routed", || net.lan.run("ping -c 1 -W 1 2001:db8:2::2").ok());
    figure("services", "a lease by DHCP <= 5 s", format!("{took:.1?}"), took <= seconds(5));
    router.stop();
}
