//! The commands, one file each with the same inside: arguments, then `run`.

pub mod apply;
pub mod audit;
pub mod backup;
pub mod bench;
pub mod cesql;
pub mod clock;
pub mod completions;
pub mod config;
pub mod connection;
pub mod dead_letter;
pub mod demo;
pub mod doctor;
pub mod event;
pub mod export;
pub mod key;
pub mod listen;
pub mod master_key;
pub mod pattern;
pub mod publish;
pub mod redrive;
pub mod replay;
pub mod resource;
pub mod restore;
pub mod subscription;
pub mod tail;
