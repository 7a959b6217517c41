//! Compiles the XDP program and puts the object file where `router/io/xdp.rs` includes it.

use std::path::PathBuf;
use std::process::Command;
use std::{env, process};

use libbpf_cargo::SkeletonBuilder;

const SOURCE: &str = "bpf/xrouter.bpf.c";
const MEND: &str = "apt-get install clang libelf-dev pkg-config make";

fn main() {
    println!("cargo:rerun-if-changed=bpf");
    println!("cargo:rerun-if-env-changed=CLANG");
    if let Err(error) = build() {
        eprintln!("error: {error}");
        process::exit(1);
    }
}

fn build() -> Result<(), String> {
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    Command::new(&clang)
        .arg("--version")
        .output()
        .map_err(|error| format!("{SOURCE} needs {clang}, which does not run ({error}): {MEND}"))?;
    let object = PathBuf::from(variable("OUT_DIR")?).join("xrouter.bpf.o");
    SkeletonBuilder::new()
        .source(SOURCE)
        .obj(object)
        .clang(clang)
        .clang_args(["-Wall", "-Wextra", "-Werror", &format!("-I{}", multiarch()?)])
        .build()
        .map_err(|error| format!("{error:#}\n(headers missing? {MEND})"))
}

/// Where Debian keeps `asm/types.h`: `-target bpf` leaves the host's own directory out.
fn multiarch() -> Result<String, String> {
    Ok(format!("/usr/include/{}-linux-gnu", variable("CARGO_CFG_TARGET_ARCH")?))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}: build with cargo"))
}
