//! What a tool found out of both routers: compared, and judged by the list of differences.

use std::fmt;
use std::ops::Range;

use xrouter::packet::protocol;

use super::differences::{DIFFERENCES, Difference};
use super::net::{figure, kernel_is_router};

/// How often a tool is asked when it finds out of the two routers what differs: its time limits are
/// its own, and some of what it says depends on which of two packets came first.
pub const ROUNDS: usize = 3;

/// What a tool said, in no order, and the packets of its host that came through the router.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    said: Vec<String>,
    passed: Vec<Passed>,
}

/// A packet that came through: how long it is, and its headers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Passed {
    length: usize,
    headers: Vec<u8>,
}

/// What a tool found out of both routers, each time that it was asked.
#[derive(Debug)]
pub struct Pair {
    /// The tool and what it was asked.
    pub line: String,
    kernel: Vec<Finding>,
    xrouter: Vec<Finding>,
}

impl Finding {
    pub fn new(mut said: Vec<String>, mut passed: Vec<Passed>) -> Self {
        said.sort_unstable();
        passed.sort_unstable();
        Self { said, passed }
    }
}

impl Passed {
    /// The headers of Ethernet and of IPv6, and the flow label in the latter.
    const HEADERS: usize = 14 + 40;
    const FLOW_LABEL: Range<usize> = 15..18;

    /// Labels, ports, numbers and checksums are drawn anew in each run.
    pub fn new(frame: &[u8]) -> Self {
        let more = match frame[20] {
            protocol::TCP | protocol::UDP => 0,
            protocol::FRAGMENT => 4,
            _ => 2,
        };
        let mut headers = frame[..frame.len().min(Self::HEADERS + more)].to_vec();
        headers[Self::FLOW_LABEL].fill(0);
        Self { length: frame.len(), headers }
    }
}

impl Pair {
    /// What was found out by asking once: of the kernel, and of xrouter.
    pub fn new(line: String, [kernel, xrouter]: [Finding; 2]) -> Self {
        Self { line, kernel: vec![kernel], xrouter: vec![xrouter] }
    }

    /// The same was found out of both, if not at the same time.
    fn is_equal(&self) -> bool {
        self.xrouter.iter().any(|found| self.kernel.contains(found))
    }

    /// The entry of the list that explains how they differ.
    fn explained(&self) -> Option<&'static Difference> {
        let is_this = |(kernel, xrouter): (&Finding, &Finding), difference: &Difference| {
            self.line == difference.line
                && kernel.passed == xrouter.passed
                && missing(&kernel.said, &xrouter.said) == difference.only_kernel
                && missing(&xrouter.said, &kernel.said) == difference.only_xrouter
        };
        let rounds = || self.kernel.iter().zip(&self.xrouter);
        DIFFERENCES.iter().find(|difference| rounds().any(|round| is_this(round, difference)))
    }

    /// Lines that the tools said of the kernel.
    pub fn said(pairs: &[Self]) -> usize {
        pairs.iter().map(|pair| pair.kernel[0].said.len()).sum()
    }

    /// Whether a tool said this of the kernel when it was first asked.
    pub fn kernel_says(&self, line: &str) -> bool {
        self.kernel[0].said.iter().any(|said| said == line)
    }

    /// Packets that the kernel let through.
    pub fn passed(pairs: &[Self]) -> usize {
        pairs.iter().map(|pair| pair.kernel[0].passed.len()).sum()
    }

    fn is_open(&self) -> bool {
        !self.is_equal() && self.explained().is_none()
    }

    fn add(&mut self, again: Self) {
        self.kernel.extend(again.kernel);
        self.xrouter.extend(again.xrouter);
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "atk6-{}", self.line)?;
        for (kernel, xrouter) in self.kernel.iter().zip(&self.xrouter) {
            for (router, one, other) in [("kernel", kernel, xrouter), ("xrouter", xrouter, kernel)]
            {
                for said in missing(&one.said, &other.said) {
                    writeln!(f, "  only {router} says: {said}")?;
                }
                for passed in missing(&one.passed, &other.passed) {
                    writeln!(f, "  only {router} lets pass: {passed:02x?}")?;
                }
            }
        }
        Ok(())
    }
}

/// Ask all, and those once more of which something else was found out.
pub fn ask(lines: Vec<String>, mut once: impl FnMut(&[String]) -> Vec<Pair>) -> Vec<Pair> {
    let mut pairs = once(&lines);
    for _ in 1..ROUNDS {
        let open: Vec<_> = pairs.iter_mut().filter(|pair| pair.is_open()).collect();
        open.iter().for_each(|pair| eprint!("asked again: {pair}"));
        let lines: Vec<_> = open.iter().map(|pair| pair.line.clone()).collect();
        open.into_iter().zip(once(&lines)).for_each(|(pair, again)| pair.add(again));
    }
    pairs
}

/// Nothing differs but what the list says, and all of it does.
pub fn judge(rule: &str, pairs: &[Pair], measured: &str) {
    let explained: Vec<_> = pairs.iter().filter_map(Pair::explained).collect();
    for Difference { line, name, reason, .. } in &explained {
        eprintln!("atk6-{line}: {name}: {reason}");
    }
    let open: Vec<_> = pairs.iter().filter(|pair| pair.is_open()).map(Pair::to_string).collect();
    eprint!("{}", open.concat());
    let again = pairs.iter().filter(|pair| pair.kernel.len() > 1).count();
    let (listed, others) = (explained.len(), open.len());
    let measured = format!("{measured}: {listed} listed, {others} others; {again} asked again");
    figure(rule, "as the kernel, but for what is listed", measured, open.is_empty());
    let is_unused =
        |it: &&Difference| pairs.iter().any(|pair| pair.line == it.line) && !explained.contains(it);
    let unused: Vec<_> = DIFFERENCES.iter().filter(is_unused).collect();
    assert!(unused.is_empty() || kernel_is_router(), "no longer different: {unused:?}");
}

/// What is in one list and not in the other.
fn missing<T: PartialEq + Clone>(from: &[T], other: &[T]) -> Vec<T> {
    let mut other = other.to_vec();
    let is_missing = |item: &&T| match other.iter().position(|it| it == *item) {
        Some(at) => {
            other.swap_remove(at);
            false
        }
        None => true,
    };
    from.iter().filter(is_missing).cloned().collect()
}
