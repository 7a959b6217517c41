//! Live reload: what differs is changed, and nothing else; what cannot be changed changes nothing.

mod net;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use net::canary::Canary;
use net::flood::{Flood, Limit};
use net::mistakes::wrong_files;
use net::{BINARY, Config, Outcome, Router, Topology, eventually, figure, frames, seconds};

/// The file is this from now on.
fn write(net: &Topology, config: &Config) {
    fs::write(net.directory.join("router.toml"), config.to_string()).expect("it is writable");
}

/// The file is this from now on, and the router follows it.
#[track_caller]
fn reload(net: &Topology, router: &Router, config: &Config) -> Outcome {
    write(net, config);
    router.command("reload").succeeds()
}

/// What an operator sees of what runs, in xrouter and, but for its cards, in the kernel, by lines.
fn state(router: &Router) -> BTreeSet<String> {
    let ours = ["show routes --json", "show ports --json", "config show"]
        .map(|command| router.command(command).succeeds().stdout);
    let kernel = "(ip -br link; ip -br addr; ip route; ip -6 route; ip neigh show nud permanent) \
                  | grep -v 'lan0\\|wan0\\|dmz0'";
    let kernel = router.host().run(kernel).succeeds().stdout;
    let lines = ours.iter().chain([&kernel]).flat_map(|text| text.lines());
    // How well a gateway is known changes by itself.
    let lasting = lines.filter(|line| !line.contains("\"mac\"") && !line.contains("\"state\""));
    lasting.map(str::to_owned).collect()
}

/// What runs is what ran before.
#[track_caller]
fn is_as_before(router: &Router, before: &BTreeSet<String>) {
    let now = state(router);
    let differing: Vec<_> = now.symmetric_difference(before).collect();
    assert!(differing.is_empty(), "{differing:#?}");
}

