//! The frametable itself: an entry for each frame of the valid groups.
//!
//! Three questions have three answers here. Is the frame RAM ([`FrameTable::is_ram`])? Has it page info
//! ([`FrameTable::has_page_info`]), which is true for a whole group of which only a part is RAM? And which entry is its
//! ([`FrameTable::entry`])? Xen asks the first two with one predicate.
//!
//! An entry is asked for with a [`Page`], which only [`FrameTable::page`] makes: the check is done once, where a frame
//! number comes in from outside, and the lookup itself is an addition.

use crate::base::addr::{Mfn, Pdx, VirtAddr};
use crate::frames::frametable::page_info::PageInfo;
use crate::frames::frametable::plan::{Chunk, FrametablePlan};
use crate::pdx::{GROUP_PAGES, GROUP_SHIFT, Groups, PdxMap};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use core::ptr::{self, NonNull};

/// A frame that has an entry in the frametable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Page(Pdx);

/// The frametable.
pub struct FrameTable {
    banks: Box<[Range<Mfn>]>,
    pdx: PdxMap,
    groups: Groups,
    place: EntryPlace,
}

/// Where entries lie. An origin is where the entry of page index 0 would be; it need not exist, and usually does not.
enum EntryPlace {
    /// All chunks lie as they would in one array: they have one origin. So it is in a window of virtual addresses.
    Linear(*mut PageInfo),
    /// Each chunk lies where there was memory: an origin for each group, and one more load to find it. So it is where
    /// virtual addresses are physical ones.
    Directory(Box<[*mut PageInfo]>),
}

// SAFETY: `place` leads to entries made of atomics, which any CPU may use at any time; nothing else is shared.
unsafe impl Send for FrameTable {}
// SAFETY: a shared reference leads to entries made of atomics and to constants; nothing is changed through it otherwise.
unsafe impl Sync for FrameTable {}

impl FrameTable {
    /// Fills the chunks of `plan`, which lie at `chunks` in the plan's order, and starts to answer.
    ///
    /// Entries are zeroed by `zero`, given as bytes; what is left of each chunk's last page is filled with 0xff, which as
    /// an entry would be allocated, and owned by nobody that exists.
    ///
    /// # Safety
    ///
    /// - The memory of every chunk must be mapped read-write where `chunks` says, for as long as the table lives, and be
    ///   used by nothing else.
    /// - `plan` must have been made from `banks` and `pdx`, for entries of 8 bytes in groups of [`GROUP_PAGES`].
    pub unsafe fn new(
        plan: &FrametablePlan,
        banks: &[Range<Mfn>],
        pdx: PdxMap,
        chunks: &[NonNull<u8>],
        zero: impl Fn(&mut [u8]),
    ) -> Self {
        for (chunk, start) in plan.chunks().iter().zip(chunks) {
            // SAFETY: the caller promises exactly this memory; any bytes are valid as `u8`.
            let bytes = unsafe { core::slice::from_raw_parts_mut(start.as_ptr(), chunk.bytes as usize) };
            let (entries, tail) = bytes.split_at_mut((chunk.bytes - chunk.tail_bytes) as usize);
            zero(entries);
            tail.fill(0xff);
        }
        Self { banks: banks.into(), pdx, groups: plan.groups().clone(), place: EntryPlace::of(plan, chunks) }
    }

    /// Whether the frame is RAM.
    pub fn is_ram(&self, mfn: Mfn) -> bool {
        let above = self.banks.partition_point(|bank| bank.end <= mfn);
        self.banks.get(above).is_some_and(|bank| bank.contains(&mfn))
    }

    /// Whether the frame has an entry. True for all RAM, and for the rest of a group that has some.
    #[inline]
    pub fn has_page_info(&self, mfn: Mfn) -> bool {
        self.page(mfn).is_some()
    }

    /// The frame as one that has an entry, or `None` if it has none.
    #[inline]
    pub fn page(&self, mfn: Mfn) -> Option<Page> {
        if !self.pdx.covers(mfn) {
            return None;
        }
        let pdx = self.pdx.pdx(mfn);
        self.groups.contains(pdx).then_some(Page(pdx))
    }

    /// The entry of a frame that has one: the only place that knows where an entry lies.
    #[inline]
    pub fn entry(&self, page: Page) -> &PageInfo {
        let entry = self.place.entry(page.0, &self.groups);
        // SAFETY: a `Page` is a page index that `groups` contains, so its entry lies in a chunk, which `new`'s
        // caller promised to be mapped and which `new` filled; entries change only through their atomics. There is one
        // frametable, so the page is one of this table.
        unsafe { &*entry }
    }

