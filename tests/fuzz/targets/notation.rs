//! Lines in the notation of the cases: any text is read or refused.
#![forbid(unsafe_code)]

use xrouter::packet::text::{format_frame, parse_line};

/// Longer frames take long and show nothing new.
const LEN_MAX: usize = 4096;

/// `text` is a line.
pub fn run(text: &[u8]) {
    let Ok(line) = str::from_utf8(text) else { return };
    match parse_line(line) {
        Ok((port, direction, frame)) if frame.len() <= LEN_MAX => {
            let again = format_frame(&port, direction, &frame);
            assert_eq!(parse_line(&again), Ok((port, direction, frame)), "{again}");
        }
        Ok(_) => {}
        Err(error) => assert!(!error.is_empty()),
    }
}
