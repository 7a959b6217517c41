//! The router under test: xrouter as a process, or the kernel's own forwarding as the oracle.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::command::{Namespace, Outcome, Running};
use super::kernel;
use super::topology::{DMZ_DEVICE, LAN_DEVICE, Topology, WAN_DEVICE, device_counter, ip, sysctl};
use super::usage::Usage;
use super::{eventually, fastpath, holds_within, is_set, kernel_is_router, seconds};

/// The router's program.
pub const BINARY: &str = env!("CARGO_BIN_EXE_xrouter");

/// How long the router may take from its start to its first answer.
const START: Duration = seconds(15);
/// How long the router may take to stop (R11).
const STOP: Duration = seconds(1);

/// A router.toml.
#[derive(Clone, Debug)]
#[must_use]
pub struct Config {
    socket: PathBuf,
    listen: Vec<String>,
    router: Vec<String>,
    rest: String,
}

impl Config {
    pub(super) fn new(directory: &Path, far: bool, dmz: bool) -> Self {
        let port = |name: &str, device: &str, subnet: u8| {
            format!(
                "[[port]]\nname = \"{name}\"\ndevice = \"{device}\"\n\
                 addresses = [\"10.{subnet}.0.1/24\", \"2001:db8:{subnet}::1/64\"]\n\n"
            )
        };
        let mut ports = port("lan", LAN_DEVICE, 1) + &port("wan", WAN_DEVICE, 2);
        if dmz {
            ports += &port("dmz", DMZ_DEVICE, 4);
        }
        let socket = directory.join("api.sock");
        let config = Self { socket, listen: Vec::new(), router: Vec::new(), rest: ports };
        if !far {
            return config;
        }
        config.route("10.3.0.0/24", "10.2.0.2").route("2001:db8:3::/64", "2001:db8:2::2")
    }

    /// A whole router.toml; its API is put where the test finds it.
    pub fn of(mut config: toml::Table, directory: &Path) -> Self {
        config.remove("api");
        let router = config.remove("router").unwrap_or(toml::Table::new().into());
        let keys = router.as_table().expect("[router] is a table").iter();
        let router = keys.map(|(key, value)| format!("{key} = {value}")).collect();
        let rest = toml::to_string(&config).expect("a table becomes TOML");
        Self { socket: directory.join("api.sock"), listen: Vec::new(), router, rest }
    }

    /// A router.toml that is shipped as an example: its cards are this network's.
    pub fn example(text: &str, directory: &Path) -> Self {
        let cards = [("enp1s0", LAN_DEVICE), ("enp2s0", WAN_DEVICE), ("enp3s0", DMZ_DEVICE)];
        let text = cards.iter().fold(text.to_owned(), |text, (card, own)| text.replace(card, own));
        Self::of(text.parse().expect("the example is valid TOML"), directory)
    }

    /// The API's socket, by a name of its own in the test's directory.
    pub fn socket(mut self, name: &str) -> Self {
        self.socket.set_file_name(name);
        self
    }

    /// One more address where the API listens.
    pub fn listen(mut self, address: &str) -> Self {
        self.listen.push(address.to_owned());
        self
    }

    /// One more line of the section `[router]`.
    pub fn router(mut self, line: &str) -> Self {
        self.router.push(line.to_owned());
        self
    }

    /// One more address of a port.
    pub fn address(mut self, port: &str, address: &str) -> Self {
        let start = self.start_of(port);
        let list = start + self.rest[start..].find("addresses = [").expect("it has addresses");
        self.rest.insert_str(list + "addresses = [".len(), &format!("\"{address}\", "));
        self
    }

    /// One more line of a port.
    pub fn port(mut self, port: &str, line: &str) -> Self {
        self.rest.insert_str(self.start_of(port), &format!("{line}\n"));
        self
    }

    /// Where in the text a port has its name.
    fn start_of(&self, port: &str) -> usize {
        self.rest.find(&format!("name = \"{port}\"")).expect("a port of this name")
    }

    /// One more route.
    pub fn route(self, to: &str, via: &str) -> Self {
        self.and(&format!("[[route]]\nto = \"{to}\"\nvia = \"{via}\""))
    }

    /// One more route that leads nowhere: `blackhole`, `unreachable`, `prohibit`.
    pub fn route_of_type(self, to: &str, kind: &str) -> Self {
        self.and(&format!("[[route]]\nto = \"{to}\"\ntype = \"{kind}\""))
    }

