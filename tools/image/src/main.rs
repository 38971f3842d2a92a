//! Makes the bootable image from what the linker left: checks it, gives it its function names, and writes it as an ELF file
//! for debuggers and as a flat file for boot loaders.

mod args;
mod check;
mod elf;
mod flat;
mod name;
mod place;
mod rebase;
mod symbols;

use crate::args::{Kind, Options};
use crate::elf::{Access, Elf};
use lacuna::base::addr::Bytes;
use std::error::Error;
use std::process::ExitCode;
use std::{env, fs};

/// Exit status for arguments that make no sense.
const BAD_ARGUMENTS: u8 = 2;

fn main() -> ExitCode {
    let options = match args::parse(env::args_os().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("lacuna-image: {error}\n{}", args::USAGE);
            return BAD_ARGUMENTS.into();
        }
    };
    match make(&options) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(Errors(errors)) => {
            for error in errors {
                eprintln!("lacuna-image: {}: {error}", options.linked.display());
            }
            ExitCode::FAILURE
        }
    }
}

/// Why there is no image: all that is wrong with it, or the first thing that went wrong.
struct Errors(Vec<Box<dyn Error>>);

impl<E: Error + 'static> From<E> for Errors {
    fn from(error: E) -> Self {
        Self(vec![error.into()])
    }
}

/// Writes `directory/name.elf` and `directory/name.img` and says in a line how large everything is.
fn make(options: &Options) -> Result<String, Errors> {
    let Options { linked, directory, name, kind, base, tree } = options;
    let mut bytes = fs::read(linked)?;
    let elf = Elf::read(&bytes)?;
    let violations = check::violations(&elf);
    if !violations.is_empty() {
        return Err(Errors(violations.into_iter().map(Into::into).collect()));
    }
    if *kind == Kind::Hypervisor {
        place::check_boundaries(&elf, *base)?;
    }
    if let Some(tree) = tree {
        place::check_memory(&elf.segments, *base, &fs::read(tree)?)?;
    }
    let names = match kind {
        Kind::Hypervisor => Some((symbols::region(&elf)?, symbols::Names::of(&elf)?)),
        Kind::Guest => None,
    };
    let segments = elf.segments;

    let mut summary = String::new();
    if let Some((room, names)) = names {
        let reserved = Bytes(room.len() as u64);
        let used = Bytes(symbols::fill(&names, &mut bytes[room])? as u64);
        summary = format!("; {} names in {used} of {reserved}", names.count());
    }
    let flat = flat::image(&bytes, &segments);
    if *base != 0 {
        rebase::rebase(&mut bytes, *base)?;
    }
    fs::create_dir_all(directory)?;
    fs::write(directory.join(format!("{name}.elf")), &bytes)?;
    fs::write(directory.join(format!("{name}.img")), &flat)?;

    let size = |access| {
        let segments = segments.iter().filter(move |segment| segment.access == access);
        let (file, memory) = segments.fold((0, 0), |(file, memory), segment| {
            (file + (segment.file.end - segment.file.start), memory + (segment.memory.end - segment.memory.start))
        });
        (Bytes(file), Bytes(memory - file))
    };
    let ((text, _), (rodata, _), (data, bss)) = (size(Access::Execute), size(Access::Read), size(Access::Write));
    Ok(format!(
        "{name}: text {text}, rodata {rodata}, data {data}, bss {bss}; image {} ({} bytes){summary}",
        Bytes(flat.len() as u64),
        flat.len(),
    ))
}
