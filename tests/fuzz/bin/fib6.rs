#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| xrouter_fuzz::targets::fib6::run(octets));