#[test]
fn a_route_comes_and_goes_and_traffic_follows() {
    needs_xrouter!();
    let net = Topology::builder().far().build();
    let mut file: toml::Table = net.config().to_string().parse().expect("it is TOML");
    file.remove("route");
    let without = Config::of(file, &net.directory);
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

/// What has nothing to do with lan and wan comes and goes while packets fly from one to the other.
#[test]
fn an_unrelated_change_loses_no_packet() {
    needs_xrouter!();
    let net = Topology::builder().dmz().build();
    let mut file: toml::Table = net.config().to_string().parse().expect("it is TOML");
    file["port"].as_array_mut().expect("[[port]]").pop();
    let small = Config::of(file, &net.directory);
    let large = net
        .config()
        .route("10.9.0.0/16", "10.2.0.2")
        .route_of_type("2001:db8:9::/48", "unreachable")
        .address("wan", "10.8.0.1/24")
        .and("[[neighbour]]\naddress = \"10.8.0.7\"\nmac = \"02:00:00:00:00:07\"\nport = \"wan\"")
        .and("[police]\nother_per_s = 5000\n[resolution]\nstale_s = 60");
    let router = Router::start(&net, &small);
    let started = state(&router);
    net.lan.run("ping -c 1 -W 3 10.2.0.2").succeeds();
    let limit = Limit { frames: u64::MAX, time: seconds(60), per_second: 2_000 };
    let flood =
        Flood::start(&net.wan, vec![frames::udp4_from(2, [10, 1, 0, 2].into(), 64, 18)], limit);
    let canary = Canary::start(&net);
    for _ in 0..3 {
        let said = reload(&net, &router, &large);
        let said = said.says("+ port dmz device dmz0").says("+ address 10.8.0.1/24 port wan");
        let said = said.says("+ neighbour 10.8.0.7 mac 02:00:00:00:00:07 port wan");
        said.says("~ [police] other_per_s: 10000 -> 5000");
        net.dmz()
            .run("ping -c 3 -W 1 -i 0.2 10.2.0.2 && ping -6 -c 1 -W 3 2001:db8:4::1")
            .succeeds();
        router.host().run("ip neigh show nud permanent").succeeds().says("10.8.0.7");
        reload(&net, &router, &small).says("- port dmz device dmz0");
        router.host().run("ip link show dmz").fails();
        is_as_before(&router, &started);
    }
    let flight = canary.stop();
    assert!(flood.stop().accepted > 1000);
    figure(
        "R29",
        "reload of an unrelated change under traffic: loss 0",
        flight,
        // The last ping may be on its way still.
        flight.lost_nothing() && flight.pings - flight.answers <= 1,
    );
    router.stop();
}

/// Keys of a port in use, another card for a port, and a subnet that moves to another port.
#[test]
fn a_port_changes_and_its_neighbours_do_not_notice() {
    needs_xrouter!();
    let net = Topology::builder().dmz().build();
    let config = net.config();
    let router = Router::start(&net, &config);
    let canary = Canary::start(&net);
    let tuned = config.clone().port("dmz", "mtu = 1400\nproxy_arp = true");
    reload(&net, &router, &tuned).says("~ port dmz mtu: left out -> 1400");
    assert_eq!(router.row("ports", "name", "dmz")["mtu"], 1400);
    router.host().run("ip link show dmz").succeeds().says("mtu 1400");
    let mode = config.clone().port("dmz", "mode = \"generic\"");
    reload(&net, &router, &mode).says("- port dmz device").says("+ port dmz device");
    assert_eq!(router.row("ports", "name", "dmz")["mode"], "generic");
    net.dmz().run("ping -c 1 -W 3 10.4.0.1").succeeds();
    reload(&net, &router, &config);
    let moved: Config = {
        let mut file: toml::Table = config.to_string().parse().expect("it is TOML");
        file["port"][2]["addresses"] = toml::Value::Array(vec!["10.5.0.1/24".into()]);
        file["port"][1]["addresses"].as_array_mut().expect("a list").push("10.4.0.1/24".into());
        Config::of(file, &net.directory)
    };
    reload(&net, &router, &moved).says("- address 10.4.0.1/24 port dmz").says("port wan");
    router.host().run("ip addr show dev wan").succeeds().says("10.4.0.1/24");
    assert_eq!(router.row("routes", "to", "10.4.0.0/24")["port"], "wan");
    reload(&net, &router, &config).says("+ address 10.4.0.1/24 port dmz");
    net.dmz().run("ping -c 1 -W 3 10.2.0.2").succeeds();
    let flight = canary.stop();
    figure("R29", "a port retuned, retaken: others lose 0", flight, flight.lost_nothing());
    router.stop();
}

/// What fails in the middle is undone, in tables and kernel alike.
#[test]
fn a_step_that_fails_has_those_before_it_undone() {
    needs_xrouter!();
    let net = Topology::builder().dmz().build();
    let config = net.config().and("[tables]\nipv4_groups = 8");
    let router = Router::start(&net, &config);
    let before = state(&router);
    let canary = Canary::start(&net);
    let neighbour =
        "[[neighbour]]\naddress = \"10.2.0.7\"\nmac = \"02:00:00:00:00:07\"\nport = \"wan\"";
    let mut full = config.clone().address("wan", "10.8.0.1/24").and(neighbour);
    for site in 0..16 {
        full = full.route(&format!("10.9.{site}.128/25"), "10.2.0.2");
    }
    write(&net, &full);
    let said = router.command("reload").fails();
    said.says("+ route 10.9.").says("raise the budget in [tables]").says("nothing was changed");
    is_as_before(&router, &before);

    let missing = config.clone().port("dmz", "mtu = 1400").route("10.9.0.0/16", "10.2.0.2");
    let missing = missing.and("[[port]]\nname = \"vpn\"\ndevice = \"vpn0\"");
    write(&net, &missing);
    let said = router.command("reload").fails();
    said.says("+ port vpn device vpn0").says("nothing was changed");
    is_as_before(&router, &before);

    // The card is let go, cannot be taken that way, and is taken as it was.
    let mode = config.clone().port("dmz", "mode = \"zero-copy\"").address("wan", "10.8.0.1/24");
    write(&net, &mode);
    router.command("reload").fails().says("+ port dmz device dmz0").says("nothing was changed");
    is_as_before(&router, &before);
    net.dmz().run("ping -c 3 -W 1 -i 0.2 10.2.0.2").succeeds();

    write(&net, &config.clone().router("ring = 512").route("10.9.0.0/16", "10.2.0.2"));
    router.command("reload").fails().says("needs a restart: [router] ring");
    is_as_before(&router, &before);
    let flight = canary.stop();
    figure("R29", "a reload that fails: loss 0, nothing changed", flight, flight.lost_nothing());
    router.stop();
}

#[test]
fn a_dry_run_says_what_would_change_and_changes_nothing() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = Router::start(&net, &net.config());
    let before = state(&router);
    write(&net, &net.config().route("10.9.0.0/16", "10.2.0.2"));
    let line = "+ route 10.9.0.0/16 via 10.2.0.2 port wan";
    router.command("reload --dry-run").succeeds().says(line);
    is_as_before(&router, &before);
    let other = net.directory.join("other.toml");
    fs::write(&other, net.config().route_of_type("10.7.0.0/16", "blackhole").to_string()).unwrap();
    let outcome = router.command(&format!("reload -c {}", other.display())).succeeds();
    outcome.says("+ route 10.7.0.0/16 type blackhole");
    router.command("show reload").succeeds().says("other than the file");
    router.command("config diff").succeeds().says("- route 10.9.0.0/16").says("10.7.0.0/16");
    router.stop();
}

