//! What to boot, on what.

use crate::guest::{self, Guest};
use crate::outcome::Outcome;
use crate::plan::{Placed, Planned};
use crate::running::Running;
use crate::sabotage;
use crate::stub::{Handover, stub};
use crate::tree::Tree;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, thread};

/// Where `virt` has its RAM.
pub const RAM_START: u64 = 0x4000_0000;

/// Where the image is put in a boot without QEMU's own boot loader, the place that this would choose too.
pub const IMAGE_ADDRESS: u64 = RAM_START + 0x20_0000;

const STUB_ADDRESS: u64 = RAM_START + 0x400_0000;
/// Where the stub hands over a tree: with 128 MiB of RAM, too.
pub const TREE_ADDRESS: u64 = RAM_START + 0x600_0000;

/// The variables of `scripts/qemu`. What make handed on is not for the tests.
pub(crate) const VARIABLES: [&str; 7] = ["MACHINE", "MEM", "CPU", "SMP", "APPEND", "CONSOLE", "SEMIHOSTING"];

/// The images that there are, by the variables with their paths.
const IMAGE: &str = "LACUNA_IMAGE";
const BOARD_IMAGE: &str = "LACUNA_BOARD_IMAGE";
const ZCU102_IMAGE: &str = "LACUNA_ZCU102_IMAGE";
const BENCH_IMAGE: &str = "LACUNA_BENCH_IMAGE";
const PLAIN_IMAGE: &str = "LACUNA_PLAIN_IMAGE";
const XEN: &str = "LACUNA_XEN";
const FVP_IMAGE: &str = "LACUNA_FVP_IMAGE";
const MPU_IMAGE: &str = "LACUNA_MPU_IMAGE";

/// A boot that has yet to happen.
#[derive(Debug)]
pub struct Boot {
    image: &'static str,
    /// Functions of the image, and what they start with instead.
    sabotage: Vec<(String, Vec<u32>)>,
    variables: Vec<(&'static str, String)>,
    options: Vec<OsString>,
    guests: Vec<Guest>,
    semihosting: Semihosting,
    loader: Loader,
    limit: Duration,
}

/// Whether QEMU is to answer semihosting calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Semihosting {
    /// Unless there is a guest, which it would answer too.
    Allowed,
    Off,
}

#[derive(Debug)]
enum Loader {
    /// QEMU's own, with the machine's device tree.
    Qemu,
    /// Ours, with these bytes in place of the device tree.
    Stub(Vec<u8>),
    /// Ours, with x0 = 0 and the machine's device tree where RAM starts: what QEMU's own does with an ELF file.
    LikeElf,
    /// Ours, with no device tree.
    StubWithoutTree,
}

impl Boot {
    fn on(machine: &str, loader: Loader) -> Self {
        let variables = vec![("MACHINE", machine.into())];
        let limit = Duration::from_secs(30);
        let semihosting = Semihosting::Allowed;
        Self { image: IMAGE, sabotage: vec![], variables, options: vec![], guests: vec![], semihosting, loader, limit }
    }

    /// On `virt` with its own device tree.
    pub fn virt() -> Self {
        Self::on("virt", Loader::Qemu)
    }

    /// On `xlnx-versal-virt` with its own device tree.
    pub fn versal() -> Self {
        Self::on("versal", Loader::Qemu)
    }

    /// On `xlnx-versal-virt` with 40 GiB in three banks, as the machine has them; `None`, with the reason printed, if QEMU puts
    /// the third elsewhere: from 11 on inside the second, and with `-dtb` all into one.
    pub fn versal_with_two_holes() -> Option<Self> {
        /// What the tree has of the third bank: 6 GiB at 0xc000000000, each in two cells.
        const BANK: [u8; 16] = [0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0, 1, 0x80, 0, 0, 0];
        let boot = Self::versal().memory("40G");
        let tree = log_directory().join(log_name()).with_extension("machine");
        let mut command = boot.script(Command::new(repository().join("scripts/qemu")));
        command.arg("-M").arg(format!("dumpdtb={}", tree.display())).stdin(Stdio::null());
        command.output().expect("scripts/qemu can be run");
        let tree = fs::read(&tree).expect("QEMU writes the machine's tree");
        if tree.windows(BANK.len()).any(|bytes| bytes == BANK) {
            return Some(boot);
        }
        skipped("QEMU misplaces the third bank of xlnx-versal-virt");
        None
    }

