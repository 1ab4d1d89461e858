//! The store: its file, what its documents mean, whether its secrets open, and whether its positions lie in the journal.

use super::{Examined, repair::Repair, store_path};
use crate::{config::Config, directory::Directory, wiring::MASTER_KEY};
use control::{Model, seal::Sealer};
use journal::{PartitionId, TopicId, embedded::doctor::Severity};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use store::{Embedded, Partition, Store, audit::AuditFault};

/// Adds what it finds.
pub async fn look(directory: &Directory, config: &Config, examined: &mut Examined) {
    let path = store_path(directory);
    let settings = store::Settings {
        missing: store::Missing::Refuse,
        ..store::Settings::default()
    };
    let opened = match Embedded::open(&path, settings) {
        Ok(store) => store.verify().await.map(|()| store),
        Err(error) => Err(error),
    };
    match opened {
        Ok(store) => {
            if let Err(error) = look_inside(&store, directory, config, examined).await {
                let place = path.display().to_string();
                examined.add(Severity::Fatal, place, format!("failed to {error}"), None);
            }
            // Nothing was written: what this says does not matter.
            let _ = store.shutdown().await;
        }
        Err(error) => {
            let repair = path.exists().then_some(Repair::Reindex);
            examined.add(
                Severity::Fatal,
                path.display().to_string(),
                format!("failed to {error}"),
                repair,
            );
        }
    }
}

async fn look_inside(
    store: &Embedded,
    directory: &Directory,
    config: &Config,
    examined: &mut Examined,
) -> Result<(), store::Error> {
    let documents = store.documents().await?;
    let model = match Model::load(&documents) {
        Ok(model) => model,
        Err(error) => {
            let place = store_path(directory).display().to_string();
            examined.add(
                Severity::Fatal,
                place,
                format!("a document cannot be read: {error}"),
                None,
            );
            return Ok(());
        }
    };
    look_at_secrets(&model, directory, config, examined);
    look_at_audit(store, examined).await;
    look_at_positions(store, &model, examined).await
}

/// Whether the master key is there and opens what was sealed under it.
fn look_at_secrets(model: &Model, directory: &Directory, config: &Config, examined: &mut Examined) {
    if model.fingerprint_key.is_none() {
        // Nothing was ever sealed.
        return;
    }
    let keys = &config.keys;
    let file = match keys.master_file.as_str() {
        "" => directory.path().join(MASTER_KEY),
        file => Path::new(file).to_path_buf(),
    };
    let sealer = match keys.master.as_str() {
        "" if !file.exists() => {
            let what =
                "the master key is missing: the server does not start without it. Put it back; it is in no backup";
            return examined.add(Severity::Fatal, file.display().to_string(), what, None);
        }
        "" => Sealer::open_or_create(&file),
        text => Sealer::from_text(text),
    };
    let place = file.display().to_string();
    let sealer = match sealer.and_then(|sealer| sealer.check(model).and(sealer.fingerprints(model)).map(|_| sealer)) {
        Ok(sealer) => sealer,
        Err(error) => return examined.add(Severity::Fatal, place, format!("failed to {error}"), None),
    };
    for bus in model.buses.values() {
        for connection in bus.connections.values() {
            if let Err(error) = sealer.open_connection(connection) {
                let place = format!("connection {} of bus {}", connection.name, bus.name);
                let what = format!(
                    "failed to {error}; its deliveries fail until the secret is given again (`trunkline apply`)"
                );
                examined.add(Severity::Damage, place, what, None);
            }
        }
    }
}

/// Whether the audit trail is the chain that was written.
async fn look_at_audit(store: &Embedded, examined: &mut Examined) {
    match store::audit::verify(store, None).await {
        Ok(verified) => examined.audit_entries = verified.entries,
        Err(fault @ AuditFault::EndLost { .. }) => {
            let what = format!(
                "failed to {fault}. The next start goes on after the last entry that there is, and says so in the trail; whether \
                 there were more, only an end that was noted elsewhere shows (`trunkline audit verify --noted`)"
            );
            examined.add(Severity::Damage, "audit trail", what, None);
        }
        Err(fault) => {
            let what = format!(
                "failed to {fault}; entries before it are as they were written. Nothing repairs it: compare with what was exported, or \
                 with a backup"
            );
            examined.add(Severity::Damage, "audit trail", what, None);
        }
    }
}

/// Whether positions lie in the journal, and speak of topics and subscriptions that exist.
async fn look_at_positions(store: &Embedded, model: &Model, examined: &mut Examined) -> Result<(), store::Error> {
    let (mut topics, mut subscriptions) = (BTreeMap::new(), BTreeSet::new());
    for bus in model.buses.values() {
        topics.extend(bus.topics.values().map(|topic| (topic.id, (bus.id, &topic.name))));
        subscriptions.extend(bus.subscriptions.values().map(|subscription| subscription.id));
    }
    let ends = std::mem::take(&mut examined.journal.ends);
    let mut check = |what: String, partition: Partition, position: u64| match topics.get(&partition.topic) {
        None => {
            let place = format!("topic {}", partition.topic);
            examined.add(
                Severity::Harmless,
                place,
                format!("{what} speaks of a topic that does not exist"),
                None,
            );
        }
        Some((bus, name)) => {
            let id = PartitionId {
                topic: TopicId {
                    bus: *bus,
                    topic: partition.topic,
                },
                index: partition.index,
            };
            let end = ends.get(&id).copied().unwrap_or(0);
            if position > end {
                let place = format!("topic {name}, partition {}", partition.index);
                let what = format!(
                    "{what} is at {position}, and the journal ends at {end}: it is shorter than it was. The next start puts what \
                     speaks of the rest back to its end, with a recorded range"
                );
                examined.add(Severity::Damage, place, what, None);
            }
        }
    };
    for (partition, position) in store.tails().await? {
        check("the saved position".into(), partition, position);
    }
    for row in store.lanes().await? {
        check(
            format!("the position of subscription {}", row.subscription),
            row.partition,
            row.position,
        );
    }
    for (subscription, held) in store.holdings().await? {
        if !subscriptions.contains(&subscription) && held.parked + held.dead > 0 {
            let what = "parked deliveries or dead letters are of a subscription that does not exist";
            examined.add(Severity::Harmless, format!("subscription {subscription}"), what, None);
        }
    }
    for bus in model.buses.values() {
        for topic in bus.topics.values() {
            let id = TopicId {
                bus: bus.id,
                topic: topic.id,
            };
            look_at_rows(store, id, (&topic.name, topic.spec.partitions), &ends, examined).await?;
        }
    }
    examined.journal.ends = ends;
    Ok(())
}

/// Whether the rows of deliveries of a topic lie in the journal.
async fn look_at_rows(
    store: &Embedded,
    topic: TopicId,
    (name, partitions): (&str, u32),
    ends: &BTreeMap<PartitionId, u64>,
    examined: &mut Examined,
) -> Result<(), store::Error> {
    for index in 0..partitions {
        let end = ends.get(&PartitionId { topic, index }).copied().unwrap_or(0);
        let partition = Partition {
            topic: topic.topic,
            index,
        };
        let beyond = store.held_from(partition, end).await?;
        if !beyond.is_empty() {
            let what = format!(
                "{} parked deliveries or dead letters lie behind the journal's end at {end}: it is shorter than it was. The next \
                 start takes them away, with a recorded range",
                beyond.len()
            );
            examined.add(Severity::Damage, format!("topic {name}, partition {index}"), what, None);
        }
    }
    Ok(())
}
