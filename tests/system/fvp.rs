//! The image for Arm's FVP Base-R, as far as it can be judged without the model.
//!
//! It was never run there. What can be known of it: that it lies in the model's RAM, that its device tree makes a memory
//! map and a plan, that no instruction is in it that an Armv8-R core does not have, and what it does on a core with an MMU.

use lacuna::base::addr::{PhysAddr, Span};
use lacuna::console::uart::UartModel;
use lacuna::devtree::{Blob, ConsoleDevice, Owned, Owner};
use lacuna::frames::frametable::plan::{FrametablePlan, FrametableShape};
use lacuna::inventory::{Inventory, Paper};
use lacuna::memory_map::{MemoryMap, PhysLimit};
use lacuna::pdx::{PdxMap, Policy};
use lacuna_tests::{Boot, Code, Instruction, image_file, repository};
use object::elf::{ET_EXEC, PT_LOAD};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{LittleEndian, Object};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Registers of EL2 that only a core with an MMU has (DDI 0600, chapter G1). TTBR0_EL2 cannot be told from VSCTLR_EL2 of
/// Armv8-R, which has its encoding, and VTCR_EL2 is there on both.
const VMSA_ONLY: [(&str, Instruction); 5] = [
    ("TTBR1_EL2", Instruction::SystemRegister(3, 4, 2, 0, 1)),
    ("TCR_EL2", TCR_EL2),
    ("TCR2_EL2", Instruction::SystemRegister(3, 4, 2, 0, 3)),
    ("VTTBR_EL2", Instruction::SystemRegister(3, 4, 2, 1, 0)),
    ("TLBI", Instruction::TlbInvalidate),
];
const TCR_EL2: Instruction = Instruction::SystemRegister(3, 4, 2, 0, 2);

fn elf() -> Vec<u8> {
    read("LACUNA_FVP_IMAGE", "elf")
}

fn tree() -> Vec<u8> {
    read("LACUNA_FVP_TREE", "dtb")
}

fn read(variable: &str, extension: &str) -> Vec<u8> {
    fs::read(image_file(variable, extension)).expect("an image can be read")
}

/// All memory that the image takes.
fn segments(elf: &[u8]) -> Vec<Span> {
    let file = ElfFile64::<LittleEndian>::parse(elf).expect("an ELF file");
    assert_eq!(file.elf_header().e_type(LittleEndian), ET_EXEC, "a loader would choose a place of its own");
    let loaded = file.elf_program_headers().iter().filter(|header| header.p_type(LittleEndian) == PT_LOAD);
    let span = |header: &object::elf::ProgramHeader64<LittleEndian>| {
        let (start, size) = (header.p_vaddr(LittleEndian), header.p_memsz(LittleEndian));
        assert_eq!(start, header.p_paddr(LittleEndian), "VA = PA");
        Span::sized(PhysAddr::new(start), size).expect("a segment has an end")
    };
    loaded.map(span).collect()
}

#[test]
fn its_segments_lie_in_free_ram_on_page_boundaries() {
    let (tree, elf) = (tree(), elf());
    let facts = Blob::check(&tree).unwrap();
    let facts = facts.facts().unwrap();
    let segments = segments(&elf);
    assert_eq!(segments.len(), 3);
    let mut owned = facts.reservations.clone();
    for span in segments {
        assert!(span.start.is_aligned(0x1000), "{span} starts inside a page");
        owned.push(Owned { owner: Owner::Image, span });
    }
    MemoryMap::new(&facts.banks, owned, PhysLimit::WIDEST).unwrap();
}

#[test]
fn its_entry_point_is_its_image_header() {
    let bytes = elf();
    let file = ElfFile64::<LittleEndian>::parse(bytes.as_slice()).unwrap();
    assert_eq!(file.entry(), segments(&bytes)[0].start.get());
    let symbol = |name: &str| {
        let table = file.elf_symbol_table();
        let symbol = table.iter().find(|symbol| table.symbol_name(LittleEndian, symbol) == Ok(name.as_bytes()));
        object::read::elf::Sym::st_value(symbol.expect("the image names it"), LittleEndian)
    };
    assert_eq!(symbol("__image_start"), file.entry());
    assert_eq!(symbol("__image_end") - symbol("__image_start"), symbol("__image_size"), "a size moves nowhere");
}

#[test]
fn its_device_tree_says_what_the_model_has_and_nothing_that_it_lacks() {
    let tree = tree();
    let blob = Blob::check(&tree).unwrap();
    let facts = blob.facts().unwrap();
    assert_eq!(facts.warnings, []);
    assert_eq!(facts.psci, None);
    let ConsoleDevice::Memory { model, registers, .. } = facts.console.unwrap().device else { panic!("no UART") };
    assert_eq!((model, registers.start, registers.bytes()), (UartModel::Pl011, PhysAddr::new(0x9c09_0000), 0x1000));
}

