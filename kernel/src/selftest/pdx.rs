//! The renumbering of frames, as it is on this machine and as it is published.

use super::{Subject, Verdict};
use crate::base::addr::{Frames, Mfn};
use crate::pdx::{GROUP_PAGES, layouts};
use alloc::string::ToString;

tests!(pdx: round_trips_at_every_bank_edge keeps_order_and_low_bits covers_no_removed_hole gives_the_published_layouts);

fn round_trips_at_every_bank_edge(subject: &Subject<'_>) -> Verdict {
    let table = subject.host.table();
    for bank in table.banks() {
        let last = bank.end.checked_sub(1).unwrap_or(bank.start);
        let middle = bank.start.checked_add(bank.count() / 2).unwrap_or(last);
        for mfn in [bank.start, middle, last] {
            let pdx = table.pdx().pdx(mfn);
            let back = table.pdx().mfn(pdx);
            ensure!(table.pdx().covers(mfn), "{mfn:?} is RAM and not covered");
            ensure!(back == Some(mfn), "{mfn:?} becomes {pdx:?} and comes back as {back:?}");
            let page = table.page(mfn).and_then(|page| table.mfn(page));
            ensure!(page == Some(mfn), "{mfn:?} comes back from the frametable as {page:?}");
        }
    }
    Ok(())
}

fn keeps_order_and_low_bits(subject: &Subject<'_>) -> Verdict {
    let table = subject.host.table();
    let mut before = None;
    for bank in table.banks() {
        for index in (0..bank.count()).step_by(GROUP_PAGES as usize / 2) {
            let mfn = bank.start.checked_add(index).unwrap_or(bank.start);
            let pdx = table.pdx().pdx(mfn);
            let (low, kept) = (mfn.get() % GROUP_PAGES, pdx.get() % GROUP_PAGES);
            ensure!(low == kept, "{mfn:?} becomes {pdx:?}, which changes bits inside a group");
            ensure!(before.is_none_or(|before| before < pdx), "{mfn:?} becomes {pdx:?}, not above {before:?}");
            before = Some(pdx);
        }
    }
    Ok(())
}

fn covers_no_removed_hole(subject: &Subject<'_>) -> Verdict {
    let table = subject.host.table();
    for banks in table.banks().windows(2) {
        let mut mfn = banks[0].end.get().next_multiple_of(GROUP_PAGES);
        while mfn + GROUP_PAGES <= banks[1].start.get() {
            let hole = Mfn::new(mfn).unwrap_or(banks[0].end);
            ensure!(!table.is_ram(hole), "{hole:?} lies between banks and is RAM");
            ensure!(!table.has_page_info(hole), "{hole:?} lies in a group without RAM and has page info");
            mfn += GROUP_PAGES;
        }
    }
    Ok(())
}

fn gives_the_published_layouts(_: &Subject<'_>) -> Verdict {
    layouts::ALL.iter().try_for_each(|layout| layout.check()).map_err(|mismatch| mismatch.to_string())
}
