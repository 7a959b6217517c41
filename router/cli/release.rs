//! `xrouter release`: the machine as it was before a router that is no more.
#![forbid(unsafe_code)]

use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::bail;

use super::show;
use crate::config::Config;
use crate::control::release;

/// Remove what is left of the router of this file, unless it runs.
pub(super) fn release(file: &Path) -> anyhow::Result<()> {
    let config = Config::load(file)?;
    let socket = &config.api.socket;
    if UnixStream::connect(socket).is_ok() {
        bail!(
            "a router runs: it answers at {}; stop it first (SIGINT gives everything back by itself)",
            socket.display()
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(release::release(&config))?;
    show::print("released")
}
