//! Live reload: what differs is changed, and nothing else; what cannot be changed changes nothing.

mod net;

use std::fs;

use net::canary::Canary;
use net::{Config, Router, Topology, figure};

/// Write the router's file anew.
fn write(net: &Topology, config: &Config) {
    fs::write(net.directory.join("router.toml"), config.to_string()).expect("it is writable");
}

/// The file is this from now on, and the router follows it.
#[track_caller]
fn reload(net: &Topology, router: &Router, config: &Config) -> net::Outcome {
    write(net, config);
    router.command("reload").succeeds()
}

#[test]
fn a_route_comes_and_goes_and_traffic_follows() {
    needs_xrouter!();
    let net = Topology::builder().far().build();
    let without = Config::of(
        toml::toml! {
            [[port]]
            name = "lan"
            device = "lan0"
            addresses = ["10.1.0.1/24", "2001:db8:1::1/64"]
            [[port]]
            name = "wan"
            device = "wan0"
            addresses = ["10.2.0.1/24", "2001:db8:2::1/64"]
        },
        &net.directory,
    );
    let with = without.clone().route("10.3.0.0/24", "10.2.0.2");
    let router = Router::start(&net, &without);
    let canary = Canary::start(&net);
    net.lan.run("ping -c 1 -W 1 10.3.0.2").fails();
    reload(&net, &router, &with).says("+ route 10.3.0.0/24 via 10.2.0.2 port wan");
    net.lan.run("ping -c 1 -W 3 10.3.0.2").succeeds();
    router.host().run("ip route show proto 120").succeeds().says("10.3.0.0/24");
    reload(&net, &router, &with).says("nothing is different");
    reload(&net, &router, &without).says("- route 10.3.0.0/24 via 10.2.0.2 port wan");
    net.lan.run("ping -c 1 -W 1 10.3.0.2").fails();
    router.host().run("ip route show proto 120").succeeds().does_not_say("10.3.0.0/24");
    let flight = canary.stop();
    figure("R29", "a route added and removed: transit loss 0", flight, flight.lost_nothing());
    router.stop();
}
