//! The doors over real sockets: a server on port 0 before a core that runs on the in-memory journal and store.

mod abuse;
mod audit;
mod authorization;
mod clock;
mod connections;
mod cors;
mod dead_letters;
mod eventbridge;
mod eventgrid;
mod harness;
mod held;
mod keys;
mod openapi;
mod patterns;
mod previews;
mod publish;
mod quotas;
mod replays;
mod resources;
mod server;
mod sigv4;
mod story;
mod tail;
mod timing;
mod transfers;
mod transforms;
