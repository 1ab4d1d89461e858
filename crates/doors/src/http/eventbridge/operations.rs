//! The one table of operations: every one of the service's model, built or refused with its reason. Dispatch, the tests of
//! authorization and the page of compatibility come from it.
//!
//! To build an operation, write its module with `async fn run(asked: &Asked) -> Result<Value, Fault>`, and its row here:
//!
//! ```ignore
//! built("DescribeRule", Right::Read, |asked| Box::pin(rules::describe(asked))),
//! ```

use super::{SERVICE, TARGET, asked::Asked, fault::Fault, test_event_pattern};
use http::HeaderMap;
use serde_json::Value;
use std::pin::Pin;

/// Carries out an operation.
pub(super) type Run = for<'a> fn(&'a Asked) -> Pin<Box<dyn Future<Output = Result<Value, Fault>> + Send + 'a>>;

/// An operation of the model.
pub struct Operation {
    /// Its name, as `X-Amz-Target` has it behind the service.
    pub name: &'static str,
    /// What a caller must be allowed to do.
    pub right: Right,
    /// Whether it is built.
    pub standing: Standing,
    /// Where it differs from AWS, for the page of compatibility: sentences, or nothing.
    pub differences: &'static str,
}

/// What a caller must be allowed to do. `AnyKey` asks for a key in force alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Any key in force: nothing that the server keeps is looked at, or only what the key may see.
    AnyKey,
    /// A scope in the bus that the request names.
    Bus(control::resources::Scope),
    /// A scope in all buses.
    Installation(control::resources::Scope),
}

/// Whether an operation is built.
#[derive(Clone, Copy)]
pub enum Standing {
    /// The hot path: it is carried out by the door itself.
    Publishes,
    /// It is carried out by this.
    #[expect(
        private_interfaces,
        reason = "only the door runs an operation; others ask whether there is one"
    )]
    Built(Run),
    /// It is refused; why.
    Refused(&'static str),
}

impl Operation {
    /// Whether it is carried out.
    pub fn is_built(&self) -> bool {
        !matches!(self.standing, Standing::Refused(_))
    }

    /// With what differs from AWS.
    const fn differing(self, differences: &'static str) -> Operation {
        Operation { differences, ..self }
    }
}

const fn built(name: &'static str, right: Right, run: Run) -> Operation {
    Operation {
        name,
        right,
        standing: Standing::Built(run),
        differences: "",
    }
}

const fn refused(name: &'static str, why: &'static str) -> Operation {
    Operation {
        name,
        right: Right::AnyKey,
        standing: Standing::Refused(why),
        differences: "",
    }
}

const NOT_YET: &str = "it is not built yet; /v1 and the command line have what it is about";
const NO_PARTNERS: &str = "there are no partner event sources here: whoever has a key publishes";
const NO_ENDPOINTS: &str = "there are no global endpoints here: an installation has one place";