#[test]
fn its_device_tree_makes_a_memory_map_and_a_plan() {
    let tree = tree();
    let blob = Blob::check(&tree).unwrap();
    let mut paper = Paper { limit: PhysLimit::WIDEST, occupied: vec![] };
    let memory = Inventory::take(&blob, &mut paper).unwrap().memory;
    assert!(memory.warnings().is_empty());
    assert_eq!((memory.banks().len(), memory.ram_bytes(), memory.span_bytes()), (2, 4 * GIB, 36 * GIB));
    let first = memory.free().next().unwrap();
    assert_eq!(first.start.address().get(), MIB, "RAM at 0 is left alone: a null pointer leads there");
    for policy in [Policy::Auto, Policy::Mask, Policy::Off] {
        let (pdx, refusal) = PdxMap::choose(policy, memory.banks());
        assert_eq!(refusal, None);
        let plan = FrametablePlan::new(memory.banks(), &pdx, u64::MAX, FrametableShape::default()).unwrap();
        assert_eq!(plan.frametable_bytes(), 8 * MIB, "8 bytes for each frame of 4 GiB");
    }
}

#[test]
fn its_device_tree_is_in_the_image_where_a_device_tree_may_lie() {
    let (image, tree) = (read("LACUNA_FVP_IMAGE", "img"), tree());
    assert!(image.chunks(8).enumerate().any(|(at, _)| image[at * 8..].starts_with(&tree)));
}

#[test]
fn no_instruction_of_it_needs_firmware_or_an_mmu() {
    let code = Code::of(&elf());
    assert!(code.coverage() >= 90, "only {} % of the text is known to be code", code.coverage());
    assert_eq!(code.places(Instruction::SecureMonitorCall), Vec::<String>::new(), "SMC");
    for (name, instruction) in VMSA_ONLY {
        assert_eq!(code.places(instruction), Vec::<String>::new(), "{name}");
    }
}

/// That the test above can fail: where they belong, the same look finds them.
#[test]
fn images_for_an_mmu_have_such_instructions() {
    let mmu = Code::of(&read("LACUNA_IMAGE", "elf"));
    assert!(!mmu.places(TCR_EL2).is_empty() && !mmu.places(Instruction::TlbInvalidate).is_empty());
    let board = Code::of(&read("LACUNA_BOARD_IMAGE", "elf"));
    assert!(!board.places(Instruction::SecureMonitorCall).is_empty());
}

/// The emulation is all that the board's crate has in functions.
#[test]
fn no_emulation_is_in_it() {
    let code = Code::of(&elf());
    let emulation: Vec<_> = code.functions().iter().filter(|name| name.contains("lacuna_board")).collect();
    assert_eq!(emulation, Vec::<&String>::new());
}

/// Entered as QEMU enters an ELF file, at an address of QEMU's. Its early UART is plain RAM there.
#[test]
fn on_a_core_without_an_mpu_it_says_so_and_ends() {
    Boot::like_elf().fvp_image().memory("2G").run().expect_fatal("PMSA");
}

/// Runs `scripts/fvp`, with a program in place of the model that says `says` and ends with `status`.
fn judged(name: &str, says: &str, status: u8) -> Output {
    let model = lacuna_tests::output_directory().join("tests").join(format!("fvp.{name}.sh"));
    fs::create_dir_all(model.parent().expect("it lies in a directory")).expect("target/tests can be made");
    fs::write(&model, format!("#!/bin/sh\nprintf '%s\\n' \"$@\"\nprintf '%s\\r\\n' '{says}'\nexit {status}\n"))
        .unwrap();
    fs::set_permissions(&model, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(repository().join("scripts/fvp"));
    command.env("FVP", model).arg(image_file("LACUNA_FVP_IMAGE", "elf")).output().expect("scripts/fvp can be run")
}

const PASSED: &str = "lacuna: selftest: 3 passed, 0 failed";

#[test]
fn the_model_gets_its_parameters_and_the_image() {
    let output = judged("arguments", PASSED, 0);
    assert!(output.status.success());
    let console = String::from_utf8_lossy(&output.stdout).into_owned();
    let [config, file, option, image, ..] = console.lines().collect::<Vec<_>>()[..] else { panic!("{console}") };
    assert_eq!((config, option), ("--config-file", "-a"));
    assert!(fs::read_to_string(file).unwrap().contains("\ncluster0.has_aarch64=1\n"));
    assert!(image.starts_with("cluster0*=") && image.ends_with("lacuna-mpu-fvp-baser.elf"), "{image}");
}

#[test]
fn a_run_of_the_model_is_judged_by_its_closing_line_and_its_status() {
    let verdicts = [
        ("failed", "lacuna: selftest: 2 passed, 1 failed", 0, "2 passed, 1 failed"),
        ("untested", "lacuna: selftest: 0 passed, 0 failed", 0, "0 passed"),
        ("silent", "", 0, "no closing line"),
        ("status", PASSED, 1, "ended with status 1"),
    ];
    for (name, says, status, expected) in verdicts {
        let output = judged(name, says, status);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn without_the_model_it_says_where_to_get_it() {
    let mut command = Command::new(repository().join("scripts/fvp"));
    let output = command.env("FVP", "no-such-model").output().expect("scripts/fvp can be run");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("no-such-model") && error.contains("Armv8-R AEM FVP"), "{error}");
}
