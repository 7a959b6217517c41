//! The command line: what it shows, and what it says when something is wrong.

mod net;

use std::fs;

use net::{BINARY, Outcome, Topology, launch, seconds, started};

/// `xrouter check` of a configuration.
fn check(net: &Topology, config: &str) -> Outcome {
    let file = net.directory.join("checked.toml");
    fs::write(&file, config).expect("the directory is writable");
    net.router.run(&format!("{BINARY} check -c {}", file.display()))
}

#[test]
fn check_accepts_a_good_configuration() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    check(&net, &net.config().to_string()).succeeds();
}

#[test]
fn check_names_file_line_column_key_and_mend() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let with_mistake = |good: &str, bad: &str| {
        let config = net.config().to_string().replacen(good, bad, 1);
        let line = 1 + config[..config.rfind(bad).unwrap()].matches('\n').count();
        check(&net, &config).fails().says(&format!("checked.toml:{line}:"))
    };
    with_mistake("device = \"lan0\"", "devise = \"lan0\"").says("devise").says("device");
    with_mistake("10.1.0.1/24", "10.1.0.1/33").says("10.1.0.1/33");
    with_mistake("\"10.2.0.1/24\"", "\"10.1.0.5/24\"").says("10.1.0.");
    with_mistake("name = \"wan\"", "name = \"wan-with-a-long-name\"").says("15");
    with_mistake("name = \"wan\"", "name = \"lan\"").says("lan");
    with_mistake("listen = []", "listen = 8080").says("listen");
}

#[test]
fn start_up_problems_are_one_clear_line() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let config = net.config().to_string().replace("lan0", "nosuch0");
    let file = net.directory.join("bad.toml");
    fs::write(&file, config).unwrap();
    let failed = net.router.run(&format!("{BINARY} -c {}", file.display())).fails();
    failed.says("nosuch0").does_not_say("panicked").within(seconds(5));
    let missing = net.router.run(&format!("{BINARY} -c /nowhere/x.toml")).fails();
    missing.says("/nowhere/x.toml").does_not_say("panicked");
}

#[test]
fn without_rights_it_says_which_one_is_missing() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let file = net.directory.join("router.toml");
    fs::write(&file, net.config().to_string()).unwrap();
    let run = format!("setpriv --bounding-set=-net_admin {BINARY} -c {}", file.display());
    net.router.run(&run).fails().says("CAP_NET_ADMIN");
}

#[test]
fn without_a_router_a_command_says_so_in_one_line() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let socket = net.directory.join("nobody.sock");
    let show =
        net.router.run(&format!("{BINARY} show ports --socket {}", socket.display())).fails();
    assert_eq!(show.stderr.trim_end().lines().count(), 1, "{show}");
    show.says("nobody.sock").within(seconds(2));
}

#[test]
fn ports_are_shown() {
    needs_xrouter!();
    let (_net, router) = started(Topology::builder().far());
    let lan = router.row("ports", "name", "lan");
    assert_eq!(lan["device"], "lan0");
    assert_eq!(lan["link"], "up");
    for key in ["mode", "engine"] {
        assert!(lan[key].is_string(), "{key}: {lan}");
    }
    router.command("show ports").succeeds().says("lan0").says("wan0");
}

#[test]
fn routes_are_shown_and_one_is_looked_up() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder().far());
    net.lan.run("ping -c 1 10.3.0.2").succeeds();
    let route = router.row("routes", "to", "10.3.0.0/24");
    assert!(route["via"].to_string().contains("10.2.0.2"), "{route}");
    assert_eq!(route["port"], "wan");
    assert!(route["origin"].is_string() && route["type"].is_string(), "{route}");
    let looked_up = router.command("show routes 10.3.0.2").succeeds();
    looked_up.says("10.3.0.0/24").says("10.2.0.2").says("wan").says(&net.wan.mac());
    let looked_up = router.command("show routes 2001:db8:3::2").succeeds();
    looked_up.says("2001:db8:3::/64").says("2001:db8:2::2");
    router.command("show routes 10.1.0.1").succeeds().says("local");
}

#[test]
fn every_table_has_a_form_for_people_and_one_for_programs() {
    needs_xrouter!();
    let (net, router) = started(Topology::builder().far());
    net.lan.run("ping -c 1 10.3.0.2 && ping -6 -c 1 2001:db8:3::2").succeeds();
    net.lan.run("ping -c 1 -W 1 192.0.2.1").fails();
    for what in ["ports", "routes", "neighbours", "counters", "drops", "workers"] {
        assert!(!router.show(what).is_empty(), "show {what} --json has no row");
        let table = router.command(&format!("show {what}")).succeeds();
        assert!(table.stdout.lines().count() > 1, "{table}");
    }
}

#[test]
fn a_log_is_quiet_and_names_the_ports() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let mut process = launch(&net, &net.config());
    let named = |log: &str| log.contains("lan") && log.contains("wan");
    net::eventually(seconds(10), "the log names the ports", || {
        named(&(process.stdout() + &process.stderr())) || !process.is_running()
    });
    process.signal(libc::SIGTERM);
    let log = process.wait(seconds(5)).succeeds();
    assert!(log.stderr.lines().count() + log.stdout.lines().count() < 60, "{log}");
}
