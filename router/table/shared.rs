//! Arrays of atomics over memory that an XDP program may map too.
//!
//! All that is unsafe about the tables is in this file: the mapping, the views of it, and the
//! prefetch instruction. The layout of what lies in the memory is described in `bpf/shared.h`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

/// Zeroed memory that control writes and everybody reads, through atomics only. It stays where it
/// is until it is dropped.
#[derive(Debug)]
pub struct Region {
    base: NonNull<u8>,
    octets: usize,
}

/// Memory that is not touched is not reserved; Miri reserves none.
const ON_TOUCH: libc::c_int = if cfg!(miri) { 0 } else { libc::MAP_NORESERVE };

// SAFETY: a `Region` is an address and a length; the memory behind it belongs to no thread.
unsafe impl Send for Region {}
// SAFETY: `&Region` gives views of atomics and nothing else, and those may be shared.
unsafe impl Sync for Region {}

/// What a [`Region`] can be seen as: the atomics, for which every pattern of bits is a value.
///
/// # Safety
/// The type must be an integer atomic: valid for all bits, changed only by atomic stores.
pub unsafe trait Word: Sync {}
// SAFETY: an integer atomic.
unsafe impl Word for AtomicU8 {}
// SAFETY: an integer atomic.
unsafe impl Word for AtomicU16 {}
// SAFETY: an integer atomic.
unsafe impl Word for AtomicU32 {}
// SAFETY: an integer atomic.
unsafe impl Word for AtomicU64 {}

impl Region {
    /// Memory of this process alone. Pages appear when they are first touched, so a large budget
    /// that is not used costs address space only.
    ///
    /// # Errors
    /// What mmap(2) says, or `InvalidInput` for no octets at all.
    pub fn anonymous(octets: usize) -> io::Result<Self> {
        Self::mmap(octets, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | ON_TOUCH, -1)
    }

    /// The value of a BPF array map that has one element of `octets` and was made with
    /// `BPF_F_MMAPABLE`. (More elements would each be rounded up to 8 octets.) The mapping keeps
    /// the map alive; the descriptor may be closed.
    ///
    /// # Errors
    /// What mmap(2) says: the map is smaller, or it is not mmapable.
    pub fn map(fd: BorrowedFd<'_>, octets: usize) -> io::Result<Self> {
        Self::mmap(octets, libc::MAP_SHARED, fd.as_raw_fd())
    }

    fn mmap(octets: usize, flags: libc::c_int, fd: libc::c_int) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), octets, access, flags, fd, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mmap gave null"))?;
        Ok(Self { base, octets })
    }

    /// `len` words from `offset` octets on. The same octets must not be viewed as words of
    /// different sizes.
    ///
    /// # Panics
    /// If the view is not aligned or does not lie inside the region. Tables ask for what their
    /// layout says, the same each time, so this shows when they are made or never.
    #[inline]
    pub fn words<T: Word>(&self, offset: usize, len: usize) -> &[T] {
        let end = len.checked_mul(size_of::<T>()).and_then(|octets| octets.checked_add(offset));
        assert!(end.is_some_and(|end| end <= self.octets), "view beyond the region");
        assert!(offset.is_multiple_of(align_of::<T>()), "view not aligned");
        // SAFETY: `offset` was just found to be inside the mapping, or one past its end.
        let first = unsafe { self.base.add(offset) };
        // SAFETY: `len` words from `first` on are inside the mapping, which lives as long as
        // `self`; its base is page aligned and `offset` a multiple of the alignment; memory of a
        // mapping is initialised; a `Word` has no invalid bits and is shared by atomics only.
        unsafe { std::slice::from_raw_parts(first.cast::<T>().as_ptr(), len) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: `base` and `octets` are of the mapping made in `mmap`; views borrow `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.octets) };
    }
}

/// Ask for the cache line of `words[index]`. Beyond the end nothing is asked for.
#[inline(always)]
pub fn prefetch<T>(words: &[T], index: usize) {
    if let Some(word) = words.get(index) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch changes nothing and cannot fault; SSE is part of x86-64.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch(std::ptr::from_ref(word).cast(), _MM_HINT_T0);
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = word;
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn views_are_zeroed_and_share_the_memory() {
        let region = Region::anonymous(64).unwrap();
        let words = region.words::<AtomicU32>(32, 8);
        assert!(words.iter().all(|word| word.load(Ordering::Relaxed) == 0));
        words[0].store(7, Ordering::Relaxed);
        assert_eq!(region.words::<AtomicU32>(0, 16)[8].load(Ordering::Relaxed), 7);
        prefetch(words, 7);
        prefetch(words, 8);
    }

    #[test]
    #[should_panic(expected = "beyond")]
    fn a_view_beyond_the_end_is_refused() {
        Region::anonymous(64).unwrap().words::<AtomicU64>(8, 8);
    }

    #[test]
    #[should_panic(expected = "aligned")]
    fn a_view_off_its_alignment_is_refused() {
        Region::anonymous(64).unwrap().words::<AtomicU64>(4, 1);
    }

    #[test]
    #[cfg_attr(miri, ignore = "maps a file")]
    fn two_mappings_of_one_file_are_one_memory() {
        let path = std::env::temp_dir().join(format!("xrouter-region-{}", std::process::id()));
        let file =
            std::fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.set_len(4096).unwrap();
        let [one, other] = [(); 2].map(|()| Region::map(file.as_fd(), 4096).unwrap());
        drop(file);
        one.words::<AtomicU16>(2, 1)[0].store(0xa5a5, Ordering::Relaxed);
        assert_eq!(other.words::<AtomicU16>(2, 1)[0].load(Ordering::Relaxed), 0xa5a5);
    }

    #[test]
    fn no_octets_is_an_error() {
        assert!(Region::anonymous(0).is_err());
    }
}
