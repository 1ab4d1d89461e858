//! `trunkline master-key`: what seals secrets. Shows it by its id, makes another one current, lets an earlier one go.

use crate::{
    answer::Answer,
    client::Client,
    exit::{Code, Failure},
    output::{Output, say},
    parts::failed,
    progress::Shown,
};
use control::counted;
use control::seal::MasterKey;
use http::Method;
use serde_json::{Value, json};
use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

/// A key's file holds a line; whatever is longer is another file.
const FILE_BYTES_MAX: u64 = 1 << 10;

/// See what seals secrets, make another master key current, forget an earlier one.
#[derive(Debug, clap::Subcommand)]
pub enum MasterKeyCommand {
    /// The ids of the master keys, and how many secrets are still to be sealed again.
    Show,
    /// Make another master key current, and wait until everything is sealed again under it.
    Rotate {
        /// The new key's file; - reads standard input. Absent: the server draws one, or takes the one that stands first in its file.
        #[arg(long, value_name = "FILE")]
        key_file: Option<PathBuf>,
        /// Return at once; `master-key show` tells how far it is.
        #[arg(long)]
        no_wait: bool,
    },
    /// Forget an earlier master key: backups from before its end need a copy of it.
    Forget {
        /// Its id.
        id: String,
    },
    /// Print a new master key, without using it.
    Generate,
}

impl MasterKeyCommand {
    /// Runs it; the client is only made when a server is asked.
    pub async fn run(self, client: impl Fn() -> Result<Client, Failure>, output: Output) -> Result<(), Failure> {
        match self {
            Self::Show => {
                let keys = client()?.get("/v1/master-key").await?;
                print(output, &keys);
                Ok(())
            }
            Self::Rotate { key_file, no_wait } => {
                let body = match key_file {
                    None => json!({}),
                    Some(file) => json!({"key": read_key(&file)?}),
                };
                let client = client()?;
                let mut keys = send(&client, "/v1/master-key:rotate", &body).await?;
                output.did(format!("the current master key is {}", text(&keys["current"])));
                if !no_wait {
                    keys = wait(&client, keys).await?;
                }
                print(output, &keys);
                advise(&keys);
                Ok(())
            }
            Self::Forget { id } => {
                let keys = send(&client()?, "/v1/master-key:forget", &json!({"id": id})).await?;
                output.did(format!("the master key {id} is forgotten"));
                print(output, &keys);
                if keys["kept_in"] == "configuration" {
                    say!("take it out of keys.master, too: the next start reads it again");
                }
                Ok(())
            }
            Self::Generate => {
                let key = MasterKey::random_text().map_err(failed)?;
                match output.is_json() {
                    true => output.line(&json!({"key": key}).to_string()),
                    false => output.line(&key),
                }
                Ok(())
            }
        }
    }
}

async fn send(client: &Client, path: &str, body: &Value) -> Result<Answer, Failure> {
    let body = body.to_string().into_bytes();
    client.send(Method::POST, path, Some(("application/json", body))).await
}

/// The text of a key; what is wrong with it is the server's to say.
fn read_key(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match file == Path::new("-") {
        true => std::io::stdin().take(FILE_BYTES_MAX).read_to_string(&mut text),
        false => std::fs::File::open(file).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text)),
    };
    let wrong = |error| Failure::new(Code::Usage, format!("--key-file {}: {error}", file.display()));
    read.map_err(wrong)?;
    Ok(text.trim().to_owned())
}

/// Until nothing is left. Whoever interrupts it interrupts the looking only.
async fn wait(client: &Client, mut keys: Answer) -> Result<Answer, Failure> {
    let (mut said, mut shown) = (None, None);
    while keys["state"] != "at_rest" {
        if let Some(reason) = keys["reason"]
            .as_str()
            .filter(|reason| said.as_deref() != Some(*reason))
        {
            say!("it does not get on, and is tried again: {reason}");
            said = Some(reason.to_owned());
        }
        if shown != keys["left"].as_u64() {
            shown = keys["left"].as_u64();
            say!(
                "{} of {} still to be sealed again",
                keys["left"],
                counted(keys["secrets"].as_u64().unwrap_or_default(), "secret")
            );
        }
        Shown::pause().await;
        keys = client.get("/v1/master-key").await?;
    }
    Ok(keys)
}

fn advise(keys: &Value) {
    let current = keys["current"].as_str().unwrap_or_default();
    match keys["kept_in"].as_str() {
        Some("configuration") => {
            say!(
                "put {current} in front of the others in keys.master before the next start: it does not start without it"
            );
        }
        _ => {
            say!("the server's file holds {current} now: keep a copy of it elsewhere, because it is in no backup")
        }
    }
    if keys["earlier"].as_array().is_some_and(|earlier| !earlier.is_empty()) {
        say!("earlier keys still open; `trunkline master-key forget ID` lets one go that backups do not need any more");
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn print(output: Output, keys: &Value) {
    let sealed = |earlier: u64| {
        keys["secrets"]
            .as_u64()
            .unwrap_or(0)
            .saturating_sub(earlier)
            .to_string()
    };
    let earlier: Vec<&Value> = keys["earlier"].as_array().into_iter().flatten().collect();
    let under = |key: &Value| key["secrets"].as_u64().unwrap_or(0);
    let mut rows = vec![vec![
        text(&keys["current"]),
        text(&keys["state"]),
        sealed(earlier.iter().map(|key| under(key)).sum()),
    ]];
    rows.extend(
        earlier
            .iter()
            .map(|key| vec![text(&key["id"]), "earlier".to_owned(), under(key).to_string()]),
    );
    output.print(keys, &["id", "state", "secrets"], rows);
    for what in keys["unreadable"].as_array().into_iter().flatten() {
        say!("opens under no key, give its secrets again: {}", text(what));
    }
}
