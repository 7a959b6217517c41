//! What stands for `router/table/shared.rs`: words of loom instead of a mapping.

use loom::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};

/// Words of one size.
#[derive(Debug)]
pub enum Region {
    U16(Box<[AtomicU16]>),
    U32(Box<[AtomicU32]>),
    U64(Box<[AtomicU64]>),
}

/// What a [`Region`] can be seen as.
pub trait Word: Sized {
    fn of(region: &Region) -> &[Self];
}

impl Region {
    /// All words that there are: fewer than asked for, since loom has to look after each.
    pub fn words<T: Word>(&self, _offset: usize, _len: usize) -> &[T] {
        T::of(self)
    }
}

macro_rules! words {
    ($($word:ident $kind:ident $new:ident),*) => {
        impl Region {
            $(pub fn $new(words: usize) -> Self {
                Self::$kind(std::iter::repeat_with($word::default).take(words).collect())
            })*
        }
        $(impl Word for $word {
            fn of(region: &Region) -> &[Self] {
                let Region::$kind(words) = region else { panic!("words of another size") };
                words
            }
        })*
    };
}

words!(AtomicU16 U16 of_u16, AtomicU32 U32 of_u32, AtomicU64 U64 of_u64);