    /// More lines at the end.
    pub fn and(mut self, text: &str) -> Self {
        self.rest.push_str(text);
        self.rest.push_str("\n\n");
        self
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[router]\n{}", self.router.join("\n"))?;
        if !self.router.iter().any(|line| line.starts_with("fastpath")) {
            writeln!(f, "fastpath = \"{}\"", fastpath())?;
        }
        let (socket, listen) = (self.socket.display(), &self.listen);
        write!(f, "\n[api]\nsocket = \"{socket}\"\nlisten = {listen:?}\n\n{}", self.rest)
    }
}

/// A running router; killed when dropped.
#[derive(Debug)]
pub struct Router {
    namespace: Namespace,
    socket: PathBuf,
    /// None: the kernel forwards.
    process: Option<Running>,
}

impl Router {
    /// Start the router in the middle of a network, and wait until it answers. With
    /// `ROUTER=kernel` the kernel gets the addresses and routes of the configuration instead.
    #[track_caller]
    pub fn start(net: &Topology, config: &Config) -> Self {
        if kernel_is_router() {
            return Self::kernel(net, config);
        }
        Self::of(net, config, launch(net, config))
    }

    /// A process that has been started with this configuration; returns once it answers.
    #[track_caller]
    pub fn of(net: &Topology, config: &Config, process: Running) -> Self {
        let (namespace, socket) = (net.router.clone(), config.socket.clone());
        Self { namespace, socket, process: Some(process) }.ready()
    }

    /// The router that takes over the cards of the kernel that forwards, with these words after
    /// `xrouter adopt`.
    #[track_caller]
    pub fn adopt(net: &Topology, words: &[&str]) -> Self {
        let socket = net.directory.join("api.sock");
        let path = socket.display().to_string();
        let arguments = [&[BINARY, "adopt", "--socket", &path], words].concat();
        let process = Some(net.router.spawn_args(&arguments));
        Self { namespace: net.router.clone(), socket, process }.ready()
    }

    #[track_caller]
    fn ready(mut self) -> Self {
        let answers = || self.works() || !self.is_running();
        let ready = holds_within(START, answers) && self.is_running();
        assert!(ready, "xrouter does not start:\n{}", self.log());
        self
    }

    /// Whether it answers, and every worker has gone round: before that it has no chunks to show.
    fn works(&self) -> bool {
        let workers = self.ask("workers --json");
        let rows: Vec<Value> = serde_json::from_str(&workers.stdout).unwrap_or_default();
        workers.ok() && rows.iter().all(|worker| worker["rounds"] != 0)
    }

    /// The kernel as the router in the middle: it does as the configuration says, as far as it can.
    #[track_caller]
    pub fn kernel(net: &Topology, config: &Config) -> Self {
        let socket = config.socket.clone();
        let router = Self { namespace: net.router.clone(), socket, process: None };
        let config: toml::Table = config.to_string().parse().expect("the test wrote valid TOML");
        let forward = ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"];
        sysctl(&router.namespace, &forward);
        sysctl(&router.namespace, &kernel::settings(&config));
        let file = net.directory.join("kernel.ip");
        let commands = kernel::ip_commands(&config);
        fs::write(&file, commands).expect("the test's directory is writable");
        ip(&format!("-n {} -batch {}", router.namespace.name, file.display()));
        if let Some(filter) = kernel::filter(&config) {
            router.namespace.run(&format!("echo '{filter}' | nft -f -")).succeeds();
        }
        router
    }

    /// The namespace that it runs in: its kernel stack is the router's own.
    pub fn host(&self) -> &Namespace {
        &self.namespace
    }

