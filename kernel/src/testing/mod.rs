//! What tests judge by and run on: no part of what is shipped.

pub mod examples;
#[cfg(test)]
mod machine;

#[cfg(test)]
pub(crate) use machine::*;
