//! `trunkline key`: make, rotate, list and delete keys; the first one on the data directory itself, while no server runs.

use crate::{
    client::{Client, segment},
    commands::publish::fresh_id,
    config::{self, Overrides},
    directory::Directory,
    exit::{Code, Failure},
    output::{Output, say},
    parts::{add_key, bootstrapped, failed, open_store, sealer},
};
use clap::{Args, Subcommand};
use control::{Token, names::KeyId, resources::KeySigning};
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::path::PathBuf;
use store::Store;

/// Make, rotate, list and delete keys.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make a key and print its token, once.
    Create(Create),
    /// Print a token for `TRUNKLINE_ADMIN_KEY`, without making a key.
    Generate {
        /// The key's id.
        #[arg(long, default_value = "admin")]
        id: String,
    },
    /// All keys, without their secrets.
    List,
    /// Give a key another secret and print it, once; the one before stays good for a while.
    Rotate {
        /// Its id.
        id: String,
        /// How long the secret before stays good; 0s ends every earlier one at once.
        #[arg(long, value_name = "DURATION", default_value = "24h")]
        overlap: String,
    },
    /// Delete a key; it stops working at once.
    Delete {
        /// Its id.
        id: String,
    },
}

/// Make a key.
#[derive(Debug, Args)]
pub struct Create {
    /// What it may do: publish, read, subscribe, manage, audit, administer; repeatable. The first key of an installation
    /// needs administer.
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    pub scopes: Vec<String>,
    /// For these buses only; repeatable; absent: all.
    #[arg(long = "for-bus", value_name = "BUS")]
    pub buses: Vec<String>,
    /// Its id; a random one when absent.
    #[arg(long)]
    pub id: Option<String>,
    /// What it is for.
    #[arg(long, default_value = "")]
    pub description: String,
    /// Publish events of these types only; repeatable; `*` stands for any characters.
    #[arg(long = "publish-type", value_name = "PATTERN")]
    pub types: Vec<String>,
    /// Publish events from these sources only; repeatable; `*` stands for any characters.
    #[arg(long = "publish-source", value_name = "PATTERN")]
    pub sources: Vec<String>,
    /// What its secret is for: bearer, aws, eventgrid.
    #[arg(long, value_name = "KIND", default_value = "bearer")]
    pub signing: String,
    /// When it expires, RFC 3339; absent: never.
    #[arg(long, value_name = "TIME", value_parser = to_come)]
    pub not_after: Option<String>,
    /// Make it in this data directory, which no server is using: the way to the first key.
    #[arg(long, value_name = "PATH")]
    pub data_dir: Option<PathBuf>,
    /// The server's configuration file, where it names the master key.
    #[arg(long, value_name = "FILE", requires = "data_dir")]
    pub config: Option<PathBuf>,
}

impl Key {
    /// Runs it; the client is only made when a server is asked.
    pub async fn run(self, client: impl Fn() -> Result<Client, Failure>, output: Output) -> Result<(), Failure> {
        match self {
            Key::Create(create) => {
                let made = match &create.data_dir {
                    Some(_) => create.in_directory().await?,
                    None => create.on_server(&client()?).await?,
                };
                print_created(output, &made, &create.signing);
                create.shown(output, made["id"].as_str().unwrap_or_default())
            }
            Key::Generate { id } => {
                let token = token(&id)?.expose();
                match output.is_json() {
                    true => output.line(&json!({"id": id, "token": token}).to_string()),
                    false => output.line(&token),
                }
                Ok(())
            }
            Key::List => list(&client()?, output).await,
            Key::Rotate { id, overlap } => {
                let path = format!("/v1/keys/{}:rotate", segment(&id));
                let body = json!({"overlap": overlap}).to_string().into_bytes();
                let mut made = client()?
                    .send(Method::POST, &path, Some(("application/json", body)))
                    .await?
                    .into_value();
                made["id"] = json!(id);
                let signing = made["signing"].as_str().unwrap_or_default().to_owned();
                print_created(output, &made, &signing);
                rotation_shown(output, &id)
            }
            Key::Delete { id } => {
                client()?
                    .send(Method::DELETE, &format!("/v1/keys/{}", segment(&id)), None)
                    .await?;
                output.did(format!("{id}: deleted"));
                output.line(&format!("{id}: deleted"));
                Ok(())
            }
        }
    }
}

impl Create {
    fn body(&self) -> Value {
        let mut body = json!({"description": self.description, "scopes": self.scopes});
        if !self.buses.is_empty() {
            body["buses"] = json!(self.buses);
        }
        for (field, patterns) in [("types", &self.types), ("sources", &self.sources)] {
            if !patterns.is_empty() {
                body["publish"][field] = json!(patterns);
            }
        }
        if self.signing != "bearer" {
            body["signing"] = json!(self.signing);
        }
        if let Some(not_after) = &self.not_after {
            body["not_after"] = json!(not_after);
        }
        body
    }

    /// The secret of a key that is made is shown this once: whoever got none needs another one.
    fn shown(&self, output: Output, id: &str) -> Result<(), Failure> {
        let Some(error) = output.take_error() else {
            return Ok(());
        };
        let message = format!("key {id:?} is made, but its secret could not be written to standard output: {error}");
        let hint = match &self.data_dir {
            None => {
                format!("`trunkline key rotate {id}` gives it another secret; `trunkline key delete {id}` deletes it")
            }
            Some(directory) => format!(
                "make another key with --data-dir {} and --id, and delete {id} with that one once the server runs",
                directory.display()
            ),
        };
        Err(Failure::new(Code::Failed, message).hint(hint))
    }