/// What nobody confirms is taken back, whatever became of the shell.
#[test]
fn what_is_not_confirmed_in_time_is_taken_back() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = Router::start(&net, &net.config());
    let before = state(&router);
    let changed = net.config().route("10.9.0.0/16", "10.2.0.2").address("lan", "10.8.0.1/24");
    write(&net, &changed);
    let canary = Canary::start(&net);
    router.command("confirm").fails().says("nothing waits to be confirmed");
    let outcome = router.command("reload --confirm 2").fails();
    outcome.says("+ route 10.9.0.0/16").says("not confirmed in time: back to what ran before");
    is_as_before(&router, &before);

    // The shell dies.
    let socket = net.directory.join("api.sock").display().to_string();
    let shell = net.router.spawn_args(&[BINARY, "reload", "--confirm", "3", "--socket", &socket]);
    eventually(seconds(2), "it waits to be confirmed", || {
        router.command("show reload").succeeds().has("`xrouter confirm`")
    });
    drop(shell);
    router.command("reload").fails().says("`xrouter confirm` keeps it");
    router.command("route del 10.9.0.0/16").fails().says("`xrouter confirm` keeps it");
    assert_eq!(router.show("reload")[0]["as_file"], true);
    assert_ne!(state(&router), before);
    eventually(seconds(5), "it is taken back", || state(&router) == before);

    router.command("config save").fails().says("was changed since it was loaded");

    // Another shell confirms.
    let shell = net.router.spawn_args(&[BINARY, "reload", "--confirm", "20", "--socket", &socket]);
    eventually(seconds(2), "it can be confirmed", || router.command("confirm").ok());
    shell.wait(seconds(3)).succeeds().says("confirmed");
    assert_ne!(state(&router), before);
    router.command("show reload").succeeds().says("as the file");
    let flight = canary.stop();
    figure("R29", "taken back, confirmed: loss 0", flight, flight.lost_nothing());
    router.stop();
}

#[test]
fn what_runs_is_changed_shown_compared_and_saved() {
    needs_xrouter!();
    let net = Topology::builder().dmz().build();
    let config = net.config().router("taps_persist = true").and("# Nobody knows why.\n[policy]");
    let router = Router::start(&net, &config);
    let done = |line: &str| router.command(line).succeeds();
    done("route add 10.9.0.0/16 via 10.2.0.2").says("+ route 10.9.0.0/16 via 10.2.0.2 port wan");
    let mend = "`xrouter route replace`";
    router.command("route add 10.9.0.0/16 via 10.2.0.3").fails().says(mend);
    done("route replace 10.9.0.0/16 via 10.2.0.3").says("~ route 10.9.0.0/16: via 10.2.0.2");
    let wrong = router.command("route add 10.7.0.0/16 via 10.77.0.2").fails();
    wrong.says("(running):").says("via = \"10.77.0.2\"").says("lies in no subnet of a port");
    router.command("route del 10.7.0.0/16").fails().says("there is no configured route");
    done("neighbour add 10.2.0.3 mac 02:00:00:00:00:07 port wan").says("+ neighbour 10.2.0.3");
    assert_eq!(router.neighbour("10.2.0.3").expect("it is known")["state"], "PERMANENT");
    done("address add 10.8.0.1/24 port lan").says("+ address 10.8.0.1/24 port lan");
    router.host().run("ip addr show dev lan").succeeds().says("10.8.0.1/24");
    done("port del dmz").says("- port dmz device dmz0");
    router.host().run("ip link show dmz").fails();
    done("port add dmz device dmz0 addresses 10.4.0.1/24").says("+ port dmz device dmz0");
    net.dmz().run("ping -c 1 -W 3 10.4.0.1").succeeds();
    done("config show").says("# Nobody knows why.").says("to = \"10.9.0.0/16\"");
    done("config diff").says("+ route 10.9.0.0/16").says("- address 2001:db8:4::1/64 port dmz");
    done("config save").says("saved");
    let saved = fs::read_to_string(net.directory.join("router.toml")).expect("it is there");
    assert!(saved.contains("# Nobody knows why.") && saved.contains("10.9.0.0/16"), "{saved}");
    done("config diff").says("nothing is different");
    done("reload").says("nothing is different");
    done("neighbour del 10.2.0.3").says("- neighbour 10.2.0.3");
    done("address del 10.8.0.1/24").says("- address 10.8.0.1/24 port lan");
    write(&net, &net.config().router("taps_persist = true"));
    router.command("config save").fails().says("was changed since it was loaded");
    done("reload").says("- route 10.9.0.0/16");
    router.stop();
}

