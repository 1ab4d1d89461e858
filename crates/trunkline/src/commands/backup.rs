//! `trunkline backup`: backups of a running server, through it; of a stopped one's data directory, by itself; what there is;
//! whether it is whole.

use crate::{
    client::Client,
    config::{self, Overrides},
    directory::Directory,
    exit::{Code, Failure},
    output::{Output, say},
    parts::{backup_act, now, open_journal, open_store, store_failure},
    progress::{Shown, size},
};
use ::backup::{Error, Identities, Listed, Manifest, Name, Options, Progress, Recipients, Sources, Timeline};
use clap::{Args, Subcommand};
use control::{Model, audit::Deed, documents::INSTALLATION, seal::keys_needed};
use http::Method;
use journal::Journal;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use store::Store;

/// Back up a running server or a stopped one; list and verify backups.
#[derive(Debug, Subcommand)]
pub enum Backup {
    /// Make a backup and wait until it is complete.
    Create(Create),
    /// The backups in the server's directory, or in one of this machine.
    List {
        /// A directory of backups on this machine; absent: the server's.
        #[arg(long, value_name = "PATH")]
        from: Option<PathBuf>,
    },
    /// Read a backup whole and compare every file with what was written.
    Verify {
        /// The backup's directory.
        #[arg(value_name = "PATH")]
        backup: PathBuf,
        /// File with the identity that opens it; without one, only checksums are compared.
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
    },
    /// Make a key pair for encrypted backups: the identity, which you keep, and the recipient, which the server gets.
    Key {
        /// Where to write the identity; the file must not exist.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Make a backup.
#[derive(Debug, Args)]
pub struct Create {
    /// Copy only what the latest backup lacks.
    #[arg(long)]
    pub incremental: bool,
    /// Encrypt to this recipient (`age1…`); repeatable; absent: as the server's configuration says.
    #[arg(long = "recipient", value_name = "AGE1…")]
    pub recipients: Vec<String>,
    /// Do not wait until it is complete.
    #[arg(long, conflicts_with = "data_dir")]
    pub no_wait: bool,
    /// Back up this data directory, which no server is using.
    #[arg(long, value_name = "PATH", requires = "to")]
    pub data_dir: Option<PathBuf>,
    /// Where to put the backup of a data directory.
    #[arg(long, value_name = "PATH", requires = "data_dir")]
    pub to: Option<PathBuf>,
    /// The configuration of that server, if its journal or its master key are not where the defaults say.
    #[arg(long, value_name = "FILE", requires = "data_dir")]
    pub config: Option<PathBuf>,
}

impl Backup {
    /// Runs it.
    pub async fn run(self, client: impl Fn() -> Result<Client, Failure>, output: Output) -> Result<(), Failure> {
        match self {
            Backup::Create(create) => match (&create.data_dir, &create.to) {
                (Some(data), Some(to)) => {
                    let manifest = create.offline(data, to).await?;
                    output.did(format!("the backup {} is complete", manifest.name));
                    print(output, &[manifest.shown()]);
                    Ok(())
                }
                _ => create.online(&client()?, output).await,
            },
            Backup::List { from: Some(root) } => {
                let listed = ::backup::list(&root).map_err(failure)?;
                print(output, &listed.iter().map(of_listed).collect::<Vec<_>>());
                Ok(())
            }
            Backup::List { from: None } => {
                let listed = client()?.get("/v1/backups").await?;
                print(output, listed["items"].as_array().map_or(&[][..], Vec::as_slice));
                Ok(())
            }
            Backup::Verify { backup, identity } => verify(&backup, identity.as_deref(), output).await,
            Backup::Key { file } => make_key(&file, output),
        }
    }
}

impl Create {
    /// Asks the server, and follows it.
    async fn online(&self, client: &Client, output: Output) -> Result<(), Failure> {
        let mut asked = json!({"incremental": self.incremental});
        if !self.recipients.is_empty() {
            asked["recipients"] = json!(self.recipients);
        }
        let body = ("application/json", asked.to_string().into_bytes());
        let mut job = client.send(Method::POST, "/v1/backups", Some(body)).await?;
        let path = format!("/v1/backups/{}", job["name"].as_str().unwrap_or_default());
        let mut shown = Shown::new();
        while job["state"] == "running" && !self.no_wait {
            let number = |name: &str| job[name].as_u64().unwrap_or(0);
            shown.at(
                job["phase"].as_str().unwrap_or_default(),
                number("bytes"),
                number("bytes_total"),
            );
            Shown::pause().await;
            job = client.get(&path).await?;
        }
        shown.end();
        if job["state"] == "failed" {
            let reason = job["reason"].as_str().unwrap_or("the server does not say why");
            return Err(Failure::new(Code::Failed, format!("the backup failed: {reason}")));
        }
        let name = job["name"].as_str().unwrap_or_default();
        output.did(match job["state"] == "running" {
            true => format!("the backup {name} has begun"),
            false => format!("the backup {name} is complete"),
        });
        print(output, std::slice::from_ref(&job));
        Ok(())
    }

    /// Opens a data directory as a start would, and backs it up.
    async fn offline(&self, data: &Path, to: &Path) -> Result<Manifest, Failure> {
        if !data.is_dir() {
            let message = format!("{} is not a directory", data.display());
            return Err(Failure::new(Code::Usage, message));
        }
        let overrides = Overrides {
            config: self.config.clone(),
            data_dir: Some(data.to_path_buf()),
            ..Overrides::default()
        };
        let config = config::load(&overrides).map_err(|message| Failure::new(Code::Usage, message))?;
        let recipients = match self.recipients.is_empty() {
            true => &config.backup.recipients,
            false => &self.recipients,
        };
        let recipients = Recipients::parse(recipients).map_err(failure)?;
        let directory = Directory::open(data)?;
        let store = Arc::new(open_store(&directory)?);
        let documents = store.documents().await.map_err(store_failure)?;
        let model =
            Model::load(&documents).map_err(|error| Failure::new(Code::Failed, format!("failed to {error}")))?;
        let journal = Arc::new(open_journal(&config, &directory, &model)?);
        let needed: Vec<String> = keys_needed(&model).into_iter().collect();
        let sources = Sources {
            data: data.to_path_buf(),
            journal: journal.clone(),
            store: store.clone(),
            save_positions: Box::new(|| Box::pin(async {})),
            master_keys: Box::new(move || needed.clone()),
            ended: Box::new(|_, _| Box::pin(async {})),
        };
        let made = self.make(sources, to, recipients, &*store).await;
        let closed = (journal.shutdown().await, store.shutdown().await);
        let failed = [
            closed.0.err().map(|error| error.to_string()),
            closed.1.err().map(|error| error.to_string()),
        ];
        for error in failed.into_iter().flatten() {
            say!("trunkline: closing again failed: {error}; the next start recovers");
        }
        made
    }

    /// Its beginning and its end are in the audit trail, as a running server's are.
    async fn make(
        &self,
        sources: Sources,
        to: &Path,
        recipients: Recipients,
        store: &dyn Store,
    ) -> Result<Manifest, Failure> {
        let timeline = Timeline::open(&sources.data).map_err(failure)?;
        let parent = match self.incremental {
            true => ::backup::latest(to, &timeline, &recipients).map_err(failure)?,
            false => None,
        };
        let details = json!({"parent": parent, "encrypted": !recipients.is_empty(), "to": to});
        let options = Options {
            root: to.to_path_buf(),
            parent,
            recipients,
        };
        let name = ::backup::new_name(&sources.data).map_err(failure)?;
        record(store, Deed::Began, &name, details).await;
        let progress = Progress::default();
        let work = ::backup::create(Arc::new(sources), name.clone(), options, progress.clone());
        let made = Shown::new().during(&progress, work).await.map_err(failure);
        match &made {
            Ok(_) => record(store, Deed::Completed, &name, Value::Null).await,
            Err(failed) => record(store, Deed::Failed, &name, json!({"reason": failed.message})).await,
        }
        made
    }
}

/// Writes an entry of the audit trail; one that cannot be written is said and keeps nobody from having a backup: a disk may be full.
async fn record(store: &dyn Store, action: Deed, name: &Name, details: Value) {
    let act = backup_act("command line", action, name, details);
    if let Err(error) = store.apply(INSTALLATION, vec![act.operation(now())]).await {
        say!("trunkline: the audit trail lacks an entry of the backup: {error}");
    }
}

async fn verify(backup: &Path, identity: Option<&Path>, output: Output) -> Result<(), Failure> {
    let (root, name) = place(backup)?;
    let identities = identities(identity)?;
    let progress = Progress::default();
    let seen = progress.clone();
    let work = tokio::task::spawn_blocking(move || ::backup::verify(&root, &name, &identities, &seen));
    let verified = Shown::new().during(&progress, work).await;
    let manifest = verified
        .map_err(|error| Failure::new(Code::Failed, error.to_string()))?
        .map_err(failure)?;
    print(output, &[manifest.shown()]);
    Ok(())
}

fn make_key(file: &Path, output: Output) -> Result<(), Failure> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let (identity, recipient) = ::backup::generate_identity().map_err(failure)?;
    let mut options = std::fs::OpenOptions::new();
    let written = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut file| {
            writeln!(file, "# recipient: {recipient}\n{identity}")?;
            file.sync_all()
        });
    written.map_err(|error| Failure::new(Code::Usage, format!("cannot write {}: {error}", file.display())))?;
    output.did(format!("{} holds a new identity for {recipient}", file.display()));
    output.print(
        &json!({ "recipient": recipient }),
        &["recipient"],
        [vec![recipient.clone()]],
    );
    Ok(())
}

