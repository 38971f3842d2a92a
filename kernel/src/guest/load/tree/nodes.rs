//! The nodes that every guest's tree has.
//!
//! Addresses, sizes and interrupts come from [`layout`]. Nothing here decides anything.

use super::node;
use crate::base::addr::GuestAddr;
use crate::base::id::VcpuId;
use crate::devtree::GuestUart;
use crate::guest::device::vgic::Affinity;
use crate::guest::layout::{
    self, DISTRIBUTOR, FIRST_PPI, FIRST_SPI, HYPERVISOR_TIMER_INTID, PHYSICAL_TIMER_INTID, SECURE_TIMER_INTID, UART,
    UART_INTID, VIRTUAL_TIMER_INTID,
};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use vm_fdt::{FdtWriter, FdtWriterResult};

/// The interrupt controller's phandle unless a given tree has another one: Xen's choice, which trees made for Xen name
/// without having the node (xen/include/public/device_tree_defs.h).
pub const GIC_PHANDLE: u32 = 65000;

// An interrupt specifier of the GIC has three cells: kind, number among that kind, and flags (arm,gic-v3.yaml).
const SPI: u32 = 0;
const PPI: u32 = 1;
/// Level-sensitive and active high.
const LEVEL_HIGH: u32 = 4;
/// Level-sensitive and active low: how the bindings want the timer's.
const LEVEL_LOW: u32 = 8;
/// Of a PPI, the CPUs that have it. GICv3 ignores the field; Xen fills it, and so do the trees of machines.
const ALL_CPUS: u32 = 0xf00;

// Functions of PSCI 0.1, which had no fixed numbers: those of later versions (DEN 0022, 5.1).
const CPU_OFF: u32 = 0x8400_0002;
const CPU_ON: u32 = 0xc400_0003;

/// Bits per second. Nothing is as slow, but the binding wants a number.
const BAUD: u32 = 115_200;

/// The UART's node, below the root.
pub(super) fn uart_name() -> String {
    format!("sbsa-uart@{:x}", UART.start.get())
}

/// The interrupt controller's node, below the root.
pub(super) fn gic_name() -> String {
    format!("interrupt-controller@{:x}", DISTRIBUTOR.start.get())
}

/// The root's own properties.
pub(super) fn root(fdt: &mut FdtWriter, gic: u32) -> FdtWriterResult<()> {
    fdt.property_string("compatible", "lacuna,vm")?;
    fdt.property_string("model", "Lacuna virtual machine")?;
    fdt.property_u32("#address-cells", 2)?;
    fdt.property_u32("#size-cells", 2)?;
    // For merged nodes without their own.
    fdt.property_u32("interrupt-parent", gic)
}

pub(super) fn chosen(
    fdt: &mut FdtWriter,
    bootargs: Option<&str>,
    uart: GuestUart,
    ramdisk: Option<&Range<GuestAddr>>,
) -> FdtWriterResult<()> {
    node(fdt, "chosen", |fdt| {
        if let Some(bootargs) = bootargs {
            fdt.property_string("bootargs", bootargs)?;
        }
        if uart == GuestUart::Pl011 {
            fdt.property_string("stdout-path", &format!("/{}", uart_name()))?;
        }
        if let Some(ramdisk) = ramdisk {
            fdt.property_u64("linux,initrd-start", ramdisk.start.get())?;
            fdt.property_u64("linux,initrd-end", ramdisk.end.get())?;
        }
        Ok(())
    })
}

/// One node for each bank, named by its address.
pub(super) fn memory(fdt: &mut FdtWriter, banks: &[Range<GuestAddr>]) -> FdtWriterResult<()> {
    banks.iter().try_for_each(|bank| {
        node(fdt, &format!("memory@{:x}", bank.start.get()), |fdt| {
            fdt.property_string("device_type", "memory")?;
            reg(fdt, &[bank])
        })
    })
}

pub(super) fn cpus(fdt: &mut FdtWriter, vcpus: u32, compatible: &str) -> FdtWriterResult<()> {
    node(fdt, "cpus", |fdt| {
        fdt.property_u32("#address-cells", 1)?;
        fdt.property_u32("#size-cells", 0)?;
        (0..vcpus as usize).map(|vcpu| Affinity::of(VcpuId::new(vcpu as u16)).packed()).try_for_each(|affinity| {
            node(fdt, &format!("cpu@{affinity:x}"), |fdt| {
                fdt.property_string("device_type", "cpu")?;
                fdt.property_string("compatible", compatible)?;
                fdt.property_string("enable-method", "psci")?;
                fdt.property_u32("reg", affinity)
            })
        })
    })
}

pub(super) fn psci(fdt: &mut FdtWriter) -> FdtWriterResult<()> {
    node(fdt, "psci", |fdt| {
        let versions = ["arm,psci-1.0", "arm,psci-0.2", "arm,psci"];
        fdt.property_string_list("compatible", versions.map(String::from).into())?;
        fdt.property_string("method", "hvc")?;
        fdt.property_u32("cpu_off", CPU_OFF)?;
        fdt.property_u32("cpu_on", CPU_ON)
    })
}

pub(super) fn gic(fdt: &mut FdtWriter, phandle: u32, vcpus: u32) -> FdtWriterResult<()> {
    let redistributors = layout::redistributors(vcpus).unwrap_or(layout::REDISTRIBUTORS);
    node(fdt, &gic_name(), |fdt| {
        fdt.property_string("compatible", "arm,gic-v3")?;
        fdt.property_null("interrupt-controller")?;
        fdt.property_u32("#interrupt-cells", 3)?;
        fdt.property_u32("#address-cells", 0)?;
        fdt.property_u32("#redistributor-regions", 1)?;
        reg(fdt, &[&DISTRIBUTOR, &redistributors])?;
        fdt.property_phandle(phandle)
    })
}

pub(super) fn timer(fdt: &mut FdtWriter, gic: u32) -> FdtWriterResult<()> {
    node(fdt, "timer", |fdt| {
        fdt.property_string("compatible", "arm,armv8-timer")?;
        fdt.property_u32("interrupt-parent", gic)?;
        // In the order of the binding.
        let timers = [SECURE_TIMER_INTID, PHYSICAL_TIMER_INTID, VIRTUAL_TIMER_INTID, HYPERVISOR_TIMER_INTID];
        let interrupts = timers.map(|intid| [PPI, intid.get() - FIRST_PPI, ALL_CPUS | LEVEL_LOW]);
        fdt.property_array_u32("interrupts", interrupts.as_flattened())
    })
}

pub(super) fn uart(fdt: &mut FdtWriter, gic: u32) -> FdtWriterResult<()> {
    node(fdt, &uart_name(), |fdt| {
        fdt.property_string("compatible", "arm,sbsa-uart")?;
        reg(fdt, &[&UART])?;
        fdt.property_u32("interrupt-parent", gic)?;
        fdt.property_array_u32("interrupts", &[SPI, UART_INTID.get() - FIRST_SPI, ALL_CPUS | LEVEL_HIGH])?;
        fdt.property_u32("current-speed", BAUD)
    })
}

/// `reg` in the root's cells: two for an address, two for a size.
fn reg(fdt: &mut FdtWriter, ranges: &[&Range<GuestAddr>]) -> FdtWriterResult<()> {
    let value = ranges.iter().flat_map(|range| [range.start.get(), layout::size(range)]);
    fdt.property_array_u64("reg", &value.collect::<Vec<u64>>())
}
