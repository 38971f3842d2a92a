//! What every room may use and what uses none: addresses, memory attributes, sorting.

pub mod addr;
pub mod attributes;
pub mod id;
pub mod interrupt;
pub mod mair;
pub mod outcome;
pub mod sort;
