//! Reading the configuration again: what it says now, and which keys differ. What a running server does about them is
//! decided in `reload`.

use super::{
    Config, Overrides,
    layers::{environment, layers, leaves_of, read},
};
use std::sync::{Mutex, MutexGuard, PoisonError};
use toml::{Table, Value};

/// The configuration of a server that runs, and the way it was given.
#[derive(Debug)]
pub struct Current {
    /// Absent: it was not given as files and flags, and is not read again.
    overrides: Option<Overrides>,
    in_force: Mutex<(Table, Config)>,
}

/// What the layers say now.
#[derive(Debug)]
pub struct Fresh {
    /// It as a whole.
    pub config: Config,
    /// The keys that differ from what is in force.
    pub differs: Vec<String>,
    table: Table,
}

impl Current {
    /// Loads it as given by these flags, the file they name, and the environment.
    pub fn load(overrides: &Overrides) -> Result<Current, String> {
        let table = layers(overrides, environment(std::env::vars_os())?)?;
        let config = read(table.clone())?;
        Ok(Current {
            overrides: Some(overrides.clone()),
            in_force: Mutex::new((table, config)),
        })
    }

    /// This, for as long as the server runs.
    pub fn fixed(config: Config) -> Current {
        Current {
            overrides: None,
            in_force: Mutex::new((Table::new(), config)),
        }
    }

    /// What is in force.
    pub fn get(&self) -> Config {
        self.lock().1.clone()
    }

    /// Reads the file again, and compares.
    pub fn read_again(&self) -> Result<Fresh, String> {
        let overrides = self.overrides.as_ref();
        let overrides = overrides.ok_or("this server was not started from a configuration")?;
        let table = layers(overrides, environment(std::env::vars_os())?)?;
        let config = read(table.clone())?;
        let in_force = self.lock();
        let differs = leaves_of(&table).into_iter();
        let differs = differs.filter(|path| value(&table, path) != value(&in_force.0, path));
        Ok(Fresh {
            config,
            differs: differs.collect(),
            table: table.clone(),
        })
    }

    /// Puts it in force, all but these keys.
    pub fn set(&self, fresh: Fresh, but: &[String]) -> Result<(), String> {
        let mut in_force = self.lock();
        let mut table = fresh.table;
        for path in but {
            if let Some(old) = value(&in_force.0, path).cloned() {
                put(&mut table, path, old);
            }
        }
        let config = read(table.clone())?;
        *in_force = (table, config);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, (Table, Config)> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn value<'t>(table: &'t Table, path: &str) -> Option<&'t Value> {
    match path.split_once('.') {
        None => table.get(path),
        Some((section, key)) => table.get(section)?.get(key),
    }
}

fn put(table: &mut Table, path: &str, value: Value) {
    let (table, key) = match path.split_once('.') {
        None => (Some(table), path),
        Some((section, key)) => (table.get_mut(section).and_then(Value::as_table_mut), key),
    };
    if let Some(table) = table {
        table.insert(key.to_string(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_found_by_its_key_and_what_needs_a_start_stays_different() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("trunkline.toml");
        let write = |text: &str| std::fs::write(&path, text).expect("written");
        write("drain = \"5s\"\n");
        let overrides = Overrides {
            config: Some(path.clone()),
            ..Overrides::default()
        };
        let current = Current::load(&overrides).expect("it loads");
        assert!(current.read_again().expect("it loads").differs.is_empty());
        write("drain = \"6s\"\n[http]\nconnections = 7\n");
        let fresh = current.read_again().expect("it loads");
        assert_eq!(fresh.differs, ["drain", "http.connections"]);
        current.set(fresh, &["http.connections".into()]).expect("it is set");
        assert_eq!(current.get().drain, std::time::Duration::from_secs(6));
        assert_eq!(current.get().http.connections, 10_000);
        assert_eq!(current.read_again().expect("it loads").differs, ["http.connections"]);
        write("[http]\nconections = 7\n");
        assert!(
            current
                .read_again()
                .expect_err("refused")
                .contains("did you mean http.connections?")
        );
        assert_eq!(current.get().drain, std::time::Duration::from_secs(6));
    }
}
