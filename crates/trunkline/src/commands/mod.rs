//! The commands, one file each with the same inside: arguments, then `run`.

pub mod apply;
pub mod bench;
pub mod cesql;
pub mod clock;
pub mod dead_letter;
pub mod doctor;
pub mod event;
pub mod export;
pub mod key;
pub mod listen;
pub mod pattern;
pub mod publish;
pub mod subscription;
