//! `trunkline connection`: how providers are reached, and whether they can be.

use super::resource::{Kind, Resource};
use crate::{
    client::{Client, segment},
    exit::{Code, Failure},
    output::{Output, printable},
};
use http::Method;
use serde_json::Value;

/// Look at connections, set, delete and try them.
#[derive(Debug, clap::Subcommand)]
pub enum Connection {
    /// What every resource has.
    #[command(flatten)]
    Declared(Resource),
    /// Make one harmless request with it, and say what is wrong. No event of anybody's is delivered.
    Test {
        /// Its name.
        name: String,
        /// What to send: `head`, `options`, or `event` (an event of Trunkline's own, signed as deliveries are).
        #[arg(long, default_value = "head", value_parser = ["head", "options", "event"])]
        with: String,
    },
}

impl Connection {
    /// Runs it.
    pub async fn run(self, client: &Client, output: Output) -> Result<(), Failure> {
        match self {
            Connection::Declared(resource) => resource.run(Kind::Connection, client, output).await,
            Connection::Test { name, with } => {
                let (bus, path) = (segment(client.bus()), segment(&name));
                let path = format!("/v1/buses/{bus}/connections/{path}:test?with={with}");
                let report = client.send(Method::POST, &path, None).await?;
                tell(output, &name, &report)
            }
        }
    }
}

/// A connection that does not work is a failure of the command.
fn tell(output: Output, name: &str, report: &Value) -> Result<(), Failure> {
    if output.is_json() {
        output.line(&report.to_string());
    } else {
        for step in report["steps"].as_array().into_iter().flatten() {
            let word = if step["ok"] == true { "ok    " } else { "FAILED" };
            let text = |field: &str| step[field].as_str().unwrap_or_default();
            output.line(&printable(&format!("{word}  {:<13}  {}", text("step"), text("detail"))));
        }
    }
    match report["ok"] == true {
        true => Ok(()),
        false => Err(Failure::new(Code::Failed, format!("connection {name:?} does not work"))),
    }
}
