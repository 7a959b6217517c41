//! Routing daemons behind the taps, as they are, and what they tell the kernel forwarded by.

mod net;

use std::fs;
use std::time::Instant;

use net::mirror::{BEHIND, BEHIND6, NET, NET6, goes_by, goes_by_both, lab, shows_within, verified};
use net::{Namespace, Running, Topology, eventually, figure, seconds};

/// BIRD with this configuration, in a namespace.
fn bird(net: &Topology, host: &Namespace, name: &str, config: &str) -> Running {
    let file = |kind: &str| net.directory.join(format!("{name}.{kind}")).display().to_string();
    let config = format!("log stderr all;\nprotocol device {{}}\n{config}");
    fs::write(file("conf"), config).expect("the directory is writable");
    host.run(&format!("bird -p -c {}", file("conf"))).succeeds();
    host.spawn_args(&["bird", "-f", "-c", &file("conf"), "-s", &file("ctl"), "-P", &file("pid")])
}

/// What BIRD in the router takes from its peers: rather from wan than from dmz.
const BIRD: &str = "
    router id 10.1.0.1;
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
         protocol static {{ ipv4; route {NET} blackhole; }}\n\
         protocol static {{ ipv6; route {NET6} blackhole; }}\n"
    ) + &session("4", format!("10.{subnet}.0.1"))
        + &session("6", format!("2001:db8:{subnet}::1"))
}

#[test]
fn bird_speaks_bgp_behind_the_taps() {
    needs_xrouter!();
    let (net, router) = lab();
    let _wan = bird(&net, &net.wan, "wan", &peer(2));
    let _dmz = bird(&net, net.dmz(), "dmz", &peer(4));
    let ours = bird(&net, router.host(), "router", BIRD);
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
    let _ours = bird(&net, router.host(), "router", BIRD);

    // The link to wan is cut: the tap loses its carrier, BIRD its sessions there.
    eventually(seconds(20), "BIRD has its sessions again", || {
        let control = net.directory.join("router.ctl").display().to_string();
        let protocols = router.host().run(&format!("birdc -s {control} show protocols"));
        protocols.lines_with("Established") == 4
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

/// FRR's zebra and ospfd in a namespace, with OSPF on these interfaces. They are not root, and have a
/// directory of their own.
fn frr(net: &Topology, host: &Namespace, name: &str, interfaces: &[&str]) -> [Running; 2] {
    let place = net.directory.join(name);
    fs::create_dir(&place).expect("the directory is writable");
    let interface = |name: &&str| {
        format!(
            "interface {name}\n ip ospf network point-to-point\n ip ospf hello-interval 1\n \
             ip ospf dead-interval 4\n ip ospf area 0\n!\n"
        )
    };
    let config = interfaces.iter().map(interface).collect::<String>() + "router ospf\n!\n";
    fs::write(place.join("ospfd.conf"), config).expect("the directory is writable");
    fs::write(place.join("zebra.conf"), "").expect("the directory is writable");
    host.run(&format!("chown -R frr {}", place.display())).succeeds();
    let daemon = |name: &str| {
        let at = place.display();
        host.spawn(&format!(
            "exec /usr/lib/frr/{name} -f {at}/{name}.conf -z {at}/zapi -i {at}/{name}.pid \
             --vty_socket {at} -P 0 -u frr -g frr --log stdout"
        ))
    };
    let zebra = daemon("zebra");
    eventually(seconds(10), "zebra answers", || place.join("zapi").exists());
    [zebra, daemon("ospfd")]
}

/// OSPF's packets are for a group; zebra's routes lead through next-hop objects.
#[test]
fn frr_speaks_ospf_behind_the_taps() {
    needs_xrouter!();
    let (net, router) = lab();
    let _wan = frr(&net, &net.wan, "wan", &["eth0", "lo"]);
    let _dmz = frr(&net, net.dmz(), "dmz", &["eth0", "lo"]);
    let _ours = frr(&net, router.host(), "router", &["wan", "dmz"]);
    let to = format!("{BEHIND}/32");
    let by = |hops: usize| {
        move |route: &serde_json::Value| {
            let there = route["next_hops"].as_array().map_or(0, Vec::len);
            route["protocol"] == "ospf" && there == hops
        }
    };
    shows_within(seconds(60), &router, &to, by(2));
    goes_by_both(&net, &router, BEHIND);
    verified(&router);

    let cut = Instant::now();
    net.wan.run("ip link set eth0 down").succeeds();
    shows_within(seconds(20), &router, &to, by(1));
    let took = cut.elapsed();
    goes_by(&net, &router, BEHIND, "dmz");
    verified(&router);
    let asked = "a cut link, OSPF: the other way, within the dead interval of 4 s";
    figure("FRR", asked, format!("{took:.1?}"), took <= seconds(4));
}