    /// The entries of `count` frames from `first` on, or `None` if they leave its group or the table.
    pub fn entries(&self, first: Page, count: u64) -> Option<&[PageInfo]> {
        let start = first.0.get();
        let end = start.checked_add(count)?;
        let group_end = (start | (GROUP_PAGES - 1)) + 1;
        if end > group_end.min(self.groups.max_pdx().get()) {
            return None;
        }
        let entries = self.place.entry(first.0, &self.groups);
        // SAFETY: as in `entry`, for each of the entries: they are of one group, whose entries lie in one chunk, one
        // after the other, and all are below its end.
        Some(unsafe { core::slice::from_raw_parts(entries, count as usize) })
    }

    /// The addresses of a chunk that the table was made with.
    pub fn addresses(&self, chunk: &Chunk) -> Range<VirtAddr> {
        let start = self.place.entry(chunk.first, &self.groups).addr() as u64;
        VirtAddr::new(start)..VirtAddr::new(start + chunk.bytes)
    }

    /// The frame of a page: the inverse of [`FrameTable::page`].
    pub fn mfn(&self, page: Page) -> Option<Mfn> {
        self.pdx.mfn(page.0)
    }

    /// The renumbering that the table is indexed by.
    pub fn pdx(&self) -> &PdxMap {
        &self.pdx
    }

    /// The groups that have entries.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The banks of RAM, sorted.
    pub fn banks(&self) -> &[Range<Mfn>] {
        &self.banks
    }
}

impl EntryPlace {
    fn of(plan: &FrametablePlan, chunks: &[NonNull<u8>]) -> Self {
        let origins = plan.chunks().iter().zip(chunks).map(|(chunk, start)| {
            let first = start.as_ptr().cast::<PageInfo>();
            first.wrapping_sub(chunk.first.get() as usize)
        });
        let origins: Vec<_> = origins.collect();
        if let [one, others @ ..] = origins.as_slice()
            && others.iter().all(|other| other == one)
        {
            return Self::Linear(*one);
        }
        let groups = plan.groups();
        let mut directory = vec![ptr::null_mut(); groups.span() as usize];
        for (chunk, origin) in plan.chunks().iter().zip(origins) {
            let group = |pdx: Pdx| ((pdx.get() - groups.base().get()) >> GROUP_SHIFT) as usize;
            let last = Pdx::new(chunk.end.get() - 1);
            directory[group(chunk.first)..=group(last)].fill(origin);
        }
        Self::Directory(directory.into())
    }

