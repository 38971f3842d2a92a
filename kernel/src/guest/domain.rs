//! A guest with all its resources: memory, translation, devices, and the files loaded into it.
//!
//! A domain is built from its configuration and its boot modules, run until it ends, and taken apart: every frame is
//! freed. A guest that resets itself is taken apart and built again, from the same modules, which stay reserved for
//! that.

use crate::arch;
use crate::arch::lock::SpinLock;
use crate::arch::sgi::{self, SgiTarget};
use crate::base::addr::{Bytes, GuestAddr, Mfn, Span};
use crate::base::id::{CpuId, DomainId, VcpuId};
use crate::devtree::{Backing, Guest, GuestAddresses as AddressesOf, GuestUart, MAX_SIZE, Module, Unmapped};
use crate::frames::frametable::page_info::FrameOwner;
use crate::guest::device::uart::Vpl011;
use crate::guest::device::vgic::{Affinity, Kick, SgiKick, Vgic, VgicShape, VgicShapeError};
use crate::guest::isolation::stage2::{Config, Stage2, Stage2Error, Stage2Plan, Stage2PlanError, Vmid};
use crate::guest::layout::{self, LayoutError};
use crate::guest::life::{End, EntryState, Life, Posted};
use crate::guest::load::kernel_image::{KernelError, KernelImage};
use crate::guest::load::placement::{Needs, Placement, PlacementError};
use crate::guest::load::tree::{GuestTree, GuestTreeError, cpu_name};
use crate::guest::map::{GuestMap, GuestMapError, What};
use crate::guest::memory::window::ModuleWindow;
use crate::guest::memory::{FrameSource, GuestMemory, MemoryError};
use crate::memory::{HeapShortage, HostMemory};
use crate::vmap::VmapError;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use arm_psci::AffinityInfo;
use core::ops::Range;
use thiserror::Error;

/// SPIs of a guest that does not say how many it wants: the first is the UART's.
const SPIS: u32 = 32;

/// What of the machine matters to a guest.
#[derive(Clone, Copy, Debug)]
pub struct MachineFacts {
    /// MIDR_EL1 of its CPUs.
    pub midr: u64,
    /// Bits of a physical address.
    pub physical_bits: u32,
    /// Bits of a VMID: 8 or 16.
    pub vmid_bits: u32,
    /// Bits of a virtual interrupt's priority.
    pub priority_bits: u32,
}

/// Why a guest cannot be built. `name` is its node's.
#[derive(Debug, Error)]
#[error("{name}: {reason}")]
pub struct BuildError {
    /// The guest.
    pub name: String,
    /// Why.
    pub reason: Reason,
}

