//! The page allocator and references to frames.

use super::{Subject, Verdict};
use crate::base::addr::{Bytes, Mfn, PAGE_SIZE};
use crate::frames::frametable::page_info::{FrameOwner, MAX_REFERENCES, RefError};
use crate::frames::page_alloc::{MAX_ORDER, PageError};
use crate::memory::HostMemory;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

tests!(pages:
    all_free_ram_can_be_taken_by_pages_and_given_back
    exhaustion_is_an_error
    no_block_crosses_a_hole
    a_block_is_aligned_to_its_size
    what_is_not_allocated_is_not_freed
    references_are_counted
    a_foreign_owner_gets_no_reference
    the_reference_count_does_not_overflow
    the_heap_grows
    an_allocation_that_does_not_fit_is_refused
);

const ME: FrameOwner = FrameOwner::new(100);
const YOU: FrameOwner = FrameOwner::new(101);

/// More than this is taken in large blocks, so that a test of single frames ends in a moment.
const SINGLES: u64 = 128 << 20;

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// Blocks that a test has taken.
#[derive(Default)]
struct Taken(Vec<(Mfn, u32)>);

impl Taken {
    /// Takes blocks of 2^`order` frames until there are none, or less than `leave` bytes would be left.
    fn take(&mut self, host: &HostMemory, order: u32, leave: u64) -> Result<(), String> {
        while host.free_bytes() >= leave + (PAGE_SIZE << order) {
            match host.alloc(order, ME) {
                Ok(mfn) => self.0.push((mfn, order)),
                Err(PageError::Exhausted { .. }) => break,
                Err(error) => return Err(text(error)),
            }
        }
        Ok(())
    }

    fn give_back(self, host: &HostMemory) -> Verdict {
        self.0.into_iter().try_for_each(|(mfn, order)| host.free(mfn, order)).map_err(text)
    }
}

/// Single frames in a list whose memory was taken in advance.
struct Singles {
    blocks: Vec<Vec<Mfn>>,
    count: usize,
}

impl Singles {
    const PER_BLOCK: usize = 256;

    /// Room for all frames that are free now. The heap grows meanwhile, frame by frame.
    fn with_room(host: &HostMemory, filler: Mfn) -> Result<Self, String> {
        let mut blocks = Vec::new();
        while (blocks.len() * Self::PER_BLOCK) as u64 * PAGE_SIZE < host.free_bytes() {
            blocks.push(alloc::vec![filler; Self::PER_BLOCK]);
            let single = host.alloc(0, ME).map_err(text)?;
            host.free(single, 0).map_err(text)?;
        }
        Ok(Self { blocks, count: 0 })
    }

    fn push(&mut self, mfn: Mfn) {
        self.blocks[self.count / Self::PER_BLOCK][self.count % Self::PER_BLOCK] = mfn;
        self.count += 1;
    }

    fn iter(&self) -> impl Iterator<Item = Mfn> {
        self.blocks.iter().flat_map(|block| block.iter().copied()).take(self.count)
    }
}

fn all_free_ram_can_be_taken_by_pages_and_given_back(subject: &Subject<'_>) -> Verdict {
    let host = subject.host;
    let mut large = Taken::default();
    for order in (9..=MAX_ORDER).rev() {
        large.take(host, order, SINGLES)?;
    }
    let filler = Mfn::new(0).unwrap_or_else(|| unreachable!("0 is a frame number"));
    let mut singles = Singles::with_room(host, filler)?;
    let free = host.free_bytes();
    let refusal = loop {
        match host.alloc(0, ME) {
            Ok(mfn) => singles.push(mfn),
            Err(error) => break error,
        }
    };
    ensure!(refusal == PageError::Exhausted { order: 0, free_bytes: 0 }, "the last allocation ends with: {refusal}");
    let taken = singles.count as u64 * PAGE_SIZE;
    ensure!(taken + (64 << 10) >= free, "{} were free, {} could be taken", Bytes(free), Bytes(taken));
    // Every other frame first: the worst that can happen to free lists, which must not exhaust the heap.
    for parity in [0, 1] {
        for mfn in singles.iter().filter(|mfn| mfn.get() % 2 == parity) {
            host.free(mfn, 0).map_err(text)?;
        }
    }
    let whole = host.alloc(8, ME).map_err(text)?;
    host.free(whole, 8).map_err(text)?;
    large.give_back(host)
}

