//! Types that every room may use and that use no other room: addresses, memory attributes, sorting.

pub mod addr;
pub mod attributes;
pub mod id;
pub mod interrupt;
pub mod mair;
pub mod outcome;
pub mod sort;
