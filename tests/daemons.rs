//! Routing daemons behind the taps, as they are, and what they tell the kernel forwarded by.

mod net;

use std::time::Instant;

use net::daemon::{bird, birdc, frr};
use net::mirror::{
    BEHIND, BEHIND6, NET, NET6, goes_by, goes_by_both, lab, learned, shows_within, verified,
};
use net::{eventually, figure, seconds};

/// What BIRD in the router takes from its peers: rather from wan than from dmz.
const BIRD: &str = "
    router id 10.1.0.1;
    protocol device {}
    template bgp peer {
        local as 65001;
        hold time 9;
        connect retry time 1;
        connect delay time 1;
        error wait time 1, 2;
        graceful restart on;
    }
    filter from_wan { bgp_local_pref = 200; accept; }
    protocol kernel kernel4 { ipv4 { export all; }; }
    protocol kernel kernel6 { ipv6 { export all; }; }
    protocol bgp wan4 from peer {
        neighbor 10.2.0.2 as 65002;
        ipv4 { import filter from_wan; export none; };
    }
    protocol bgp wan6 from peer {
        neighbor 2001:db8:2::2 as 65002;
        ipv6 { import filter from_wan; export none; };
    }
    protocol bgp dmz4 from peer {
        neighbor 10.4.0.2 as 65004;
        ipv4 { import all; export none; };
    }
    protocol bgp dmz6 from peer {
        neighbor 2001:db8:4::2 as 65004;
        ipv6 { import all; export none; };
    }";

/// What BIRD in the host with this subnet tells the router.
fn peer(subnet: u8) -> String {
    let session = |family: &str, router: String| {
        format!(
            "protocol bgp router{family} {{ local as 6500{subnet}; neighbor {router} as 65001; \
             hold time 9; connect retry time 1; connect delay time 1; error wait time 1, 2; \
             ipv{family} {{ import none; export all; }}; }}\n"
        )
    };
    format!(
        "router id 10.{subnet}.0.2;\n\
         protocol device {{}}\n\
         protocol static {{ ipv4; route {NET} blackhole; }}\n\
         protocol static {{ ipv6; route {NET6} blackhole; }}\n"
    ) + &session("4", format!("10.{subnet}.0.1"))
        + &session("6", format!("2001:db8:{subnet}::1"))
}

#[test]
fn bird_speaks_bgp_behind_the_taps() {
    needs_xrouter!();
    let (net, router) = lab();
    let _wan = bird(&net.wan, "wan", &peer(2));
    let _dmz = bird(net.dmz(), "dmz", &peer(4));
    let ours = bird(router.host(), "router", BIRD);
    let by = |port: &'static str| {
        move |route: &serde_json::Value| route["port"] == port && route["protocol"] == "bird"
    };
    shows_within(seconds(20), &router, NET, by("wan"));
    shows_within(seconds(20), &router, NET6, by("wan"));
    goes_by(&net, &router, BEHIND, "wan");
    goes_by(&net, &router, BEHIND6, "wan");
    verified(&router);

    // R28: BIRD is killed; what it told the kernel stays, and is forwarded by.
    ours.signal(libc::SIGKILL);
    let _killed = ours.wait(seconds(5));
    goes_by(&net, &router, BEHIND, "wan");
    let _ours = bird(router.host(), "router", BIRD);

    // The link to wan is cut: the tap loses its carrier, BIRD its sessions there.
    eventually(seconds(20), "BIRD has its sessions again", || {
        birdc(router.host(), "router", "show protocols").lines_with("Established") == 4
    });
    let cut = Instant::now();
    net.wan.run("ip link set eth0 down").succeeds();
    shows_within(seconds(20), &router, NET, by("dmz"));
    shows_within(seconds(20), &router, NET6, by("dmz"));
    let took = cut.elapsed();
    goes_by(&net, &router, BEHIND, "dmz");
    goes_by(&net, &router, BEHIND6, "dmz");
    verified(&router);
    let asked = "a cut link, BGP: the other way, within the hold time of 9 s";
    figure("BIRD", asked, format!("{took:.1?}"), took <= seconds(9));
}

/// OSPF on these interfaces, for FRR.
fn ospf(interfaces: &[&str]) -> String {
    let interface = |name: &&str| {
        format!(
            "interface {name}\n ip ospf network point-to-point\n ip ospf hello-interval 1\n \
             ip ospf dead-interval 4\n ip ospf area 0\n!\n"
        )
    };
    interfaces.iter().map(interface).collect::<String>() + "router ospf\n!\n"
}

/// OSPF's packets are for a group; zebra's routes lead through next-hop objects.
#[test]
fn frr_speaks_ospf_behind_the_taps() {
    needs_xrouter!();
    let (net, router) = lab();
    let _wan = frr(&net.wan, "wan", "ospfd", &ospf(&["eth0", "lo"]));
    let _dmz = frr(net.dmz(), "dmz", "ospfd", &ospf(&["eth0", "lo"]));
    let _ours = frr(router.host(), "router", "ospfd", &ospf(&["wan", "dmz"]));
    let to = format!("{BEHIND}/32");
    shows_within(seconds(60), &router, &to, learned("ospf", 2));
    goes_by_both(&net, &router, BEHIND);
    verified(&router);

    let cut = Instant::now();
    net.wan.run("ip link set eth0 down").succeeds();
    shows_within(seconds(20), &router, &to, learned("ospf", 1));
    let took = cut.elapsed();
    goes_by(&net, &router, BEHIND, "dmz");
    verified(&router);
    let asked = "a cut link, OSPF: the other way, within the dead interval of 4 s";
    figure("FRR", asked, format!("{took:.1?}"), took <= seconds(4));
}
