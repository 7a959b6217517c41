//! What the machine's kernel complains about.

use std::process::Command;

/// Lines of the kernel's log that tell of a bug in it.
pub fn kernel_complaints() -> usize {
    let log = Command::new("dmesg").output().expect("dmesg is installed").stdout;
    let bad = |line: &&str| ["WARNING:", "BUG:", "Oops", "KASAN"].iter().any(|w| line.contains(w));
    String::from_utf8_lossy(&log).lines().filter(bad).count()
}
