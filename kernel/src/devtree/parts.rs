//! What a device tree describes, as data: no part of it is checked against another.

use crate::arch::conduit::Conduit;
use crate::base::addr::{PhysAddr, Span};
use crate::base::id::Mpidr;
use crate::base::interrupt::Interrupt;
use crate::console::uart::{RegisterAccess, UartModel};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;

/// One range of a memory node, as it stands there: nothing about its end is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bank {
    /// Path of the memory node, or whatever else names the bank in a message.
    pub node: String,
    /// First byte.
    pub start: PhysAddr,
    /// Length in bytes.
    pub size: u64,
}

/// A CPU of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuFacts {
    /// Path of its node.
    pub node: String,
    /// Its affinity, which no other CPU of the tree has.
    pub mpidr: Mpidr,
    /// How it is started.
    pub enable: EnableMethod,
    /// The number by which other nodes refer to it.
    pub phandle: Option<u32>,
}

/// A CPU pool: CPUs for the vCPUs of the guests that name it, and for no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuPool {
    /// Path of its node.
    pub node: String,
    /// The number by which guests refer to it.
    pub phandle: Option<u32>,
    /// Its CPUs, at least one. None is in another pool.
    pub cpus: Vec<PoolCpu>,
}

/// A CPU of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolCpu {
    /// Path of its node.
    pub node: String,
    /// Its affinity.
    pub mpidr: Mpidr,
}

/// `hard-affinity` of a vCPU: the CPUs that it may run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HardAffinity {
    /// The vCPU, below the number that its guest has.
    pub vcpu: u32,
    /// CPUs by number: the one that boots is 0, the others follow in the order of the tree.
    pub cpus: Vec<RangeInclusive<u32>>,
}

/// When a guest starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestStart {
    /// When the machine does.
    AtBoot,
    /// When somebody at the hypervisor's prompt says so: its node is disabled.
    AtThePrompt,
}

/// `enable-method` of a CPU: how it is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnableMethod {
    /// The tree does not say, as of the only CPU of a machine.
    Absent,
    /// By CPU_ON of PSCI.
    Psci,
    /// By an address that is written to `release`, where the CPU waits for it: 8 bytes, little-endian.
    SpinTable {
        /// `cpu-release-addr`.
        release: PhysAddr,
    },
    /// By something else, or by a spin table without an address.
    Unknown(String),
}

/// How PSCI firmware is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PsciFacts {
    /// By which instruction.
    pub conduit: Conduit,
    /// The function ID of CPU_ON, which firmware of version 0.1 chooses itself. That of versions 0.2 and later is given by the
    /// standard (DEN0022, 5.1.4); `None` if version 0.1 has no such function.
    pub cpu_on: Option<u32>,
}

/// Where to print, and perhaps to read what is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    /// Path of the UART's node as `stdout-path` or its alias gives it.
    pub node: String,
    /// What it is.
    pub device: ConsoleDevice,
    /// The UART's interrupt, if the tree says where it goes and there is a GIC.
    pub interrupt: Option<Interrupt>,
}

/// The device of a console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsoleDevice {
    /// A UART with registers in memory.
    Memory {
        /// Which driver it takes.
        model: UartModel,
        /// The registers, as the CPU sees them.
        registers: Span,
        /// How they are accessed.
        access: RegisterAccess,
    },
    /// The debug communications channel of the CPU, which has no registers in memory.
    DebugChannel,
}

/// A GICv3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GicFacts {
    /// Path of its node.
    pub node: String,
    /// Registers of the distributor, as the CPU sees them: whole frames of 64 KiB.
    pub distributor: Span,
    /// Where redistributors stand one behind the other, as the CPU sees it: at least one range, and room for one in
    /// each.
    pub redistributors: Vec<Span>,
    /// Bytes from one redistributor to the next, if they are not packed: a multiple of 64 KiB, at least 128 KiB.
    pub stride: Option<u64>,
    /// Maintenance interrupt of the virtual interface. Private to each CPU.
    pub maintenance: Option<Interrupt>,
}

/// A guest as the device tree describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// Path of its node.
    pub node: String,
    /// Name of its node.
    pub name: String,
    /// When it starts.
    pub start: GuestStart,
    /// Number of virtual CPUs.
    pub cpus: u32,
    /// The CPUs of those vCPUs that may not run on every CPU.
    pub affinities: Vec<HardAffinity>,
    /// Index of its CPU pool.
    pub pool: Option<usize>,
    /// Its RAM in bytes: whole pages, not 0.
    pub memory: u64,
    /// The UART that is emulated for it.
    pub uart: GuestUart,
    /// Number of shared interrupts that it requests, at most 988.
    pub spis: Option<u32>,
    /// Where its RAM comes from.
    pub backing: Backing,
    /// Whether it starts again by itself.
    pub restart: RestartPolicy,
    /// How often it does, if not without end.
    pub restart_limit: Option<u32>,
    /// What an access to nothing does.
    pub unmapped: Unmapped,
    /// Its kernel, with its command line.
    pub kernel: Module,
    /// Its initial ramdisk.
    pub ramdisk: Option<Module>,
    /// What is to be added to its device tree.
    pub device_tree: Option<Module>,
}

/// `lacuna,restart`: after which ends a guest starts again by itself. A guest's own reset is none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestartPolicy {
    /// `never`.
    #[default]
    Never,
    /// `on-failure`: it was stopped, because it could not go on.
    OnFailure,
    /// `always`: it was stopped, or switched itself off.
    Always,
}

/// The UART that is emulated for a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestUart {
    /// None.
    None,
    /// `vpl011`: a PL011 as far as an SBSA UART is one.
    Pl011,
}

/// Where a guest's RAM comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backing {
    /// From free RAM.
    Allocated,
    /// `xen,static-mem`: from memory of its own.
    Static {
        /// Host memory: whole pages, none empty, as many as the guest's RAM has, in the order of the tree.
        ranges: Vec<Span>,
        /// Where the guest finds it.
        placement: GuestAddresses,
    },
}

/// Where a guest finds its RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestAddresses {
    /// At the addresses that all guests have.
    Usual,
    /// `direct-map`: at the host's addresses.
    Direct,
}

/// `trap-unmapped-accesses`: what a guest's access to an address without anything does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmapped {
    /// It ends in an abort.
    Trap,
    /// A read gives all ones, a write is lost.
    ReadAsOnes,
}

/// A module of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Path of its node.
    pub node: String,
    /// Where it lies, to the byte. Not empty.
    pub span: Span,
    /// Its command line, if it has one.
    pub bootargs: Option<String>,
}

/// What a module is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleRole {
    /// The kernel, whose command line is the guest's.
    Kernel,
    /// The initial ramdisk.
    Ramdisk,
    /// A part to be added to the guest's device tree.
    DeviceTree,
}

impl fmt::Display for ModuleRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kernel => "kernel",
            Self::Ramdisk => "ramdisk",
            Self::DeviceTree => "device tree",
        })
    }
}
