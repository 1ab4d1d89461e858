//! `trunkline config`: looks at a configuration before a server does, and has a running server read its own again.

use crate::{
    check::{check_backups, check_values},
    client::Client,
    config::{self, Overrides},
    exit::{Code, Failure},
    output::Output,
};
use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Check a configuration, or have the server read its own again.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Say whether a configuration can be used: this file, the environment and the defaults. No server is asked.
    Check {
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Have the server read its configuration again. One that cannot be used is refused, and the old one stays.
    Reload,
}

impl Config {
    /// Runs it.
    pub async fn run(self, client: impl Fn() -> Result<Client, Failure>, output: Output) -> Result<(), Failure> {
        match self {
            Config::Check { file } => {
                let overrides = Overrides {
                    config: Some(file),
                    ..Overrides::default()
                };
                let loaded = config::load(&overrides);
                let checked = loaded.and_then(|config| check_values(&config).and_then(|()| check_backups(&config)));
                checked.map_err(|message| Failure::new(Code::Usage, message))?;
                output.print(&json!({"usable": true}), &["usable"], [vec!["yes".into()]]);
                Ok(())
            }
            Config::Reload => {
                let reloaded = client()?.send(Method::POST, "/v1/config:reload", None).await?;
                output.did("the configuration is read again");
                print(output, &reloaded);
                Ok(())
            }
        }
    }
}

fn print(output: Output, reloaded: &Value) {
    let keys = |name: &str| {
        let keys = reloaded[name].as_array().into_iter().flatten();
        keys.filter_map(|key| key.as_str().map(str::to_string))
            .collect::<Vec<_>>()
    };
    let rows = keys("applied").into_iter().map(|key| vec![key, "in force".into()]);
    let rows = rows.chain(
        keys("restart_needed")
            .into_iter()
            .map(|key| vec![key, "after the next start".into()]),
    );
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() && !output.is_json() {
        return output.line("nothing differs");
    }
    output.print(reloaded, &["key", "takes effect"], rows);
}
