//! Time as a number that is passed in, and a token bucket that takes it.
#![forbid(unsafe_code)]

use std::ops::Add;
use std::time::Duration;

const NANOS_PER_S: u64 = 1_000_000_000;

/// A moment: nanoseconds since the router started, from a clock that never goes back. Nobody in
/// the lower layers reads a clock; they are told the time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Nanos(u64);

impl Nanos {
    /// The start.
    pub const ZERO: Self = Self(0);
    /// Later than everything: never.
    pub const MAX: Self = Self(u64::MAX);

    /// The moment `nanoseconds` after the start.
    #[inline]
    pub const fn new(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// The moment `seconds` after the start.
    #[inline]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_S))
    }

    /// Nanoseconds since the start.
    #[inline]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Nanoseconds from `earlier` to this moment; 0 if that lies ahead.
    #[inline]
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The time from `earlier` to this moment; nothing if that lies ahead.
    #[inline]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }
}

impl From<Duration> for Nanos {
    /// The moment `since_start` after the start; [`Nanos::MAX`] after 584 years.
    #[inline]
    fn from(since_start: Duration) -> Self {
        Self(u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Add<Duration> for Nanos {
    type Output = Self;

    /// Stops at [`Nanos::MAX`].
    #[inline]
    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(Self::from(time).0))
    }
}

/// A token bucket: lets `burst` pass at once and `rate_per_s` in the long run. What a token is, a
/// packet or an octet, is the caller's business.
///
/// It counts in billionths of a token, of which the rate gives a whole number every nanosecond, so
/// nothing is ever rounded and nothing drifts.
#[derive(Clone, Debug)]
pub struct Meter {
    rate_per_s: u64,
    /// The most that can be saved, in billionths of a token.
    full: u64,
    /// What is saved, in billionths of a token, at the moment `at`.
    saved: u64,
    at: Nanos,
}

impl Meter {
    /// The largest burst; a larger one is taken as this.
    pub const BURST_MAX: u64 = u64::MAX / NANOS_PER_S;

    /// A full bucket.
    pub fn new(rate_per_s: u64, burst: u64) -> Self {
        let full = burst.min(Self::BURST_MAX) * NANOS_PER_S;
        Self { rate_per_s, full, saved: full, at: Nanos::ZERO }
    }

    /// Takes `tokens`, all or none. False if there are not so many at `now`. A `now` before an
    /// earlier call's is taken as that call's.
    #[inline]
    pub fn take(&mut self, now: Nanos, tokens: u64) -> bool {
        self.refill(now);
        let Some(price) = tokens.checked_mul(NANOS_PER_S) else { return false };
        let paid = self.saved.checked_sub(price);
        self.saved = paid.unwrap_or(self.saved);
        paid.is_some()
    }

    /// When [`Meter::take`] of so many tokens will succeed, if nobody takes any before. A moment
    /// in the past means now; [`Nanos::MAX`] means never.
    pub fn ready_at(&self, tokens: u64) -> Nanos {
        match tokens.checked_mul(NANOS_PER_S) {
            Some(price) if price <= self.saved => self.at,
            Some(price) if price <= self.full && self.rate_per_s > 0 => {
                let wait = (price - self.saved).div_ceil(self.rate_per_s);
                Nanos(self.at.0.saturating_add(wait))
            }
            _ => Nanos::MAX,
        }
    }

    #[inline]
    fn refill(&mut self, now: Nanos) {
        let earned = u128::from(now.nanos_since(self.at)) * u128::from(self.rate_per_s);
        let room = self.full - self.saved;
        self.saved += u64::try_from(earned).map_or(room, |earned| earned.min(room));
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn burst_then_rate() {
        let mut meter = Meter::new(10, 3);
        let start = Nanos::from_secs(5);
        assert_eq!((0..5).filter(|_| meter.take(start, 1)).count(), 3);
        assert_eq!(meter.ready_at(1), start + Duration::from_millis(100));
        assert!(!meter.take(start + Duration::from_nanos(99_999_999), 1));
        assert!(meter.take(start + Duration::from_millis(100), 1));
    }

    #[test]
    fn a_rate_that_does_not_divide_a_second_does_not_drift() {
        let mut meter = Meter::new(7, 2);
        assert!(meter.take(Nanos::ZERO, 2));
        let passed = (1..=10_000_000u64).filter(|i| meter.take(Nanos::new(i * 1_000), 1)).count();
        assert_eq!(passed, 70, "ten seconds of seven");
    }

    #[test]
    fn limits() {
        let mut none = Meter::new(0, 1);
        assert!(none.take(Nanos::ZERO, 1) && !none.take(Nanos::MAX, 1));
        assert_eq!(none.ready_at(1), Nanos::MAX);
        let mut all = Meter::new(u64::MAX, u64::MAX);
        assert!(!all.take(Nanos::MAX, u64::MAX) && all.take(Nanos::MAX, Meter::BURST_MAX));
        assert_eq!(Meter::new(1, 5).ready_at(6), Nanos::MAX, "more than the bucket holds");
        assert!(Meter::new(1, 0).take(Nanos::ZERO, 0));
    }

    #[test]
    fn time_that_goes_back_gives_nothing() {
        let mut meter = Meter::new(1, 1);
        assert!(meter.take(Nanos::from_secs(9), 1));
        assert!(!meter.take(Nanos::from_secs(8), 1) && !meter.take(Nanos::from_secs(9), 1));
        assert!(meter.take(Nanos::from_secs(10), 1));
    }

    proptest! {
        #[test]
        fn never_more_than_rate_and_burst(
            rate in 0u64..5_000, burst in 0u64..50,
            asks in prop::collection::vec((0u64..50_000_000, 0u64..9), 1..200),
        ) {
            let mut meter = Meter::new(rate, burst);
            let (mut now, mut passed) = (0u64, 0u64);
            for (wait, tokens) in asks {
                now += wait;
                passed += if meter.take(Nanos::new(now), tokens) { tokens } else { 0 };
                let earned = u128::from(rate) * u128::from(now) / u128::from(NANOS_PER_S);
                prop_assert!(u128::from(passed) <= u128::from(burst) + earned);
            }
        }

        #[test]
        fn ready_when_it_says(rate in 1u64..100_000, burst in 1u64..50, spent in 0u64..50) {
            let mut meter = Meter::new(rate, burst);
            meter.take(Nanos::from_secs(1), spent.min(burst));
            let ready = meter.ready_at(1);
            if ready > Nanos::from_secs(1) {
                prop_assert!(!meter.clone().take(Nanos::new(ready.get() - 1), 1));
            }
            prop_assert!(meter.take(ready, 1));
        }
    }
}
