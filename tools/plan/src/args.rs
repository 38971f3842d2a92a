//! The command line.

use lacuna::base::addr::{PAGE_SIZE, PhysAddr, Span};
use lacuna::devtree::Bank;
use lacuna::frames::frametable::plan::FrametableShape;
use lacuna::memory_map::PhysLimit;
use lacuna::pdx::GroupSize;
use std::ffi::OsString;
use std::path::PathBuf;
use thiserror::Error;

pub const HELP: &str = "\
Shows the memory map of a machine, and the frametable that Lacuna would make for it under each compression.

Usage: lacuna-plan [OPTIONS] FILE.dtb
       lacuna-plan [OPTIONS] --bank START:SIZE [--bank START:SIZE]...

  --bank START:SIZE    a bank of RAM, in hexadecimal bytes with or without 0x; any number, in any order
  --image START:SIZE   where the image lies, as above; only with a file, as are the next two
  --tree START         where the file lies
  --address-bits N     physical address bits of the CPU (48, the most that the image uses)
  --json               print JSON
  --svg                print a picture
  --page-info-bytes N  metadata for a frame, in bytes (8; Xen has 56)
  --group-pages N      frames in a group, a power of two (262144, as Xen)
  --help               print this

Warnings and refusals are those of the image. Without --image and --tree they leave out what concerns these two.

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
    pub shape: FrametableShape,
}

/// Where the banks come from.
#[derive(Debug)]
pub enum Source {
    Blob(PathBuf, Machine),
    Banks(Vec<Bank>),
}

/// What a device tree does not say of the machine, but the command line can.
#[derive(Debug)]
pub struct Machine {
    pub image: Option<Span>,
    pub tree: Option<PhysAddr>,
    pub limit: PhysLimit,
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
    #[error("{0} says something of a device tree, which --bank has none of")]
    NeedsTree(&'static str),
    #[error("--image {0:?} is not START:SIZE, two hexadecimal numbers with an end below 2^64")]
    Image(String),
    #[error("--tree {0:?} is not a hexadecimal number")]
    Tree(String),
    #[error("--address-bits {0:?} is not a number from 32 to 48")]
    AddressBits(String),
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
    let (mut file, mut banks, mut format, mut shape) = (None, Vec::new(), Format::Text, FrametableShape::default());
    let mut machine = Machine { image: None, tree: None, limit: PhysLimit::WIDEST };
    // The last option that makes sense with a device tree only.
    let mut of_tree = None;
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
            "--image" => {
                machine.image = Some(image(value("--image")?)?);
                of_tree = Some("--image");
            }
            "--tree" => {
                let start = value("--tree")?;
                machine.tree = Some(PhysAddr::new(hexadecimal(&start).ok_or(ArgError::Tree(start))?));
                of_tree = Some("--tree");
            }
            "--address-bits" => {
                machine.limit = address_bits(value("--address-bits")?)?;
                of_tree = Some("--address-bits");
            }
            "--page-info-bytes" => shape.entry_bytes = entry_bytes(value("--page-info-bytes")?)?,
            "--group-pages" => shape.group = group(value("--group-pages")?)?,
            _ if text.starts_with('-') => return Err(ArgError::Unknown(arg)),
            _ if file.is_some() => return Err(ArgError::TwoFiles(arg)),
            _ => file = Some(PathBuf::from(arg)),
        }
    }
    let source = match (file, banks.is_empty()) {
        (Some(file), true) => Source::Blob(file, machine),
        (None, false) => match of_tree {
            None => Source::Banks(banks),
            Some(option) => return Err(ArgError::NeedsTree(option)),
        },
        (Some(_), false) => return Err(ArgError::TwoSources),
        (None, true) => return Err(ArgError::NoSource),
    };
    Ok(Request::Plan(Options { source, format, shape }))
}

fn other_format(before: Format, now: Format) -> Result<Format, ArgError> {
    if before == Format::Text || before == now { Ok(now) } else { Err(ArgError::TwoFormats) }
}

/// `from_str_radix` would take a sign, too.
fn hexadecimal(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.starts_with('+') { None } else { u64::from_str_radix(digits, 16).ok() }
}

/// `START:SIZE`.
fn range(text: &str) -> Option<(PhysAddr, u64)> {
    let (start, size) = text.split_once(':')?;
    Some((PhysAddr::new(hexadecimal(start)?), hexadecimal(size)?))
}

/// The bank is named after its argument, so that a message about it can be traced back.
fn bank(text: String) -> Result<Bank, ArgError> {
    match range(&text) {
        Some((start, size)) => Ok(Bank { node: format!("--bank {text}"), start, size }),
        None => Err(ArgError::Bank(text)),
    }
}

fn image(text: String) -> Result<Span, ArgError> {
    range(&text).and_then(|(start, size)| Span::sized(start, size)).ok_or(ArgError::Image(text))
}

fn address_bits(text: String) -> Result<PhysLimit, ArgError> {
    let bits = text.parse().ok().filter(|bits| (32..=48).contains(bits));
    bits.map(PhysLimit::from_bits).ok_or(ArgError::AddressBits(text))
}

fn entry_bytes(text: String) -> Result<u64, ArgError> {
    let bytes = text.parse().ok().filter(|bytes| (1..=PAGE_SIZE).contains(bytes));
    bytes.ok_or(ArgError::EntryBytes(text))
}

fn group(text: String) -> Result<GroupSize, ArgError> {
    let pages = text.parse().ok().filter(|&pages| pages >= LEAST_GROUP_PAGES);
    pages.and_then(GroupSize::new).ok_or(ArgError::GroupPages(text))
}
