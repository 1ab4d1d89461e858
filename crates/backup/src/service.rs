//! Backups of a running bus on request: one at a time, with progress, in the directory that the operator's configuration
//! allows. It starts none by itself.

use crate::{
    Error, Listed, Manifest, Name, Progress, Recipients, Seen, Sources, Timeline, catalog,
    create::{self, Options},
};
use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::task::JoinHandle;

/// Backups of this run that are remembered; the directory lists all.
const JOBS_MAX: usize = 64;

/// What the operator's configuration says; it may change while the bus runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where backups lie; absent: none are made.
    pub directory: Option<PathBuf>,
    /// To whom they are encrypted when a request says nothing.
    pub recipients: Recipients,
}

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Copies only what the latest complete backup of this bus lacks; a full one if there is none.
    pub is_incremental: bool,
    /// To whom it is encrypted, instead of the configuration's.
    pub recipients: Option<Recipients>,
}

/// A backup that has a name and its turn, and has not begun: none other begins until it does, or is dropped.
#[derive(Debug)]
pub struct Prepared {
    name: Name,
    started: i64,
    options: Options,
    turn: Turn,
}

/// That it is this one's turn.
#[derive(Debug)]
struct Turn(Service, Name);

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.0.0.jobs).next.take_if(|next| *next == self.1);
    }
}

impl Prepared {
    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// What it builds on.
    pub fn parent(&self) -> Option<&Name> {
        self.options.parent.as_ref()
    }

    /// Whether it is encrypted.
    pub fn is_encrypted(&self) -> bool {
        !self.options.recipients.is_empty()
    }
}

/// How a backup of this run is doing.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub name: Name,
    /// When it was begun, milliseconds since the epoch.
    pub started: i64,
    /// What it builds on.
    pub parent: Option<Name>,
    /// Whether it is encrypted.
    pub is_encrypted: bool,
    /// How far it is.
    pub seen: Seen,
    /// Whether it is done.
    pub state: State,
}

/// Whether a backup is done.
#[derive(Clone, Debug)]
pub enum State {
    /// Not yet.
    Running,
    /// It is complete.
    Done(Arc<Manifest>),
    /// It ended with nothing, for this reason.
    Failed(String),
}

/// The handle. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Service(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sources: Arc<Sources>,
    settings: Mutex<Settings>,
    jobs: Mutex<Jobs>,
}

#[derive(Debug, Default)]
struct Jobs {
    all: VecDeque<Tracked>,
    /// The one that begins next: it is its turn.
    next: Option<Name>,
    running: Option<JoinHandle<()>>,
    closed: bool,
}

#[derive(Debug)]
struct Tracked {
    job: Job,
    progress: Progress,
}

impl Service {
    /// Backups of these sources.
    pub fn new(sources: Sources, settings: Settings) -> Self {
        Self(Arc::new(Inner {
            sources: Arc::new(sources),
            settings: Mutex::new(settings),
            jobs: Mutex::default(),
        }))
    }

    /// From now on, these settings; a backup that runs goes on with its own.
    pub fn set(&self, settings: Settings) {
        *lock(&self.0.settings) = settings;
    }

    /// Begins a backup.
    ///
    /// # Errors
    /// [`Error::Off`] without a directory, [`Error::Running`] while one is being made.
    pub async fn start(&self, request: Request) -> Result<Job, Error> {
        self.begin(self.prepare(request).await?)
    }

    /// A backup that can be begun: its name is known before, and nothing but the bus's end is in its way any more.
    ///
    /// # Errors
    /// [`Error::Off`] without a directory, [`Error::Running`] while one is being made.
    pub async fn prepare(&self, request: Request) -> Result<Prepared, Error> {
        let settings = lock(&self.0.settings).clone();
        let root = settings.directory.ok_or(Error::Off)?;
        let recipients = match request.recipients {
            // What the operator wants encrypted is not had in the clear by asking.
            Some(none) if none.is_empty() && !settings.recipients.is_empty() => {
                return Err(Error::Key(
                    "the configuration has every backup encrypted: leave recipients out, or name some".into(),
                ));
            }
            Some(recipients) => recipients,
            None => settings.recipients,
        };
        let data = self.0.sources.data.clone();
        let (options, timeline) = tokio::task::spawn_blocking(move || {
            let timeline = Timeline::open(&data)?;
            let parent = match request.is_incremental {
                true => catalog::latest(&root, &timeline, &recipients)?,
                false => None,
            };
            let options = Options {
                root,
                parent,
                recipients,
            };
            Ok::<_, Error>((options, timeline))
        })
        .await
        .unwrap_or(Err(Error::Stopped))?;
        let started = create::now();
        let name = Name::new(started, &timeline);
        Ok(Prepared {
            turn: self.take_turn(&name)?,
            name,
            started,
            options,
        })
    }

