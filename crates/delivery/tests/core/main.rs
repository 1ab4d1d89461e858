//! The delivery core on journal and store in memory, with an endpoint that answers as told and with paused time.

mod support;

mod delivering;
mod faults;
mod changing;
mod simulation;
