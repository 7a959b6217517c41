//! Figures: a median and how far the rounds lie apart; what a goal asks for, and what was measured.

use serde_json::{Value, json};

/// The median of some rounds, and the smallest and largest of them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread {
    /// Half of the rounds are below.
    pub median: f64,
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

impl Spread {
    /// The spread of at least one round.
    pub fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let high = rounds[rounds.len() - 1];
        Self { median: rounds[rounds.len() / 2], low: rounds[0], high }
    }

    /// The spread of the rounds' own ratios: what disturbs a round disturbs both.
    pub fn of_ratios(ours: &[f64], theirs: &[f64]) -> Self {
        Self::of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect())
    }

    /// For programs.
    pub fn json(self) -> Value {
        json!({"median": self.median, "low": self.low, "high": self.high})
    }
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Asked {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

/// Print a figure for the report: a line of JSON.
pub fn print(kind: &str, mut figure: Value) {
    figure["kind"] = kind.into();
    println!("{figure}");
}

/// Print what was measured for a goal.
pub fn print_goal(goal: &str, asked: Asked, unit: &str, measured: f64) {
    let (sign, limit, met) = match asked {
        Asked::AtMost(limit) => ("<=", limit, measured <= limit),
        Asked::AtLeast(limit) => (">=", limit, measured >= limit),
    };
    let asked = format!("{sign} {limit} {unit}");
    print(
        "goal",
        json!({"goal": goal, "asked": asked, "measured": measured, "unit": unit, "met": met}),
    );
}

/// Print where it was measured and how busy that was: without it no figure means anything.
pub fn print_machine() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown").to_owned()
    };
    let load = read("/proc/loadavg").split(' ').next().unwrap_or("unknown").to_owned();
    let has_avx512 = field("flags").split(' ').any(|flag| flag == "avx512f");
    let vectors = if has_avx512 { "AVX-512" } else { "no AVX-512" };
    let kernel = read("/proc/sys/kernel/osrelease").trim().to_owned();
    let model = format!(
        "{}, family {} model {}",
        field("model name"),
        field("cpu family"),
        field("model\t")
    );
    print(
        "machine",
        json!({"processor": model, "vectors": vectors, "kernel": kernel, "load": load}),
    );
}
