//! Fuzz targets, and the driver that runs them on stable Rust. The coverage-guided half is `src/bin/libfuzzer.rs`.

pub mod driver;
pub mod mutate;
pub mod targets;
