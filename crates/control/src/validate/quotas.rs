//! The rules of quotas.

use super::{duration, number, rate};
use crate::{
    limits,
    refusal::Refusal,
    resources::{BusQuotas, ByteRate, KeyQuotas, Rate},
    units::format_bytes,
};

pub(super) fn of_bus(quotas: &BusQuotas) -> Result<(), Refusal> {
    rates(quotas.events, quotas.bytes)?;
    if quotas.stored.is_some_and(|bytes| bytes < limits::RETENTION_BYTES_MIN) {
        return Err(Refusal::invalid("/quotas/stored", "stored is at least 1MiB"));
    }
    let subscriptions = limits::SUBSCRIPTIONS_MAX as u32;
    most(
        "/quotas/subscriptions",
        "subscriptions",
        quotas.subscriptions,
        0,
        subscriptions,
    )?;
    most(
        "/quotas/partitions",
        "partitions",
        quotas.partitions,
        1,
        limits::PARTITIONS_MAX,
    )?;
    connections(quotas.connections)
}

pub(super) fn of_key(quotas: &KeyQuotas) -> Result<(), Refusal> {
    rates(quotas.events, quotas.bytes)?;
    connections(quotas.connections)
}

fn rates(events: Option<Rate>, bytes: Option<ByteRate>) -> Result<(), Refusal> {
    if let Some(events) = events {
        rate("/quotas/events", events)?;
    }
    let Some(ByteRate { bytes, per }) = bytes else {
        return Ok(());
    };
    if bytes > limits::BYTE_RATE_MAX {
        let most = format_bytes(limits::BYTE_RATE_MAX);
        return Err(Refusal::invalid(
            "/quotas/bytes",
            format!("bytes is at most {most} per period"),
        ));
    }
    duration(
        "/quotas/bytes",
        "the period of bytes",
        per,
        limits::RATE_PERIOD_MIN..=limits::RATE_PERIOD_MAX,
    )
}

fn connections(connections: Option<u32>) -> Result<(), Refusal> {
    most(
        "/quotas/connections",
        "connections",
        connections,
        1,
        limits::CONNECTION_QUOTA_MAX,
    )
}

fn most(pointer: &str, what: &str, value: Option<u32>, least: u32, most: u32) -> Result<(), Refusal> {
    value.map_or(Ok(()), |value| number(pointer, what, value, least..=most))
}
