//! Shows what Lacuna would make of a machine's memory: the memory map, and the frametable under each compression.
//!
//! It runs the image's own code on the host, so the numbers are those that the image prints. A device tree that the image
//! would refuse is refused here with the same line, and the image's warnings are printed here too.

mod args;
mod json;
mod model;
mod svg;
mod text;

use args::{Format, Machine, Options, Request, Source};
use lacuna::base::addr::Span;
use lacuna::devtree::{Blob, BlobError, Owned, Owner};
use lacuna::inventory::{Inventory, InventoryError, Paper};
use lacuna::memory_map::{MemoryMap, MemoryMapError, PhysLimit};
use lacuna::pdx::Policy;
use log::{LevelFilter, Log, Metadata, Record};
use model::Model;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use thiserror::Error;

/// Exit status for arguments that make no sense.
const BAD_ARGUMENTS: u8 = 2;

fn main() -> ExitCode {
    let options = match args::parse(std::env::args_os().skip(1)) {
        Ok(Request::Plan(options)) => options,
        Ok(Request::Help) => return print(args::HELP),
        Err(error) => {
            eprintln!("lacuna-plan: {error} (--help lists what there is)");
            return BAD_ARGUMENTS.into();
        }
    };
    // Fails only if there is a logger already, and there is only this one.
    let _ = log::set_logger(&Logger);
    match run(&options) {
        Ok(output) => print(&output),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Why there is nothing to show. Refusals of the image's own code are worded as the image words them.
#[derive(Debug, Error)]
enum Failure {
    #[error("lacuna-plan: {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("lacuna: fatal: {0}")]
    Blob(#[from] BlobError),
    #[error("lacuna: fatal: {0}")]
    Inventory(#[from] InventoryError),
    #[error("lacuna: fatal: {0}")]
    Map(#[from] MemoryMapError),
    #[error("lacuna-plan: {0}")]
    Json(#[from] serde_json::Error),
}

fn run(options: &Options) -> Result<String, Failure> {
    let (map, policy) = match &options.source {
        Source::Blob(path, machine) => from_blob(path, machine)?,
        Source::Banks(banks) => {
            log::set_max_level(LevelFilter::Warn);
            let map = MemoryMap::new(banks, Vec::new(), PhysLimit::ARCHITECTURE)?;
            map.warnings().iter().for_each(|warning| log::warn!("{warning}"));
            (map, Policy::Auto)
        }
    };
    let model = Model::new(&map, policy, options.shape);
    Ok(match options.format {
        Format::Text => text::render(&model),
        Format::Json => json::render(&model)?,
        Format::Svg => svg::render(&model),
    })
}

/// The memory map that the image makes of the device tree in the file at `path`, on `machine`, and the compression that the
/// command line asks for.
fn from_blob(path: &Path, machine: &Machine) -> Result<(MemoryMap, Policy), Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::Read { path: path.to_path_buf(), error })?;
    let blob = Blob::check(&bytes)?;
    let image = machine.image.map(|span| Owned { owner: Owner::Image, span });
    let tree = machine.tree.and_then(|start| Span::sized(start, blob.size() as u64));
    let tree = tree.map(|span| Owned { owner: Owner::DeviceTree, span });
    let mut paper = Paper { limit: machine.limit, occupied: image.into_iter().chain(tree).collect() };
    let Inventory { memory, options, .. } = Inventory::take(&blob, &mut paper)?;
    Ok((memory, options.pdx))
}

/// Prints log lines as the image does, on standard error.
struct Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        eprintln!("{}{}", lacuna::console::mark(record.level()), record.args());
    }

    fn flush(&self) {}
}

/// Writes to standard output; a reader who has seen enough and left is no failure.
fn print(output: &str) -> ExitCode {
    match io::stdout().write_all(output.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("lacuna-plan: standard output: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
