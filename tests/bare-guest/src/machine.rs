//! What the guest's device tree says.

use crate::gic::Gic;
use core::ops::Range;
use core::slice;
use fdt::Fdt;
use fdt::node::FdtNode;

/// At most as many banks of RAM.
const BANKS: usize = 8;

/// A machine. Everything in it lies in the device tree's own memory, or is a number.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The tree's bytes.
    pub tree: Range<u64>,
    fdt: Fdt<'static>,
    /// The command line.
    pub bootargs: &'static str,
    banks: [(u64, u64); BANKS],
    count: usize,
    /// The initial ramdisk.
    pub ramdisk: Option<Range<u64>>,
    /// The UART's address; 0 if there is none.
    pub uart: u64,
    /// The interrupt controller, if it is a GICv3.
    pub gic: Option<Gic>,
}

impl Machine {
    /// Reads the tree at `address`.
    ///
    /// # Safety
    ///
    /// A device tree must lie there, which nobody changes.
    pub unsafe fn read(address: u64) -> Option<Self> {
        // SAFETY: the caller promises a tree, whose size stands in its second word.
        let header = unsafe { slice::from_raw_parts(address as *const u8, 8) };
        let size = u32::from_be_bytes(header[4..].try_into().ok()?);
        // SAFETY: as above; the tree is as long as it says.
        let bytes = unsafe { slice::from_raw_parts(address as *const u8, size as usize) };
        let fdt = Fdt::new(bytes).ok()?;
        let chosen = fdt.find_node("/chosen");
        let number = |name| chosen.and_then(|chosen| chosen.property(name)).and_then(|property| property.as_usize());
        let ramdisk = number("linux,initrd-start").zip(number("linux,initrd-end"));
        let mut machine = Self {
            tree: address..address + u64::from(size),
            fdt,
            bootargs: chosen.and_then(|chosen| chosen.property("bootargs")?.as_str()).unwrap_or_default(),
            banks: [(0, 0); BANKS],
            count: 0,
            ramdisk: ramdisk.map(|(start, end)| start as u64..end as u64).filter(|range| !range.is_empty()),
            uart: first(fdt.find_compatible(&["arm,sbsa-uart", "arm,pl011"])).map_or(0, |(address, _)| address),
            gic: gic(&fdt),
        };
        let is_memory = |node: &FdtNode| node.property("device_type").and_then(|kind| kind.as_str()) == Some("memory");
        for region in fdt.all_nodes().filter(is_memory).filter_map(FdtNode::reg).flatten() {
            if let (Some(bank), Some(size)) = (machine.banks.get_mut(machine.count), region.size) {
                *bank = (region.starting_address as u64, size as u64);
                machine.count += 1;
            }
        }
        Some(machine)
    }

    /// RAM.
    pub fn banks(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.banks[..self.count].iter().map(|(start, size)| *start..start + size)
    }

    /// Calls `act` with the name of each child of the tree's root.
    pub fn each_node(&self, act: impl FnMut(&str)) {
        self.fdt.find_node("/").into_iter().flat_map(FdtNode::children).map(|node| node.name).for_each(act);
    }

    /// The affinities of the CPUs, in the order of the tree.
    pub fn cpus(&self) -> impl Iterator<Item = u64> {
        let children = self.fdt.find_node("/cpus").into_iter().flat_map(FdtNode::children);
        let is_cpu = |node: &FdtNode| node.property("device_type").and_then(|kind| kind.as_str()) == Some("cpu");
        children.filter(is_cpu).filter_map(|node| node.property("reg")?.as_usize()).map(|reg| reg as u64)
    }

    /// The value of the word `key=value` on the command line.
    pub fn word(&self, key: &str) -> Option<&'static str> {
        let words = self.bootargs.split_ascii_whitespace();
        words.filter_map(|word| word.split_once('=')).find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// RAM without what the hypervisor put there: image, tree and ramdisk. Both ends are multiples of 16.
    pub fn each_free(&self, mut act: impl FnMut(Range<u64>)) {
        let page = |range: Range<u64>| range.start & !0xfff..range.end.next_multiple_of(0x1000);
        let none = || 0..0;
        let mut used = [image(), page(self.tree.clone()), self.ramdisk.clone().map_or_else(none, page)];
        used.sort_unstable_by_key(|range| range.start);
        for bank in self.banks() {
            let mut start = bank.start;
            for range in used.iter().filter(|range| range.start < bank.end && bank.start < range.end) {
                if start < range.start {
                    act(start..range.start);
                }
                start = start.max(range.end);
            }
            if start < bank.end {
                act(start..bank.end);
            }
        }
    }
}

/// The memory of this program.
pub fn image() -> Range<u64> {
    unsafe extern "C" {
        static __image_start: u8;
        static __image_end: u8;
    }
    &raw const __image_start as u64..&raw const __image_end as u64
}

fn gic(fdt: &Fdt) -> Option<Gic> {
    let mut regions = fdt.find_compatible(&["arm,gic-v3"])?.reg()?;
    let distributor = regions.next()?.starting_address as u64;
    Some(Gic { distributor, redistributor: regions.next()?.starting_address as u64 })
}

fn first(node: Option<FdtNode>) -> Option<(u64, u64)> {
    let region = node?.reg()?.next()?;
    Some((region.starting_address as u64, region.size? as u64))
}
