//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use thiserror::Error;

pub const USAGE: &str = "\
usage: lacuna-image [OPTIONS] LINKED.elf OUTPUT-DIRECTORY NAME

  --base ADDRESS  write NAME.elf for this load address (hexadecimal), not for 0
  --guest         LINKED.elf is a guest, not the hypervisor: it keeps no function names, and has no access rights to change
  --dtb FILE      check NAME.elf against the memory of the board with this device tree
";

/// What to make, and of what.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub linked: PathBuf,
    pub directory: PathBuf,
    pub name: String,
    pub kind: Kind,
    /// The load address that the ELF file is to have.
    pub base: u64,
    /// The board's device tree.
    pub tree: Option<PathBuf>,
}

/// What the image is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Hypervisor,
    /// A program that runs under it.
    Guest,
}

/// Why the command line makes no sense.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ArgError {
    #[error("{0} needs a value")]
    NoValue(&'static str),
    #[error("--base {0:?} is not a hexadecimal number")]
    Base(String),
    #[error("there is no option {0:?}")]
    Unknown(String),
    #[error("three arguments are needed beside options, not {0}")]
    Count(usize),
}

/// Reads the arguments after the program's name.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Options, ArgError> {
    let mut args = args;
    let mut options = Options::default();
    let mut files = Vec::new();
    while let Some(arg) = args.next() {
        match arg.to_str().unwrap_or_default() {
            "--base" => options.base = address(args.next().ok_or(ArgError::NoValue("--base"))?)?,
            "--guest" => options.kind = Kind::Guest,
            "--dtb" => options.tree = Some(args.next().ok_or(ArgError::NoValue("--dtb"))?.into()),
            option if option.starts_with('-') => return Err(ArgError::Unknown(option.into())),
            _ => files.push(arg),
        }
    }
    let [linked, directory, name] = <[OsString; 3]>::try_from(files).map_err(|files| ArgError::Count(files.len()))?;
    let name = name.to_string_lossy().into_owned();
    Ok(Options { linked: linked.into(), directory: directory.into(), name, ..options })
}

fn address(text: OsString) -> Result<u64, ArgError> {
    let text = text.to_string_lossy();
    let digits = text.strip_prefix("0x").unwrap_or(&text);
    // `from_str_radix` would take a sign, too.
    let number = if digits.starts_with('+') { None } else { u64::from_str_radix(digits, 16).ok() };
    number.ok_or_else(|| ArgError::Base(text.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::{ArgError, Kind, Options, parse};

    fn parsed(line: &str) -> Result<Options, ArgError> {
        parse(line.split_whitespace().map(Into::into))
    }

    #[test]
    fn options_may_stand_anywhere() {
        let plain = Options { linked: "a".into(), directory: "b".into(), name: "c".into(), ..Options::default() };
        let full = Options { base: 0x20_0000, tree: Some("t".into()), ..parsed("a b c").unwrap() };
        assert_eq!(parsed("a b c"), Ok(plain));
        assert_eq!(parsed("a --guest b c").map(|options| options.kind), Ok(Kind::Guest));
        assert_eq!(parsed("--base 0x200000 a b --dtb t c"), Ok(full));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_reason() {
        assert_eq!(parsed("a b"), Err(ArgError::Count(2)));
        assert_eq!(parsed("a b c --base"), Err(ArgError::NoValue("--base")));
        assert_eq!(parsed("a b c --base +1"), Err(ArgError::Base("+1".into())));
        assert_eq!(parsed("a b c --ram 1"), Err(ArgError::Unknown("--ram".into())));
    }
}