    /// On a board of `board/dts`, by the name that `scripts/qemu` has for it; `None`, with the reason printed, if QEMU has no
    /// such machine.
    pub fn board(name: &str) -> Option<Self> {
        let machine = if name == "zcu102" { "xlnx-zcu102" } else { name };
        // Make exports it, empty too.
        let qemu = env::var_os("QEMU").filter(|path| !path.is_empty()).unwrap_or_else(|| "qemu-system-aarch64".into());
        let listed = Command::new(&qemu).args(["-M", "help"]).output().expect("QEMU can be run");
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        if listed.lines().any(|line| line.split_whitespace().next() == Some(machine)) {
            return Some(Self::on(name, Loader::Qemu));
        }
        skipped(&format!("{} has no machine {machine}", qemu.display()));
        None
    }

    /// On `virt`, with x0 leading to `tree` instead of QEMU's.
    pub fn with_tree(tree: &Tree) -> Self {
        Self::with_blob(tree.blob())
    }

    /// On `virt`, with x0 leading to `bytes`.
    pub fn with_blob(bytes: Vec<u8>) -> Self {
        Self::on("virt", Loader::Stub(bytes))
    }

    /// On `virt`, with x0 = 0 and the machine's own device tree where RAM starts, as QEMU starts an ELF file.
    pub fn like_elf() -> Self {
        Self::on("virt", Loader::LikeElf)
    }

    /// On `virt`, with x0 = 0 and nothing where RAM starts.
    pub fn without_tree() -> Self {
        Self::on("virt", Loader::StubWithoutTree)
    }

    /// With the image that was built for `virt` as for hardware: it has an early UART, and no semihosting.
    pub fn board_image(self) -> Self {
        Self { image: BOARD_IMAGE, ..self }.without_semihosting()
    }

    /// With the image that was built for ZCU102 as for hardware.
    pub fn zcu102_image(self) -> Self {
        Self { image: ZCU102_IMAGE, ..self }
    }

    /// With the image that was built for Arm's FVP Base-R: for a CPU with an MPU alone, and a board that QEMU has not.
    pub fn fvp_image(self) -> Self {
        Self { image: FVP_IMAGE, ..self }
    }

    /// With an image whose `function`, named as in a backtrace, starts with these instructions instead of its own.
    pub fn sabotage(mut self, function: &str, instructions: &[u32]) -> Self {
        self.sabotage.push((function.into(), instructions.into()));
        self
    }

    /// With the image that counts what its operations cost.
    pub fn bench_image(self) -> Self {
        Self { image: BENCH_IMAGE, ..self }
    }

    /// With the image that neither tests itself nor counts.
    pub fn plain_image(self) -> Self {
        Self { image: PLAIN_IMAGE, ..self }
    }

    /// With our own guest in the place of the image, at EL1 and without a hypervisor; `words` are its command line.
    pub fn guest_alone(self, words: &str) -> Self {
        Self { image: crate::costs::GUEST, ..self.option("-M", "virtualization=off").bootargs(words) }
    }

    /// With Debian's Xen in the place of the image.
    pub fn xen(self) -> Self {
        Self { image: XEN, ..self }
    }

    /// With the image for an MPU, of which the emulation is the one that it chooses.
    pub fn default_mpu_image(self) -> Self {
        Self { image: MPU_IMAGE, ..self }
    }