    fn take_turn(&self, name: &Name) -> Result<Turn, Error> {
        let mut jobs = lock(&self.0.jobs);
        if jobs.closed {
            return Err(Error::Stopped);
        }
        let last = jobs.all.back().map(|last| &last.job);
        let running = last
            .filter(|last| matches!(last.state, State::Running))
            .map(|last| &last.name);
        if let Some(other) = running.or(jobs.next.as_ref()) {
            return Err(Error::Running(other.to_string()));
        }
        jobs.next = Some(name.clone());
        Ok(Turn(self.clone(), name.clone()))
    }

    /// Begins it.
    ///
    /// # Errors
    /// [`Error::Stopped`] when the bus ends.
    pub fn begin(&self, prepared: Prepared) -> Result<Job, Error> {
        let Prepared {
            name,
            started,
            options,
            turn: _turn,
        } = prepared;
        let mut jobs = lock(&self.0.jobs);
        if jobs.closed {
            return Err(Error::Stopped);
        }
        let progress = Progress::default();
        let job = Job {
            name: name.clone(),
            started,
            parent: options.parent.clone(),
            is_encrypted: !options.recipients.is_empty(),
            seen: progress.seen(),
            state: State::Running,
        };
        jobs.all.push_back(Tracked {
            job: job.clone(),
            progress: progress.clone(),
        });
        if jobs.all.len() > JOBS_MAX {
            jobs.all.pop_front();
        }
        let inner = self.0.clone();
        jobs.running = Some(tokio::spawn(async move {
            let made = create::create(inner.sources.clone(), name.clone(), options, progress).await;
            inner.ended(&name, made).await;
        }));
        Ok(job)
    }

    /// The backups of this run, oldest first.
    pub fn jobs(&self) -> Vec<Job> {
        lock(&self.0.jobs).all.iter().map(Tracked::now).collect()
    }

    /// A backup of this run.
    pub fn job(&self, name: &Name) -> Option<Job> {
        let jobs = lock(&self.0.jobs);
        jobs.all.iter().find(|one| one.job.name == *name).map(Tracked::now)
    }

    /// The backups in the directory, oldest first.
    ///
    /// # Errors
    /// [`Error::Off`] without a directory; what the system says of it.
    pub async fn list(&self) -> Result<Vec<Listed>, Error> {
        let root = lock(&self.0.settings).directory.clone().ok_or(Error::Off)?;
        let listed = tokio::task::spawn_blocking(move || catalog::list(&root));
        listed.await.unwrap_or(Err(Error::Stopped))
    }

    /// Lets none begin any more, stops the one that runs, and waits for its end.
    pub async fn stop(&self) {
        let running = {
            let mut jobs = lock(&self.0.jobs);
            jobs.closed = true;
            jobs.all.iter().for_each(|one| one.progress.stop());
            jobs.running.take()
        };
        if let Some(running) = running {
            // It tells how it ended by itself.
            let _ = running.await;
        }
    }
}

impl Inner {
    async fn ended(&self, name: &Name, made: Result<Manifest, Error>) {
        let state = match made {
            Ok(manifest) => {
                tracing::info!(%name, bytes = manifest.stored_bytes(), "a backup is complete");
                State::Done(Arc::new(manifest))
            }
            Err(error) => {
                tracing::error!(%name, %error, "a backup failed");
                State::Failed(format!("failed to {error}"))
            }
        };
        (self.sources.ended)(name, &state).await;
        let mut jobs = lock(&self.jobs);
        if let Some(one) = jobs.all.iter_mut().find(|one| one.job.name == *name) {
            one.job.state = state;
        }
    }
}

impl Tracked {
    fn now(&self) -> Job {
        Job {
            seen: self.progress.seen(),
            ..self.job.clone()
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
