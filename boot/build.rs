//! Lets the linker find `image.ld`.

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("set by cargo");
    println!("cargo::rustc-link-search={folder}/src");
    println!("cargo::rerun-if-changed=src/image.ld");
}
