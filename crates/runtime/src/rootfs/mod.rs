//! A container's root file system: the overlay mount, and questions asked of it from outside, where every path in the
//! image is hostile and is resolved as if the image were the whole world.

pub mod disk;
pub mod overlay;
pub mod resolve;
pub mod seed;
pub mod user;
