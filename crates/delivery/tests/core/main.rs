//! The delivery core on journal and store in memory, with an endpoint that answers as told and with paused time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

mod batching;
mod changing;
mod copies;
mod delivering;
mod faults;
mod faulty;
mod losing;
mod recovering;
mod redrives;
mod replays;
mod simulation;
mod skipping;
mod speed;
mod telling;
mod together;
mod transforming;
