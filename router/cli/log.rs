//! The log: to standard error, one line for each event, and not without limit: whatever comes in
//! by a port, no place in the program may fill a disk with its lines.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fmt;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tracing::callsite::Identifier;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer, format};
use tracing_subscriber::fmt::{FmtContext, fmt};
use tracing_subscriber::registry::LookupSpan;

use crate::table::meter::{Meter, Nanos};

/// Lines that one place in the program may log at once, and then in each second.
const BURST: u64 = 100;
const PER_SECOND: u64 = 1;

/// Log from now on; `XROUTER_LOG=debug` says more.
pub(super) fn start() {
    // netlink-proto warns of every answer that nobody waits for any more.
    let default = || EnvFilter::new("info,netlink_proto=error");
    fmt()
        .with_env_filter(EnvFilter::try_from_env("XROUTER_LOG").unwrap_or_else(|_| default()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .event_format(Limited::new(format().with_target(false)))
        .init();
}

/// A format that leaves out the lines of a place that logs too many, and says how many those were
/// before the next one that it lets pass.
struct Limited<F> {
    format: F,
    start: Instant,
    places: Mutex<HashMap<Identifier, Place>>,
}

/// A place in the program that logs.
struct Place {
    meter: Meter,
    left_out: u64,
}

impl<F> Limited<F> {
    fn new(format: F) -> Self {
        Self { format, start: Instant::now(), places: Mutex::default() }
    }

    /// How many lines of this place were left out since the last; None if this one is, too.
    fn admit(&self, place: Identifier) -> Option<u64> {
        let now = Nanos::from(self.start.elapsed());
        // Nothing here can panic with the lock held, and if: the numbers are good still.
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.entry(place).or_default().admit(now)
    }
}

impl Default for Place {
    fn default() -> Self {
        Self { meter: Meter::new(PER_SECOND, BURST), left_out: 0 }
    }
}

impl Place {
    fn admit(&mut self, now: Nanos) -> Option<u64> {
        if self.meter.take(now, 1) {
            return Some(std::mem::take(&mut self.left_out));
        }
        self.left_out += 1;
        None
    }
}

impl<S, N, F> FormatEvent<S, N> for Limited<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(left_out) = self.admit(event.metadata().callsite()) else { return Ok(()) };
        if left_out > 0 {
            writeln!(writer, "log lines suppressed: {left_out} like the next")?;
        }
        self.format.format_event(context, writer, event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Write};
    use std::sync::Arc;

    #[test]
    fn what_was_left_out_is_counted_and_said_once() {
        let mut place = Place::default();
        let start = Nanos::from_secs(1);
        assert!((0..BURST).all(|_| place.admit(start) == Some(0)));
        assert!((0..5).all(|_| place.admit(start).is_none()));
        assert_eq!(place.admit(Nanos::from_secs(2)), Some(5));
        assert_eq!(place.admit(Nanos::from_secs(3)), Some(0));
    }

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn one_place_that_logs_without_end_keeps_no_other_from_being_heard() {
        let written = Written::default();
        let writer = written.clone();
        let log = fmt()
            .with_writer(move || writer.clone())
            .event_format(Limited::new(format().with_target(false)));
        tracing::subscriber::with_default(log.finish(), || {
            (0..100_000).for_each(|n| tracing::error!("again: {n}"));
            tracing::error!("something else");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().filter(|line| line.contains("again: ")).count();
        assert!((100..200).contains(&lines), "{lines} lines");
        assert!(text.contains("something else"));
    }
}
