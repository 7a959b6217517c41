//! Namespaces, veth pairs, addresses: made, settled, reported when a test fails, removed.
//!
//! ```text
//!  lan                       router                       wan                    far (optional)
//!  eth0 ------------- lan0           wan0 ------------- eth0   eth1 ------------- eth0
//!  10.1.0.2           10.1.0.1   10.2.0.1           10.2.0.2   10.3.0.1       10.3.0.2
//!  2001:db8:1::2      ::1   2001:db8:2::1      ::2   2001:db8:3::1       ::2
//! ```
//! With `far`, the host `wan` is a second router: the kernel forwards there. With `dmz`, the router
//! has a third link: `dmz0`, 10.4.0.1, 2001:db8:4::1, to a host `dmz` like the others.

use std::fs::{self, File};
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::command::Namespace;
use super::router::Config;
use super::{eventually, is_set, seconds};

/// All names of namespaces begin with this and the process number.
const PREFIX: &str = "xr";

/// The router's side of the lan link.
pub const LAN_DEVICE: &str = "lan0";
/// The router's side of the wan link.
pub const WAN_DEVICE: &str = "wan0";
/// The router's side of the dmz link.
pub const DMZ_DEVICE: &str = "dmz0";
/// Every host's first device.
pub const HOST_DEVICE: &str = "eth0";

/// What the network is to be like.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    queues: u32,
    far: bool,
    dmz: bool,
    wan_mtu: u32,
    far_mtu: u32,
    dmz_mtu: u32,
    offloads: bool,
}

impl Builder {
    /// Queues of every veth, in both directions (native XDP wants as many receive queues as the
    /// other end has transmit queues).
    pub fn queues(mut self, queues: u32) -> Self {
        self.queues = queues;
        self
    }

    /// A second router behind the wan link, and a host `far` behind it.
    pub fn far(mut self) -> Self {
        self.far = true;
        self
    }

    /// A third link, and a host `dmz` on it.
    pub fn dmz(mut self) -> Self {
        self.dmz = true;
        self
    }

    /// MTU of the wan link, in octets.
    pub fn wan_mtu(mut self, mtu: u32) -> Self {
        self.wan_mtu = mtu;
        self
    }

    /// MTU of the far link, in octets.
    pub fn far_mtu(mut self, mtu: u32) -> Self {
        self.far_mtu = mtu;
        self
    }

    /// MTU of the dmz link, in octets.
    pub fn dmz_mtu(mut self, mtu: u32) -> Self {
        self.dmz_mtu = mtu;
        self
    }

    /// The hosts leave checksums and segmentation to their card, as Linux does unless told
    /// otherwise. Without this they do both themselves, as if there were a real card between.
    pub fn offloads(mut self) -> Self {
        self.offloads = true;
        self
    }

    /// Make it, and wait until it is ready for packets.
    pub fn build(self) -> Topology {
        Topology::new(self)
    }
}

/// A host: a namespace with an address.
#[derive(Clone, Debug)]
pub struct Host {
    namespace: Namespace,
    /// The number of its subnet: 10.N.0.0/24, 2001:db8:N::/64.
    subnet: u8,
    offloads: bool,
}

impl Deref for Host {
    type Target = Namespace;
    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}

impl Host {
    /// The MAC that the harness gave to its first device.
    pub fn mac(&self) -> String {
        format!("02:00:0a:{:02x}:00:02", self.subnet)
    }

    /// Give the first device its addresses, routes and offloads; again after it was replaced.
    pub fn configure(&self) {
        let n = self.subnet;
        let namespace = &self.name;
        ip(&format!("-n {namespace} link set eth0 up"));
        ip(&format!("-n {namespace} addr replace 10.{n}.0.2/24 dev eth0"));
        ip(&format!("-n {namespace} addr replace 2001:db8:{n}::2/64 dev eth0"));
        ip(&format!("-n {namespace} route replace default via 10.{n}.0.1"));
        ip(&format!("-n {namespace} -6 route replace default via 2001:db8:{n}::1"));
        if !self.offloads {
            // A sender on a veth leaves checksums unfinished unless it is told not to.
            self.run("ethtool -K eth0 tx off sg off tso off gso off").succeeds();
        }
        self.receives_redirected(HOST_DEVICE);
    }

    /// Redirecting into a veth needs NAPI at its peer; GRO switches it on, once the link is up.
    pub fn receives_redirected(&self, device: &str) {
        self.run(&format!("ethtool -K {device} gro on")).succeeds();
    }

