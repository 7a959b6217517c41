//! What bpftool tells of the router's XDP programs, by the kernel's numbers.

use std::path::PathBuf;

use serde_json::Value;

use super::command::Namespace;
use super::topology::Topology;

/// Each device with an XDP program, and the program.
#[track_caller]
pub fn programs(namespace: &Namespace) -> Vec<(String, u64)> {
    let shown = ask(namespace, "net");
    let xdp = shown.as_array().into_iter().flatten().filter_map(|net| net["xdp"].as_array());
    let program = |row: &Value| Some((row["devname"].as_str()?.to_owned(), row["id"].as_u64()?));
    xdp.flatten().filter_map(program).collect()
}

/// The program on this device.
#[track_caller]
pub fn program_on(namespace: &Namespace, device: &str) -> u64 {
    let found = programs(namespace).into_iter().find(|(name, _)| name == device);
    found.unwrap_or_else(|| panic!("{device} has no XDP program")).1
}

/// The maps of a program.
#[track_caller]
pub fn maps_of(namespace: &Namespace, program: u64) -> Vec<u64> {
    let shown = ask(namespace, &format!("prog show id {program}"));
    let maps = shown["map_ids"].as_array().expect("a program with maps");
    maps.iter().filter_map(Value::as_u64).collect()
}

/// The link by which a program hangs on its device.
#[track_caller]
pub fn link_of(namespace: &Namespace, program: u64) -> u64 {
    let links = ask(namespace, "link");
    let link = links.as_array().into_iter().flatten().find(|link| link["prog_id"] == program);
    link.and_then(|link| link["id"].as_u64()).expect("the program hangs on a link")
}

#[track_caller]
fn ask(namespace: &Namespace, what: &str) -> Value {
    let shown = namespace.run(&format!("bpftool -j {what}")).succeeds().stdout;
    serde_json::from_str(&shown).expect("bpftool writes JSON")
}

/// Programs, maps and links that outlive their process; no longer when this is dropped.
#[derive(Debug)]
pub struct Pins {
    directory: PathBuf,
}

impl Pins {
    /// None yet.
    pub fn new(net: &Topology) -> Self {
        let name = net.directory.file_name().expect("a name of the test's own");
        let directory = PathBuf::from("/sys/fs/bpf").join(name);
        std::fs::create_dir(&directory).expect("bpffs is mounted");
        Self { directory }
    }

    /// Pin a `prog`, a `map` or a `link`.
    #[track_caller]
    pub fn pin(&self, namespace: &Namespace, kind: &str, id: u64) {
        let path = self.directory.join(format!("{kind}{id}"));
        namespace.run(&format!("bpftool {kind} pin id {id} {}", path.display())).succeeds();
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.directory).ok();
    }
}
