//! The words of one layer.
#![forbid(unsafe_code)]

use std::str::{FromStr, SplitAsciiWhitespace};

/// The words of one layer that are not read yet.
pub struct Words<'t> {
    layer: &'t str,
    rest: SplitAsciiWhitespace<'t>,
}

impl<'t> Words<'t> {
    /// All words of `layer`.
    pub fn new(layer: &'t str) -> Self {
        Self { layer, rest: layer.split_ascii_whitespace() }
    }

    /// The next word, if there is one.
    pub fn next(&mut self) -> Option<&'t str> {
        self.rest.next()
    }

    /// The next word, which must be there.
    pub fn take(&mut self) -> Result<&'t str, String> {
        self.next().ok_or_else(|| self.error("ends too early"))
    }

    /// Pass the word `word`.
    pub fn expect(&mut self, word: &str) -> Result<(), String> {
        match self.take()? {
            found if found == word => Ok(()),
            found => Err(self.error(&format!("wants `{word}`, not `{found}`"))),
        }
    }

    /// A word that is an address.
    pub fn value<T: FromStr>(&mut self) -> Result<T, String> {
        let word = self.take()?;
        word.parse().map_err(|_| self.error(&format!("cannot read `{word}`")))
    }

    /// A word that is a number of this size.
    pub fn number<T: TryFrom<u64>>(&mut self) -> Result<T, String> {
        let word = self.take()?;
        self.as_number(word)
    }

    /// A word that is a number less than `limit`.
    pub fn below(&mut self, limit: u16) -> Result<u16, String> {
        match self.number()? {
            number if number < limit => Ok(number),
            number => Err(self.error(&format!("{number} is not less than {limit}"))),
        }
    }

    /// `word` as a number.
    pub fn as_number<T: TryFrom<u64>>(&self, word: &str) -> Result<T, String> {
        let number = match word.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => word.parse().ok(),
        };
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| self.error(&format!("`{word}` is no number of the right size")))
    }

    /// `A > B`.
    pub fn pair<T: FromStr>(&mut self) -> Result<(T, T), String> {
        let from = self.value()?;
        self.expect(">")?;
        Ok((from, self.value()?))
    }

    /// A word of hexadecimal octets.
    pub fn hex(&mut self) -> Result<Vec<u8>, String> {
        let word = self.take()?;
        self.as_hex(word)
    }

    /// `word` as hexadecimal octets.
    pub fn as_hex(&self, word: &str) -> Result<Vec<u8>, String> {
        octets(word).ok_or_else(|| self.error(&format!("`{word}` is not hexadecimal octets")))
    }

    /// The complaint about a word that means nothing here.
    pub fn unknown<T>(&self, word: &str) -> Result<T, String> {
        Err(self.error(&format!("does not know `{word}`")))
    }

    /// Nothing may be left.
    pub fn end(&mut self) -> Result<(), String> {
        match self.next() {
            Some(word) => self.unknown(word),
            None => Ok(()),
        }
    }

    /// A complaint, with the layer that it is about.
    pub fn error(&self, what: &str) -> String {
        format!("in `{}`: {what}", self.layer.trim())
    }
}

fn octets(word: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = word.as_bytes().as_chunks::<2>();
    let digit = |c: u8| char::from(c).to_digit(16);
    let octet = |&[high, low]: &[u8; 2]| u8::try_from(digit(high)? << 4 | digit(low)?).ok();
    if rest.is_empty() { pairs.iter().map(octet).collect() } else { None }
}
