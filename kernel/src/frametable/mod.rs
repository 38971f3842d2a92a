//! The frametable: metadata for every frame of RAM, and none for the holes.

pub mod plan;
