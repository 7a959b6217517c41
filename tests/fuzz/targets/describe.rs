//! Frames as text: the traces' one line, and the cases' notation, which reads back.
#![forbid(unsafe_code)]

use xrouter::packet::describe::describe;
use xrouter::packet::text::{Direction, format_frame, parse_line};

/// Longer frames take long and show nothing new.
const LEN_MAX: usize = 2048;

/// `frame` is a frame.
pub fn run(frame: &[u8]) {
    let frame = &frame[..frame.len().min(LEN_MAX)];
    let text = describe(frame);
    assert!(!text.contains(char::is_control), "{text:?}");
    let line = format_frame("lan", Direction::Arrives, frame);
    assert!(!line.contains(char::is_control), "{line:?}");
    let read = parse_line(&line).unwrap_or_else(|error| panic!("{error} in {line}"));
    assert_eq!(read, ("lan".to_owned(), Direction::Arrives, frame.to_vec()), "{line}");
}