    /// Two segments that arrive are heard as two, GRO or not.
    pub fn merges_nothing(&self, device: &str) {
        ip(&format!("-n {} link set {device} gro_max_size 1", self.name));
    }

    /// Frames that have come in by the first device, as the kernel counts them.
    pub fn received(&self) -> u64 {
        device_counter(&self.namespace, HOST_DEVICE, "rx", "packets")
    }

    /// Frames that have left by the first device, as the kernel counts them.
    pub fn transmitted(&self) -> u64 {
        device_counter(&self.namespace, HOST_DEVICE, "tx", "packets")
    }

    /// From now on its kernel says nothing of its own accord: no ARP, no IPv6.
    pub fn silence(&self) {
        ip(&format!("-n {} link set eth0 arp off", self.name));
        sysctl(&self.namespace, &["net.ipv6.conf.all.disable_ipv6=1"]);
    }

    /// From now on it only listens: nothing that arrives is for it, so nothing goes back.
    pub fn deafen(&self) {
        self.silence();
        ip(&format!("-n {} -4 addr flush dev eth0", self.name));
    }

    /// The SHA-256 sum of a file, in hex.
    pub fn sha256(&self, file: &Path) -> String {
        let line = format!("sha256sum < {}", file.display());
        self.run(&line).succeeds().stdout.split_whitespace().next().unwrap_or_default().to_owned()
    }

    /// Run a script in Python with `craft.py` before it (scapy, and wires into every namespace).
    #[must_use = "say .succeeds() or .fails()"]
    pub fn scapy(&self, script: &str) -> super::Outcome {
        let file = self.directory.join("craft.py");
        let prelude = include_str!("craft.py");
        fs::write(&file, format!("{prelude}\n{script}\n")).expect("the directory is writable");
        let (prefix, _) = self.name.rsplit_once('-').expect("the harness named it so");
        // Debian's own python: another may come first in PATH, and python3-scapy is not in that.
        self.run(&format!("XR_PREFIX={prefix} exec /usr/bin/python3 {}", file.display()))
    }
}

/// A network of namespaces; gone when dropped.
#[derive(Debug)]
pub struct Topology {
    /// The host on the lan side.
    pub lan: Host,
    /// The namespace of the router under test; its cards are `lan0` and `wan0`.
    pub router: Namespace,
    /// The host on the wan side.
    pub wan: Host,
    /// The host behind the second router.
    far: Option<Host>,
    /// The host on the third link.
    dmz: Option<Host>,
    /// For sockets, logs and files of the test.
    pub directory: PathBuf,
    builder: Builder,
    _reaper: Option<Child>,
    /// The lock is held until the last copy is closed.
    turn: File,
}

impl Topology {
    /// A description to start from: one queue, MTU 1500, hosts that finish their checksums.
    pub fn builder() -> Builder {
        Builder {
            queues: 1,
            far: false,
            dmz: false,
            wan_mtu: 1500,
            far_mtu: 1500,
            dmz_mtu: 1500,
            offloads: false,
        }
    }

    /// Two hosts and a router between them.
    pub fn lan_wan() -> Self {
        Self::builder().build()
    }

    fn new(builder: Builder) -> Self {
        let turn = take_turn();
        remove_leftovers();
        Self::in_turn(builder, turn)
    }

    /// A second network like this one, beside it, with the same MACs and addresses: what two
    /// routers do can be compared octet by octet.
    pub fn twin(&self) -> Self {
        let turn = self.turn.try_clone().expect("a descriptor is left");
        Self::in_turn(self.builder.clone(), turn)
    }