/// Why a guest cannot be built.
#[derive(Debug, Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message says what it is about")]
pub enum Reason {
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    Map(#[from] GuestMapError),
    #[error(transparent)]
    Memory(#[from] MemoryError),
    #[error(transparent)]
    Plan(#[from] Stage2PlanError),
    #[error(transparent)]
    Stage2(#[from] Stage2Error),
    #[error("{node}: {reason}")]
    Kernel { node: String, reason: KernelError },
    #[error(transparent)]
    Placement(#[from] PlacementError),
    #[error(transparent)]
    Tree(#[from] GuestTreeError),
    #[error("{node} cannot be read: {reason}")]
    Module { node: String, reason: VmapError },
    #[error(transparent)]
    Interrupts(#[from] VgicShapeError),
    #[error("this machine has VMIDs of {bits} bits, and guests with lower numbers have all of them")]
    Vmids { bits: u32 },
    #[error("{what}: {reason}")]
    Heap { what: &'static str, reason: HeapShortage },
}

/// A guest.
pub struct Domain {
    name: String,
    id: DomainId,
    vmid: Vmid,
    map: GuestMap,
    unmapped: Unmapped,
    memory: GuestMemory,
    stage2: Stage2,
    placement: Placement,
    /// Bytes of heap that it takes.
    heap: u64,
    devices: SpinLock<Devices>,
    /// The CPU of each vCPU.
    homes: Vec<Home>,
    life: Life,
    /// What the physical counter said when the domain's virtual counter was at 0.
    virtual_offset: u64,
}

/// The CPU that runs a vCPU.
#[derive(Clone, Copy, Debug)]
pub struct Home {
    /// Which one.
    pub cpu: CpuId,
    /// How it is interrupted.
    pub target: SgiTarget,
}

/// The devices that are emulated for a guest. One lock guards them all: each access is to one, and short.
pub struct Devices {
    /// The interrupt controller.
    pub vgic: Vgic,
    /// The UART, if there is one.
    pub uart: Option<Vpl011>,
}

impl Domain {
    /// Builds the guest that `config` describes, up to its first instruction. `id` is its own as long as it lives.
    ///
    /// # Errors
    ///
    /// [`BuildError`]; every frame has come back then.
    pub fn build(
        host: &HostMemory,
        config: &Guest,
        id: DomainId,
        homes: &[Home],
        machine: MachineFacts,
    ) -> Result<Self, BuildError> {
        let heap = host.heap_bytes();
        let failed = |reason| BuildError { name: config.name.clone(), reason };
        reserve_heap(host, "the guest's state", state_bytes(config)).map_err(failed)?;
        let vmid = Vmid::of(id, machine.vmid_bits).ok_or(Reason::Vmids { bits: machine.vmid_bits }).map_err(failed)?;
        let translation = Config::new(machine.physical_bits).with_vmids(machine.vmid_bits);
        let banks = banks(config, translation).map_err(failed)?;
        let map = GuestMap::new(&banks, config.cpus, config.uart).map_err(|error| failed(error.into()))?;
        let vgic = vgic(config, machine).map_err(|error| failed(error.into()))?;
        let owner = FrameOwner::guest(id);
        let given = host_frames(config);
        let source = if given.is_empty() { FrameSource::PageAllocator } else { FrameSource::Static(&given) };
        let mut memory = GuestMemory::new(host, owner, &banks, source).map_err(|error| failed(error.into()))?;
        match fill(host, config, &banks, translation, &mut memory, machine) {
            Ok((stage2, placement)) => Ok(Self {
                name: config.name.clone(),
                id,
                vmid,
                map,
                unmapped: config.unmapped,
                memory,
                stage2,
                life: Life::new(homes.len(), EntryState { pc: placement.kernel.start, x0: placement.tree.start.get() }),
                homes: homes.into(),
                virtual_offset: arch::ticks(),
                placement,
                heap: host.heap_bytes().saturating_sub(heap),
                devices: SpinLock::new(Devices { vgic, uart: (config.uart == GuestUart::Pl011).then(Vpl011::new) }),
            }),
            Err(reason) => {
                give_back(host, memory);
                Err(failed(reason))
            }
        }
    }

    /// Gives back all that the guest had, and says why its life has ended. It must be dead: no CPU runs it, and no TLB
    /// translates for it.
    pub fn release(self, host: &HostMemory) -> Option<End> {
        self.stage2.release(host);
        give_back(host, self.memory);
        self.life.into_end()
    }

    /// Which domain it is.
    pub fn id(&self) -> DomainId {
        self.id
    }

    /// The name of its node.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its life: which vCPUs are on, what is posted to them, and its end.
    #[inline]
    pub fn life(&self) -> &Life {
        &self.life
    }

    /// The vCPU with this affinity, whose fields stand where MPIDR_EL1 has them.
    pub fn vcpu_at(&self, affinity: u64) -> Option<VcpuId> {
        Affinity::from_mpidr(affinity).cpu().filter(|vcpu| vcpu.index() < self.life.vcpus())
    }

    /// The state of the vCPUs that share the affinity fields from `level` on with `affinity`, as PSCI has it: on if one is;
    /// `None` if there is none. Level 0 is a vCPU.
    pub fn power_state(&self, affinity: u64, level: u32) -> Option<AffinityInfo> {
        let node = |affinity: Affinity| affinity.packed().checked_shr(8 * level).unwrap_or(0);
        let wanted = node(Affinity::from_mpidr(affinity));
        let all = (0..self.life.vcpus()).map(|vcpu| VcpuId::new(vcpu as u16));
        let below = all.filter(|vcpu| node(Affinity::of(*vcpu)) == wanted);
        below.filter_map(|vcpu| self.life.state(vcpu)).min_by_key(|state| match state {
            AffinityInfo::On => 0,
            AffinityInfo::OnPending => 1,
            AffinityInfo::Off => 2,
        })
    }

    /// Has vCPUs of this domain that run on other CPUs look at their list registers. To be called without a lock.
    #[inline]
    pub fn kick(&self, kick: Kick) {
        if !kick.is_empty() {
            self.kick_all(kick);
        }
    }

    #[cold]
    #[inline(never)]
    fn kick_all(&self, kick: Kick) {
        kick.cpus().for_each(|vcpu| self.post(vcpu, Posted::INTERRUPTS));
    }

    /// As [`kick`](Self::kick), after an SGI.
    #[inline]
    pub fn kick_for_sgi(&self, SgiKick { sgis, others }: SgiKick) {
        if !sgis.is_empty() {
            sgis.cpus().for_each(|vcpu| self.post(vcpu, Posted::SGIS));
        }
        self.kick(others);
    }

    /// Has `vcpu` look at `what`, if there is such a vCPU.
    pub fn post(&self, vcpu: VcpuId, what: Posted) {
        if let Some(home) = self.homes.get(vcpu.index())
            && self.life.inbox(vcpu).post(what)
        {
            sgi::kick(home.target);
        }
    }

    /// Ends its life, unless it has ended already, and has all vCPUs leave.
    pub fn end(&self, why: End) {
        self.life.end(why);
        (0..self.homes.len()).for_each(|vcpu| self.post(VcpuId::new(vcpu as u16), Posted::POWER));
    }

    /// The CPU of `vcpu`, if there is such a vCPU.
    pub fn home(&self, vcpu: VcpuId) -> Option<Home> {
        self.homes.get(vcpu.index()).copied()
    }

    /// CNTVOFF_EL2 for its vCPUs.
    pub fn virtual_offset(&self) -> u64 {
        self.virtual_offset
    }

    /// Whether it has RAM at `address`.
    pub fn has_ram_at(&self, address: GuestAddr) -> bool {
        self.map.region_of(address).is_some_and(|region| matches!(region.what, What::Bank(_)))
    }

    /// What its RAM is made of, for people.
    pub fn memory_in_words(&self) -> String {
        let (ram, tables) = (Bytes(self.memory.bytes()), Bytes(self.stage2.bytes()));
        format!("{ram} of RAM in {}; {tables} of tables", self.stage2.leaves())
    }

    /// What is where in its address space.
    pub fn map(&self) -> &GuestMap {
        &self.map
    }

    /// What an access to nothing does.
    pub fn unmapped(&self) -> Unmapped {
        self.unmapped
    }

    /// Its translation.
    pub fn stage2(&self) -> &Stage2 {
        &self.stage2
    }

    /// VTTBR_EL2 for its vCPUs.
    pub fn vttbr(&self) -> u64 {
        self.stage2.vttbr(self.vmid)
    }

    /// Where kernel, device tree and ramdisk are.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Its RAM.
    pub fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    /// Bytes of memory that it takes beside its RAM: tables, and the heap.
    pub fn overhead_bytes(&self) -> u64 {
        self.stage2.bytes() + self.heap
    }

    /// Its devices.
    pub fn devices(&self) -> &SpinLock<Devices> {
        &self.devices
    }
}

/// Heap in bytes for what every guest has: its devices, its map, gzip's state, names and a device tree without additions.
const STATE_BYTES: u64 = 128 << 10;

/// How many times its size a list may take for a moment that grows by doubling: the old list beside the new one, and the
/// room that is not used.
const LIST_GROWTH: u64 = 4;

/// How many times its size what is merged into a guest's device tree takes: a copy without gaps, the new tree twice as it
/// grows by doubling, and for each name of a property, which may be all there is, an entry of an index.
const TREE_GROWTH: u64 = 8;

/// Heap in bytes for a guest's state and the list of its static memory.
fn state_bytes(config: &Guest) -> u64 {
    let Backing::Static { ranges, .. } = &config.backing else { return STATE_BYTES };
    STATE_BYTES.saturating_add(2 * LIST_GROWTH * size_of_val(ranges.as_slice()) as u64)
}

/// Heap in bytes for a guest's device tree.
fn tree_bytes(config: &Guest) -> u64 {
    let given = config.device_tree.as_ref().map_or(0, |module| module.span.bytes());
    let words = config.kernel.bootargs.as_ref().map_or(0, |words| words.len() as u64);
    // A blob that is larger is refused by its size, before anything is allocated for it.
    let merged = (given + words).min(2 * MAX_SIZE as u64).next_power_of_two();
    STATE_BYTES.max(TREE_GROWTH * merged)
}

fn reserve_heap(host: &HostMemory, what: &'static str, bytes: u64) -> Result<(), Reason> {
    host.reserve_heap(bytes).map_err(|reason| Reason::Heap { what, reason })
}

/// Where the guest finds its RAM.
fn banks(config: &Guest, translation: Config) -> Result<Vec<Range<GuestAddr>>, Reason> {
    match &config.backing {
        Backing::Static { ranges, placement: AddressesOf::Direct } => {
            let bank = |span: &Span| GuestAddr::new(span.start.get())..GuestAddr::new(span.end.get());
            Ok(ranges.iter().map(bank).collect())
        }
        Backing::Allocated | Backing::Static { placement: AddressesOf::Usual, .. } => {
            Ok(layout::banks(config.memory, translation.ipa_bits())?.into_iter().collect())
        }
    }
}

/// The host memory that is set aside for the guest: whole pages, as the device tree's reader has checked.
fn host_frames(config: &Guest) -> Vec<Range<Mfn>> {
    let Backing::Static { ranges, .. } = &config.backing else { return Vec::new() };
    ranges.iter().filter_map(|span| Some(Mfn::containing(span.start)?..Mfn::containing(span.end)?)).collect()
}

fn vgic(config: &Guest, machine: MachineFacts) -> Result<Vgic, VgicShapeError> {
    let spis = config.spis.unwrap_or(SPIS).max(SPIS);
    Vgic::new(VgicShape { cpus: config.cpus as usize, spis, priority_bits: machine.priority_bits })
}

/// Loads the guest's modules and builds its translation.
fn fill(
    host: &HostMemory,
    config: &Guest,
    banks: &[Range<GuestAddr>],
    translation: Config,
    memory: &mut GuestMemory,
    machine: MachineFacts,
) -> Result<(Stage2, Placement), Reason> {
    let placement = load(host, config, banks, memory, machine)?;
    reserve_heap(host, "the list of the guest's memory", LIST_GROWTH * size_of_val(memory.extents()) as u64)?;
    let plan = Stage2Plan::new(translation, memory.extents())?;
    Ok((Stage2::build(host, &plan)?, placement))
}

/// Puts kernel, ramdisk and device tree into the guest's memory.
fn load(
    host: &HostMemory,
    config: &Guest,
    banks: &[Range<GuestAddr>],
    memory: &mut GuestMemory,
    machine: MachineFacts,
) -> Result<Placement, Reason> {
    let module = map(host, &config.kernel)?;
    let refused = |reason| Reason::Kernel { node: config.kernel.node.clone(), reason };
    let image = KernelImage::probe(module.bytes()).map_err(refused)?;
    let ramdisk = config.ramdisk.as_ref().map(|module| module.span.bytes());
    let needs = Needs { text_offset: image.text_offset(), kernel: image.memory_size(), ramdisk };
    let placement = Placement::new(banks, &needs)?;

    let place = &placement.kernel;
    let mut window = memory.window(host, place.start, layout::size(place))?;
    let size = image.load(window.bytes_mut()).map_err(refused)?;
    clean(window.bytes_mut(), size);
    drop(window);

    if let (Some(module), Some(place)) = (&config.ramdisk, &placement.ramdisk) {
        let module = map(host, module)?;
        write(host, memory, place.start, module.bytes())?;
    }
    let given = config.device_tree.as_ref().map(|module| map(host, module)).transpose()?;
    reserve_heap(host, "the guest's device tree", tree_bytes(config))?;
    let tree = GuestTree {
        banks,
        vcpus: config.cpus,
        cpu: cpu_name(machine.midr),
        uart: config.uart,
        bootargs: config.kernel.bootargs.as_deref(),
        ramdisk: placement.ramdisk.as_ref(),
        given: given.as_ref().map(ModuleWindow::bytes),
    };
    write(host, memory, placement.tree.start, &tree.blob()?)?;
    Ok(placement)
}

/// Maps a boot module for reading.
fn map(host: &HostMemory, module: &Module) -> Result<ModuleWindow, Reason> {
    let Module { node, span, .. } = module;
    let refused = |reason| Reason::Module { node: node.clone(), reason };
    // SAFETY: the memory map reserves the memory of modules, so it is no guest's and not the page allocator's.
    unsafe { ModuleWindow::open(host, span) }.map_err(refused)
}

/// Writes `data` for a guest that reads past the caches.
fn write(host: &HostMemory, memory: &mut GuestMemory, start: GuestAddr, data: &[u8]) -> Result<(), Reason> {
    memory.write(host, start, data)?;
    let mut window = memory.window(host, start, data.len() as u64)?;
    clean(window.bytes_mut(), data.len());
    Ok(())
}

/// Writes the first `size` bytes back to where a guest finds them that has its caches off.
fn clean(memory: &mut [u8], size: usize) {
    if let Some(written) = memory.get(..size) {
        arch::clean_to_poc(written);
    }
}

/// Gives a dead guest's memory back.
fn give_back(host: &HostMemory, memory: GuestMemory) {
    if let Err(error) = memory.release(host) {
        panic!("nobody but its guest refers to a guest's memory: {error}");
    }
}
