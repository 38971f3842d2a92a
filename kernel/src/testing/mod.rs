//! Expected values and stand-ins for tests: no part of the shipped image.

pub mod examples;
#[cfg(test)]
mod machine;

#[cfg(test)]
pub(crate) use machine::*;
