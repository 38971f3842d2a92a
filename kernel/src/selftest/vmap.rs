//! Mappings: their contents, their limits, and their end.

use super::memory::{READ_NOT_MAPPED, read, text, with_frames, word, write};
use super::{Subject, Verdict, execution_is_forbidden, read_faults, write_is_forbidden};
use crate::base::addr::{Mfn, PAGE_SIZE, PhysAddr, VirtAddr};
use crate::base::attributes::Attributes;
use crate::vmap::VmapError;

tests!(vmap:
    use_after_vunmap_faults
    vunmap_takes_the_start_of_a_mapping_once
    vmap_size_counts_pages
    a_read_only_mapping_cannot_be_written
    data_cannot_be_executed_and_code_can
    ioremap_keeps_the_offset_in_the_page
    nothing_is_not_mapped
);

fn use_after_vunmap_faults(subject: &Subject<'_>) -> Verdict {
    for order in [0, 1, 9] {
        with_frames(subject, order, |host, first| {
            let mapping = host.vmap_contig(first, 1 << order, Attributes::DATA).map_err(text)?;
            let (start, bytes) = (mapping.address().get(), mapping.bytes());
            write(&mapping, 0, 1);
            drop(mapping);
            read_faults(start, READ_NOT_MAPPED)?;
            read_faults(start + bytes - 1, READ_NOT_MAPPED)
        })?;
    }
    Ok(())
}

fn vunmap_takes_the_start_of_a_mapping_once(subject: &Subject<'_>) -> Verdict {
    with_frames(subject, 1, |host, first| {
        let mapping = host.vmap_contig(first, 2, Attributes::DATA).map_err(text)?;
        write(&mapping, PAGE_SIZE, 0x1234);
        let start = mapping.leak();
        for wrong in [start.get() + PAGE_SIZE, start.get() + 8, start.get() - PAGE_SIZE, 0, u64::MAX] {
            let refusal = host.vunmap(VirtAddr::new(wrong));
            ensure!(refusal.is_err(), "vunmap of {wrong:#x}, with a mapping at {start}: {refusal:?}");
        }
        // None of that changed anything.
        let second = core::ptr::with_exposed_provenance::<u64>((start.get() + PAGE_SIZE) as usize);
        // SAFETY: the mapping was leaked, so it lives.
        let kept = unsafe { second.read_volatile() };
        ensure!(kept == 0x1234, "the mapping shows {kept:#x} after refused calls");
        let pages = host.vunmap(start).map_err(text)?;
        ensure!(pages == 2, "vunmap took {pages} pages away, not 2");
        let again = host.vunmap(start);
        ensure!(again.is_err(), "a second vunmap: {again:?}");
        Ok(())
    })
}

fn vmap_size_counts_pages(subject: &Subject<'_>) -> Verdict {
    with_frames(subject, 3, |host, first| {
        let mapping = host.vmap_contig(first, 5, Attributes::DATA).map_err(text)?;
        let start = mapping.address();
        let size = |address| host.vmap().vmap_size(VirtAddr::new(address));
        ensure!(size(start.get()) == Some(5), "{:?} pages, not 5", size(start.get()));
        ensure!(size(start.get() + PAGE_SIZE).is_none(), "a page inside has a size of its own");
        drop(mapping);
        ensure!(size(start.get()).is_none(), "a mapping that is gone has a size");
        Ok(())
    })
}

fn a_read_only_mapping_cannot_be_written(subject: &Subject<'_>) -> Verdict {
    with_frames(subject, 0, |host, first| {
        let mapping = host.vmap_contig(first, 1, Attributes::CONSTANTS).map_err(text)?;
        read(&mapping, 16);
        write_is_forbidden(word(&mapping, 16).addr() as u64)
    })
}

fn data_cannot_be_executed_and_code_can(subject: &Subject<'_>) -> Verdict {
    /// RET (DDI 0487, C6.2.300).
    const RET: u64 = 0xd65f_03c0;
    with_frames(subject, 0, |host, first| {
        let data = host.vmap_contig(first, 1, Attributes::DATA).map_err(text)?;
        write(&data, 0, RET);
        crate::arch::aarch64::cache::publish_code(data.as_ptr(), PAGE_SIZE as usize);
        drop(data);
        for attributes in [Attributes::DATA, Attributes::CONSTANTS] {
            let mapping = host.vmap_contig(first, 1, attributes).map_err(text)?;
            execution_is_forbidden(mapping.address().get())?;
        }
        let code = host.vmap_contig(first, 1, Attributes::CODE).map_err(text)?;
        // SAFETY: the page holds a RET, which returns at once and changes nothing.
        let function: extern "C" fn() = unsafe { core::mem::transmute(code.as_ptr().as_ptr()) };
        function();
        Ok(())
    })
}

fn ioremap_keeps_the_offset_in_the_page(subject: &Subject<'_>) -> Verdict {
    with_frames(subject, 1, |host, first| {
        let registers = PhysAddr::new(first.address().get() + 0x18);
        let mapping = host.ioremap(registers, PAGE_SIZE).map_err(text)?;
        ensure!(
            mapping.address().get() % PAGE_SIZE == 0x18,
            "registers at {registers} appear at {}",
            mapping.address()
        );
        ensure!(mapping.bytes() == PAGE_SIZE, "{:#x} bytes were asked for", PAGE_SIZE);
        let start = mapping.address().align_down(PAGE_SIZE);
        ensure!(
            host.vmap().vmap_size(start) == Some(2),
            "registers on two pages take {:?}",
            host.vmap().vmap_size(start)
        );
        let mapped = host.vmap().translate(mapping.address());
        ensure!(mapped == Some((registers, Attributes::DEVICE)), "{registers} is mapped as {mapped:?}");
        Ok(())
    })
}

fn nothing_is_not_mapped(subject: &Subject<'_>) -> Verdict {
    let host = subject.host;
    let first = host.table().banks().first().ok_or("no RAM")?.start;
    ensure!(matches!(host.vmap_contig(first, 0, Attributes::DATA), Err(VmapError::Empty)), "no frames were mapped");
    ensure!(matches!(host.vmap_frames(&[], Attributes::DATA), Err(VmapError::Empty)), "no frames were mapped");
    ensure!(matches!(host.ioremap(first.address(), 0), Err(VmapError::Empty)), "no bytes were mapped");
    let last = Mfn::new((1 << 40) - 1).ok_or("no last frame")?;
    let beyond = host.vmap_contig(last, 2, Attributes::DATA);
    ensure!(matches!(beyond, Err(VmapError::Physical { .. })), "frames past the address space: {beyond:?}");
    Ok(())
}
