//! The device tree that a guest finds at x0.
//!
//! It describes the devices that this hypervisor gives to every guest, as the bindings in Linux
//! (Documentation/devicetree/bindings) require it, and with the names that Xen uses.
//!
//! A guest's configuration may bring a tree of its own (`multiboot,device-tree`). Every child of its root is copied,
//! but for RAM, CPUs, PSCI, interrupt controller, timer and UART, which are the hypervisor's. A node of it that
//! requests a device of the machine is an error.
//!
//! The blob's size does not depend on where the ramdisk is or how large it is.
//!
//! Not in it: a seed for the guest's address space randomisation (`kaslr-seed`, `rng-seed`), for which there is no
//! source of random numbers; and reserved memory, of which a guest has none.

use crate::base::addr::GuestAddr;
use crate::devtree::{Blob, BlobError, GuestUart, MAX_SIZE};
use crate::guest::layout::MAX_VCPUS;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use given::Given;
use thiserror::Error;
use vm_fdt::{FdtWriter, FdtWriterResult};

mod cpu;
mod given;
mod nodes;

#[cfg(test)]
mod tests;

pub use cpu::cpu_name;
pub use nodes::GIC_PHANDLE;

/// What stands in a guest's device tree.
#[derive(Clone, Copy, Debug)]
pub struct GuestTree<'a> {
    /// RAM, in ascending order.
    pub banks: &'a [Range<GuestAddr>],
    /// Number of CPUs, from 1 to [`MAX_VCPUS`].
    pub vcpus: u32,
    /// What the CPUs are `compatible` with: [`cpu_name`].
    pub cpu: &'a str,
    /// Whether there is a UART.
    pub uart: GuestUart,
    /// The command line of the kernel. Without one, the given tree's counts.
    pub bootargs: Option<&'a str>,
    /// Where the ramdisk is, to the byte.
    pub ramdisk: Option<&'a Range<GuestAddr>>,
    /// A tree to merge: all bytes of a module.
    pub given: Option<&'a [u8]>,
}

/// Why there is no device tree for a guest.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its numbers")]
pub enum GuestTreeError {
    #[error("{vcpus} CPUs are not from 1 to {MAX_VCPUS}")]
    Vcpus { vcpus: u32 },
    #[error("multiboot,device-tree: {0}")]
    Given(#[from] BlobError),
    #[error("multiboot,device-tree: {node} has {property}, but no devices are assigned to guests")]
    Assignment { node: String, property: String },
    #[error(
        "multiboot,device-tree: {node} is addressed by {address} address and {size} size cells, a guest's root has 2 and 2"
    )]
    Cells { node: String, address: usize, size: usize },
    #[error("multiboot,device-tree: {node} shows that it is an overlay, only whole trees can be merged")]
    Overlay { node: String },
    #[error("multiboot,device-tree: phandle {phandle:#x} of {node} is that of another node, too")]
    Phandle { node: String, phandle: u32 },
    #[error("{node} cannot be written into the device tree: {error}")]
    Write { node: String, error: vm_fdt::Error },
    #[error("device tree is {bytes} bytes, Linux allows at most {MAX_SIZE}")]
    TooLarge { bytes: usize },
}

impl GuestTree<'_> {
    /// The tree as a blob of at most [`MAX_SIZE`] bytes.
    pub fn blob(&self) -> Result<Vec<u8>, GuestTreeError> {
        let vcpus = self.vcpus;
        if !(1..=MAX_VCPUS).contains(&vcpus) {
            return Err(GuestTreeError::Vcpus { vcpus });
        }
        let given = self.given.map(Blob::check).transpose()?;
        let reader = given.as_ref().map(Blob::reader);
        let given = reader.as_ref().map(Given::read).transpose()?.unwrap_or_default();
        let gic = given.gic.unwrap_or(GIC_PHANDLE);
        let bootargs = self.bootargs.or(given.bootargs);

        let mut fdt = FdtWriter::new().map_err(at("/"))?;
        let root = fdt.begin_node("").map_err(at("/"))?;
        nodes::root(&mut fdt, gic).map_err(at("/"))?;
        nodes::chosen(&mut fdt, bootargs, self.uart, self.ramdisk).map_err(at("/chosen"))?;
        nodes::memory(&mut fdt, self.banks).map_err(at("/memory"))?;
        nodes::cpus(&mut fdt, vcpus, self.cpu).map_err(at("/cpus"))?;
        nodes::psci(&mut fdt).map_err(at("/psci"))?;
        nodes::gic(&mut fdt, gic, vcpus).map_err(at("/interrupt-controller"))?;
        nodes::timer(&mut fdt, gic).map_err(at("/timer"))?;
        if self.uart == GuestUart::Pl011 {
            nodes::uart(&mut fdt, gic).map_err(at("/sbsa-uart"))?;
        }
        given.copy(&mut fdt)?;
        let blob = fdt.end_node(root).and_then(|()| fdt.finish()).map_err(at("/"))?;
        if blob.len() > MAX_SIZE {
            return Err(GuestTreeError::TooLarge { bytes: blob.len() });
        }
        Ok(blob)
    }
}

/// Adds to a writer's error which node could not be written.
fn at(node: &str) -> impl Fn(vm_fdt::Error) -> GuestTreeError {
    move |error| GuestTreeError::Write { node: node.into(), error }
}

/// Writes a node with what `body` writes into it.
fn node(
    fdt: &mut FdtWriter,
    name: &str,
    body: impl FnOnce(&mut FdtWriter) -> FdtWriterResult<()>,
) -> FdtWriterResult<()> {
    let open = fdt.begin_node(name)?;
    body(fdt)?;
    fdt.end_node(open)
}
