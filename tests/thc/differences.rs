//! What the tools may find out of the kernel and not of xrouter, or the other way, and why:
//! nothing else may differ. Names are those of the oracle's list (`tests/oracle/differences.rs`).

use super::probes;
use super::takeovers::TAKEOVERS;

/// A difference that is meant: lines of a tool that only one of the routers causes.
#[derive(PartialEq, Eq, Debug)]
pub struct Difference {
    pub line: &'static str,
    pub name: &'static str,
    pub reason: &'static str,
    pub only_kernel: &'static [&'static str],
    pub only_xrouter: &'static [&'static str],
}

pub const DIFFERENCES: &[Difference] = &[
    Difference {
        line: "implementation6 -p IF WAN 48",
        name: "jumbo option with a short length",
        reason: "RFC 2675 4: an error for those who know jumbograms; for others a wrong length",
        only_kernel: &["Test 48: jumbo option size < 64k, length 0 FAILED - error reply [4:0]"],
        only_xrouter: &["Test 48: jumbo option size < 64k, length 0 FAILED - no reply"],
    },
    Difference {
        line: "implementation6 -p IF ROUTER 48",
        name: "jumbo option with a short length",
        reason: "RFC 2675 4: an error for those who know jumbograms; for others a wrong length",
        only_kernel: &["Test 48: jumbo option size < 64k, length 0 FAILED - error reply [4:0]"],
        only_xrouter: &["Test 48: jumbo option size < 64k, length 0 FAILED - no reply"],
    },
    Difference {
        line: "detect_sniffer6 IF fe80::aff:fe01:1",
        name: "frame of another group than the packet's",
        reason: "RFC 2464 7: each group has its own; the kernel takes any that it hears",
        only_kernel: &["1 sniffing host detected.", "Sniffing host detected: fe80::aff:fe01:1"],
        only_xrouter: &["No packets received, no vulnerable system seems to be sniffing."],
    },
    Difference {
        line: "fake_advertise6 -w 1 -H IF VICTIM ROUTER 02:00:00:00:00:99",
        name: "discovery behind hop-by-hop options",
        reason: "RFC 4861 4: no message has any; they are for getting past guards (RFC 7113 2.1)",
        only_kernel: &["traffic stops"],
        only_xrouter: &["traffic flows"],
    },
];

#[test]
fn every_line_of_the_list_is_asked() {
    let asked = probes::lines();
    for Difference { line, .. } in DIFFERENCES {
        assert!(TAKEOVERS.contains(line) || asked.iter().any(|it| it == line), "{line}");
    }
}
