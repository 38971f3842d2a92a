//! The frametable: metadata for every frame of RAM, and none for the holes.
//!
//! [`plan`] decides which parts of the table exist and where; [`allocate`] and [`build`] give them memory; [`table`]
//! answers for them; [`page_info`] is one entry.

mod build;
pub mod page_info;
pub mod plan;
pub mod table;

pub use build::{allocate, build, in_form};
