//! The product as its users meet it: the real binary, real sockets, real files, real signals.
//!
//! What needs a service fails without it, unless `TRUNKLINE_QUICK` is set. Harnesses take their sizes from the environment;
//! `cargo xtask prove` turns them up.

mod support;

mod alerts;
mod apply;
mod aws;
mod aws_credentials;
mod aws_lambda;
mod backup;
mod bombs;
mod bus_networks;
mod canaries;
mod claim_check;
mod clocks;
mod conformance;
mod crash_loop;
mod dead_letters;
mod dedup;
mod delivery;
mod demo;
mod disk_full;
mod doctor;
mod documentation;
mod eventbridge;
mod eventbridge_rules;
mod eventbridge_rust;
mod eventbridge_targets;
mod eventgrid;
mod exact_data;
mod failed_sync;
mod filters;
mod fixtures;
mod hostile_machine;
mod idle;
mod lifecycle;
mod master_key;
mod neighbours;
mod observability;
mod openapi;
mod output;
mod packages;
mod permissions;
mod recovery;
mod reload;
mod replay;
mod sdk;
mod strace;
mod tail;
mod tenants;
mod traces;
mod trail;
mod webhooks;