fn exhaustion_is_an_error(subject: &Subject<'_>) -> Verdict {
    let host = subject.host;
    let mut taken = Taken::default();
    taken.take(host, MAX_ORDER, 0)?;
    let refusal = host.alloc(MAX_ORDER, ME);
    let expected = PageError::Exhausted { order: MAX_ORDER, free_bytes: host.free_bytes() };
    ensure!(refusal.as_ref() == Err(&expected), "asked for 1 GiB too many, got {refusal:?}");
    let refusal = host.alloc(MAX_ORDER + 1, ME);
    ensure!(refusal == Err(PageError::Order { order: MAX_ORDER + 1 }), "asked for 2 GiB, got {refusal:?}");
    taken.give_back(host)
}

fn no_block_crosses_a_hole(subject: &Subject<'_>) -> Verdict {
    let (host, table) = (subject.host, subject.host.table());
    let mut taken = Taken::default();
    for order in (4..=MAX_ORDER).rev() {
        taken.take(host, order, 0)?;
    }
    for (first, order) in &taken.0 {
        let Some(last) = first.checked_add((1 << order) - 1) else { return Err("past the end".to_string()) };
        let inside = table.banks().iter().any(|bank| bank.contains(first) && bank.contains(&last));
        ensure!(inside, "block {first:?} of order {order} is not inside a bank");
        let pages = (table.pdx().pdx(*first), table.pdx().pdx(last));
        ensure!(pages.1.get() - pages.0.get() == (1 << order) - 1, "block {first:?} is torn by the compression");
    }
    let blocks = taken.0.len();
    taken.give_back(host)?;
    ensure!(blocks > 0, "there was no block to look at");
    Ok(())
}

fn a_block_is_aligned_to_its_size(subject: &Subject<'_>) -> Verdict {
    for order in 0..=9 {
        let mfn = subject.host.alloc(order, ME).map_err(text)?;
        let aligned = mfn.get() % (1 << order) == 0;
        subject.host.free(mfn, order).map_err(text)?;
        ensure!(aligned, "{mfn:?} is not aligned to order {order}");
    }
    Ok(())
}

fn what_is_not_allocated_is_not_freed(subject: &Subject<'_>) -> Verdict {
    let host = subject.host;
    let refused = |mfn, order, why: &str| match host.free(mfn, order) {
        Err(PageError::NotFreeable { .. }) => Ok(()),
        other => Err(alloc::format!("{why}: {other:?}")),
    };
    let block = host.alloc(1, ME).map_err(text)?;
    let second = block.checked_add(1).ok_or("past the end")?;
    refused(second, 1, "freed from the middle")?;
    host.get_page(second, ME).map_err(text)?;
    refused(block, 1, "freed while referenced")?;
    host.put_page(second).map_err(text)?;
    host.free(block, 1).map_err(text)?;
    refused(block, 1, "freed twice")?;
    refused(block, 0, "freed twice, in part")?;
    // Frames that are reserved for the image were never allocated, and frames of a hole are none.
    let image =
        Mfn::containing(crate::base::addr::PhysAddr::new(lacuna_boot::layout().text.start)).ok_or("no image")?;
    refused(image, 0, "the image was freed")?;
    let above = subject.host.table().banks().last().ok_or("no RAM")?.end;
    refused(above, 0, "a frame past the end of RAM was freed")
}