    fn in_turn(builder: Builder, turn: File) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let directory = PathBuf::from(format!("/tmp/{name}"));
        fs::create_dir_all(&directory).expect("/tmp is writable");
        let reaper = (!is_set("KEEP")).then(|| reaper(&name));
        let place = |role: &str| namespace(&format!("{name}-{role}"), &directory);
        let offloads = builder.offloads;
        let host = |role, subnet| Host { namespace: place(role), subnet, offloads };
        let topology = Self {
            lan: host("lan", 1),
            router: place("router"),
            wan: host("wan", 2),
            far: builder.far.then(|| host("far", 3)),
            dmz: builder.dmz.then(|| host("dmz", 4)),
            directory: directory.clone(),
            builder,
            _reaper: reaper,
            turn,
        };
        topology.plug_lan();
        topology.plug_wan();
        topology.plug_far();
        topology.plug_dmz();
        topology.settle();
        topology
    }

    /// The host behind the second router.
    pub fn far(&self) -> &Host {
        self.far.as_ref().expect("the topology was built with far()")
    }

    /// The host on the third link.
    pub fn dmz(&self) -> &Host {
        self.dmz.as_ref().expect("the topology was built with dmz()")
    }

    /// A BPF program in a section of this name that gives every frame the same answer: an object
    /// file NAME.o in the test's directory, for `ip` and `tc`.
    pub fn compile(&self, name: &str, section: &str, answer: u8) -> PathBuf {
        let object = self.directory.join(format!("{name}.o"));
        let program = format!(
            "__attribute__((section(\"{section}\"), used)) \
             int {name}(void *frame) {{ return {answer}; }}"
        );
        let clang = format!("clang -target bpf -O2 -c -x c - -o {}", object.display());
        self.router.run(&format!("{clang} <<< '{program}'")).succeeds();
        object
    }

    /// A configuration for the router in the middle.
    pub fn config(&self) -> Config {
        Config::new(&self.directory, self.far.is_some(), self.dmz.is_some())
    }

    /// The same without the port of the third link.
    pub fn config_without_dmz(&self) -> Config {
        Config::new(&self.directory, self.far.is_some(), false)
    }

    /// A veth pair between lan and the router; again after [`Self::unplug`].
    pub fn plug_lan(&self) {
        self.plug_lan_with(self.builder.queues);
    }

    /// The same with another number of queues than the network was built with.
    pub fn plug_lan_with(&self, queues: u32) {
        self.plug(&self.lan, &self.router, LAN_DEVICE, 1500, queues);
    }

    fn plug_wan(&self) {
        let Builder { wan_mtu, queues, .. } = self.builder;
        self.plug(&self.wan, &self.router, WAN_DEVICE, wan_mtu, queues);
    }

    fn plug_far(&self) {
        let Some(far) = &self.far else { return };
        let wan = &self.wan.name;
        let Builder { far_mtu, queues, .. } = self.builder;
        self.plug(far, &self.wan, "eth1", far_mtu, queues);
        ip(&format!("-n {wan} addr replace 10.3.0.1/24 dev eth1"));
        ip(&format!("-n {wan} addr replace 2001:db8:3::1/64 dev eth1"));
        sysctl(&self.wan, &["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
    }

    /// A veth pair between dmz and the router; again after it was deleted.
    pub fn plug_dmz(&self) {
        if let Some(dmz) = &self.dmz {
            let Builder { dmz_mtu, queues, .. } = self.builder;
            self.plug(dmz, &self.router, DMZ_DEVICE, dmz_mtu, queues);
        }
    }

    fn plug(&self, host: &Host, router: &Namespace, device: &str, mtu: u32, queues: u32) {
        let queues = format!("numtxqueues {queues} numrxqueues {queues}");
        let subnet = host.subnet;
        ip(&format!(
            "-n {} link add eth0 address {} {queues} type veth peer name {device} \
             address 02:00:0a:{subnet:02x}:00:01 netns {} {queues}",
            host.name,
            host.mac(),
            router.name,
        ));
        ip(&format!("-n {} link set eth0 mtu {mtu}", host.name));
        ip(&format!("-n {} link set {device} mtu {mtu} up", router.name));
        host.configure();
    }

    /// Pull the lan cable out: both ends of the veth pair are gone.
    pub fn unplug(&self) {
        ip(&format!("-n {} link del eth0", self.lan.name));
    }

    /// Wait until IPv6 addresses have passed duplicate address detection and links are up.
    pub fn settle(&self) {
        for namespace in self.namespaces() {
            eventually(seconds(10), &format!("{} settles", namespace.name), || {
                let links = "ip -br link show up | grep -c LOWERLAYERDOWN || true";
                namespace.run("ip -6 addr show tentative").stdout.is_empty()
                    && namespace.run(links).stdout.trim() == "0"
            });
        }
    }

    fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        let others = self.far.iter().chain(&self.dmz).map(|host| &host.namespace);
        [&self.lan.namespace, &self.router, &self.wan.namespace].into_iter().chain(others)
    }

    /// Everything that a reader of a failed test may want to know of the network.
    fn report(&self) {
        for namespace in self.namespaces() {
            eprintln!("---- {} ----", namespace.name);
            for what in ["ip -s addr", "ip neigh", "ip route", "ip -6 route", "nstat -as"] {
                eprintln!("{}", namespace.run(what));
            }
        }
        for device in [LAN_DEVICE, WAN_DEVICE] {
            eprintln!("{}", self.router.run(&format!("ethtool -S {device}")));
        }
    }

    fn say_how_to_enter(&self) {
        eprintln!("KEEP: the topology stands until the next test. To look around:");
        for namespace in self.namespaces() {
            eprintln!("  nsenter --net={} bash", namespace.path().display());
        }
        eprintln!("  files: {}", self.directory.display());
    }
}

