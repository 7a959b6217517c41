//! The fuzz targets as a library, which `program.rs` runs under libFuzzer. `tests/regress.rs` runs the
//! same functions over what is kept, without a fuzzer.
#![forbid(unsafe_code)]

#[path = "../cases/case.rs"]
pub mod case;
#[path = "../cases/memory.rs"]
pub mod memory;
#[path = "../cases/router.rs"]
pub mod router;
pub mod targets;
