//! Compiles the XDP programs and generates their skeleton.

use std::env;
use std::path::PathBuf;

use libbpf_cargo::SkeletonBuilder;

fn main() {
    println!("cargo:rerun-if-changed=src/traffic.bpf.c");
    println!("cargo:rerun-if-changed=src/traffic.h");
    let variable = |name| env::var(name).expect("cargo sets it");
    // Where Debian keeps `asm/types.h`: `-target bpf` leaves the host's own directory out.
    let headers = format!("-I/usr/include/{}-linux-gnu", variable("CARGO_CFG_TARGET_ARCH"));
    SkeletonBuilder::new()
        .source("src/traffic.bpf.c")
        .clang_args(["-Wall", "-Werror", &headers])
        .build_and_generate(PathBuf::from(variable("OUT_DIR")).join("traffic.skel.rs"))
        .expect("clang compiles it; headers missing? apt-get install clang libelf-dev pkg-config");
}
