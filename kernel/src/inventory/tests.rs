//! The order of queries to a machine, and the answers that the inventory uses.

use super::{Inventory, InventoryError, Machine, Paper, Stage};
use crate::base::addr::{Mfn, PhysAddr, Span};
use crate::devtree::tests::{memory, node, root};
use crate::devtree::{Blob, Facts, FactsError, Owned, Owner};
use crate::memory_map::absent::Probe;
use crate::memory_map::{MemoryMapError, PhysLimit};
use crate::pdx::Policy;
use log::LevelFilter;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

const RAM: u64 = 0x4000_0000;

/// A machine whose RAM ends at `end`, and what it was asked for.
struct Recorded {
    end: u64,
    occupied: Vec<Owned>,
    calls: Vec<String>,
}

impl Machine for Recorded {
    type ConsoleError = &'static str;

    fn start_console(&mut self, facts: &Facts<'_>) -> Result<(), &'static str> {
        self.calls.push(std::format!("console {:?}", facts.psci.is_some()));
        Err("no console")
    }

    fn set_log_level(&mut self, level: LevelFilter) {
        self.calls.push(level.to_string());
    }

    fn address_limit(&self) -> PhysLimit {
        PhysLimit::from_bits(36)
    }

    fn occupied(&self) -> Vec<Owned> {
        self.occupied.clone()
    }

    fn probed<R>(&mut self, with: impl FnOnce(&mut dyn Probe) -> R) -> R {
        self.calls.push("probe".into());
        with(&mut UpTo(self.end))
    }

    fn end_stage(&mut self, stage: Stage) {
        self.calls.push(stage.name().into());
    }
}

/// Memory that ends at this address.
struct UpTo(u64);

impl Probe for UpTo {
    fn answers(&mut self, mfn: Mfn) -> bool {
        mfn.address().get() < self.0
    }

    fn reads(&mut self, mfn: Mfn) -> bool {
        self.answers(mfn)
    }

    fn mirrors(&mut self, _: Mfn, _: Mfn) -> bool {
        false
    }
}

fn machine(end: u64) -> Recorded {
    Recorded { end, occupied: vec![], calls: vec![] }
}

fn image() -> Owned {
    Owned { owner: Owner::Image, span: Span { start: PhysAddr::new(RAM), end: PhysAddr::new(RAM + 0x1000) } }
}

fn psci() -> crate::devtree::tests::Node {
    node("psci").text("compatible", "arm,psci-1.0").text("method", "smc")
}

#[test]
fn each_stage_takes_what_the_one_before_it_made() {
    let chosen = node("chosen").text("bootargs", "loglevel=error pdx-compress=off");
    let tree = root().with(memory()).with(psci()).with(chosen).blob();
    let blob = Blob::check(&tree).unwrap();
    let mut machine = Recorded { occupied: vec![image()], ..machine(RAM + 0x10_0000) };
    let inventory = Inventory::take(&blob, &mut machine).unwrap();
    let expected = ["console true", "device tree", "ERROR", "console", "probe", "probe", "memory map"];
    assert_eq!(machine.calls, expected);
    assert_eq!((inventory.options.log_level, inventory.options.pdx), (LevelFilter::Error, Policy::Off));
    // The image is on the map, and RAM that does not answer is not.
    assert_eq!(inventory.memory.reserved(), [image()]);
    assert_eq!(inventory.memory.ram_bytes(), 0x10_0000);
}

/// Else the reason of the refusal could not be printed, and the machine could not be ended.
#[test]
fn the_console_starts_before_a_tree_is_refused() {
    let tree = root().with(psci()).blob();
    let blob = Blob::check(&tree).unwrap();
    let mut machine = machine(u64::MAX);
    let refusal = Inventory::take(&blob, &mut machine).unwrap_err();
    assert_eq!((refusal, machine.calls), (InventoryError::Facts(FactsError::NoMemory), vec!["console true".into()]));
}

#[test]
fn a_module_in_ram_that_does_not_answer_is_refused() {
    let module = node("module@41000000").text("compatible", "multiboot,module").cells("reg", &[0x4080_0000, 0x1000]);
    let chosen = node("chosen").cells("#address-cells", &[1]).cells("#size-cells", &[1]).with(module);
    let memory = node("memory@40000000").text("device_type", "memory").cells("reg", &[0, RAM as u32, 0, 0x100_0000]);
    let tree = root().with(memory).with(chosen).blob();
    let blob = Blob::check(&tree).unwrap();
    let refusal = Inventory::take(&blob, &mut machine(RAM + 0x40_0000)).unwrap_err();
    assert!(matches!(refusal, InventoryError::Map(MemoryMapError::NotRam { .. })), "{refusal}");
    let mut paper = Paper { limit: PhysLimit::WIDEST, occupied: vec![image()] };
    let inventory = Inventory::take(&blob, &mut paper).unwrap();
    assert_eq!((inventory.memory.reserved().len(), inventory.memory.ram_bytes()), (2, 0x100_0000));
}