impl Drop for Topology {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.report();
            if is_set("KEEP") {
                return self.say_how_to_enter();
            }
        }
        for namespace in self.namespaces() {
            remove_namespace(&namespace.name);
        }
        fs::remove_dir_all(&self.directory).ok();
    }
}

fn namespace(name: &str, directory: &Path) -> Namespace {
    ip(&format!("netns add {name}"));
    ip(&format!("-n {name} link set lo up"));
    let namespace = Namespace { name: name.to_owned(), directory: directory.to_owned() };
    // Addresses are usable at once, and nobody looks for routers that are not there.
    let quiet = ["accept_dad", "accept_ra", "router_solicitations"];
    let set = quiet.map(|key| [format!("all.{key}=0"), format!("default.{key}=0")]);
    let set: Vec<_> = set.iter().flatten().map(|s| format!("net.ipv6.conf.{s}")).collect();
    sysctl(&namespace, &set);
    // A host's budget of ICMP errors is too small for a traceroute with many probes. (Of IPv4's, a
    // limit of 0 would spend what the kernel keeps for errors about routes.)
    sysctl(&namespace, &["net.ipv4.icmp_ratemask=0", "net.ipv6.icmp.ratelimit=0"]);
    // The kernel must not forward in the router's place.
    sysctl(&namespace, &["net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0"]);
    namespace
}

/// Set kernel parameters (`key=value`) in a namespace.
pub fn sysctl<S: AsRef<str>>(namespace: &Namespace, settings: &[S]) {
    let settings: Vec<_> = settings.iter().map(AsRef::as_ref).collect();
    namespace.run(&format!("sysctl -q -w {}", settings.join(" "))).succeeds();
}

/// Run `ip` with these arguments; it must succeed.
#[track_caller]
pub fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output();
    let output = output.expect("iproute2 is installed (scripts/install-tools)");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {message}(as root?)");
}

/// A counter of a device as `ip -s link` shows it.
pub fn device_counter(namespace: &Namespace, device: &str, way: &str, what: &str) -> u64 {
    let links = namespace.run(&format!("ip -j -s link show dev {device}")).succeeds().stdout;
    let links: serde_json::Value = serde_json::from_str(&links).expect("ip writes JSON");
    links[0]["stats64"][way][what].as_u64().expect("ip knows this counter")
}

/// One topology at a time on this machine: they would slow each other down past all time limits.
fn take_turn() -> File {
    let file = File::create("/run/xrouter-tests.lock");
    let file = file.expect("the black-box tests make namespaces: run them as root");
    file.lock().expect("a file in /run can be locked");
    file
}

/// A process that outlives this one by a moment and removes what it left, however it ended: its
/// standard input is a pipe that closes when we go.
fn reaper(name: &str) -> Child {
    let script = format!(
        "cat >/dev/null; for ns in $(ls /run/netns | grep '^{name}-'); do \
         ip netns pids $ns | xargs -r kill -9; ip netns del $ns; done; rm -rf /tmp/{name}"
    );
    let mut command = Command::new("setsid");
    command.args(["sh", "-c", &script]).stdin(Stdio::piped());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("setsid is installed")
}

/// Remove what dead processes left.
fn remove_leftovers() {
    for (name, process) in names_in("/run/netns") {
        if !Path::new(&format!("/proc/{process}")).exists() {
            remove_namespace(&name);
        }
    }
    for (name, process) in names_in("/tmp") {
        if !Path::new(&format!("/proc/{process}")).exists() {
            fs::remove_dir_all(Path::new("/tmp").join(name)).ok();
        }
    }
}

/// Names of our form, `xrPROCESS-...`, in a directory, each with its process number.
fn names_in(directory: &str) -> Vec<(String, u32)> {
    let entries: io::Result<Vec<_>> = fs::read_dir(directory).and_then(Iterator::collect);
    let names = entries.unwrap_or_default().into_iter().map(|entry| entry.file_name());
    let ours = names.filter_map(|name| {
        let name = name.into_string().ok()?;
        let process = name.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok()?;
        Some((name, process))
    });
    ours.collect()
}

fn remove_namespace(name: &str) {
    let script = format!("ip netns pids {name} | xargs -r kill -9; ip netns del {name}");
    let removed = Command::new("sh").args(["-c", &script]).output();
    if removed.is_err() {
        eprintln!("namespace {name} could not be removed");
    }
}
