//! The image, on every machine that we know and with every input that we could think of.

mod board_image;
mod broken;
mod bugs;
mod fvp;
mod machines;
mod mpu;
mod options;
mod trees;
