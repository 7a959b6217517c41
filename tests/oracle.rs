//! The kernel as oracle: the same frames go into xrouter and into a twin network where the kernel
//! forwards, and what comes out must be the same, octet by octet. `tests/oracle/differences.rs`
//! lists what may differ, and why; `tests/oracle/option_differences.rs` what may when the ports
//! validate sources and pass directed broadcasts on. Of several next hops each router chooses one:
//! `tests/oracle/ways.rs`.
//!
//! | variable | what it does |
//! | --- | --- |
//! | `ORACLE_SECONDS` | how long to compare; `scripts/oracle` sets it |
//! | `ORACLE_SEED` | which frames; it is printed, so that a run can be repeated |

mod net;

#[path = "oracle/cases.rs"]
mod cases;
#[path = "oracle/compare.rs"]
mod compare;
#[path = "oracle/differences.rs"]
mod differences;
#[path = "oracle/facts.rs"]
mod facts;
#[path = "oracle/flows.rs"]
mod flows;
#[path = "oracle/frame.rs"]
mod frame;
#[path = "oracle/generate.rs"]
mod generate;
#[path = "oracle/inputs.rs"]
mod inputs;
#[path = "oracle/mutate.rs"]
mod mutate;
#[path = "oracle/network.rs"]
mod network;
#[path = "oracle/octets.rs"]
mod octets;
#[path = "oracle/option_differences.rs"]
mod option_differences;
#[path = "oracle/options.rs"]
mod options;
#[path = "oracle/pair.rs"]
mod pair;
#[path = "oracle/report.rs"]
mod report;
#[path = "oracle/sporadic.rs"]
mod sporadic;
#[path = "oracle/traffic.rs"]
mod traffic;
#[path = "oracle/ways.rs"]
mod ways;

use std::time::Duration;

use compare::Comparison;
use inputs::Inputs;
use net::{at_length, random, two_engines};
use network::{Key, OPTIONS};
use report::Progress;

#[test]
fn xrouter_does_as_the_kernel_does() {
    compare(&[]);
}

/// Source validation, strict and loose, and directed broadcasts. For IPv6 the kernel has no
/// `rp_filter`: netfilter asks its routes in the place of it (`tests/net/kernel.rs`).
#[test]
fn with_the_options_of_ports_too() {
    compare(&OPTIONS);
}

fn compare(options: &[Key]) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let seconds = number("ORACLE_SECONDS").unwrap_or_else(|| at_length(15, 5));
    let seed = number("ORACLE_SEED").unwrap_or(1);
    eprintln!("seed {seed}, {seconds} s");
    let comparison = Comparison::new(options);
    let progress = Progress::new();
    let time = Duration::from_secs(seconds);
    let tally = comparison.run(Inputs::new(seed), time, |tally| progress.tell(tally));
    eprint!("{}", report::table(&tally));
    assert!(tally.frames > 0, "nothing was compared");
    assert_eq!(tally.fast_path > 0, two_engines(), "by the XDP program: {}", tally.fast_path);
    assert!(tally.found.is_empty(), "{}", report::unexplained(&tally));
}
