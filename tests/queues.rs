//! Several queues, several workers.

mod net;

use net::names::WORKER_ROUNDS;
use net::{Builder, Router, Topology, eventually, seconds};
use serde_json::Value;

/// Needs two cores, 0 and 1.
fn started(queues: u32, workers: &str) -> (Topology, Router) {
    let net = Builder::queues(Topology::builder(), queues).build();
    let router = Router::start(&net, &net.config().router(&format!("workers = {workers}")));
    (net, router)
}

/// Many flows at once, so that every queue of the cards gets some; none may fail.
#[track_caller]
fn many_flows(net: &Topology) {
    let server = net.wan.serve(5201, "exec iperf3 -s -1");
    net.lan.run("iperf3 -c 10.2.0.2 -P 16 -t 2").succeeds().says("receiver");
    server.wait(seconds(10)).succeeds();
    for address in ["10.2.0.2", "2001:db8:2::2"] {
        // Each run of traceroute is several flows: its ports count up.
        net.lan.run(&format!("traceroute -n -q 8 -N 8 -w 3 {address}")).succeeds().says(address);
        net.lan.run(&format!("ping -c 3 -i 0.2 {address}")).succeeds().says(" 0% packet loss");
    }
    net.lan.run("ping -c 3 -i 0.2 10.1.0.1").succeeds().says(" 0% packet loss");
}

/// For each worker, how often it found something to do.
fn busy_rounds(workers: &[Value]) -> Vec<u64> {
    let [all, idle] = WORKER_ROUNDS;
    let count = |worker: &Value, name| worker[name].as_u64().unwrap_or_default();
    workers.iter().map(|worker| count(worker, all) - count(worker, idle)).collect()
}

#[test]
fn two_queues_and_two_workers_share_the_work() {
    let (net, router) = started(2, "[0, 1]");
    router.carries("wan", 1000, || many_flows(&net));
    needs_xrouter!();
    let busy = busy_rounds(&router.show("workers"));
    assert_eq!(busy.len(), 2);
    assert!(busy.iter().all(|&rounds| rounds > 100), "rounds with work, by worker: {busy:?}");
    net::ledger::umem_is_whole(&router);
    net::ledger::Books::at_rest(&router).close();
}

#[test]
fn two_queues_and_one_worker_serve_all() {
    let (net, router) = started(2, "[1]");
    router.carries("wan", 1000, || many_flows(&net));
}

#[test]
fn one_queue_and_two_workers_serve_all() {
    let (net, router) = started(1, "[0, 1]");
    router.carries("wan", 1000, || many_flows(&net));
}

#[test]
fn a_port_with_fewer_queues_than_workers_is_sent_to_by_handing_over() {
    needs_xrouter!();
    let net = Builder::queues(Topology::builder(), 2).build();
    net.wan.run("ethtool -L eth0 rx 1 tx 1").succeeds();
    net.router.run("ethtool -L wan0 rx 1 tx 1").succeeds();
    one_worker_sends(&net);
}

#[test]
fn a_worker_whose_queue_only_receives_sends_by_handing_over() {
    needs_xrouter!();
    let net = Builder::queues(Topology::builder(), 2).build();
    net.router.run("ethtool -L wan0 rx 2 tx 1").succeeds();
    one_worker_sends(&net);
}

/// By the port `wan`, of two workers.
fn one_worker_sends(net: &Topology) {
    let router = Router::start(net, &net.config().router("workers = [0, 1]"));
    router.carries("wan", 1000, || many_flows(net));
    let handed_over =
        router.row("counters", "port", "lan")["handed_over"].as_u64().unwrap_or_default();
    assert!(handed_over > 100, "{handed_over} packets handed over");
    net::ledger::umem_is_whole(&router);
    net::ledger::Books::at_rest(&router).close();
}

/// What the kernel's stack sends is read from every queue of the tap that it chooses.
#[test]
fn a_card_that_comes_back_with_fewer_queues() {
    needs_xrouter!();
    let (net, router) = started(2, "[0, 1]");
    let connect_often = "import errno, socket\n\
        for _ in range(32):\n    \
            s = socket.socket()\n    \
            s.settimeout(2)\n    \
            assert s.connect_ex(('10.1.0.2', 9)) == errno.ECONNREFUSED";
    let connect_often = format!("/usr/bin/python3 -c \"{connect_often}\"");
    for queues in [1, 2] {
        net.unplug();
        eventually(seconds(5), "the card is gone", || {
            router.row("ports", "name", "lan")["mode"] == "absent"
        });
        net.plug_lan_with(queues);
        eventually(seconds(10), "the card is taken", || {
            net.lan.run("ping -c 1 -W 1 10.1.0.1").ok()
        });
        assert_eq!(router.row("ports", "name", "lan")["queues"], queues);
        router.host().run(&connect_often).succeeds();
    }
}

#[test]
fn a_flow_keeps_its_order() {
    let (net, _router) = started(2, "[0, 1]");
    let server = net.wan.serve(5201, "exec iperf3 -s -1");
    let report = net.lan.run("iperf3 -u -c 10.2.0.2 -P 4 -t 2 -b 5M -l 1000").succeeds();
    let server = server.wait(seconds(10)).succeeds();
    server.does_not_say("OUT OF ORDER");
    report.does_not_say("OUT OF ORDER");
}
