//! Two routers that are one: keepalived beside each, on the taps (VRRP, RFC 5798).

mod net;

use std::time::Duration;

use net::canary::Canary;
use net::join::{SWITCH, splice};
use net::{
    Config, LAN_DEVICE, Router, Running, Topology, WAN_DEVICE, eventually, example, figure, ip,
    seconds,
};

/// Seconds from one advertisement to the next in the example.
const INTERVAL: f64 = 0.2;

/// One of the two.
struct Member {
    net: Topology,
    /// In the names of its files.
    name: &'static str,
}

/// Two routers between the same hosts: those of `a`, to whose links those of `b` are bridged.
struct Pair {
    a: Member,
    b: Member,
}

impl Pair {
    fn new() -> Self {
        let net = Topology::lan_wan();
        let twin = net.twin();
        splice(&net, &twin, |net| &net.lan, LAN_DEVICE);
        splice(&net, &twin, |net| &net.wan, WAN_DEVICE);
        for (host, n) in [(&net.lan.name, 1), (&net.wan.name, 2)] {
            ip(&format!("-n {host} address add 10.{n}.0.2/24 dev {SWITCH}"));
            ip(&format!("-n {host} route replace default via 10.{n}.0.1"));
        }
        Self { a: Member { net, name: "a" }, b: Member { net: twin, name: "b" } }
    }
}

impl Member {
    fn router(&self) -> Router {
        let text = example(&format!("vrrp/router-{}.toml", self.name));
        Router::start(&self.net, &Config::example(&text, &self.net.directory))
    }

    /// keepalived as in the example, but without the lines that contain `without`.
    fn keepalived(&self, router: &Router, without: &str) -> Running {
        let text = example(&format!("vrrp/keepalived-{}.conf", self.name));
        let lines = text.lines().filter(|line| without.is_empty() || !line.contains(without));
        let directory = self.net.directory.display().to_string();
        std::fs::write(
            self.net.directory.join("keepalived.conf"),
            lines.collect::<Vec<_>>().join("\n"),
        )
        .expect("the test's directory is writable");
        let pids = format!("-p {directory}/keepalived.pid -r {directory}/vrrp.pid");
        router
            .host()
            .spawn(&format!("exec keepalived -n -l -D -P -f {directory}/keepalived.conf {pids}"))
    }
}

fn has(router: &Router, address: &str) -> bool {
    router.show("routes").iter().any(|route| route["to"] == format!("{address}/32"))
}

fn is_master(router: &Router) -> bool {
    has(router, "10.1.0.1") && has(router, "10.2.0.1")
}

#[test]
fn the_backup_takes_over_when_the_master_is_killed() {
    takes_over("VRRP", "use_vmac");
}

#[test]
fn the_backup_takes_over_with_the_virtual_mac() {
    takes_over("VRRP with use_vmac", "");
}

fn takes_over(name: &str, without: &str) {
    needs_xrouter!();
    let pair = Pair::new();
    let (a, b) = (pair.a.router(), pair.b.router());
    let _one = pair.a.keepalived(&a, without);
    eventually(seconds(10), "the first is master", || is_master(&a));
    let other = pair.b.keepalived(&b, without);
    eventually(seconds(10), "the other is backup", || {
        (other.stdout() + &other.stderr()).contains("Entering BACKUP STATE")
    });
    let lan = &pair.a.net.lan;
    lan.run("ping -c 3 -i 0.2 10.1.0.1 && ping -c 3 -i 0.2 10.2.0.2").succeeds();
    assert!(!is_master(&b));
    let known = lan.run("ip neigh show 10.1.0.1").succeeds();
    if without.is_empty() {
        known.says("00:00:5e:00:01:33");
    }
    // Dead after three intervals, and a backup's skew of up to one more (RFC 5798 6.1).
    let timers = Duration::from_secs_f64(4.0 * INTERVAL);
    let canary = Canary::start(&pair.a.net);
    let before = b.transmitted("wan");
    a.kill();
    eventually(seconds(5), "the backup is master", || is_master(&b));
    eventually(seconds(5), "it carries the traffic", || b.transmitted("wan") > before + 500);
    lan.run("ping -c 2 -i 0.2 10.1.0.1").succeeds();
    let flight = canary.stop();
    let filter = b.host().run(&format!("bridge fdb show dev {LAN_DEVICE}")).succeeds();
    assert_eq!(filter.has("00:00:5e:00:01:33"), without.is_empty(), "what the card lets in");
    assert!(!net::two_engines() || b.counter("lan", "fast_path") > 400);
    let bar = format!("{name}: master killed, gap <= {timers:?} (its timers)");
    figure("failover", &bar, flight, flight.longest_gap <= timers);
    b.stop();
}
