//! From one router to the next: what the service manager keeps, what the kernel does meanwhile, and
//! how short the gap is.

mod net;

use std::fs::File;
use std::time::Duration;

use net::canary::{Canary, Flight};
use net::daemon::{bgp_sessions, bird};
use net::state::{same_state, state};
use net::supervisor::Supervisor;
use net::{
    BINARY, Config, Router, Running, Topology, eventually, figure, ip, seconds, sysctl, write,
};

/// From the last packet by one router to the first by the next (R16). A program that is not optimised
/// takes longer to start.
const GAP: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1000 } else { 200 });
/// The same from and to the kernel, for a router that is told to end, and for the next one.
const CHANGE_OVER: Duration = Duration::from_millis(50);
/// For one that is killed: the kernel closes its files one by one.
const DEATH: Duration = Duration::from_millis(200);
/// How long a router is away.
const AWAY: Duration = Duration::from_millis(500);

/// End a router by a signal, whatever it does then.
fn end(mut router: Router, signal: i32) {
    router.signal(signal);
    eventually(seconds(5), "the router ends", || !router.is_running());
}

/// The taps by number and carrier, as a daemon on them sees them.
fn taps(net: &Topology) -> String {
    let line = |tap: &str| net.router.run(&format!("ip -o link show {tap}")).stdout;
    ["lan", "wan"].map(line).concat()
}

fn session(other: &str, own: u16, peer: u16) -> String {
    format!(
        "protocol bgp session {{ local as {own}; neighbor {other} as {peer}; hold time 3; \
         connect delay time 1; error wait time 1, 2; ipv4 {{ import all; export all; }}; }}\n"
    )
}

/// BIRD in the router and in the host wan, which tells it of 10.9.0.0/16.
fn daemons(net: &Topology) -> [Running; 2] {
    let ours = "router id 10.2.0.1;\nprotocol device {}\n\
                protocol kernel { ipv4 { export all; }; }\n";
    let theirs = "router id 10.2.0.2;\nprotocol device {}\n\
                  protocol static { ipv4; route 10.9.0.0/16 blackhole; }\n";
    [
        bird(&net.router, "router", &(ours.to_owned() + &session("10.2.0.2", 65001, 65002))),
        bird(&net.wan, "wan", &(theirs.to_owned() + &session("10.2.0.1", 65002, 65001))),
    ]
}

fn sessions(net: &Topology) -> Vec<String> {
    bgp_sessions(&net.router, "router")
}

/// R16: a restart as systemd makes it, with all that it has kept.
#[test]
fn taps_and_sessions_outlive_the_process() {
    needs_xrouter!();
    for (signal, how) in [(libc::SIGTERM, "SIGTERM"), (libc::SIGKILL, "kill -9")] {
        let net = Topology::lan_wan();
        let supervisor = Supervisor::new(&net);
        let config = net.config().route("10.8.0.0/16", "10.2.0.2");
        let router = supervisor.start(&net, &config);
        eventually(seconds(1), "it says that it is ready", || supervisor.said() == ["READY=1"]);
        let _daemons = daemons(&net);
        eventually(seconds(20), "the BGP session is up", || !sessions(&net).is_empty());
        let learned = || net.router.run("ip route show 10.9.0.0/16").stdout;
        eventually(seconds(5), "BIRD's route is in the kernel", || !learned().is_empty());
        let before = (sessions(&net), taps(&net), learned());
        // Routes that go, if only for a moment, are told.
        let news = net.router.spawn("exec ip monitor route label");
        let canary = Canary::start(&net);
        end(router, signal);
        let router = supervisor.start(&net, &config);
        let routes = router.show("routes");
        let flight = flight_after(canary, seconds(2));
        // Longer than the session lives without a word.
        std::thread::sleep(seconds(4));
        assert_eq!((sessions(&net), taps(&net), learned()), before, "{how}");
        assert!(routes.iter().any(|route| route["to"] == "10.9.0.0/16"), "{how}: {routes:#?}");
        assert!(!news.stdout().contains("Deleted"), "{how}: {}", news.stdout());
        assert_eq!(supervisor.kept(), ["tap.lan.0", "tap.wan.0"], "{how}");
        router.stop_by(libc::SIGINT);
        eventually(seconds(2), "nothing is kept", || supervisor.kept().is_empty());
        let asked =
            format!("restart after {how}, closed: gap < {GAP:?}, BGP session and taps stay");
        figure("R16", &asked, flight, flight.longest_gap < GAP);
    }
}

fn flight_after(canary: Canary, time: Duration) -> Flight {
    std::thread::sleep(time);
    canary.stop()
}

