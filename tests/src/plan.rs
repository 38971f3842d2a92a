//! What `lacuna-plan` says of the tree of a boot, held against what the image said.
//!
//! Both run the same code up to the memory map. Whoever changes one of them is stopped here if the other does not follow: the
//! warnings, the refusal, the banks and the amount of RAM must be the same.

use crate::boot::image;
use crate::outcome::{FATAL, Outcome};
use lacuna::devtree::{HEADER_SIZE, MAX_SIZE};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How every warning starts.
const WARNING: &str = "lacuna: warning: ";

/// How the line starts that the image prints behind the memory map, whatever `loglevel=` says.
const MEMORY: &str = "lacuna: memory ";

/// Parts of warnings about CPUs that were tried, which no plan can say.
const CPUS: [&str; 2] = [" is left out: ", "the device tree has no CPU with affinity "];

/// Parts of what only the machine can say, because it tries its memory.
const TRIED: [&str; 2] = [" does not answer", " is the same as that at "];

/// Parts of the refusals for which the machine has tried its memory, or that come behind the memory map.
const REFUSED_LATER: [&str; 4] =
    ["no room for ", "out of memory: ", " lies where no memory answers", " lies outside RAM"];

/// Where the image header has the size of the image in memory, in bytes (Linux, Documentation/arch/arm64/booting.rst).
const IMAGE_SIZE: std::ops::Range<usize> = 16..24;

/// A tree and what is known of the machine that boots with it.
#[derive(Debug)]
pub(crate) struct Planned {
    tree: PathBuf,
    options: Vec<String>,
}

/// The image in this file, and where it is loaded.
pub(crate) struct Placed<'a>(pub &'a Path, pub u64);

impl Placed<'_> {
    fn option(&self) -> String {
        let Self(image, start) = self;
        let header = fs::read(image).expect("an image can be read");
        let size = u64::from_le_bytes(header[IMAGE_SIZE].try_into().expect("eight bytes"));
        format!("--image={start:#x}:{size:#x}")
    }
}

impl Planned {
    /// The `tree` that the stub hands over at `address`, beside `image`; with a file for the plan beside `log`.
    pub(crate) fn by_stub(log: &Path, tree: &[u8], address: u64, image: &Placed<'_>) -> Self {
        // Behind a tree that was not loaded to its end, RAM is zero.
        let mut tree = tree.to_vec();
        tree.resize(tree.len().max(HEADER_SIZE), 0);
        let total = u32::from_be_bytes(tree[4..8].try_into().expect("four bytes")) as usize;
        tree.resize(tree.len().max(total.min(MAX_SIZE)), 0);
        let file = log.with_extension("plan.dtb");
        fs::write(&file, tree).expect("a file can be written beside the log");
        Self { tree: file, options: vec![image.option(), format!("--tree={address:#x}")] }
    }

    /// The tree in the file `tree`, for which QEMU chooses a free place, beside `image`.
    pub(crate) fn by_qemu(tree: &Path, image: &Placed<'_>) -> Self {
        Self { tree: tree.into(), options: vec![image.option()] }
    }

    /// Runs the plan and fails the test if it says anything else than `outcome`.
    #[track_caller]
    pub(crate) fn check(&self, outcome: &Outcome) {
        let mut command = Command::new(image("LACUNA_PLAN"));
        command.arg("--json").args(&self.options).arg(&self.tree);
        if let Some((before, _)) = outcome.console.split_once(" physical address bits") {
            let bits = before.rsplit(' ').next().unwrap_or_default();
            command.arg(format!("--address-bits={bits}"));
        }
        let plan = command.output().expect("lacuna-plan can be run");
        let said = String::from_utf8_lossy(&plan.stderr).into_owned();

        let console: Vec<&str> = outcome.console.lines().map(without_letters).collect();
        let memory = console.iter().position(|line| line.starts_with(MEMORY));
        let booted = &console[..memory.unwrap_or(console.len())];
        let has_tried = booted.iter().any(|line| is_tried(line));
        let of_image: Vec<&str> = booted
            .iter()
            .copied()
            .filter(|line| line.starts_with(WARNING) && !is_tried(line) && !is_of_cpus(line))
            .collect();
        let of_plan: Vec<&str> = said.lines().filter(|line| line.starts_with(WARNING)).collect();
        if of_image != of_plan {
            outcome.fail(&format!("the image warns\n{of_image:#?}\nand {command:?} of\n{of_plan:#?}"));
        }

        let refusal = |line: &&str| line.starts_with(FATAL);
        let (image_refuses, plan_refuses) = (booted.iter().copied().find(refusal), said.lines().find(refusal));
        let is_later = |line: &str| REFUSED_LATER.iter().any(|part| line.contains(part));
        match (image_refuses, plan_refuses) {
            (Some(line), None) if is_later(line) => return,
            (image, plan) if image != plan => outcome.fail(&format!("the image says {image:?}, {command:?} {plan:?}")),
            (Some(_), _) => return,
            (None, _) => {}
        }
        // The amounts are those before RAM that the machine lacks was left out.
        if !has_tried {
            let json: Value = serde_json::from_slice(&plan.stdout).expect("the plan prints JSON");
            let banks = json["banks"].as_array().expect("it has banks");
            let bytes: u64 = banks.iter().filter_map(|bank| bank["size"].as_u64()).sum();
            let facts = outcome.facts();
            let (of_image, of_plan) =
                ((facts.number("banks"), facts.number("ram_kib")), (banks.len() as u64, bytes >> 10));
            if of_image != of_plan {
                outcome.fail(&format!("the image has (banks, KiB) {of_image:?}, {command:?} {of_plan:?}"));
            }
        }
    }
}

/// A line without the letters that an early UART has had before the first, and without what ends it.
fn without_letters(line: &str) -> &str {
    let line = line.trim_end_matches('\r');
    match line.split_once("lacuna: ") {
        Some((letters, _)) if letters.bytes().all(|byte| byte.is_ascii_lowercase()) => &line[letters.len()..],
        _ => line,
    }
}

/// Whether this line is about CPUs that the machine has tried to start.
fn is_of_cpus(line: &str) -> bool {
    CPUS.iter().any(|part| line.contains(part))
}

/// Whether the machine has tried its memory for this line.
fn is_tried(line: &str) -> bool {
    line.starts_with(WARNING) && TRIED.iter().any(|part| line.contains(part))
}