/// Only root may change anything: the Unix socket is 0600, and nothing else takes orders.
#[test]
fn over_http_nothing_is_changed() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = Router::start(&net, &net.config().listen("0.0.0.0:8080"));
    let url = "http://10.1.0.1:8080/v1";
    net.lan.run(&format!("curl -sf {url}/reload")).succeeds().says("as_file");
    let json = "-H 'content-type: application/json'";
    for order in ["reload", "confirm", "edit", "config/save"] {
        let order =
            format!("curl -s -o /dev/null -w '%{{http_code}}' {json} -d '{{}}' {url}/{order}");
        let code = net.lan.run(&order).succeeds().stdout;
        assert!(["404", "405"].contains(&code.as_str()), "{order}: {code}");
    }
    net.lan.run(&format!("curl -sf {url}/config")).fails();
    let socket = fs::metadata(net.directory.join("api.sock")).expect("it is there");
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    router.stop();
}

/// The line that the first mistake is in.
fn line_of(said: &Outcome) -> Option<usize> {
    let (_, place) = said.stderr.split_once("router.toml:")?;
    place.split(':').next()?.parse().ok()
}

/// R29: files that are wrong in many ways, and none at all.
#[test]
fn a_file_with_mistakes_changes_nothing() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let router = Router::start(&net, &net.config().route("10.9.0.0/16", "10.2.0.2"));
    let before = state(&router);
    let canary = Canary::start(&net);
    let file = net.directory.join("router.toml");
    let good = fs::read_to_string(&file).expect("it is there");
    let wrong = [
        ("10.9.0.0/16", "10.9.0.0/33", "is not a prefix"),
        ("10.9.0.0/16", "10.9.0.1/16", "has bits set behind its length"),
        ("via = \"10.2.0.2\"", "via = \"10.2.0.1\"", "the router's own address"),
        ("device = \"wan0\"", "device = \"lan0\"", "is a port's device already"),
        ("name = \"wan\"", "name = \"a-name-of-19-octets\"", "the name has 19 octets"),
        ("name = \"wan\"", "name = \"..\"", "the kernel keeps"),
        ("10.2.0.1/24", "10.1.0.1/24", "overlaps"),
        ("[[route]]", "[[rout]]", "did you mean `route`?"),
        ("[[route]]", "[[route]", "error"),
        ("[[route]]", "include = \"router.toml\"\n[[route]]", "unknown key"),
        ("\"lan\"", "\"l\u{0}n\"", "error"),
    ];
    for (part, instead, says) in wrong {
        fs::write(&file, good.replacen(part, instead, 1)).expect("it is writable");
        let said = router.command("reload").fails().says(says).says("router.toml:");
        assert!(said.stderr.contains("-->"), "line and column: {said}");
    }
    for text in wrong_files(&good, 200) {
        fs::write(&file, &text).expect("it is writable");
        router.signal(libc::SIGHUP);
        let said = router.command("reload").fails().does_not_say("panicked");
        let line = line_of(&said);
        let lines = text.split(|&octet| octet == b'\n').count();
        assert!(
            line.is_some_and(|line| (1..=lines).contains(&line)),
            "{line:?} of {lines}: {said}"
        );
        is_as_before(&router, &before);
    }
    fs::remove_file(&file).expect("it is there");
    router.command("reload").fails().says("cannot read");
    fs::create_dir(&file).expect("it can be made");
    router.command("reload").fails().says("it is no regular file");
    is_as_before(&router, &before);
    let flight = canary.stop();
    figure(
        "R29",
        "211 wrong files, none, a folder: loss 0, nothing changed",
        flight,
        flight.lost_nothing(),
    );
    router.stop();
}

/// R15, R29: a file that changes all the time, and a signal for each change, under load.
#[test]
fn a_storm_of_reloads() {
    needs_xrouter!();
    let net = Topology::lan_wan();
    let mut router = Router::start(&net, &net.config());
    let started = state(&router);
    let canary = Canary::start(&net);
    let changed = net.config().route("10.9.0.0/16", "10.2.0.2").address("wan", "10.8.0.1/24");
    for config in [changed, net.config()].iter().cycle().take(200) {
        write(&net, config);
        router.signal(libc::SIGHUP);
        std::thread::sleep(Duration::from_millis(5));
    }
    reload(&net, &router, &net.config());
    assert!(router.is_running());
    is_as_before(&router, &started);
    let flight = canary.stop();
    figure("R29", "a storm of 200 reloads: loss 0", flight, flight.lost_nothing());
    router.stop();
}
