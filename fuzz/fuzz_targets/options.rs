//! The hypervisor's command line: any text.

#![no_main]

use lacuna::options::Options;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = Options::parse(text);
});
