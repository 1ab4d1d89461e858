//! `trunkline clock`: the time that records get; what to do when the wall clock is not believed.

use crate::{client::Client, exit::Failure, output::Output};
use http::Method;
use serde_json::Value;

/// Look at the server's clocks, confirm the wall clock after an alarm.
#[derive(Debug, clap::Subcommand)]
pub enum Clock {
    /// The time that records get, the wall clock, and whether they differ too much.
    Show,
    /// The wall clock is right although it is far ahead: records and retention follow it from here on.
    Confirm,
}

impl Clock {
    /// Runs it.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        let clock = match self {
            Clock::Show => client.get("/v1/clock").await?,
            Clock::Confirm => {
                let clock = client.send(Method::POST, "/v1/clock:confirm", None).await?;
                output.did("the wall clock is confirmed");
                clock
            }
        };
        print(output, &clock);
        Ok(())
    }
}

fn print(output: Output, clock: &Value) {
    let text = |name: &str| clock[name].as_str().unwrap_or_default().to_string();
    let alarm = match clock["alarm"].as_bool() {
        Some(true) => "yes",
        _ => "no",
    };
    let row = vec![text("append_time"), text("wall_time"), alarm.to_string()];
    output.print(clock, &["append time", "wall time", "alarm"], vec![row]);
}