    /// With the image for an MPU, and `options` for the emulation of one. They come by semihosting, so there can be no guest.
    pub fn mpu_image(self, options: &str) -> Self {
        let config = format!("enable=on,target=native,arg=lacuna,arg={options}");
        self.default_mpu_image().option("-semihosting-config", &config)
    }

    /// With nobody who answers semihosting calls, as it always is beside a guest: the status comes from the last line.
    pub fn without_semihosting(self) -> Self {
        Self { semihosting: Semihosting::Off, ..self }
    }

    /// With as much RAM, in QEMU's notation: `128M`.
    pub fn memory(self, size: &str) -> Self {
        self.variable("MEM", size)
    }

    /// With CPUs of that model.
    pub fn cpu(self, model: &str) -> Self {
        self.variable("CPU", model)
    }

    /// With as many CPUs.
    pub fn cpus(self, count: u32) -> Self {
        self.variable("SMP", &count.to_string())
    }

    /// With `bootargs` on the machine's own device tree.
    pub fn bootargs(self, bootargs: &str) -> Self {
        self.variable("APPEND", bootargs)
    }

    /// With a further option of QEMU's, such as `-M` and `gic-version=2`.
    pub fn option(mut self, option: &str, value: &str) -> Self {
        self.options.extend([option.into(), value.into()]);
        self
    }

    /// With a guest, in the machine's own device tree.
    pub fn guest(mut self, guest: Guest) -> Self {
        let machines_own = matches!(self.loader, Loader::Qemu | Loader::LikeElf);
        assert!(machines_own, "guests are added to the machine's own device tree");
        self.guests.push(guest);
        self
    }

    /// With less time, or more, than 30 s to end.
    pub fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Boots, and waits for the end, with nobody at the console.
    #[track_caller]
    pub fn run(self) -> Outcome {
        self.spawn(Stdio::null()).finish()
    }

    /// Boots, with the caller at the console.
    pub fn start(self) -> Running {
        self.spawn(Stdio::piped())
    }

    fn spawn(self, input: Stdio) -> Running {
        let log = log_directory().join(log_name());
        let image = self.image(&log);
        let output = File::create(&log).expect("the log can be written");
        let errors = output.try_clone().expect("a file has two handles");

        // Whatever happens to this process, timeout outlives it and ends QEMU.
        let mut command = Command::new("timeout");
        command.args(["--foreground", "--kill-after=5", &self.limit.as_secs().to_string()]);
        command.arg(repository().join("scripts/qemu"));
        let mut command = self.script(command);
        let is_alone = self.guests.is_empty() && self.semihosting == Semihosting::Allowed;
        command.env("SEMIHOSTING", if is_alone { "on" } else { "off" });
        let mut planned = None;
        match &self.loader {
            Loader::Qemu => {
                command.arg(&image);
            }
            Loader::Stub(tree) => {
                planned = Some(Planned::by_stub(&log, tree, TREE_ADDRESS, &Placed(&image, IMAGE_ADDRESS)));
                command.args(place(&image, IMAGE_ADDRESS));
                command.args(place_bytes(&log, "dtb", tree, TREE_ADDRESS));
                command.args(start(&log, Handover::Tree(TREE_ADDRESS)));
            }
            Loader::LikeElf => {
                command.args(place(&image, IMAGE_ADDRESS));
                command.args(start(&log, Handover::Tree(0)));
            }
            Loader::StubWithoutTree => {
                command.args(place(&image, IMAGE_ADDRESS));
                command.args(start(&log, Handover::Nothing(RAM_START)));
            }
        }
        if !self.guests.is_empty() {
            let tree = log.with_extension("dtb");
            command.args(guest::describe(&self.guests, &self.variables, &self.options, &tree));
            planned = Some(Planned::by_qemu(&tree, &Placed(&image, self.image_address())));
        }
        command.args(&self.options);
        command.stdin(input).stdout(output).stderr(errors);
        Running::new(command.spawn().expect("timeout and scripts/qemu can be run"), log, planned)
    }

