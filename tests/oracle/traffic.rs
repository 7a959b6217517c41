//! The tools that operators use, through both routers: what they find out must be the same.

use super::net::{Namespace, Router, Running, Topology};

/// Command lines of the host `lan`, each cut down to what does not depend on the time.
const LINES: [&str; 13] = [
    "ping -c 3 -i 0.2 10.3.0.2 | grep -oE 'icmp_seq=.* ttl=[0-9]+|[0-9]+% packet loss'",
    "ping -6 -c 3 -i 0.2 2001:db8:3::2 | grep -oE 'icmp_seq=.* ttl=[0-9]+|[0-9]+% packet loss'",
    "ping -c 1 -M do -s 1472 10.3.0.2 2>&1 | grep -oE 'From .*|mtu = [0-9]+'",
    "ping -6 -c 1 -M do -s 1452 2001:db8:3::2 2>&1 | grep -oE 'mtu[=: ]+[0-9]+'",
    "ping -c 1 -s 5000 10.3.0.2 | grep -oE '[0-9]+% packet loss'",
    "ping -c 1 -t 1 10.3.0.2 | grep -o 'From .*'; ping -c 1 192.0.2.1 | grep -o 'From .*'",
    "traceroute -n -q 1 -w 3 10.3.0.2 | awk 'NR > 1 { print $1, $2 }'",
    "traceroute -6 -I -n -q 1 -w 3 2001:db8:3::2 | awk 'NR > 1 { print $1, $2 }'",
    "tracepath -n 10.3.0.2 | grep -oE '^ *[0-9]+: +[0-9.]+|pmtu [0-9]+'",
    "mtr -r -n -c 2 -i 0.3 10.3.0.2 | awk 'NR > 2 { print $1, $2, $3 }'",
    "curl -sS http://10.3.0.2/file | sha256sum",
    "curl -sS -g 'http://[2001:db8:3::2]/file' | sha256sum",
    "iperf3 -c 10.3.0.2 -n 4M | grep -o 'iperf Done'",
];

#[test]
fn real_traffic_has_the_same_outcome() {
    let net = Topology::builder().far().wan_mtu(1400).build();
    let twin = net.twin();
    let _routers = [Router::start(&net, &net.config()), Router::kernel(&twin, &twin.config())];
    let _servers = [&net, &twin].map(|net| servers(net, net.far()));
    for line in LINES {
        let [xrouter, kernel] = [&net, &twin].map(|net| net.lan.run(line).stdout);
        assert!(!kernel.is_empty(), "says nothing: {line}");
        assert_eq!(xrouter, kernel, "xrouter, kernel: {line}");
    }
}

/// A file, the same behind both routers, and somebody to measure with.
fn servers(net: &Topology, host: &Namespace) -> [Running; 2] {
    let site = net.directory.join("site");
    std::fs::create_dir_all(&site).expect("the test's directory is writable");
    let content: Vec<u8> = (0..1_u32 << 18).flat_map(u32::to_be_bytes).collect();
    std::fs::write(site.join("file"), content).expect("the test's directory is writable");
    let serve = format!("exec python3 -m http.server --bind :: --directory {} 80", site.display());
    let servers = [host.spawn(&serve), host.spawn("exec iperf3 -s")];
    [80, 5201].into_iter().for_each(|port| host.wait_for_listener(port));
    servers
}