fn references_are_counted(subject: &Subject<'_>) -> Verdict {
    let host = subject.host;
    let mfn = host.alloc(0, ME).map_err(text)?;
    let free = host.free_bytes();
    host.get_page(mfn, ME).map_err(text)?;
    host.put_page(mfn).map_err(text)?;
    ensure!(host.free_bytes() == free, "a frame with a reference left was freed");
    host.put_page(mfn).map_err(text)?;
    ensure!(host.free_bytes() == free + PAGE_SIZE, "the last reference did not free the frame");
    let refusal = host.get_page(mfn, ME);
    let expected = PageError::Reference { mfn, source: RefError::NotAllocated };
    ensure!(refusal == Err(expected), "a free frame gives {refusal:?}");
    ensure!(host.put_page(mfn).is_err(), "a reference to a free frame was dropped");
    Ok(())
}

fn a_foreign_owner_gets_no_reference(subject: &Subject<'_>) -> Verdict {
    let host = subject.host;
    let mfn = host.alloc(0, ME).map_err(text)?;
    let refusals = [YOU, FrameOwner::NONE, FrameOwner::HYPERVISOR].map(|owner| (owner, host.get_page(mfn, owner)));
    host.free(mfn, 0).map_err(text)?;
    for (wanted, refusal) in refusals {
        let expected = PageError::Reference { mfn, source: RefError::ForeignOwner { wanted, actual: ME } };
        ensure!(refusal == Err(expected), "{wanted} gets {refusal:?} from a frame of {ME}");
    }
    Ok(())
}

fn the_reference_count_does_not_overflow(subject: &Subject<'_>) -> Verdict {
    let (host, table) = (subject.host, subject.host.table());
    let mfn = host.alloc(0, ME).map_err(text)?;
    let entry = table.entry(table.page(mfn).ok_or("no page info")?);
    entry.get_many(ME, MAX_REFERENCES - 1).map_err(text)?;
    let refusal = host.get_page(mfn, ME);
    let count = entry.references();
    entry.put_many(MAX_REFERENCES - 1);
    host.free(mfn, 0).map_err(text)?;
    let expected = PageError::Reference { mfn, source: RefError::Overflow };
    ensure!(refusal == Err(expected) && count == MAX_REFERENCES, "reference {count} + 1: {refusal:?}");
    Ok(())
}

fn the_heap_grows(subject: &Subject<'_>) -> Verdict {
    // More than EL2 has from the start, in pieces, with the page allocator used in between as it always is.
    let before = subject.host.grown_bytes();
    let mut pieces: Vec<Box<[u64; 512]>> = Vec::new();
    let most = (subject.host.free_bytes() / 2).div_ceil(PAGE_SIZE);
    for number in 0..most {
        if number >= 1024 && subject.host.grown_bytes() > before {
            break;
        }
        pieces.push(Box::new([number; 512]));
        let mfn = subject.host.alloc(0, ME).map_err(text)?;
        subject.host.free(mfn, 0).map_err(text)?;
    }
    let grown = subject.host.grown_bytes() - before;
    let whole = pieces.iter().enumerate().all(|(number, piece)| piece.iter().all(|word| *word == number as u64));
    ensure!(whole, "a piece of the heap changed");
    ensure!(grown > 0, "{} pieces of 4 KiB came out of a heap that did not grow", pieces.len());
    Ok(())
}

fn an_allocation_that_does_not_fit_is_refused(subject: &Subject<'_>) -> Verdict {
    let room = |bytes| Vec::<u8>::new().try_reserve_exact(bytes);
    ensure!(room(isize::MAX as usize).is_err(), "the heap gives what no machine has");
    let used = subject.host.heap_bytes();
    // More than the largest contiguous block of the heap, whatever its size: the first power of two that fails.
    let sizes = core::iter::successors(Some(1_usize << 20), |bytes| bytes.checked_mul(2));
    ensure!(sizes.map(room).any(|room| room.is_err()), "the heap has no end");
    ensure!(subject.host.heap_bytes() == used, "what was refused is in use");
    Ok(())
}
