//! Too little memory, too few descriptors, too many clients, too much to log.

mod net;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;

use net::canary::Canary;
use net::cgroup::MemoryLimit;
use net::flood::{Flood, Limit};
use net::{
    BINARY, Config, Outcome, Router, Topology, at_length, eventually, figure, frames, seconds,
    started,
};

/// Start xrouter under a command that takes something from it, and wait for its end.
fn start_under(net: &Topology, wrapper: &str, config: &Config) -> Outcome {
    let file = net.directory.join("router.toml");
    std::fs::write(&file, config.to_string()).expect("the directory is writable");
    let line = format!("exec {wrapper} {BINARY} -c {}", file.display());
    net.router.run_for(seconds(3), &line)
}

/// It has not started, says why and what helps, and has left nothing behind.
#[track_caller]
fn is_refused(net: &Topology, outcome: Outcome, words: &[&str]) {
    let outcome = outcome.fails().does_not_say("panicked");
    let said = outcome.stderr.lines().last().unwrap_or_default();
    assert!(said.starts_with("xrouter: "), "{outcome}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    leaves_nothing(net);
}

#[track_caller]
fn leaves_nothing(net: &Topology) {
    let left = net.router.run("ip -br link; bpftool net").succeeds();
    assert_eq!(left.lines_with("xrouter"), 0, "a program is left: {left}");
    assert_eq!(left.lines_with("lan "), 0, "a tap is left: {left}");
}

/// R36: the limit of locked memory, for one who may not pass it.
#[test]
fn too_little_locked_memory() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let wrapper = "prlimit --memlock=65536 setpriv --bounding-set=-ipc_lock";
    let refused = start_under(&net, wrapper, &net.config());
    is_refused(&net, refused, &["port lan", "XDP_UMEM_REG", "ulimit -l", "fewer frames"]);
    figure("R36", "RLIMIT_MEMLOCK small: clean error", "names the mend", true);
}

/// R36: no memory for the UMEM.
#[test]
fn too_little_memory_for_the_frames() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let config = net.config().router("frames = 1048576");
    let refused = start_under(&net, "prlimit --as=1500000000", &config);
    is_refused(&net, refused, &["UMEM of 1048576 frames", "lower [router] frames"]);
    figure("R36", "ENOMEM on the UMEM: clean error", "names the mend", true);
}

/// R36: the control group has less than the tables need.
#[test]
fn too_little_memory_in_the_control_group() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    for mebibytes in [16, 32, 64, 96] {
        let group = MemoryLimit::new(&net, mebibytes);
        let refused = start_under(&net, &group.wrapper(), &net.config());
        is_refused(&net, refused, &["the FIB", "control group", "budgets in [tables]"]);
    }
    figure("R36", "control group too small: clean error", "names the mend", true);
}

/// R36: packet memory is had page by page, and for want of a page the kernel kills.
#[test]
fn killed_for_want_of_memory() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let group = MemoryLimit::new(&net, 200);
    let config = net.config().router("frames = 131072");
    let killed = start_under(&net, &group.wrapper(), &config);
    let signal = killed.status.and_then(|status| status.signal());
    leaves_nothing(&net);
    let router = Router::start(&net, &net.config());
    net.lan.run("ping -c 1 -W 3 10.2.0.2").succeeds();
    router.stop();
    let met = signal == Some(libc::SIGKILL);
    figure("R36", "killed for memory: leaves nothing, starts again", format!("{signal:?}"), met);
}

/// R36: all memory is had at the start, so that no limit is met later.
#[test]
fn a_load_takes_no_memory() {
    needs_xrouter!();
    const MORE: u64 = 8;
    let (net, mut router) = started(Topology::builder());
    let group = MemoryLimit::new(&net, MORE);
    group.take(router.id());
    let canary = Canary::start(&net);
    let load = [frames::resolved(), frames::unresolved(), frames::for_the_router()].concat();
    let time = at_length(seconds(20), seconds(5));
    let limit = Limit { frames: u64::MAX, time, per_second: 20_000 };
    Flood::start(&net.lan, load, limit).wait();
    let flight = canary.stop();
    let met = router.is_running() && flight.lost_nothing();
    figure("R36", "8 MiB left after the start: transit loss 0", flight, met);
    router.stop();
}

