//! Boot modules: files that the boot loader put into memory, and the purpose of each.
//!
//! Names that start with `xen,` are those of Xen's binding before it was that of multiboot.

use super::super::node::{ranges, text};
use super::super::owned::{Owned, Owner};
use super::super::parts::{Module, ModuleRole};
use super::super::refusal::{FactsError, GuestNodeError};
use super::super::warning::TreeWarning;
use super::meaning::{self, Meaning};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use fdt::node::{CellSizes, FdtNode};

/// What a module says about its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum ModuleKind {
    /// It says it.
    Told(ModuleRole),
    /// It says nothing: the first such is the kernel, the second the ramdisk.
    Untold,
    /// It is something that nothing here knows.
    Other,
}

impl ModuleKind {
    /// What `node` is, or `None` if it is no module.
    pub fn of(node: FdtNode<'_, '_>) -> Option<Self> {
        let compatible = node.property("compatible")?.value;
        let (mut is_module, mut kind) = (false, Self::Untold);
        for name in compatible.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
            match name {
                b"multiboot,module" | b"xen,multiboot-module" => is_module = true,
                b"multiboot,kernel" | b"xen,linux-zimage" => kind = Self::Told(ModuleRole::Kernel),
                b"multiboot,ramdisk" | b"xen,linux-initrd" => kind = Self::Told(ModuleRole::Ramdisk),
                b"multiboot,device-tree" => kind = Self::Told(ModuleRole::DeviceTree),
                _ if kind == Self::Untold => kind = Self::Other,
                _ => {}
            }
        }
        is_module.then_some(kind)
    }
}

impl Module {
    /// The module at `path`, whose guest has the cells `bus`. Properties that mean nothing are added to `warnings`.
    fn read(
        node: FdtNode<'_, '_>,
        bus: CellSizes,
        path: String,
        warnings: &mut Vec<TreeWarning>,
    ) -> Result<Self, FactsError> {
        let (mut reg, mut bootargs) = (None, None);
        for property in node.properties() {
            match property.name {
                "reg" => reg = Some(property.value),
                "bootargs" => bootargs = Some(property.value),
                "compatible" | "#address-cells" | "#size-cells" | "phandle" | "linux,phandle" | "name" => {}
                name => warnings.push(TreeWarning::UnknownProperty { node: path.clone(), property: name.into() }),
            }
        }
        let reg = reg.ok_or_else(|| FactsError::Missing { node: path.clone(), property: "reg" })?;
        let mut found = ranges(reg, bus, "reg", &path)?;
        let (Some((start, size)), None) = (found.next(), found.next()) else {
            let count = ranges(reg, bus, "reg", &path)?.count();
            return Err(GuestNodeError::ModuleRanges { node: path, count }.into());
        };
        let span = Owned::new(Owner::Module(path.clone()), start, size)?.span;
        let not_text = || GuestNodeError::NotText { node: path.clone(), property: "bootargs" };
        let bootargs = bootargs.map(|value| text(value).ok_or_else(not_text)).transpose()?;
        let bootargs = bootargs.map(String::from);
        Ok(Self { node: path, span, bootargs })
    }
}

/// The modules of one guest, by what they are for.
#[derive(Default)]
pub(super) struct Modules {
    pub kernel: Option<Module>,
    pub ramdisk: Option<Module>,
    pub device_tree: Option<Module>,
}

impl Modules {
    /// Looks at the child nodes of `guest`: modules, and what else there is.
    pub fn read(guest: FdtNode<'_, '_>, path: &str, warnings: &mut Vec<TreeWarning>) -> Result<Self, FactsError> {
        let bus = guest.cell_sizes();
        let mut modules = Self::default();
        let mut untold = [ModuleRole::Kernel, ModuleRole::Ramdisk].into_iter();
        for child in guest.children() {
            let node = format!("{path}/{}", child.name);
            let role = match ModuleKind::of(child) {
                Some(ModuleKind::Told(role)) => role,
                Some(ModuleKind::Untold) => {
                    untold.next().ok_or_else(|| GuestNodeError::Untold { node: node.clone() })?
                }
                Some(ModuleKind::Other) => {
                    warnings.push(TreeWarning::UnknownNode { node });
                    continue;
                }
                None => {
                    other_node(child, node, warnings)?;
                    continue;
                }
            };
            modules.add(role, Module::read(child, bus, node, warnings)?)?;
        }
        Ok(modules)
    }

    fn add(&mut self, role: ModuleRole, module: Module) -> Result<(), GuestNodeError> {
        let place = match role {
            ModuleRole::Kernel => &mut self.kernel,
            ModuleRole::Ramdisk => &mut self.ramdisk,
            ModuleRole::DeviceTree => &mut self.device_tree,
        };
        match place {
            Some(first) => Err(GuestNodeError::TwoModules { role, first: first.node.clone(), second: module.node }),
            None => {
                *place = Some(module);
                Ok(())
            }
        }
    }
}

/// Refuses or names a child of a guest that is no module.
fn other_node(child: FdtNode<'_, '_>, node: String, warnings: &mut Vec<TreeWarning>) -> Result<(), GuestNodeError> {
    match meaning::of_node(child) {
        Meaning::Known => {}
        Meaning::Ignored(why) => warnings.push(TreeWarning::IgnoredNode { node, why }),
        Meaning::Unknown => warnings.push(TreeWarning::UnknownNode { node }),
        Meaning::Unsupported(why) => return Err(GuestNodeError::UnsupportedNode { node, why }),
    }
    Ok(())
}
