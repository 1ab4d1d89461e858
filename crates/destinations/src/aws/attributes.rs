//! Attributes of messages: the constants that a subscription's target has, and of a copy of a dead letter in its envelope those that
//! EventBridge gives the messages of a dead-letter queue. Pure.

use control::resources::{TargetMode, TargetSpec};
use event::EventView;

/// Characters of an error's message.
const MESSAGE_CHARACTERS_MAX: usize = 500;

/// One attribute.
pub(super) struct Attribute {
    pub name: String,
    /// `String` or `Number`.
    pub kind: &'static str,
    pub value: String,
}

/// What the messages of one subscription have.
pub(super) struct Attributes {
    constant: Vec<(String, String)>,
    /// Whether a copy of a dead letter says how it died as EventBridge does.
    of_dead: bool,
}

impl Attributes {
    pub(super) fn of(target: &TargetSpec) -> Attributes {
        Attributes {
            constant: target.attributes.clone().into_iter().collect(),
            of_dead: target.mode == Some(TargetMode::Envelope),
        }
    }

    /// Of one event.
    pub(super) fn list(&self, event: &EventView<'_>) -> Vec<Attribute> {
        let constant = self.constant.iter().map(|(name, value)| text(name, value.clone()));
        let mut list: Vec<Attribute> = constant.collect();
        if self.of_dead && event.extension("tldeadid").is_some() {
            list.extend(death(event));
        }
        list
    }

    /// What the service counts of them.
    pub(super) fn size(list: &[Attribute]) -> usize {
        let each = list.iter().map(|one| one.name.len() + one.kind.len() + one.value.len());
        each.sum()
    }
}

fn text(name: &str, value: String) -> Attribute {
    Attribute {
        name: name.to_owned(),
        kind: "String",
        value,
    }
}

/// How a dead letter died, in EventBridge's words.
fn death(event: &EventView<'_>) -> Vec<Attribute> {
    let of = |name: &str| event.extension(name).unwrap_or_default();
    let reason = of("tldeadreason");
    let message: String = match of("tldeaddetail") {
        "" => reason,
        detail => detail,
    }
    .chars()
    .take(MESSAGE_CHARACTERS_MAX)
    .collect();
    let attempts: u64 = of("tldeadattempts").parse().unwrap_or(1);
    let mut list = vec![
        text("ERROR_CODE", error_code(reason).to_owned()),
        text(
            "ERROR_MESSAGE",
            if message.is_empty() {
                "unknown".to_owned()
            } else {
                message
            },
        ),
        Attribute {
            name: "RETRY_ATTEMPTS".to_owned(),
            kind: "Number",
            value: attempts.saturating_sub(1).to_string(),
        },
    ];
    let exhausted = match of("tldeadexhausted") {
        "attempts" => Some("MaximumRetryAttempts"),
        "age" => Some("MaximumEventAgeInSeconds"),
        _ => None,
    };
    list.extend(exhausted.map(|condition| text("EXHAUSTED_RETRY_CONDITION", condition.to_owned())));
    list
}

/// EventBridge's code for a reason of ours; what it has no code of is `UNKNOWN`.
fn error_code(reason: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    let begins = |words: &[&str]| words.iter().any(|word| reason.starts_with(word));
    match reason {
        "too_many_hops" => "THIRD_ACCOUNT_HOP_DETECTED",
        "event_unsuitable" | "event_too_large" => "INVALID_PARAMETER",
        "http_401" | "http_403" | "http_407" => "NO_PERMISSIONS",
        "http_404" | "http_410" | "bus_missing" => "NO_RESOURCE",
        "http_429" | "quota_exceeded" | "bus_busy" => "THROTTLING",
        "http_408" | "http_504" => "TIMEOUT",
        _ if begins(&["transform_"]) => "INVALID_JSON",
        _ if begins(&["token_"]) => "FAILURE_TO_ASSUME_ROLE",
        _ if begins(&["timeout"]) => "TIMEOUT",
        _ if begins(&["dns", "connect", "tls", "refused_address", "reset", "closed"]) => "CONNECTION_FAILURE",
        _ if begins(&["http_4"]) => "SDK_CLIENT_ERROR",
        _ if begins(&["http_5"]) => "INTERNAL_ERROR",
        _ if has(&["Throttl", "TooMany", "ThroughputExceeded", "LimitExceeded", "OverLimit"]) => "THROTTLING",
        _ if has(&["Denied", "Authoriz", "AuthFailure", "Security", "Token", "Signature"]) => "NO_PERMISSIONS",
        _ if has(&["NotFound", "NonExistent", "DoesNotExist"]) => "NO_RESOURCE",
        _ if has(&["Invalid", "Malformed", "Parameter", "Validation"]) => "INVALID_PARAMETER",
        _ if has(&["Internal", "Unavailable", "ServiceException"]) => "INTERNAL_ERROR",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{Data, Event};
    use serde_json::json;

    fn listed(target: serde_json::Value, extensions: &[(&str, &str)]) -> Vec<String> {
        let target: TargetSpec = serde_json::from_value(target).expect("a target");
        let mut event = Event::builder("1", "/shop", "order").data(Data::json("{}"));
        for (name, value) in extensions {
            event = event.extension(*name, *value);
        }
        let event = event.build().expect("a good event");
        let list = Attributes::of(&target).list(&event.view());
        list.iter().map(|one| format!("{}={}", one.name, one.value)).collect()
    }

    #[test]
    fn a_copy_of_a_dead_letter_in_its_envelope_says_what_eventbridge_says() {
        let dead = [
            ("tldeadid", "1-2-3-4-0"),
            ("tldeadreason", "http_503"),
            ("tldeaddetail", "attempts are used up; the endpoint answered 503"),
            ("tldeadattempts", "6"),
            ("tldeadexhausted", "attempts"),
        ];
        let target = json!({"mode": "envelope", "attributes": {"RULE_ARN": "r", "TARGET_ARN": "t"}});
        assert_eq!(
            listed(target.clone(), &dead),
            [
                "RULE_ARN=r",
                "TARGET_ARN=t",
                "ERROR_CODE=INTERNAL_ERROR",
                "ERROR_MESSAGE=attempts are used up; the endpoint answered 503",
                "RETRY_ATTEMPTS=5",
                "EXHAUSTED_RETRY_CONDITION=MaximumRetryAttempts"
            ]
        );
        assert_eq!(listed(target, &[]), ["RULE_ARN=r", "TARGET_ARN=t"]);
        assert_eq!(listed(json!({"mode": "structured"}), &dead), [""; 0]);
    }

    #[test]
    fn reasons_have_eventbridges_codes() {
        for (reason, code) in [
            ("aws_AccessDeniedException", "NO_PERMISSIONS"),
            ("aws_AWS.SimpleQueueService.NonExistentQueue", "NO_RESOURCE"),
            ("aws_ResourceNotFoundException", "NO_RESOURCE"),
            ("aws_ThrottlingException", "THROTTLING"),
            ("aws_InvalidParameterValue", "INVALID_PARAMETER"),
            ("timeout_first_byte", "TIMEOUT"),
            ("connect", "CONNECTION_FAILURE"),
            ("http_400", "SDK_CLIENT_ERROR"),
            ("http_404", "NO_RESOURCE"),
            ("transform_path_missing", "INVALID_JSON"),
            ("misconfigured", "UNKNOWN"),
        ] {
            assert_eq!(error_code(reason), code, "{reason}");
        }
    }
}
