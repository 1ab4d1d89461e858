//! The product as its users meet it: the real binary, real sockets, real files, real signals.
//!
//! What needs a service fails without it, unless `TRUNKLINE_QUICK` is set. Harnesses take their sizes from the environment;
//! `cargo xtask prove` turns them up.

mod support;

mod crash_loop;
mod delivery;
mod lifecycle;
mod sdk;
