//! The command line.

use lacuna::addr::{PAGE_SIZE, PhysAddr};
use lacuna::devtree::Bank;
use lacuna::frametable::plan::Shape;
use lacuna::pdx::GroupSize;
use std::ffi::OsString;
use std::path::PathBuf;
use thiserror::Error;

pub const HELP: &str = "\
Shows the memory map of a machine, and the frametable that Lacuna would make for it under each compression.

Usage: lacuna-plan [OPTIONS] FILE.dtb
       lacuna-plan [OPTIONS] --bank START:SIZE [--bank START:SIZE]...

  --bank START:SIZE    a bank of RAM, in hexadecimal bytes with or without 0x; any number, in any order
  --json               print JSON
  --svg                print a picture
  --page-info-bytes N  metadata for a frame, in bytes (8; Xen has 56)
  --group-pages N      frames in a group, a power of two (262144, as Xen)
  --help               print this

Exit status: 0, the plan is printed; 1, the memory is refused, for the reason given; 2, the arguments are.
";

/// Smallest group accepted: with it, entries of any size fill whole pages, and the bitmap of any machine fits in memory.
const LEAST_GROUP_PAGES: u64 = PAGE_SIZE;

/// What the command line asks for.
#[derive(Debug)]
pub enum Request {
    Help,
    Plan(Options),
}

#[derive(Debug)]
pub struct Options {
    pub source: Source,
    pub format: Format,
    pub shape: Shape,
}

/// Where the banks come from.
#[derive(Debug)]
pub enum Source {
    Blob(PathBuf),
    Banks(Vec<Bank>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
    Svg,
}

/// Why the command line makes no sense.
#[derive(Debug, Error)]
pub enum ArgError {
    #[error("no memory given: name a device tree file, or banks with --bank START:SIZE")]
    NoSource,
    #[error("a device tree file and --bank exclude each other")]
    TwoSources,
    #[error("one device tree file, not also {0:?}")]
    TwoFiles(OsString),
    #[error("--json and --svg exclude each other")]
    TwoFormats,
    #[error("{0} needs a value")]
    NoValue(&'static str),
    #[error("--bank {0:?} is not START:SIZE, two hexadecimal numbers")]
    Bank(String),
    #[error("--page-info-bytes {0:?} is not a number from 1 to {PAGE_SIZE}")]
    EntryBytes(String),
    #[error("--group-pages {0:?} is not a power of two, at least {LEAST_GROUP_PAGES}")]
    GroupPages(String),
    #[error("there is no option {0:?}")]
    Unknown(OsString),
}

/// Reads the arguments after the program's name.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Request, ArgError> {
    let mut args = args;
    let (mut file, mut banks, mut format, mut shape) = (None, Vec::new(), Format::Text, Shape::default());
    while let Some(arg) = args.next() {
        // What is no UTF-8 can only be a file name.
        let text = arg.to_str().unwrap_or_default();
        let (name, inline) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let mut value = |name| {
            let next = || args.next().map(|value| value.to_string_lossy().into_owned());
            inline.clone().or_else(next).ok_or(ArgError::NoValue(name))
        };
        match name {
            "--help" | "-h" => return Ok(Request::Help),
            "--json" => format = other_format(format, Format::Json)?,
            "--svg" => format = other_format(format, Format::Svg)?,
            "--bank" => banks.push(bank(value("--bank")?)?),
            "--page-info-bytes" => shape.entry_bytes = entry_bytes(value("--page-info-bytes")?)?,
            "--group-pages" => shape.group = group(value("--group-pages")?)?,
            _ if text.starts_with('-') => return Err(ArgError::Unknown(arg)),
            _ if file.is_some() => return Err(ArgError::TwoFiles(arg)),
            _ => file = Some(PathBuf::from(arg)),
        }
    }
    let source = match (file, banks.is_empty()) {
        (Some(file), true) => Source::Blob(file),
        (None, false) => Source::Banks(banks),
        (Some(_), false) => return Err(ArgError::TwoSources),
        (None, true) => return Err(ArgError::NoSource),
    };
    Ok(Request::Plan(Options { source, format, shape }))
}

fn other_format(before: Format, now: Format) -> Result<Format, ArgError> {
    if before == Format::Text || before == now { Ok(now) } else { Err(ArgError::TwoFormats) }
}

/// The bank is named after its argument, so that a message about it can be traced back.
fn bank(text: String) -> Result<Bank, ArgError> {
    let number = |text: &str| {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        // `from_str_radix` would take a sign, too.
        if digits.starts_with('+') { None } else { u64::from_str_radix(digits, 16).ok() }
    };
    let parsed = text.split_once(':').and_then(|(start, size)| Some((number(start)?, number(size)?)));
    match parsed {
        Some((start, size)) => Ok(Bank { node: format!("--bank {text}"), start: PhysAddr::new(start), size }),
        None => Err(ArgError::Bank(text)),
    }
}

fn entry_bytes(text: String) -> Result<u64, ArgError> {
    let bytes = text.parse().ok().filter(|bytes| (1..=PAGE_SIZE).contains(bytes));
    bytes.ok_or(ArgError::EntryBytes(text))
}

fn group(text: String) -> Result<GroupSize, ArgError> {
    let pages = text.parse().ok().filter(|&pages| pages >= LEAST_GROUP_PAGES);
    pages.and_then(GroupSize::new).ok_or(ArgError::GroupPages(text))
}
