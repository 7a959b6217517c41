//! The memory of a UMEM.

use std::io;
use std::ptr::NonNull;

/// A piece of anonymous memory, cut into chunks of one size, that the kernel shares with us once
/// a socket has registered it (`XDP_UMEM_REG`). It stays where it is until it is dropped.
#[derive(Debug)]
pub struct Area {
    base: NonNull<u8>,
    /// What was mapped, in octets: `chunks * chunk_size`, rounded up to whole huge pages if asked.
    mapped: usize,
    chunks: u32,
    chunk_size: u16,
}

// SAFETY: an `Area` is an address and a length. The bytes behind it are reached only through
// frames, of which each chunk has at most one.
unsafe impl Send for Area {}
// SAFETY: as above; `&Area` gives no access to the bytes.
unsafe impl Sync for Area {}

/// Where an [`Area`] lies, for `XDP_UMEM_REG`: the control thread binds sockets to the memory of
/// a worker without having a way to its bytes. The kernel pins the pages, so a socket that
/// outlives the area harms nobody.
#[derive(Clone, Copy, Debug)]
pub struct Registration {
    /// Address of the first chunk in this process.
    pub address: u64,
    /// Length of all chunks together.
    pub octets: u64,
    /// Size of a chunk in octets, a power of two.
    pub chunk_size: u16,
}

const HUGE_PAGE: usize = 2 << 20;
/// All pages are there from the start; Miri knows no pages.
const PRESENT: libc::c_int = if cfg!(miri) { 0 } else { libc::MAP_POPULATE };

impl Area {
    /// Map memory for `chunks` chunks of `chunk_size` octets (2048 or 4096), all of it present
    /// from the start. With `huge` the memory comes from the reserved 2 MiB pages (`MAP_HUGETLB`),
    /// and there being too few is an error.
    pub fn new(chunks: u32, chunk_size: u16, huge: bool) -> io::Result<Self> {
        let mut mapped = chunks as usize * usize::from(chunk_size);
        let mut flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | PRESENT;
        if huge {
            mapped = mapped.next_multiple_of(HUGE_PAGE);
            flags |= libc::MAP_HUGETLB;
        }
        // SAFETY: a new anonymous mapping touches no memory of ours.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                mapped,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mmap gave null"))?;
        Ok(Self { base, mapped, chunks, chunk_size })
    }

    /// What a socket is told of this memory.
    pub fn registration(&self) -> Registration {
        Registration {
            address: self.base.as_ptr() as u64,
            octets: self.len() as u64,
            chunk_size: self.chunk_size,
        }
    }

    /// Address of the first chunk.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Length in octets of all chunks together: what `XDP_UMEM_REG` is told.
    pub fn len(&self) -> usize {
        self.chunks as usize * usize::from(self.chunk_size)
    }

    /// Whether the area has no chunks.
    pub fn is_empty(&self) -> bool {
        self.chunks == 0
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    /// The size of a chunk in octets.
    pub fn chunk_size(&self) -> u16 {
        self.chunk_size
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: `base` and `mapped` are of the mapping made in `new`; frames and pools borrow
        // the area, so none is left.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.mapped) };
    }
}