    /// Where the entry of `pdx` lies, if `groups` contains `pdx`.
    #[inline]
    fn entry(&self, pdx: Pdx, groups: &Groups) -> *const PageInfo {
        let origin = match self {
            Self::Linear(origin) => *origin,
            Self::Directory(origins) => origins[((pdx.get() - groups.base().get()) >> GROUP_SHIFT) as usize],
        };
        origin.wrapping_add(pdx.get() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::FrameTable;
    use crate::base::addr::{Mfn, PAGE_SIZE};
    use crate::frames::frametable::page_info::{FrameOwner, RefError};
    use crate::frames::frametable::plan::{FrametablePlan, FrametableShape};
    use crate::pdx::{GROUP_PAGES, PdxMap};
    use crate::testing::{garbage, unless_interpreted};
    use core::ops::Range;
    use core::ptr::{self, NonNull};
    use std::vec;
    use std::vec::Vec;

    fn frames(start: u64, end: u64) -> Range<Mfn> {
        Mfn::new(start).unwrap()..Mfn::new(end).unwrap()
    }

    /// Ends inside a page of entries, has a hole of three groups, starts inside a group.
    fn banks() -> [Range<Mfn>; 2] {
        [frames(GROUP_PAGES + 0x10, GROUP_PAGES + 0x400), frames(5 * GROUP_PAGES, 6 * GROUP_PAGES + 0x10)]
    }

    /// The chunks at their offsets in one piece of memory, and each in a piece of its own.
    fn both_forms(banks: &[Range<Mfn>]) -> [FrameTable; 2] {
        let pdx = PdxMap::none();
        let plan = FrametablePlan::new(banks, &pdx, 1 << 40, FrametableShape::default()).unwrap();
        let window = garbage(plan.contiguous_bytes()).as_ptr();
        let offsets = plan.chunks().iter().map(|chunk| window.wrapping_add(chunk.offset as usize));
        let linear: Vec<_> = offsets.map(|start| NonNull::new(start).unwrap()).collect();
        // From the top down, so that no two can lie as in one array.
        let apart = garbage(2 * plan.frametable_bytes()).as_ptr();
        let mut at = 2 * plan.frametable_bytes() as usize;
        let scattered = plan.chunks().iter().map(|chunk| {
            at -= chunk.bytes as usize;
            NonNull::new(apart.wrapping_add(at)).unwrap()
        });
        let scattered: Vec<_> = scattered.collect();
        // SAFETY: leaked memory of the chunks' sizes, that nothing else uses.
        [linear, scattered]
            .map(|chunks| unsafe { FrameTable::new(&plan, banks, pdx.clone(), &chunks, |entries| entries.fill(0)) })
    }

    #[test]
    fn both_forms_give_the_same_answers() {
        let [linear, directory] = both_forms(&banks());
        for mfn in
            (0..8 * GROUP_PAGES).step_by(unless_interpreted(0x10, 0x4000)).map(|number| Mfn::new(number).unwrap())
        {
            assert_eq!(linear.is_ram(mfn), directory.is_ram(mfn));
            assert_eq!(linear.page(mfn), directory.page(mfn));
            if let Some(page) = linear.page(mfn) {
                assert_eq!(linear.mfn(page), Some(mfn));
                assert!(linear.entry(page).is_zero() && directory.entry(page).is_zero());
            }
        }
    }

    #[test]
    fn no_two_frames_share_an_entry() {
        for table in both_forms(&banks()) {
            let pages = (0..8 * GROUP_PAGES)
                .step_by(unless_interpreted(1, 0x1000))
                .filter_map(|number| table.page(Mfn::new(number).unwrap()));
            let mut addresses: Vec<_> = pages.map(|page| ptr::from_ref(table.entry(page)).addr()).collect();
            let count = addresses.len();
            addresses.sort_unstable();
            addresses.dedup();
            assert_eq!(addresses.len(), count);
        }
    }

    /// Xen's one predicate says yes to both, which let memory that is not there be given away (F4, F5).
    #[test]
    fn f4_f5_a_frame_beside_ram_has_page_info_and_is_no_ram() {
        let [table, _] = both_forms(&banks());
        let ghost = Mfn::new(GROUP_PAGES).unwrap();
        assert!(table.has_page_info(ghost) && !table.is_ram(ghost));
        let page = table.page(ghost).unwrap();
        assert_eq!(table.entry(page).get(FrameOwner::HYPERVISOR), Err(RefError::NotAllocated));
    }

    /// The last group is valid, but only its frames up to the end of RAM have entries (F8).
    #[test]
    fn f8_a_frame_past_the_end_of_ram_has_no_page_info() {
        let [table, directory] = both_forms(&banks());
        let end = banks()[1].end;
        assert!(!table.has_page_info(end) && !directory.has_page_info(end));
        assert!(table.has_page_info(end.checked_sub(1).unwrap()));
    }

    #[test]
    fn entries_of_a_run_do_not_leave_its_group_or_the_table() {
        let [linear, directory] = both_forms(&banks());
        for table in [linear, directory] {
            let page = |number| table.page(Mfn::new(number).unwrap()).unwrap();
            assert_eq!(table.entries(page(5 * GROUP_PAGES), GROUP_PAGES).map(<[_]>::len), Some(GROUP_PAGES as usize));
            assert!(table.entries(page(5 * GROUP_PAGES + 1), GROUP_PAGES).is_none());
            assert!(table.entries(page(6 * GROUP_PAGES), 0x11).is_none());
            assert!(table.entries(page(6 * GROUP_PAGES), u64::MAX).is_none());
        }
    }

    #[test]
    fn the_rest_of_the_last_page_is_filled() {
        let banks = banks();
        let pdx = PdxMap::none();
        let plan = FrametablePlan::new(&banks, &pdx, 1 << 40, FrametableShape::default()).unwrap();
        let chunks: Vec<_> = plan.chunks().iter().map(|chunk| garbage(chunk.bytes)).collect();
        // SAFETY: leaked memory of the chunks' sizes, that nothing else uses.
        let _table = unsafe { FrameTable::new(&plan, &banks, pdx, &chunks, |entries| entries.fill(0)) };
        let last = plan.chunks().last().unwrap();
        assert_eq!(last.tail_bytes, PAGE_SIZE - 0x10 * 8);
        // SAFETY: the chunk's memory, which is leaked.
        let memory = unsafe { core::slice::from_raw_parts(chunks[1].as_ptr(), last.bytes as usize) };
        let (entries, tail) = memory.split_at((last.bytes - last.tail_bytes) as usize);
        assert!(entries == vec![0; entries.len()] && tail == vec![0xff; tail.len()]);
    }

    #[test]
    fn ram_is_what_lies_in_a_bank() {
        let [table, directory] = both_forms(&banks());
        let banks = banks();
        let edges = banks.iter().flat_map(|bank| [bank.start.get(), bank.end.get()]);
        for mfn in edges.flat_map(|edge| edge - 0x40..edge + 0x40).filter_map(Mfn::new) {
            // Against a search through all banks.
            let ram = banks.iter().any(|bank| bank.start <= mfn && mfn < bank.end);
            assert_eq!((table.is_ram(mfn), directory.is_ram(mfn)), (ram, ram));
            assert!(!ram || directory.has_page_info(mfn));
        }
    }
}