/// R36: whatever it is that there is no descriptor for.
#[test]
fn too_few_descriptors() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    for (refused, descriptors) in (4..200).step_by(at_length(1, 7)).enumerate() {
        let outcome = start_under(&net, &format!("prlimit --nofile={descriptors}"), &net.config());
        if outcome.has("routing") {
            let asked = "EMFILE anywhere: clean error";
            return figure("R36", asked, format!("{refused} limits tried"), refused > 4);
        }
        is_refused(&net, outcome, &["ulimit -n"]);
    }
    panic!("it does not start with 200 descriptors");
}

/// R30: who talks nonsense to the API, opens it without end, or does not read.
#[test]
fn clients_of_the_api_that_misbehave() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = Router::start(&net, &net.config());
    let socket = net.directory.join("api.sock");
    let mode = std::fs::metadata(&socket).expect("it is there").permissions().mode() & 0o777;
    figure("R30", "the socket's mode is 0600", format!("{mode:04o}"), mode == 0o600);
    let before = router.usage();
    let canary = Canary::start(&net);
    let connects = at_length(10_000, 1_000);
    let script =
        format!("PATH_ = {:?}\nCONNECTS = {connects}\n{CLIENTS}", socket.display().to_string());
    let file = net.directory.join("clients.py");
    std::fs::write(&file, script).expect("the directory is writable");
    let mut clients = net.router.spawn(&format!("exec /usr/bin/python3 {}", file.display()));
    let mut most = 0;
    eventually(seconds(60), "the clients have done their worst", || {
        most = most.max(router.usage().descriptors);
        clients.stdout().contains("done") || !clients.is_running()
    });
    assert!(clients.is_running(), "{}", clients.stderr());
    // The half-open ones hold their slots until they are thrown out.
    eventually(seconds(20), "it answers", || router.command("show ports").ok());
    drop(clients);
    let flight = canary.stop();
    eventually(seconds(10), "all descriptors are free again", || {
        router.usage().descriptors <= before.descriptors
    });
    let grown = router.usage().resident.saturating_sub(before.resident);
    let more = most.saturating_sub(before.descriptors);
    figure("R30", "clients that misbehave: transit loss 0", flight, flight.lost_nothing());
    figure("R30", "descriptors bounded: <= 40 more", more, more <= 40);
    figure("R30", "memory growth < 16 MiB", format!("{grown} KiB"), grown < 16 << 10);
    router.stop();
}

const CLIENTS: &str = r#"
import os, random, socket
def client():
    s = socket.socket(socket.AF_UNIX)
    s.connect(PATH_)
    s.settimeout(20)
    return s
random.seed(1)
for _ in range(500):
    with client() as s:
        try:
            s.sendall(random.randbytes(random.randrange(1, 2000)))
        except OSError:
            pass
for _ in range(CONNECTS):
    client().close()
slow = [client() for _ in range(20)]
for s in slow:
    s.sendall(b"GET /v1/drops HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
half = [client() for _ in range(60)]
for s in half[:20]:
    s.sendall(b"GET /v1/ports HT")
print("done", flush=True)
import time
time.sleep(60)
"#;

/// R39: whatever comes in by a port, the log stays short.
#[test]
fn bad_packets_do_not_fill_the_log() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = Router::start(&net, &net.config());
    net.lan.run("ping -c 1 10.2.0.2").succeeds();
    let (before, lines) = (router.usage(), router.log().lines().count());
    let bad = [frames::invalid(), frames::unresolved(), frames::from_our_own_address()].concat();
    let count = at_length(1_000_000, 100_000);
    let limit = Limit { frames: count, time: seconds(60), per_second: 0 };
    let sent = Flood::start(&net.lan, bad, limit).wait();
    assert_eq!(sent.accepted, count);
    eventually(seconds(10), "it answers", || router.command("show drops").ok());
    let lines = router.log().lines().count() - lines;
    let grown = router.usage().resident.saturating_sub(before.resident);
    let asked = format!("{count} bad packets: <= 200 log lines");
    figure("R39", &asked, lines, lines <= 200);
    figure("R39", "memory growth < 1 MiB", format!("{grown} KiB"), grown < 1 << 10);
    router.stop();
}
