//! A limit on the memory of processes, by a control group of either version.

use std::fs;
use std::path::{Path, PathBuf};

use super::topology::Topology;
use super::{eventually, seconds};

/// Where memory is limited, and by which file of a group.
const VERSIONS: [(&str, &str); 2] =
    [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];

/// A control group; gone when dropped.
#[derive(Debug)]
pub struct MemoryLimit {
    group: PathBuf,
}

impl MemoryLimit {
    /// A group whose processes have so many MiB together, the kernel's memory for them included.
    #[track_caller]
    pub fn new(net: &Topology, mebibytes: u64) -> Self {
        let is_there = |(root, _): &(&str, &str)| Path::new(root).join("cgroup.procs").exists();
        let version = VERSIONS.into_iter().find(is_there);
        let (root, file) = version.expect("the machine has control groups for memory");
        let name = net.directory.file_name().expect("a name of the test's own");
        let limit = Self { group: Path::new(root).join(name) };
        fs::create_dir(&limit.group).expect("root may make groups");
        let octets = (mebibytes << 20).to_string();
        fs::write(limit.group.join(file), octets).expect("memory can be limited");
        limit
    }

    /// What to put before a command so that it runs under this limit.
    pub fn wrapper(&self) -> String {
        let members = self.members();
        format!("sh -c 'echo $$ > {} && exec \"$@\"' sh", members.display())
    }

    /// From now on this process, too, has no more; what it has already does not count.
    pub fn take(&self, process: u32) {
        fs::write(self.members(), process.to_string()).expect("the process lives");
    }

    fn members(&self) -> PathBuf {
        self.group.join("cgroup.procs")
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // The kernel lets a group go once the last process in it has ended.
            eventually(seconds(5), "the group goes", || fs::remove_dir(&self.group).is_ok());
        }
    }
}
