//! Which connection serves an ARN of Amazon's, and what a target is on its way there. A rule's target names a queue, not credentials: those
//! are in the one connection of the rule's bus whose `serves` has the ARN.

use super::super::fault::Fault;
use control::{
    Bus,
    arn::{self, Arn},
    resources::ConnectionSpec,
};

/// The name of the connection of a bus that serves an ARN: of several the one with the longest pattern, then the first by name.
pub(super) fn connection<'b>(bus: &'b Bus, text: &str) -> Option<&'b str> {
    let pattern = |spec: &ConnectionSpec| match spec {
        ConnectionSpec::Aws(config) => {
            let patterns = config.serves.iter().filter(|pattern| arn::matches(pattern, text));
            patterns.map(String::len).max()
        }
        _ => None,
    };
    let serving = bus
        .connections
        .values()
        .filter_map(|connection| Some((pattern(&connection.spec)?, connection.name.as_str())));
    // They come by name, and of equals `max_by_key` takes the last.
    let mut best: Option<(usize, &str)> = None;
    for (length, name) in serving {
        if best.is_none_or(|(longest, _)| length > longest) {
            best = Some((length, name));
        }
    }
    best.map(|(_, name)| name)
}

/// No connection serves an ARN.
pub(super) fn unserved(bus: &Bus, text: &str) -> Fault {
    let or = match service(text) {
        Some("events") => " Nor is it a bus of this server that you may publish on.",
        _ => "",
    };
    Fault::not_found(format!(
        "No connection of event bus {} serves {text}: declare one of provider aws whose `serves` has it.{or}",
        bus.name
    ))
}

/// The service in an ARN that a connection may serve; `None`: it is none that a rule can have.
pub(super) fn service(text: &str) -> Option<&str> {
    let arn = Arn::parse(text).filter(Arn::is_placed)?;
    let is_known = match arn.service {
        "sqs" | "sns" => !arn.resource.contains([':', '/']),
        "kinesis" => arn.resource.starts_with("stream/"),
        "lambda" => arn.resource.starts_with("function:"),
        "events" => arn.resource.starts_with("event-bus/"),
        _ => false,
    };
    is_known.then_some(arn.service)
}
