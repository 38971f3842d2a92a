//! Has the image linked by `image.ld`, which `lacuna-boot` provides.

fn main() {
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        println!("cargo::rustc-link-arg-bins=-Timage.ld");
    }
}