/// Every operation, sorted by name.
pub static OPERATIONS: &[Operation] = &[
    refused("ActivateEventSource", NO_PARTNERS),
    refused("CancelReplay", NOT_YET),
    refused("CreateApiDestination", NOT_YET),
    refused("CreateArchive", NOT_YET),
    refused("CreateConnection", NOT_YET),
    refused("CreateEndpoint", NO_ENDPOINTS),
    refused("CreateEventBus", NOT_YET),
    refused("CreatePartnerEventSource", NO_PARTNERS),
    refused("DeactivateEventSource", NO_PARTNERS),
    refused("DeauthorizeConnection", NOT_YET),
    refused("DeleteApiDestination", NOT_YET),
    refused("DeleteArchive", NOT_YET),
    refused("DeleteConnection", NOT_YET),
    refused("DeleteEndpoint", NO_ENDPOINTS),
    refused("DeleteEventBus", NOT_YET),
    refused("DeletePartnerEventSource", NO_PARTNERS),
    refused("DeleteRule", NOT_YET),
    refused("DescribeApiDestination", NOT_YET),
    refused("DescribeArchive", NOT_YET),
    refused("DescribeConnection", NOT_YET),
    refused("DescribeEndpoint", NO_ENDPOINTS),
    refused("DescribeEventBus", NOT_YET),
    refused("DescribeEventSource", NO_PARTNERS),
    refused("DescribePartnerEventSource", NO_PARTNERS),
    refused("DescribeReplay", NOT_YET),
    refused("DescribeRule", NOT_YET),
    refused("DisableRule", NOT_YET),
    refused("EnableRule", NOT_YET),
    refused("ListApiDestinations", NOT_YET),
    refused("ListArchives", NOT_YET),
    refused("ListConnections", NOT_YET),
    refused("ListEndpoints", NO_ENDPOINTS),
    refused("ListEventBuses", NOT_YET),
    refused("ListEventSources", NO_PARTNERS),
    refused("ListPartnerEventSourceAccounts", NO_PARTNERS),
    refused("ListPartnerEventSources", NO_PARTNERS),
    refused("ListReplays", NOT_YET),
    refused("ListRuleNamesByTarget", NOT_YET),
    refused("ListRules", NOT_YET),
    refused("ListTagsForResource", NOT_YET),
    refused("ListTargetsByRule", NOT_YET),
    Operation {
        name: "PutEvents",
        right: Right::Bus(control::resources::Scope::Publish),
        standing: Standing::Publishes,
        differences: "An entry for a bus that does not exist fails (`ResourceNotFoundException`) instead of vanishing, unless \
                      `eventbridge.unknown_buses` says `lose`. A request that an SDK sends again is recognised by its \
                      `amz-sdk-invocation-id`: no event is kept twice. A detail is nested at most 128 levels deep. `EndpointId` is \
                      refused.",
    },
    refused("PutPartnerEvents", NO_PARTNERS),
    refused("PutPermission", NOT_YET),
    refused("PutRule", NOT_YET),
    refused("PutTargets", NOT_YET),
    refused("RemovePermission", NOT_YET),
    refused("RemoveTargets", NOT_YET),
    refused("StartReplay", NOT_YET),
    refused("TagResource", NOT_YET),
    built("TestEventPattern", Right::AnyKey, |asked| {
        Box::pin(test_event_pattern::run(asked))
    })
    .differing("Any key may ask: it is about nothing that the server keeps."),
    refused("UntagResource", NOT_YET),
    refused("UpdateApiDestination", NOT_YET),
    refused("UpdateArchive", NOT_YET),
    refused("UpdateConnection", NOT_YET),
    refused("UpdateEndpoint", NO_ENDPOINTS),
    refused("UpdateEventBus", NOT_YET),
];

/// The operation that a request asks for.
pub(super) fn of(headers: &HeaderMap) -> Result<&'static Operation, Fault> {
    let target = headers.get(TARGET).and_then(|value| value.to_str().ok());
    let Some(target) = target else {
        return Err(Fault::unknown_operation(
            "The request names no operation in the header X-Amz-Target.",
        ));
    };
    let operation = target.strip_prefix(SERVICE).and_then(find);
    operation.ok_or_else(|| {
        let shown = crate::http::shown(target);
        Fault::unknown_operation(format!(
            "There is no operation {shown:?}: they are named {SERVICE}PutEvents and the like."
        ))
    })
}

/// The operation of a name.
fn find(name: &str) -> Option<&'static Operation> {
    let found = OPERATIONS.binary_search_by(|operation| operation.name.cmp(name)).ok()?;
    Some(&OPERATIONS[found])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_stands_once_and_is_found() {
        assert!(OPERATIONS.is_sorted_by(|one, other| one.name < other.name));
        assert_eq!(OPERATIONS.len(), 57);
        for operation in OPERATIONS {
            assert_eq!(find(operation.name).map(|found| found.name), Some(operation.name));
        }
        assert!(find("PutEvent").is_none());
    }
}
