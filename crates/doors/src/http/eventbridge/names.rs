//! Names as requests have them: a bus by its name or its ARN, and ARNs of what this server has. Account and region of an ARN that
//! comes in are not looked at: code that was written for AWS has its own account in them.

use control::names::Name;
use event::eventbridge::ACCOUNT_DEFAULT;

/// The bus of requests that name none.
pub(super) const DEFAULT_BUS: &str = "default";
/// Bytes of a bus's name or ARN in the model.
pub(super) const BUS_NAME_BYTES_MAX: usize = 1_600;
/// The kind of a bus in its ARN.
pub(super) const EVENT_BUS: &str = "event-bus";

/// The name of a bus from a request, which has it bare or in an ARN; `None` if it is neither.
pub(super) fn bus(text: &str) -> Option<&str> {
    let name = resource(text).map_or(Some(text), |resource| resource.strip_prefix("event-bus/"))?;
    Name::new(name).is_ok().then_some(name)
}

/// What an ARN of EventBridge names: the part behind the account, such as `event-bus/orders`.
pub(super) fn resource(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    let (prefix, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let is_region = !region.is_empty() && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_account = account.len() == ACCOUNT_DEFAULT.len() && account.bytes().all(|byte| byte.is_ascii_digit());
    let is_ours = prefix == "arn" && partition.starts_with("aws") && service == "events";
    (is_ours && is_region && is_account).then_some(resource)
}

/// The ARN of a thing of a kind (`event-bus`, `rule`, `connection`, …), as a client of this region sees it.
pub(super) fn arn(region: &str, kind: &str, name: &str) -> String {
    format!("arn:aws:events:{region}:{ACCOUNT_DEFAULT}:{kind}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_has_a_name_and_an_arn() {
        assert_eq!(
            arn("eu-west-1", EVENT_BUS, "orders"),
            "arn:aws:events:eu-west-1:000000000000:event-bus/orders"
        );
        for text in [
            "orders",
            "arn:aws:events:eu-west-1:000000000000:event-bus/orders",
            "arn:aws-cn:events:cn-north-1:123456789012:event-bus/orders",
        ] {
            assert_eq!(bus(text), Some("orders"), "{text}");
        }
    }

    /// Check 41.
    #[test]
    fn check_41_what_is_no_name_of_a_bus_names_none() {
        let long = "a".repeat(10_000);
        for text in [
            "",
            "..",
            "../x",
            "a/b",
            ".*",
            "%2e",
            "a\u{0}",
            "аdmin",
            &long,
            "arn:aws:events:eu-west-1:000000000000:event-bus/",
            "arn:aws:events:eu-west-1:000000000000:event-bus/a/b",
            "arn:aws:events:eu-west-1:000000000000:rule/orders",
            "arn:aws:s3:eu-west-1:000000000000:event-bus/orders",
            "arn:aws:events:eu-west-1:1:event-bus/orders",
            "arn:aws:events::000000000000:event-bus/orders",
            "arn:aws:events",
        ] {
            assert_eq!(bus(text), None, "{text}");
        }
    }
}