    /// Over `/v1`.
    async fn on_server(&self, client: &Client) -> Result<Value, Failure> {
        let id = self.id.clone().unwrap_or_else(|| format!("key-{}", fresh_id(0)));
        let path = format!("/v1/keys/{}", segment(&id));
        if client.get(&path).await.is_ok() {
            return Err(Failure::new(Code::Refused, format!("key {id:?} exists already")));
        }
        let mut made = client
            .send(
                Method::PUT,
                &path,
                Some(("application/json", self.body().to_string().into_bytes())),
            )
            .await?
            .into_value();
        made["id"] = json!(id);
        Ok(made)
    }

    /// In a data directory that no server is using.
    async fn in_directory(&self) -> Result<Value, Failure> {
        let directory = Directory::open(self.data_dir.as_deref().expect("the caller looked"))?;
        let overrides = Overrides {
            config: self.config.clone(),
            data_dir: self.data_dir.clone(),
            ..Overrides::default()
        };
        // The key that the server will have.
        let config = config::load(&overrides).map_err(|message| Failure::new(Code::Usage, message))?;
        let sealer = sealer(&config, &directory)?;
        let store = open_store(&directory)?;
        let model = bootstrapped(&store, &sealer).await?;
        let token = token(self.id.as_deref().unwrap_or("admin"))?;
        add_key(&store, &sealer, &model, &token, self.body(), "command line").await?;
        store.shutdown().await.map_err(failed)?;
        let (member, shown) = match self.signing.as_str() {
            "aws" => ("secret", token.expose_for(KeySigning::Aws)),
            "eventgrid" => ("secret", token.expose_for(KeySigning::EventGrid)),
            _ => ("token", token.expose()),
        };
        Ok(json!({"id": token.id().as_str(), member: shown}))
    }
}

fn token(id: &str) -> Result<Token, Failure> {
    let id = KeyId::new(id).map_err(|refusal| Failure::new(Code::Usage, refusal.to_string()))?;
    Token::generate(id).map_err(failed)
}

/// As of a key that is made.
fn rotation_shown(output: Output, id: &str) -> Result<(), Failure> {
    let Some(error) = output.take_error() else {
        return Ok(());
    };
    let message = format!("key {id:?} has another secret, which could not be written to standard output: {error}");
    Err(Failure::new(Code::Failed, message).hint(format!(
        "`trunkline key rotate {id}` gives it yet another one; `trunkline key delete {id}` deletes it"
    )))
}

fn print_created(output: Output, made: &Value, signing: &str) {
    if output.is_json() {
        return output.line(&made.to_string());
    }
    let text = |member: &str| made[member].as_str().unwrap_or_default();
    let advice = match (signing, made["token"].as_str()) {
        ("aws", _) => {
            output.line(&format!("access key id      {}", text("id")));
            output.line(&format!("secret access key  {}", text("secret")));
            "the secret is shown this once; give both as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and no AWS_SESSION_TOKEN"
        }
        (_, Some(token)) => {
            output.line(&format!("id     {}", text("id")));
            output.line(&format!("token  {token}"));
            "the token is shown this once; give it with --key or TRUNKLINE_KEY"
        }
        (_, None) => {
            output.line(&format!("id     {}", text("id")));
            output.line(&format!("secret {}", text("secret")));
            "the secret is shown this once"
        }
    };
    if output.is_open() {
        say!("{advice}");
    }
}

/// A time that is not past: a key that has expired when it is made is a mistake.
fn to_come(text: &str) -> Result<String, String> {
    match text.parse::<Timestamp>() {
        Ok(time) if time > Timestamp::now() => Ok(text.to_owned()),
        Ok(_) => Err("the key would have expired already".to_owned()),
        Err(_) => Err("it is no RFC 3339 time with its zone, such as 2030-01-31T12:00:00Z".to_owned()),
    }
}

async fn list(client: &Client, output: Output) -> Result<(), Failure> {
    let items = client.list("/v1/keys").await?;
    let words = |value: &Value| match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        Value::String(text) => text.clone(),
        _ => String::new(),
    };
    let is_past = |time: &str| time.parse::<Timestamp>().is_ok_and(|time| time <= Timestamp::now());
    let rows = items.iter().map(|item| {
        ["name", "scopes", "buses", "not_after", "last_used", "description"]
            .iter()
            .map(|field| match words(&item[*field]) {
                time if *field == "not_after" && is_past(&time) => format!("{time} (expired)"),
                words => words,
            })
            .collect()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    output.print(
        &Value::from(items.clone()),
        &["id", "scopes", "buses", "expires", "last used", "description"],
        rows,
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::to_come;

    #[test]
    fn a_key_is_not_made_expired() {
        assert_eq!(to_come("2999-01-31T12:00:00Z").as_deref(), Ok("2999-01-31T12:00:00Z"));
        assert!(to_come("2020-01-31T12:00:00Z").is_err_and(|told| told.contains("expired already")));
        assert!(to_come("tomorrow").is_err_and(|told| told.contains("RFC 3339")));
    }
}
