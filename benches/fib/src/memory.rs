//! What a process needs that holds both full tables.

use std::fs;

use anyhow::{Context, Result};
use common::figure::{Asked, print, print_goal};
use common::router::Router;
use serde_json::json;
use tables::Family;
use xrouter::table::Budget;

use crate::Options;

/// Load both tables as the router does, and see what the kernel says.
pub fn run(options: &Options) -> Result<()> {
    let before = resident()?;
    let mut router = Router::new(Budget::default())?;
    let empty = resident()?;
    for family in [Family::V4, Family::V6] {
        let table = options.source.table(family)?;
        router.load(&table)?;
    }
    trim();
    let full = resident()?;
    print("memory", json!({"empty_mib": empty - before, "full_mib": full - before}));
    print_goal("memory, both full tables", Asked::AtMost(300.0), "MiB", full);
    Ok(())
}

/// The test's own tables are gone: give their memory back.
fn trim() {
    // SAFETY: glibc looks through its free memory.
    unsafe { libc::malloc_trim(0) };
}

/// Resident memory in MiB, the mapped tables included.
fn resident() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).context("VmRSS has no number")?.parse()?;
    Ok(kib / 1024.0)
}