    /// A command that runs `scripts/qemu`, with the variables that this boot has and no others.
    fn script(&self, mut command: Command) -> Command {
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Where QEMU's own loader puts the image: 2 MiB into the first bank.
    fn image_address(&self) -> u64 {
        let machine = self.variables.iter().find(|(name, _)| *name == "MACHINE").map(|(_, machine)| machine.as_str());
        match machine {
            Some("virt" | "imx8mp-evk") => IMAGE_ADDRESS,
            Some("versal") => IMAGE_ADDRESS - RAM_START,
            other => panic!("no guests are described for {other:?}"),
        }
    }

    /// The file to boot: the image, or a copy of it beside `log`.
    fn image(&self, log: &Path) -> PathBuf {
        let image = image(self.image);
        if self.sabotage.is_empty() {
            return image;
        }
        let mut bytes = fs::read(&image).expect("an image can be read");
        for (function, instructions) in &self.sabotage {
            sabotage::replace(&mut bytes, function, instructions);
        }
        let copy = log.with_extension("img");
        fs::write(&copy, bytes).expect("a file can be written beside the log");
        copy
    }
}

/// Says of this test that it is skipped, and why: for the person at the terminal and for make, which counts.
pub fn skipped(why: &str) {
    // Not by a macro: what those print the test's harness keeps.
    let _ = writeln!(io::stderr(), "skipped: {}: {why}", thread::current().name().unwrap_or("a test"));
}

/// QEMU options that put a file into RAM.
fn place(file: &Path, address: u64) -> [OsString; 2] {
    ["-device".into(), format!("loader,file={},addr={address:#x},force-raw=on", file.display()).into()]
}

/// QEMU options that put `bytes` into RAM, by way of a file beside `log`.
fn place_bytes(log: &Path, extension: &str, bytes: &[u8], address: u64) -> [OsString; 2] {
    let file = log.with_extension(extension);
    fs::write(&file, bytes).expect("a file can be written beside the log");
    place(&file, address)
}

/// QEMU options that start the image by the stub.
fn start(log: &Path, handover: Handover) -> Vec<OsString> {
    let mut options = Vec::from(place_bytes(log, "stub", &stub(IMAGE_ADDRESS, handover), STUB_ADDRESS));
    options.extend(["-device".into(), format!("loader,addr={STUB_ADDRESS:#x},cpu-num=0").into()]);
    options
}

/// The path that the variable `name` holds.
pub(crate) fn image(name: &str) -> PathBuf {
    let image = env::var_os(name).unwrap_or_else(|| panic!("no {name}; make sets it"));
    let image = PathBuf::from(image);
    assert!(image.is_file(), "no image {}; make builds it", image.display());
    image
}

/// The file with that extension beside, or at, the path that the variable `name` holds.
pub fn image_file(name: &str, extension: &str) -> PathBuf {
    image(name).with_extension(extension)
}

/// How large the image is whose path the variable `name` holds.
pub fn image_bytes(name: &str) -> u64 {
    fs::metadata(image(name)).expect("an image can be looked at").len()
}

/// `target`, where everything goes that is made.
pub fn output_directory() -> PathBuf {
    repository().join("target")
}

/// Where the sources lie.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the repository")
}

/// Where what the machines print is kept.
pub(crate) fn log_directory() -> PathBuf {
    let directory = output_directory().join("tests");
    fs::create_dir_all(&directory).expect("target/tests can be made");
    directory
}

/// A file with these bytes among what the machines print, named after the test and `name`.
pub fn made_file(name: &str, bytes: &[u8]) -> PathBuf {
    let file = log_directory().join(log_name()).with_extension(name);
    fs::write(&file, bytes).expect("a file can be written beside the log");
    file
}

/// A test's thread bears the name of the test.
fn log_name() -> String {
    let thread = thread::current();
    format!("{}.log", thread.name().expect("tests run in threads of their own").replace("::", "."))
}
