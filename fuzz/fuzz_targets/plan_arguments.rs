//! The command line of `lacuna-plan`: a line for each argument.

#![no_main]

#[expect(dead_code, reason = "the target reads arguments and does nothing with them")]
#[path = "../../tools/plan/src/args.rs"]
mod args;

use lacuna::memory_map::{MemoryMap, PhysLimit};
use libfuzzer_sys::fuzz_target;
use std::ffi::OsString;

fuzz_target!(|lines: &str| {
    if let Ok(args::Request::Plan(options)) = args::parse(lines.lines().map(OsString::from))
        && let args::Source::Banks(banks) = options.source
    {
        let _ = MemoryMap::new(&banks, Vec::new(), PhysLimit::ARCHITECTURE);
    }
});
