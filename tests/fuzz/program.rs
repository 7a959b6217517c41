//! All targets in one program, which takes a fraction of the time to build that one for each takes.
//! `FUZZ_TARGET` says which of them it is.
#![no_main]

use std::sync::LazyLock;

use xrouter_fuzz::targets::ALL;

static RUN: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let asked = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let target = ALL.into_iter().find(|(name, _)| *name == asked);
    target.unwrap_or_else(|| panic!("FUZZ_TARGET is {asked:?}, which is no target")).1
});

libfuzzer_sys::fuzz_target!(|octets: &[u8]| RUN(octets));
