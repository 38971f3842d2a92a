//! Guests, as `scripts/dom0less` describes them to the hypervisor.

use crate::boot::{VARIABLES, image, repository};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's Linux, and the initramfs with the checks of `tests/linux-guest/init`.
const LINUX: &str = "LACUNA_LINUX";
const INITRD: &str = "LACUNA_INITRD";

/// A guest that the device tree asks for.
#[derive(Clone, Debug)]
pub struct Guest {
    kernel: PathBuf,
    options: Vec<OsString>,
}

impl Guest {
    /// With the kernel in this file, and what `scripts/dom0less` gives a guest that is not described further.
    pub fn new(kernel: &Path) -> Self {
        Self { kernel: kernel.into(), options: vec![] }
    }

    /// Debian's Linux with our checks as init; `words` on its command line choose among them and say how to end.
    pub fn linux(words: &str) -> Self {
        let guest = Self::new(&image(LINUX));
        guest.option("--ramdisk", image(INITRD)).option("--bootargs", format!("console=ttyAMA0 {words}"))
    }

    /// With as much RAM, in QEMU's notation: `256M`.
    pub fn memory(self, size: &str) -> Self {
        self.option("--guest-memory", size)
    }

    /// With this command line.
    pub fn bootargs(self, words: &str) -> Self {
        self.option("--bootargs", words)
    }

    /// With the ramdisk in this file.
    pub fn ramdisk(self, file: &Path) -> Self {
        self.option("--ramdisk", file)
    }

    /// With the device tree in this file to be added to its own.
    pub fn device_tree(self, file: &Path) -> Self {
        self.option("--device-tree", file)
    }

    /// In a tree with this source laid over `/chosen`: `domU1 { cpus = <2>; };`.
    pub fn chosen(self, source: &str) -> Self {
        self.option("--chosen", source)
    }

    /// Under a hypervisor that reads this command line instead of `/chosen/bootargs`.
    pub fn hypervisor_bootargs(self, words: &str) -> Self {
        self.option("--hypervisor-bootargs", words)
    }

    /// With another name than `domU1`, `domU2` and so on.
    pub fn name(self, name: &str) -> Self {
        self.option("--name", name)
    }

    /// With so many vCPUs.
    pub fn vcpus(self, count: u32) -> Self {
        self.option("--cpus", count.to_string())
    }

    fn option(mut self, option: &str, value: impl Into<OsString>) -> Self {
        self.options.extend([option.into(), value.into()]);
        self
    }
}

/// QEMU options for the machine that `variables` and `machine`, options of QEMU, describe with these guests, by way of the
/// file `tree`.
pub(crate) fn describe(
    guests: &[Guest],
    variables: &[(&str, String)],
    machine: &[OsString],
    tree: &Path,
) -> Vec<OsString> {
    let mut command = Command::new(repository().join("scripts/dom0less"));
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command.arg(tree).envs(variables.iter().map(|(name, value)| (name, value)));
    for guest in guests {
        command.arg("--kernel").arg(&guest.kernel).args(&guest.options);
    }
    command.arg("--").args(machine);
    let output = command.output().expect("scripts/dom0less can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let modules = String::from_utf8(output.stdout).expect("paths here are text");
    let mut options = vec!["-dtb".into(), tree.into()];
    options.extend(modules.lines().map(OsString::from));
    options
}
