//! Compiles the BPF programs and puts the object files where `router/io/` includes them.

use std::path::PathBuf;
use std::process::Command;
use std::{env, process};

use libbpf_cargo::SkeletonBuilder;

/// `xrouter` is the XDP program, `heir` what the kernel forwards by when there is no router.
const PROGRAMS: [&str; 2] = ["xrouter", "heir"];
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
        .map_err(|error| format!("bpf/ needs {clang}, which does not run ({error}): {MEND}"))?;
    PROGRAMS.iter().try_for_each(|program| compile(program, &clang))
}

fn compile(program: &str, clang: &str) -> Result<(), String> {
    let object = PathBuf::from(variable("OUT_DIR")?).join(format!("{program}.bpf.o"));
    SkeletonBuilder::new()
        .source(format!("bpf/{program}.bpf.c"))
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
