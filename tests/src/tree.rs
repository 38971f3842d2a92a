//! Device trees for machines that QEMU's `virt` can pass for.

use vm_fdt::{Error, FdtReserveEntry, FdtWriter};

/// A machine with the console and the firmware of `virt`, and with RAM as the test says. Ranges are (start, bytes).
#[derive(Clone, Debug)]
pub struct Tree {
    cells: Cells,
    memory_nodes: Vec<Vec<(u64, u64)>>,
    mem_reserve: Vec<(u64, u64)>,
    modules: Vec<(u64, u64)>,
    reserved_memory: Vec<(u64, u64)>,
    ballast: usize,
    stdout_path: String,
    console_address: u64,
    console_bytes: u64,
    console_compatible: String,
    bootargs: String,
    aliases: Vec<(String, String)>,
    cpus: Vec<Cpu>,
}

/// A CPU of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Its affinity.
    pub mpidr: u64,
    /// Where it waits for an address; by PSCI if nowhere.
    pub release: Option<u64>,
    /// `status`.
    pub status: &'static str,
}

impl Cpu {
    /// A CPU that PSCI starts.
    pub fn psci(mpidr: u64) -> Self {
        Self { mpidr, release: None, status: "okay" }
    }
}

/// How many 32-bit cells an address or a size takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cells {
    /// Addresses and sizes below 4 GiB only.
    One,
    /// All.
    Two,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            cells: Cells::Two,
            memory_nodes: vec![],
            mem_reserve: vec![],
            modules: vec![],
            reserved_memory: vec![],
            ballast: 0,
            stdout_path: "/pl011@9000000".into(),
            console_address: 0x900_0000,
            console_bytes: 0x1000,
            console_compatible: "arm,pl011".into(),
            bootargs: String::new(),
            aliases: vec![],
            cpus: vec![],
        }
    }
}

impl Tree {
    /// A machine without RAM.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes all addresses and sizes in as many cells.
    pub fn cells(self, cells: Cells) -> Self {
        Self { cells, ..self }
    }

    /// Adds a node with these banks.
    pub fn memory(mut self, banks: &[(u64, u64)]) -> Self {
        self.memory_nodes.push(banks.to_vec());
        self
    }

    /// Adds an entry to the memory reservation block.
    pub fn mem_reserve(mut self, start: u64, bytes: u64) -> Self {
        self.mem_reserve.push((start, bytes));
        self
    }

    /// Adds `/reserved-memory`, with one child that has these ranges.
    pub fn reserved_memory(self, ranges: &[(u64, u64)]) -> Self {
        Self { reserved_memory: ranges.to_vec(), ..self }
    }

    /// Adds as many bytes of nodes that mean nothing, to the KiB.
    pub fn ballast(self, bytes: usize) -> Self {
        Self { ballast: bytes, ..self }
    }

    /// Has these CPUs, in this order.
    pub fn cpus(self, cpus: &[Cpu]) -> Self {
        Self { cpus: cpus.to_vec(), ..self }
    }

    /// Adds a boot module, `/chosen/module@<start>`.
    pub fn module(mut self, start: u64, bytes: u64) -> Self {
        self.modules.push((start, bytes));
        self
    }

    /// Adds an alias.
    pub fn alias(mut self, name: &str, value: &str) -> Self {
        self.aliases.push((name.into(), value.into()));
        self
    }

    /// Names the console in other words than by its path, `/pl011@9000000`.
    pub fn stdout_path(self, value: &str) -> Self {
        Self { stdout_path: value.into(), ..self }
    }

    /// Gives the console fewer registers than `virt` does, in bytes.
    pub fn console_bytes(self, console_bytes: u64) -> Self {
        Self { console_bytes, ..self }
    }

    /// Has the console be something else than a PL011, somewhere else than `virt` has it.
    pub fn console(self, compatible: &str, console_address: u64) -> Self {
        Self { console_compatible: compatible.into(), console_address, ..self }
    }

    /// Sets the command line.
    pub fn bootargs(self, value: &str) -> Self {
        Self { bootargs: value.into(), ..self }
    }

    /// The tree as a blob.
    pub fn blob(&self) -> Vec<u8> {
        self.write().expect("a tree is made of legal names and values")
    }

