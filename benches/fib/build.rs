//! Builds the shim over DPDK's tables, which are inline functions for the most part.

fn main() {
    println!("cargo:rerun-if-changed=src/dpdk.c");
    let dpdk =
        pkg_config::Config::new().probe("libdpdk").expect("libdpdk: apt-get install libdpdk-dev");
    let mut shim = cc::Build::new();
    // What DPDK's own programs are built with (pkg-config --cflags libdpdk).
    shim.file("src/dpdk.c")
        .opt_level(3)
        .flag("-march=corei7")
        .flag("-include")
        .flag("rte_config.h");
    shim.includes(&dpdk.include_paths).warnings(true).extra_warnings(false).compile("dpdk_shim");
}