/// A TCP connection on which something is said ten times a second, and what has arrived of it.
struct Talk {
    server: Running,
    _client: Running,
}

impl Talk {
    fn start(from: &net::Namespace, to: &net::Namespace, address: &str, port: u16) -> Self {
        let server = to.serve(port, &format!("exec nc -l {port}"));
        let said = format!("while sleep 0.1; do echo word; done | nc {address} {port}");
        let client = from.spawn(&said);
        let talk = Self { server, _client: client };
        eventually(seconds(5), "words arrive", || talk.words() > 0);
        talk
    }

    fn words(&self) -> usize {
        self.server.stdout().lines().count()
    }

    /// It goes on.
    #[track_caller]
    fn goes_on(&self, what: &str) {
        let before = self.words();
        eventually(seconds(3), what, || self.words() > before + 3);
    }
}

fn open(net: &Topology) -> Config {
    sysctl(&net.router, &["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
    net.config().router("on_exit = \"open\"")
}

/// Everything passes, through the router and to it.
#[track_caller]
fn all_passes(net: &Topology) {
    for address in ["10.2.0.2", "2001:db8:2::2", "10.1.0.1", "2001:db8:1::1", "10.2.0.1"] {
        net.lan.run(&format!("ping -n -c 3 -i 0.2 -W 1 {address}")).succeeds();
    }
    net.wan.run("ping -n -c 1 -W 1 10.1.0.2 && ping -n -c 1 -W 1 2001:db8:1::2").succeeds();
}

/// R13: the kernel forwards from the moment in which the router dies until the next one takes over,
/// by whichever engine those forward.
#[test]
fn open_the_kernel_forwards_in_between() {
    needs_xrouter!();
    for (signal, how) in [(libc::SIGKILL, "kill -9"), (libc::SIGTERM, "SIGTERM")] {
        for with_store in [true, false] {
            change_over(signal, how, with_store);
        }
    }
}

fn change_over(signal: i32, how: &str, with_store: bool) {
    let net = Topology::lan_wan();
    let fastpath = if with_store { "auto" } else { "off" };
    let config = open(&net).router(&format!("fastpath = \"{fastpath}\""));
    let supervisor = with_store.then(|| Supervisor::new(&net));
    let start = || match &supervisor {
        Some(supervisor) => supervisor.start(&net, &config),
        None => Router::start(&net, &config),
    };
    let store = if with_store { "with" } else { "without" };
    let how = format!("{how}, {store} store, fastpath = {fastpath}");
    let router = start();
    assert!(!router.log().contains("would not forward"), "{}", router.log());
    all_passes(&net);
    let through = Talk::start(&net.lan, &net.wan, "10.2.0.2", 7001);
    let host = Talk::start(&net.lan, &net.router, "10.1.0.1", 7002);

    let canary = Canary::start(&net);
    end(router, signal);
    let away = flight_after(canary, AWAY);
    all_passes(&net);
    through.goes_on("the connection through the router, without one");
    host.goes_on("the connection to the router, without one");

    let canary = Canary::start(&net);
    let router = start();
    let back = flight_after(canary, AWAY);
    through.goes_on("the connection through the router, with the next one");
    host.goes_on("the connection to the router, with the next one");
    router.carries("wan", 10, || Canary::start(&net).wait_until_seen(seconds(1)));
    all_passes(&net);
    router.stop_by(libc::SIGINT);
    let limit = if signal == libc::SIGKILL { DEATH } else { CHANGE_OVER };
    let asked = |what, limit| format!("open, {how}: {what}, gap < {limit:?}");
    figure("R13", &asked("the kernel takes over", limit), away, away.longest_gap < limit);
    let asked = asked("the next one takes over", CHANGE_OVER);
    figure("R13", &asked, back, back.longest_gap < CHANGE_OVER);
}

#[test]
fn open_beside_a_kernel_that_does_not_forward_is_warned_of() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = Router::start(&net, &net.config().router("on_exit = \"open\""));
    let settings = "sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1";
    assert!(router.log().contains(settings), "{}", router.log());
    router.stop_by(libc::SIGINT);
}

fn release(net: &Topology, config: &Config) -> net::Outcome {
    net.router.run(&format!("{BINARY} release -c {}", write(net, config)))
}

/// Whatever a router has left, `xrouter release` leaves nothing of it, and SIGINT neither.
#[test]
fn release_leaves_the_machine_as_it_was_found() {
    needs_xrouter!();
    for is_open in [false, true] {
        for signal in [libc::SIGTERM, libc::SIGKILL, libc::SIGINT] {
            let net = Topology::lan_wan();
            let config = if is_open { open(&net) } else { net.config() };
            let config = config.route_of_type("10.7.0.0/16", "blackhole");
            let before = state(&net.router);
            let supervisor = Supervisor::new(&net);
            let router = supervisor.start(&net, &config);
            net.lan.run("ping -c 1 -W 3 10.2.0.2").succeeds();
            release(&net, &config).fails().says("a router runs");
            end(router, signal);
            if signal != libc::SIGINT {
                assert_eq!(supervisor.kept(), ["tap.lan.0", "tap.wan.0"]);
                release(&net, &config).succeeds().says("released");
            }
            same_state(&before, &state(&net.router));
        }
    }
}

/// Two queues for each tap, then one, then two again.
#[test]
fn queues_follow_the_number_of_workers() {
    needs_xrouter!();
    let net = Topology::builder().queues(2).build();
    let supervisor = Supervisor::new(&net);
    let one = ["tap.lan.0", "tap.wan.0"];
    let two = ["tap.lan.0", "tap.lan.1", "tap.wan.0", "tap.wan.1"];
    let index = || net.router.run("ip -o link show lan | cut -d: -f1").stdout;
    let mut indices = Vec::new();
    for (workers, kept) in [("[0, 1]", &two[..]), ("[0]", &one[..]), ("[0, 1]", &two[..])] {
        let router = supervisor.start(&net, &net.config().router(&format!("workers = {workers}")));
        eventually(seconds(1), "so many are kept", || supervisor.kept() == kept);
        for address in ["10.2.0.2", "10.1.0.1", "2001:db8:1::1"] {
            net.lan.run(&format!("ping -c 5 -i 0.1 -W 1 {address}")).succeeds();
        }
        indices.push(index());
        end(router, libc::SIGTERM);
    }
    assert!(indices.iter().all(|index| *index == indices[0]), "{indices:?}");
}

/// What is kept may be anything: it is closed, and said.
#[test]
fn what_is_kept_and_not_needed_is_closed() {
    needs_xrouter!();
    let net = Topology::builder().dmz().build();
    let supervisor = Supervisor::new(&net);
    end(supervisor.start(&net, &net.config()), libc::SIGKILL);
    assert_eq!(supervisor.kept(), ["tap.dmz.0", "tap.lan.0", "tap.wan.0"]);
    supervisor.keep("tap.lan.7", File::open("/dev/null").expect("Linux has it"));
    supervisor.keep("anything", std::os::unix::net::UnixDatagram::unbound().expect("a socket"));
    let router = supervisor.start(&net, &net.config_without_dmz());
    for closed in ["\"tap.lan.7\": it is no queue", "\"anything\": it is no", "tap dmz: not needed"]
    {
        assert!(router.log().contains(closed), "{closed}: {}", router.log());
    }
    assert_eq!(supervisor.kept(), ["tap.lan.0", "tap.wan.0"]);
    eventually(seconds(1), "the tap of the port that is gone is gone", || {
        !net.router.run("ip link show dmz").ok()
    });
    net.lan.run("ping -c 1 -W 3 10.2.0.2").succeeds();
    router.stop_by(libc::SIGINT);
}

/// A port that is removed while the router runs is not kept, nor a tap that was deleted.
#[test]
fn the_store_follows_the_ports() {
    needs_xrouter!();
    let net = Topology::builder().dmz().build();
    let supervisor = Supervisor::new(&net);
    let router = supervisor.start(&net, &net.config());
    router.command("port del dmz").succeeds();
    eventually(seconds(1), "it is kept no more", || {
        supervisor.kept() == ["tap.lan.0", "tap.wan.0"]
    });
    eventually(seconds(1), "it says so", || {
        supervisor.said() == ["READY=1", "RELOADING=1", "READY=1"]
    });
    ip(&format!("-n {} link del lan", net.router.name));
    eventually(seconds(3), "there is another", || net.lan.run("ping -c 1 -W 1 10.1.0.1").ok());
    end(router, libc::SIGKILL);
    let router = supervisor.start(&net, &net.config());
    net.lan.run("ping -c 1 -W 3 10.1.0.1 && ping -c 1 -W 3 10.4.0.2").succeeds();
    router.stop_by(libc::SIGINT);
}

/// A router that is closed takes back what an open one has left to the kernel.
#[test]
fn closed_after_open() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    Router::start(&net, &open(&net)).kill();
    all_passes(&net);
    let router = Router::start(&net, &net.config());
    all_passes(&net);
    net.router.run("tc qdisc show dev lan0").succeeds().does_not_say("clsact");
    router.kill();
    for address in ["10.2.0.2", "10.1.0.1", "2001:db8:1::1"] {
        net.lan.run(&format!("ping -n -c 1 -W 1 {address}")).fails();
    }
}