/// The directory of backups and the name, from a backup's path.
pub fn place(backup: &Path) -> Result<(PathBuf, Name), Failure> {
    let absolute = std::path::absolute(backup).map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
    let name = absolute
        .file_name()
        .and_then(|name| name.to_str())
        .and_then(Name::parse);
    match (absolute.parent(), name) {
        (Some(root), Some(name)) => Ok((root.to_path_buf(), name)),
        _ => {
            let message = format!(
                "{} is not a backup: a backup's directory keeps the name that it was given, wherever it is",
                backup.display()
            );
            Err(Failure::new(Code::Usage, message)
                .hint("`trunkline backup list --from DIRECTORY` shows those there are"))
        }
    }
}

/// The identities in a file.
pub fn identities(file: Option<&Path>) -> Result<Identities, Failure> {
    let Some(file) = file else {
        return Ok(Identities::default());
    };
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(Code::Usage, format!("cannot read {}: {error}", file.display())))?;
    Identities::parse(&text).map_err(failure)
}

/// A failure with its exit code and what to do.
pub fn failure(error: Error) -> Failure {
    let (code, hint) = match &error {
        Error::Damaged { .. } | Error::Unsound(_) => {
            (Code::Corrupt, Some("use another backup; nothing was put in place"))
        }
        Error::NotFound(_) => (
            Code::NotFound,
            Some("`trunkline backup list --from DIRECTORY` shows those there are"),
        ),
        Error::NeedsIdentity => (
            Code::Usage,
            Some("give --identity FILE: the one that `trunkline backup key` wrote"),
        ),
        Error::NotEmpty(_) | Error::Key(_) | Error::Parent { .. } => (Code::Usage, None),
        _ => (Code::Failed, None),
    };
    let failure = Failure::new(code, format!("failed to {error}"));
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn of_listed(listed: &Listed) -> Value {
    match listed {
        Listed::Complete(manifest) => manifest.shown(),
        Listed::Unfinished(name) => json!({"name": name, "state": "unfinished"}),
        Listed::Unusable(name, error) => {
            json!({"name": name, "state": "unusable", "reason": format!("failed to {error}")})
        }
    }
}

fn print(output: Output, backups: &[Value]) {
    let text = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        Value::Bool(true) => "yes".into(),
        _ => "-".into(),
    };
    let bytes = |value: &Value| value.as_u64().map_or("-".into(), size);
    let rows = backups.iter().map(|backup| {
        vec![
            text(&backup["name"]),
            text(&backup["state"]),
            bytes(&backup["size"]),
            bytes(&backup["stored"]),
            text(&backup["encrypted"]),
            text(&backup["parent"]),
            text(&backup["master_key"]),
        ]
    });
    let value = match backups {
        [one] => one.clone(),
        all => json!(all),
    };
    output.print(
        &value,
        &["name", "state", "size", "stored", "encrypted", "parent", "master key"],
        rows,
    );
    for note in backups
        .iter()
        .flat_map(|backup| backup["notes"].as_array().into_iter().flatten())
    {
        say!("note: {}", crate::output::printable(&text(note)));
    }
}
