//! Tools that say what they found out, a line for each test: through both routers and against
//! them, and what came through is compared as well.

use super::compare::{Finding, Pair, Passed, ask, judge};
use super::crowd::{Member, gather};
use super::net::wire::Wire;
use super::net::{HOST_DEVICE, Router, Running, Topology, seconds};

/// Tools that run at a time with each router, each from its own host. They wait in busy loops, for
/// seconds by the clock: of many more, or ahead of the routers, none would hear its answers in time.
const CROWD: u8 = 57;

/// A tool and what it is asked, without `atk6-`; `CASE` is the number of its test.
struct Probe {
    line: &'static str,
    first: u32,
    last: u32,
}

const fn all(line: &'static str, last: u32) -> Probe {
    Probe { line, first: 1, last }
}

const fn one(line: &'static str) -> Probe {
    all(line, 1)
}

const PROBES: [Probe; 39] = [
    all("implementation6 -p IF WAN CASE", 57),
    all("implementation6 -p IF ROUTER CASE", 57),
    all("firewall6 -H IF WAN 80 CASE", 39),
    all("firewall6 -H IF ROUTER 80 CASE", 39),
    all("exploit6 IF WAN CASE", 4),
    all("exploit6 IF ROUTER CASE", 4),
    all("fragmentation6 -p IF WAN CASE", 33),
    all("randicmp6 IF ROUTER CASE", 4),
    Probe { line: "randicmp6 IF ROUTER CASE", first: 128, last: 141 },
    one("thcping6 IF x WAN"),
    one("thcping6 -a IF x ROUTER"),
    one("thcping6 -a IF x WAN"),
    one("thcping6 -t 1 IF x WAN"),
    one("thcping6 -H 5:2:0000 IF x WAN"),
    one("thcping6 -H 194:4:0000 IF x WAN"),
    one("thcping6 -H 99:0: IF x WAN"),
    one("thcping6 -D 194:4:0000 IF x ROUTER"),
    one("thcping6 -V 5 IF x WAN"),
    one("thcping6 -N 99 IF x WAN"),
    one("thcping6 -U 9999 IF x WAN"),
    one("thcping6 -S 80 IF x WAN"),
    one("thcping6 IF x 2001:db8:99::1"),
    one("thcping6 IF x 2001:db8:2::99"),
    one("trace6 IF WAN"),
    one("trace6 -a IF WAN"),
    one("trace6 -D IF WAN"),
    one("trace6 -E IF WAN"),
    one("trace6 -F IF WAN"),
    one("trace6 -t IF WAN"),
    one("trace6 IF WAN 80"),
    one("trace6 IF 2001:db8:99::1"),
    one("alive6 -p IF 2001:db8:2::1-3"),
    one("alive6 -e dst,hop IF WAN"),
    one("alive6 -s 80,81 -a 80 -u 53 IF ROUTER"),
    one("alive6 -s 80,81 -a 80 -u 53 IF WAN"),
    one("node_query6 IF ROUTER"),
    one("inverse_lookup6 IF 02:00:0a:01:00:01"),
    one("dump_router6 IF"),
    one("detect_sniffer6 IF fe80::aff:fe01:1"),
];

impl Probe {
    fn lines(&self) -> impl Iterator<Item = String> {
        (self.first..=self.last).map(|case| self.line.replace("CASE", &case.to_string()))
    }
}

/// What all tools are asked.
pub fn lines() -> Vec<String> {
    PROBES.iter().flat_map(Probe::lines).collect()
}

/// Two networks alike, with the crowd in both.
struct Networks {
    kernel: Network,
    xrouter: Network,
}

