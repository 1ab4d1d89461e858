//! The targets under libFuzzer; `FUZZ_TARGET` names one. README.md says how it is built.
#![no_main]

use fuzz::targets::{TARGETS, Target};
use std::sync::OnceLock;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    (target().run)(input);
});

fn target() -> &'static Target {
    static CHOSEN: OnceLock<&'static Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let chosen = TARGETS.iter().find(|target| target.name == name);
        chosen.unwrap_or_else(|| panic!("FUZZ_TARGET={name:?} names no target"))
    })
}
