//! The ids of dead letters: `{subscription}-{topic}-{partition}-{offset}-{replay}`, all numbers.

use store::{DeliveryKey, Partition};

/// A dead letter's id.
pub fn write_id(key: DeliveryKey) -> String {
    let DeliveryKey {
        subscription,
        partition,
        offset,
        replay,
    } = key;
    format!(
        "{subscription}-{}-{}-{offset}-{replay}",
        partition.topic, partition.index
    )
}

/// The key of an id, in the one form that is written.
pub fn read_id(id: &str) -> Option<DeliveryKey> {
    let mut numbers = id.split('-');
    let mut next = || numbers.next();
    let key = DeliveryKey {
        subscription: next()?.parse().ok()?,
        partition: Partition {
            topic: next()?.parse().ok()?,
            index: next()?.parse().ok()?,
        },
        offset: next()?.parse().ok()?,
        replay: next()?.parse().ok()?,
    };
    (write_id(key) == id).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written_and_in_no_other_form() {
        let key = DeliveryKey {
            subscription: 12,
            partition: Partition { topic: 3, index: 7 },
            offset: u64::MAX,
            replay: 0,
        };
        assert_eq!(read_id(&write_id(key)), Some(key));
        for id in [
            "",
            "1-2-3-4",
            "1-2-3-4-5-6",
            "01-2-3-4-5",
            "+1-2-3-4-5",
            "1-2-3-4--5",
            "a-b-c-d-e",
        ] {
            assert_eq!(read_id(id), None, "{id}");
        }
    }
}
