//! Boots the image under QEMU and judges what comes out: the console, line by line, and the exit status.
//!
//! A test says what to boot ([`Boot`], with a [`Tree`] where the machine's own device tree is not the point, and with a
//! [`Guest`] where the hypervisor shall run one) and what must come of it ([`Outcome::expect_pass`],
//! [`Outcome::expect_fatal`]). [`Boot::start`] lets it type on the console meanwhile. The console of each boot stays in
//! `target/tests`, under the name of its test.
//!
//! A boot with a tree of a test's is held against `lacuna-plan`, run on the same tree.
//!
//! Relies on variables with the images' paths, `LACUNA_IMAGE` and others, which make sets. Without them a test fails.
//! Skipped is only what the QEMU at hand has no machine for: the test says so (`skipped`), and make counts such lines.

mod boot;
mod code;
mod costs;
mod figures;
mod guest;
mod ktap;
mod outcome;
mod plan;
mod running;
mod sabotage;
mod stub;
mod tree;

pub use boot::{
    Boot, IMAGE_ADDRESS, RAM_START, TREE_ADDRESS, image_bytes, image_file, made_file, output_directory, repository,
};
pub use code::{Code, Instruction};
pub use costs::{
    Costs, counted, counted_alone_with_two_cpus, counted_in_turns, counted_with_two_cpus, figures as guest_figures,
    figures_of_turns, figures_of_two_cpus, mitigation_figures, own_guest, run_xen,
};
pub use figures::{Figure, Unit};
pub use guest::Guest;
pub use ktap::{Report, ReportError};
pub use outcome::{Facts, Outcome};
pub use running::{NEXT_KEYBOARD, Running};
pub use tree::{Cells, Cpu, Tree, set_gaps};
