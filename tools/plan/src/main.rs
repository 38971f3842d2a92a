//! Shows what Lacuna would make of a machine's memory: the memory map, and the frametable under each compression.
//!
//! It runs the image's own code on the host, so the numbers are those that the image prints. A device tree that the image
//! would refuse is refused here with the same line.

mod args;
mod json;
mod model;
mod svg;
mod text;

use args::{Format, Options, Request, Source};
use lacuna::devtree::{Blob, BlobError, FactsError};
use lacuna::memory_map::{MapError, MemoryMap, PhysLimit};
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
    Facts(#[from] FactsError),
    #[error("lacuna: fatal: {0}")]
    Map(#[from] MapError),
    #[error("lacuna-plan: {0}")]
    Json(#[from] serde_json::Error),
}

fn run(options: &Options) -> Result<String, Failure> {
    let map = match &options.source {
        Source::Blob(path) => from_blob(path)?,
        Source::Banks(banks) => MemoryMap::new(banks, Vec::new(), PhysLimit::ARCHITECTURE)?,
    };
    for warning in map.warnings() {
        eprintln!("lacuna-plan: warning: {warning}");
    }
    let model = Model::new(&map, options.shape);
    Ok(match options.format {
        Format::Text => text::render(&model),
        Format::Json => json::render(&model)?,
        Format::Svg => svg::render(&model),
    })
}

/// The memory map that the image makes of the device tree in the file at `path`, but for what only the image can know:
/// where it and the blob itself lie.
fn from_blob(path: &Path) -> Result<MemoryMap, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::Read { path: path.to_path_buf(), error })?;
    let blob = Blob::check(&bytes)?;
    let facts = blob.facts()?;
    Ok(MemoryMap::new(&facts.banks, facts.reservations, PhysLimit::WIDEST)?)
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
