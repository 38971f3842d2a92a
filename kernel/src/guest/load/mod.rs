//! What is put into a guest's memory before it starts, and where.

pub mod gzip;
pub mod kernel_image;
pub mod placement;
pub mod tree;
