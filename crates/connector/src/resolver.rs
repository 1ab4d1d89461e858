//! How names become addresses. It checks nothing: what it gives is checked by the guard.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Where names are looked up. Tests own the other two.
#[derive(Clone, Debug, Default)]
pub enum Resolver {
    /// The operating system's resolver.
    #[default]
    System,
    /// These names and no other.
    Table(Arc<HashMap<String, Vec<IpAddr>>>),
    /// These names and no other; the n-th lookup (of any name) gets the n-th answer, the last one repeats.
    Sequence(Arc<HashMap<String, Vec<Vec<IpAddr>>>>, Arc<AtomicUsize>),
}

impl Resolver {
    /// A table of names.
    pub fn table<const N: usize>(names: [(&str, &[IpAddr]); N]) -> Resolver {
        Resolver::Table(Arc::new(
            names
                .map(|(name, addresses)| (name.to_owned(), addresses.to_vec()))
                .into(),
        ))
    }

    /// One name whose answer changes from lookup to lookup, as a rebinding attacker's does.
    pub fn sequence(name: &str, answers: Vec<Vec<IpAddr>>) -> Resolver {
        Resolver::Sequence(Arc::new(HashMap::from([(name.to_owned(), answers)])), Arc::default())
    }

    /// Every address of a name, as the resolver orders them.
    pub(crate) async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = match self {
            Resolver::System => tokio::net::lookup_host((name, 0))
                .await?
                .map(|socket| socket.ip())
                .collect(),
            Resolver::Table(names) => names.get(name).cloned().unwrap_or_default(),
            Resolver::Sequence(names, lookups) => {
                let answers = names.get(name).map(Vec::as_slice).unwrap_or_default();
                let nth = lookups
                    .fetch_add(1, Ordering::Relaxed)
                    .min(answers.len().saturating_sub(1));
                answers.get(nth).cloned().unwrap_or_default()
            }
        };
        if found.is_empty() {
            Err(io::Error::new(io::ErrorKind::NotFound, "no address"))
        } else {
            Ok(found)
        }
    }
}
