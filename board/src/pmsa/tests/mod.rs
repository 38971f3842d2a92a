//! The architecture's rules, and the emulation held against them.

mod decoding;
mod faults;
mod machine;
mod properties;
mod register_file;