    /// Whether the process lives. (The kernel always does.)
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_none_or(Running::is_running)
    }

    /// Whether it is the kernel that forwards.
    pub fn is_kernel(&self) -> bool {
        self.process.is_none()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.as_ref().map(|p| p.stdout() + &p.stderr()).unwrap_or_default()
    }

    /// Run `xrouter COMMAND --socket ...` against it.
    #[must_use = "say .succeeds() or .fails()"]
    pub fn command(&self, command: &str) -> Outcome {
        let socket = self.socket.display();
        self.namespace.run(&format!("{BINARY} {command} --socket {socket}"))
    }

    fn ask(&self, what: &str) -> Outcome {
        self.command(&format!("show {what}"))
    }

    /// `xrouter show WHAT --json`, its rows.
    #[track_caller]
    pub fn show(&self, what: &str) -> Vec<Value> {
        let answer = self.ask(&format!("{what} --json")).succeeds();
        let answer = serde_json::from_str(&answer.stdout);
        match answer.expect("--json writes JSON") {
            Value::Array(rows) => rows,
            other => panic!("show {what} --json is not an array of rows: {other}"),
        }
    }

    /// The row of a port in `show WHAT`.
    #[track_caller]
    pub fn row(&self, what: &str, key: &str, value: &str) -> Value {
        let row = self.show(what).into_iter().find(|row| row[key] == value);
        row.unwrap_or_else(|| panic!("show {what}: no row with {key} = {value}"))
    }

    /// The neighbour with this address, if it is known.
    pub fn neighbour(&self, address: &str) -> Option<Value> {
        self.show("neighbours").into_iter().find(|row| row["address"] == address)
    }

    /// One of the counters of a port, all workers together; 0 if it is not in the answer.
    #[track_caller]
    pub fn counter(&self, port: &str, counter: &str) -> u64 {
        let rows = self.show("counters");
        rows.iter().filter(|row| row["port"] == port).filter_map(|row| row[counter].as_u64()).sum()
    }

    /// Frames sent by a port, whoever the router is.
    #[track_caller]
    pub fn transmitted(&self, port: &str) -> u64 {
        if self.process.is_some() {
            return self.counter(port, "transmitted");
        }
        let device = if port == "lan" { LAN_DEVICE } else { WAN_DEVICE };
        device_counter(&self.namespace, device, "tx", "packets")
    }

    /// While `traffic` runs, at least `frames` leave by the port: so it was this router that
    /// carried them, and nobody in its place.
    #[track_caller]
    pub fn carries<T>(&self, port: &str, frames: u64, traffic: impl FnOnce() -> T) -> T {
        let before = self.transmitted(port);
        let result = traffic();
        eventually(seconds(2), &format!("{frames} more frames counted out of {port}"), || {
            self.transmitted(port) >= before + frames
        });
        result
    }

    /// How many packets were dropped for this reason, all ports together.
    #[track_caller]
    pub fn dropped(&self, reason: &str) -> u64 {
        let rows = self.show("drops");
        let rows = rows.iter().filter(|row| row["reason"] == reason);
        rows.filter_map(|row| row["packets"].as_u64()).sum()
    }

    /// What an operator would see of the process: memory, descriptors, time on a core.
    pub fn usage(&self) -> Usage {
        Usage::of(self.id())
    }

    /// Send a signal to the process.
    pub fn signal(&self, signal: i32) {
        self.process.iter().for_each(|process| process.signal(signal));
    }

    /// The process number.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("xrouter is the router").id()
    }

    /// Stop it as an operator does: SIGTERM, and it ends well and soon.
    #[track_caller]
    pub fn stop(self) {
        self.stop_by(libc::SIGTERM);
    }

    /// Stop it by this signal: it ends well and soon.
    #[track_caller]
    pub fn stop_by(mut self, signal: i32) {
        let Some(process) = self.process.take() else { return };
        process.signal(signal);
        let asked = Instant::now();
        let ended = process.wait(seconds(10)).succeeds();
        assert!(asked.elapsed() <= STOP, "took {:.1?} to stop: {ended}", asked.elapsed());
    }

    /// Kill it as the kernel does when memory runs out: SIGKILL.
    pub fn kill(mut self) {
        let Some(process) = self.process.take() else {
            return;
        };
        process.signal(libc::SIGKILL);
        let _killed = process.wait(seconds(5));
    }

    /// Everything that a reader of a failed test may want to know of the router.
    fn report(&mut self) {
        if self.process.is_none() {
            return;
        }
        let state = if self.is_running() { "running" } else { "ended" };
        eprintln!("---- xrouter ({state}), the end of its log ----");
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(100)).for_each(|line| eprintln!("{line}"));
        if !self.is_running() {
            return;
        }
        for what in ["ports", "neighbours", "routes", "counters", "drops", "workers"] {
            eprintln!("{}", self.ask(what));
        }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        self.report();
        if is_set("KEEP") {
            self.process.take().into_iter().for_each(Running::leave);
        }
    }
}

/// Write the configuration and start xrouter with it, without waiting for it to be ready.
pub fn launch(net: &Topology, config: &Config) -> Running {
    net.router.spawn_args(&[BINARY, "-c", &write(net, config)])
}

/// Write the configuration; where it is.
pub fn write(net: &Topology, config: &Config) -> String {
    let file = net.directory.join("router.toml");
    fs::write(&file, config.to_string()).expect("the test's directory is writable");
    file.display().to_string()
}
