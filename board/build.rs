//! Compiles the device tree of a board that has no firmware to provide one.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_FVP_BASER").is_some() {
        compile("fvp-baser");
    }
}

/// Compiles `dts/<board>.dts` to `<board>.dtb` in the output directory.
fn compile(board: &str) {
    let source = format!("dts/{board}.dts");
    println!("cargo::rerun-if-changed={source}");
    let out = env::var_os("OUT_DIR").expect("set by cargo");
    let blob = Path::new(&out).join(format!("{board}.dtb"));
    let status = Command::new("dtc").args(["-I", "dts", "-O", "dtb", "-o"]).arg(&blob).arg(&source).status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("dtc cannot compile {source}: {status}"),
        Err(error) => panic!("dtc, the device tree compiler, cannot be run ({error}); scripts/setup installs it"),
    }
}
