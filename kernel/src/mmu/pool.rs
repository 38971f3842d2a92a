//! Memory for page tables: a list of zeroed pages.
//!
//! A table that is given back is zero again, so it goes on the list as it is and is handed out as it is: taking and
//! giving back are a handful of instructions each.

use crate::base::addr::{PAGE_SIZE, PhysAddr};
use crate::mmu::TableSource;
use core::ops::Range;
use core::ptr;

/// Zeroed pages, linked through their first words.
#[derive(Debug)]
pub struct TablePool {
    first: Option<PhysAddr>,
    pages: usize,
}

impl TablePool {
    /// A pool without any pages.
    pub const fn new() -> Self {
        Self { first: None, pages: 0 }
    }

    /// Adds the whole pages of `range`, zeroed by `zero`.
    ///
    /// # Safety
    ///
    /// The memory must be readable and writable at its physical address (on the host: a pointer whose provenance is
    /// exposed) as long as the pool lives, and belong to it alone.
    pub unsafe fn add(&mut self, range: Range<PhysAddr>, zero: impl Fn(&mut [u8])) {
        let mut page = range.start.align_up(PAGE_SIZE).unwrap_or(range.end);
        while let Some(end) = page.checked_add(PAGE_SIZE).filter(|end| *end <= range.end) {
            let start = ptr::with_exposed_provenance_mut::<u8>(page.get() as usize);
            // SAFETY: the caller gave the pool this page, which is writable at its own address; any bytes are valid.
            zero(unsafe { core::slice::from_raw_parts_mut(start, PAGE_SIZE as usize) });
            self.give_back(page);
            page = end;
        }
    }

    /// Pages on the list.
    pub fn available(&self) -> usize {
        self.pages
    }
}

impl Default for TablePool {
    fn default() -> Self {
        Self::new()
    }
}

/// The link in the first word of a page on the list: the next page's address, or 1 at the end. Page addresses are even.
const END: u64 = 1;

// SAFETY: pages come from `add`, whose caller promised memory of the pool's own, readable and writable at its address.
// They are zero but for the link, which `take` clears.
unsafe impl TableSource for TablePool {
    fn take(&mut self) -> Option<PhysAddr> {
        let page = self.first?;
        let link = ptr::with_exposed_provenance_mut::<u64>(page.get() as usize);
        // SAFETY: the page is on the list, so it belongs to the pool, and is aligned.
        let next = unsafe { link.read() };
        // SAFETY: the page is the pool's until this returns, so nobody else sees its first word change.
        unsafe { link.write(0) };
        self.first = (next != END).then_some(PhysAddr::new(next));
        self.pages -= 1;
        Some(page)
    }

    fn give_back(&mut self, table: PhysAddr) {
        let link = ptr::with_exposed_provenance_mut::<u64>(table.get() as usize);
        // SAFETY: the page came from `take`, or comes from `add`: it belongs to the pool, and is aligned.
        unsafe { link.write(self.first.map_or(END, PhysAddr::get)) };
        self.first = Some(table);
        self.pages += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::TablePool;
    use crate::base::addr::{PAGE_SIZE, PhysAddr};
    use crate::mmu::TableSource;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn pages_come_out_zeroed_aligned_and_once() {
        let bytes = 5 * PAGE_SIZE as usize;
        let memory: Vec<u8> = vec![0xa5; bytes];
        let start = memory.leak().as_mut_ptr().expose_provenance() as u64;
        let mut pool = TablePool::new();
        // SAFETY: leaked memory that only the pool uses.
        unsafe { pool.add(PhysAddr::new(start)..PhysAddr::new(start + bytes as u64), |page| page.fill(0)) };
        let whole = pool.available();
        assert!(whole >= 4);
        let mut pages: Vec<PhysAddr> = core::iter::from_fn(|| pool.take()).collect();
        assert_eq!((pages.len(), pool.available()), (whole, 0));
        for page in &pages {
            assert!(page.is_aligned(PAGE_SIZE));
            let contents = core::ptr::with_exposed_provenance::<[u8; PAGE_SIZE as usize]>(page.get() as usize);
            // SAFETY: a page of the leaked memory, which nobody writes now.
            assert!(unsafe { *contents }.iter().all(|byte| *byte == 0));
        }
        pages.sort_unstable();
        pages.dedup();
        assert_eq!(pages.len(), whole);
        pages.into_iter().for_each(|page| pool.give_back(page));
        assert_eq!(pool.available(), whole);
    }
}