    fn write(&self) -> Result<Vec<u8>, Error> {
        let reserved: Result<Vec<_>, _> =
            self.mem_reserve.iter().map(|(start, bytes)| FdtReserveEntry::new(*start, *bytes)).collect();
        let mut fdt = FdtWriter::new_with_mem_reserv(&reserved?)?;
        let root = fdt.begin_node("")?;
        fdt.property_string("compatible", "linux,dummy-virt")?;
        self.cell_properties(&mut fdt)?;

        let psci = fdt.begin_node("psci")?;
        fdt.property_string_list("compatible", vec!["arm,psci-1.0".into(), "arm,psci-0.2".into()])?;
        fdt.property_string("method", "smc")?;
        fdt.end_node(psci)?;

        if !self.cpus.is_empty() {
            let parent = fdt.begin_node("cpus")?;
            fdt.property_u32("#address-cells", 2)?;
            fdt.property_u32("#size-cells", 0)?;
            for cpu in &self.cpus {
                let node = fdt.begin_node(&format!("cpu@{:x}", cpu.mpidr))?;
                fdt.property_string("device_type", "cpu")?;
                fdt.property_string("status", cpu.status)?;
                fdt.property_u64("reg", cpu.mpidr)?;
                fdt.property_string("enable-method", if cpu.release.is_some() { "spin-table" } else { "psci" })?;
                if let Some(release) = cpu.release {
                    fdt.property_u64("cpu-release-addr", release)?;
                }
                fdt.end_node(node)?;
            }
            fdt.end_node(parent)?;
        }

        let console = fdt.begin_node("pl011@9000000")?;
        fdt.property_string_list("compatible", vec![self.console_compatible.clone(), "arm,primecell".into()])?;
        fdt.property_array_u32("reg", &self.reg(&[(self.console_address, self.console_bytes)]))?;
        fdt.end_node(console)?;

        let aliases = fdt.begin_node("aliases")?;
        for (name, value) in &self.aliases {
            fdt.property_string(name, value)?;
        }
        fdt.end_node(aliases)?;

        for banks in &self.memory_nodes {
            let unit = banks.first().map_or(0, |(start, _)| *start);
            let node = fdt.begin_node(&format!("memory@{unit:x}"))?;
            fdt.property_string("device_type", "memory")?;
            fdt.property_array_u32("reg", &self.reg(banks))?;
            fdt.end_node(node)?;
        }
        if !self.reserved_memory.is_empty() {
            let parent = fdt.begin_node("reserved-memory")?;
            self.cell_properties(&mut fdt)?;
            fdt.property_null("ranges")?;
            let node = fdt.begin_node("ranges")?;
            fdt.property_array_u32("reg", &self.reg(&self.reserved_memory))?;
            fdt.end_node(node)?;
            fdt.end_node(parent)?;
        }
        for index in 0..self.ballast / BALLAST {
            let node = fdt.begin_node(&format!("ballast-{index:04}"))?;
            fdt.property("data", &[0x5a; BALLAST - BALLAST_FRAME])?;
            fdt.end_node(node)?;
        }
        self.chosen(&mut fdt)?;
        fdt.end_node(root)?;
        fdt.finish()
    }

    fn chosen(&self, fdt: &mut FdtWriter) -> Result<(), Error> {
        let chosen = fdt.begin_node("chosen")?;
        self.cell_properties(fdt)?;
        fdt.property_string("stdout-path", &self.stdout_path)?;
        fdt.property_string("bootargs", &self.bootargs)?;
        for module in &self.modules {
            let node = fdt.begin_node(&format!("module@{:x}", module.0))?;
            fdt.property_string_list("compatible", vec!["multiboot,kernel".into(), "multiboot,module".into()])?;
            fdt.property_array_u32("reg", &self.reg(&[*module]))?;
            fdt.end_node(node)?;
        }
        fdt.end_node(chosen)
    }

    fn cell_properties(&self, fdt: &mut FdtWriter) -> Result<(), Error> {
        let cells = match self.cells {
            Cells::One => 1,
            Cells::Two => 2,
        };
        fdt.property_u32("#address-cells", cells)?;
        fdt.property_u32("#size-cells", cells)
    }

    fn reg(&self, ranges: &[(u64, u64)]) -> Vec<u32> {
        let numbers = ranges.iter().flat_map(|(start, bytes)| [*start, *bytes]);
        match self.cells {
            Cells::One => numbers.map(|number| number.try_into().expect("one cell holds 32 bits")).collect(),
            Cells::Two => numbers.flat_map(|number| [(number >> 32) as u32, number as u32]).collect(),
        }
    }
}

/// Bytes of a node of ballast, and how many of them are not its property's value: both ends with a name of 13 bytes, and the
/// property's head.
const BALLAST: usize = 1024;
const BALLAST_FRAME: usize = 4 + 16 + 12 + 4;

/// The blob with three gaps: NOP tokens before the root's first property, before its end, and before that of the structure, as
/// whoever deletes nodes and properties in place leaves them.
pub fn set_gaps(blob: &[u8]) -> Vec<u8> {
    const NOP: [u8; 4] = 4_u32.to_be_bytes();
    let word = |at: usize| u32::from_be_bytes(blob[at..at + 4].try_into().expect("four bytes")) as usize;
    let (structure, structure_size) = (word(8), word(36));
    let (strings, strings_size) = (word(12), word(32));
    let tokens = &blob[structure..structure + structure_size];
    // The root begins with its token and a name of one zero byte, padded; the last tokens are its end and the structure's.
    let (root, rest) = tokens.split_at(8);
    let (body, end) = rest.split_at(rest.len() - 8);
    let (root_end, end) = end.split_at(4);
    let mut gapped = blob[..structure].to_vec();
    for part in [root, &NOP, body, &NOP, root_end, &NOP, end] {
        gapped.extend_from_slice(part);
    }
    let (size, names) = (gapped.len() - structure, gapped.len());
    gapped.extend_from_slice(&blob[strings..strings + strings_size]);
    let total = gapped.len();
    for (field, value) in [(4, total), (12, names), (36, size)] {
        gapped[field..field + 4].copy_from_slice(&(value as u32).to_be_bytes());
    }
    gapped
}
