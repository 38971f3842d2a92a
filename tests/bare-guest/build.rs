//! Has the guest linked by its own script.

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("set by cargo");
    println!("cargo::rustc-link-arg-bins=-T{folder}/src/guest.ld");
    println!("cargo::rerun-if-changed=src/guest.ld");
}