impl Networks {
    /// What the tools find out, each from another member of the crowd.
    fn ask(&self, lines: &[String]) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for lines in lines.chunks(usize::from(CROWD)) {
            let [kernel, xrouter] = [&self.kernel, &self.xrouter].map(|side| side.start(lines));
            let kernel = self.kernel.findings(kernel);
            let xrouter = self.xrouter.findings(xrouter);
            let findings = lines.iter().zip(kernel.into_iter().zip(xrouter));
            pairs.extend(findings.map(|(line, (k, x))| Pair::new(line.clone(), [k, x])));
        }
        pairs
    }
}

/// One network.
struct Network {
    wire: Wire,
    _server: Running,
    _router: Router,
    net: Topology,
}

impl Network {
    fn new(net: Topology, router: Router) -> Self {
        gather(&net.lan, CROWD);
        let server = net.wan.serve(80, "exec python3 -m http.server --bind :: 80");
        // All neighbours are known, and nothing is said for the first time.
        net.lan.run("ping -6 -c 2 -i 0.2 2001:db8:2::2").succeeds();
        Self { wire: Wire::open(&net.wan, HOST_DEVICE), _server: server, _router: router, net }
    }

    fn start(&self, lines: &[String]) -> Vec<Running> {
        let _of_before = self.wire.heard();
        let started = (1..).zip(lines).map(|(number, line)| {
            let line = format!("nice atk6-{}", Member(number).fill_in(line));
            let words: Vec<_> = line.split(' ').collect();
            self.net.lan.spawn_args(&words)
        });
        started.collect()
    }

    fn findings(&self, running: Vec<Running>) -> Vec<Finding> {
        let said: Vec<_> = running.into_iter().map(said).collect();
        let mut passed = vec![Vec::new(); usize::from(CROWD) + 1];
        for heard in self.wire.heard() {
            let member = Member::of_frame(&heard.octets).map(|member| usize::from(member.0));
            let passed = member.and_then(|member| passed.get_mut(member));
            passed.into_iter().for_each(|list| list.push(Passed::new(&heard.octets)));
        }
        let findings = said.into_iter().zip(passed.into_iter().skip(1));
        findings.map(|(said, passed)| Finding::new(said, passed)).collect()
    }
}

/// The lines that a tool wrote, without what depends on the time.
fn said(tool: Running) -> Vec<String> {
    let outcome = tool.wait(seconds(60));
    let text = outcome.stdout + &outcome.stderr;
    let lines = text.lines().map(without_time);
    lines.filter(|line| !line.is_empty() && !is_about_neighbours(line)).collect()
}

/// Words with one blank between; thcping6 begins its lines with the time.
fn without_time(line: &str) -> String {
    let is_time = |word: &&str| word.len() == 8 && word.parse::<f64>().is_ok();
    line.split_whitespace().filter(|word| !is_time(word)).collect::<Vec<_>>().join(" ")
}

/// The routers ask for the tool's host when they want to know its MAC.
fn is_about_neighbours(line: &str) -> bool {
    ["type 135", "type 136"].iter().any(|kind| line.contains(kind))
}

/// Two networks; with `ROUTER=kernel` the kernel is compared with itself.
fn networks() -> Networks {
    let net = Topology::lan_wan();
    let twin = net.twin();
    // The kernel has been told to spare nothing, either.
    let errors = "icmp_errors_per_s = 1000000\nicmp_errors_burst = 1000000";
    let config =
        net.config().router("ring = 4096").router(errors).and("[police]\nicmp_per_s = 1000000");
    let xrouter = Router::start(&net, &config);
    let kernel = Router::kernel(&twin, &config);
    Networks { kernel: Network::new(twin, kernel), xrouter: Network::new(net, xrouter) }
}

#[test]
fn tools_find_out_the_same_as_of_the_kernel() {
    let networks = networks();
    let pairs = ask(lines(), |lines| networks.ask(lines));
    let (tests, lines, packets) = (pairs.len(), Pair::said(&pairs), Pair::passed(&pairs));
    assert!(lines > 500 && packets > 500, "too little was compared: {lines}, {packets}");
    judge("thc probes", &pairs, &format!("{tests} tests, {lines} lines, {packets} packets"));
}
