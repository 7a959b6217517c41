//! The examples that are shipped.

use std::fs;
use std::path::PathBuf;

/// Where a file of config/examples is, such as `vrrp/router-a.toml`.
pub fn example_path(name: &str) -> PathBuf {
    format!("{}/config/examples/{name}", env!("CARGO_MANIFEST_DIR")).into()
}

/// A file of config/examples.
pub fn example(name: &str) -> String {
    fs::read_to_string(example_path(name)).expect("the example is there")
}
