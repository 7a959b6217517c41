//! An input as a list of values: what is not there any more is zero.
#![forbid(unsafe_code)]

/// What is left of an input.
#[derive(Debug)]
pub struct Octets<'a>(pub &'a [u8]);

impl<'a> Octets<'a> {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `N` octets.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let some = self.take(N);
        array[..some.len()].copy_from_slice(some);
        array
    }

    /// The next octet.
    pub fn u8(&mut self) -> u8 {
        let [octet] = self.array();
        octet
    }

    /// The next two octets.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    /// The next `len` octets, or as many as there are.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (some, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        some
    }

    /// A list of octets, whose length stands before it.
    pub fn list(&mut self) -> &'a [u8] {
        let len = self.u16();
        self.take(len.into())
    }
}

/// `list` as [`Octets::list`] reads it; one that is too long is cut.
pub fn as_list(list: &[u8]) -> Vec<u8> {
    let len = u16::try_from(list.len()).unwrap_or(u16::MAX);
    [&len.to_be_bytes(), &list[..len.into()]].concat()
}

/// Assert that `part` lies inside `whole`.
pub fn assert_within(part: &[u8], whole: &[u8]) {
    let (part, whole) = (part.as_ptr_range(), whole.as_ptr_range());
    assert!(whole.start <= part.start && part.end <= whole.end, "beyond the packet");
}
