//! The one table of operations: every one of the service's model, built or refused with its reason. Dispatch, the tests of
//! authorization and the page of compatibility come from it.
//!
//! To build an operation, write its module with `async fn run(asked: &Asked) -> Result<Value, Fault>`, and its row here:
//!
//! ```ignore
//! built("DescribeRule", Right::Read, |asked| Box::pin(rules::describe(asked))),
//! ```

use super::{SERVICE, TARGET, asked::Asked, fault::Fault, manage, test_event_pattern};
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
    /// A scope in some bus: what the request names lives on one of those that the key may use.
    SomeBus(control::resources::Scope),
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

const NO_PARTNERS: &str = "there are no partner event sources here: whoever has a key publishes";
const NO_ENDPOINTS: &str = "there are no global endpoints here: an installation has one place";

/// Every operation, sorted by name.
pub static OPERATIONS: &[Operation] = &[
    refused("ActivateEventSource", NO_PARTNERS),
    built("CancelReplay", Right::SomeBus(control::resources::Scope::Subscribe), |asked| Box::pin(manage::replays::cancel(asked))),
    built("CreateApiDestination", Right::SomeBus(control::resources::Scope::Manage), |asked| Box::pin(manage::api_destinations::create(asked)))
    .differing("It lives on bus `default`, or on the first bus that the key may manage; rules of other buses get a copy. Endpoints may be `http` where the operator allows the network. The rate is kept by each target for itself."),
    built("CreateArchive", Right::SomeBus(control::resources::Scope::Manage), |asked| Box::pin(manage::archives::create(asked)))
    .differing("The journal is the archive: the topics of the bus keep their events at least for `RetentionDays` (0: for ever), and what they hold already can be replayed."),
    built("CreateConnection", Right::SomeBus(control::resources::Scope::Manage), |asked| Box::pin(manage::connections::create(asked)))
    .differing("It lives on bus `default`, or on the first bus that the key may manage; rules of other buses get a copy. Headers that Trunkline or HTTP itself writes are refused as parameters. Private endpoints and KMS keys are refused."),
    refused("CreateEndpoint", NO_ENDPOINTS),
    built("CreateEventBus", Right::Installation(control::resources::Scope::Administer), |asked| Box::pin(manage::buses::create(asked)))
    .differing("Partner event sources and KMS keys are refused."),
    refused("CreatePartnerEventSource", NO_PARTNERS),
    refused("DeactivateEventSource", NO_PARTNERS),
    built("DeauthorizeConnection", Right::SomeBus(control::resources::Scope::Manage), |asked| Box::pin(manage::connections::deauthorize(asked)))
    .differing("API destinations are not invoked while it is so: the subscriptions of their targets are disabled, and events wait in the journal until `UpdateConnection` gives other `AuthParameters`."),
    built("DeleteApiDestination", Right::SomeBus(control::resources::Scope::Manage), |asked| Box::pin(manage::api_destinations::delete(asked)))
    .differing("Refused while a target uses it."),
    built("DeleteArchive", Right::SomeBus(control::resources::Scope::Manage), |asked| Box::pin(manage::archives::delete(asked)))
    .differing("Topics keep the retention that they have."),
    built("DeleteConnection", Right::SomeBus(control::resources::Scope::Manage), |asked| Box::pin(manage::connections::delete(asked)))
    .differing("Refused while an API destination uses it."),
    refused("DeleteEndpoint", NO_ENDPOINTS),
    built("DeleteEventBus", Right::Installation(control::resources::Scope::Administer), |asked| Box::pin(manage::buses::delete(asked))),
    refused("DeletePartnerEventSource", NO_PARTNERS),
    built("DeleteRule", Right::Bus(control::resources::Scope::Subscribe), |asked| Box::pin(manage::rules::delete(asked))),
    built("DescribeApiDestination", Right::SomeBus(control::resources::Scope::Read), |asked| Box::pin(manage::api_destinations::describe(asked))),
    built("DescribeArchive", Right::SomeBus(control::resources::Scope::Read), |asked| Box::pin(manage::archives::describe(asked)))
    .differing("`EventCount` and `SizeBytes` are those of the bus's topics, with what they held before; an archive with a pattern, or of a bus with types of several routes, has none: nobody counts what a pattern would leave, and a replay's dry run of `/v1` does."),
    built("DescribeConnection", Right::SomeBus(control::resources::Scope::Read), |asked| Box::pin(manage::connections::describe(asked))),
    refused("DescribeEndpoint", NO_ENDPOINTS),
    built("DescribeEventBus", Right::Bus(control::resources::Scope::Read), |asked| Box::pin(manage::buses::describe(asked))),
    refused("DescribeEventSource", NO_PARTNERS),
    refused("DescribePartnerEventSource", NO_PARTNERS),
    built("DescribeReplay", Right::SomeBus(control::resources::Scope::Read), |asked| Box::pin(manage::replays::describe(asked)))
    .differing("`EventLastReplayedTime` is when the newest event was received that was replayed; partitions are read side by side, so that older ones may follow. `/v1` shows how far each part is."),
    built("DescribeRule", Right::Bus(control::resources::Scope::Read), |asked| Box::pin(manage::rules::describe(asked))),
    built("DisableRule", Right::Bus(control::resources::Scope::Subscribe), |asked| Box::pin(manage::rules::disable(asked)))
    .differing("What was matched and not delivered yet waits as well, and is passed over with the rest when the rule is enabled."),
    built("EnableRule", Right::Bus(control::resources::Scope::Subscribe), |asked| Box::pin(manage::rules::enable(asked)))
    .differing("What matched while the rule was disabled is passed over: counted, recorded and still in the journal, for a replay."),
    built("ListApiDestinations", Right::SomeBus(control::resources::Scope::Read), |asked| Box::pin(manage::api_destinations::list(asked))),
    built("ListArchives", Right::SomeBus(control::resources::Scope::Read), |asked| Box::pin(manage::archives::list(asked))),
    built("ListConnections", Right::SomeBus(control::resources::Scope::Read), |asked| Box::pin(manage::connections::list(asked))),
    refused("ListEndpoints", NO_ENDPOINTS),
    built("ListEventBuses", Right::AnyKey, |asked| Box::pin(manage::buses::list(asked)))
    .differing("A key sees the buses that it may read."),
    refused("ListEventSources", NO_PARTNERS),
    refused("ListPartnerEventSourceAccounts", NO_PARTNERS),
    refused("ListPartnerEventSources", NO_PARTNERS),
    built("ListReplays", Right::SomeBus(control::resources::Scope::Read), |asked| Box::pin(manage::replays::list(asked))),
    built("ListRuleNamesByTarget", Right::Bus(control::resources::Scope::Read), |asked| Box::pin(manage::rules::list_names_by_target(asked))),
    built("ListRules", Right::Bus(control::resources::Scope::Read), |asked| Box::pin(manage::rules::list(asked)))
    .differing("Subscriptions that were not made as targets are in `/v1` alone."),
    built("ListTagsForResource", Right::SomeBus(control::resources::Scope::Read), |asked| Box::pin(manage::tags::list(asked))),
    built("ListTargetsByRule", Right::Bus(control::resources::Scope::Read), |asked| Box::pin(manage::targets::list(asked))),
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
    built("PutPermission", Right::Bus(control::resources::Scope::Manage), |asked| Box::pin(manage::policies::put(asked)))
    .differing("The policy is kept and shown, and opens nothing: an installation is one account, and what a key may do on a bus, its scopes say. A principal `*` lets nobody in."),
    built("PutRule", Right::Bus(control::resources::Scope::Subscribe), |asked| Box::pin(manage::rules::put(asked)))
    .differing("`ScheduleExpression` is refused. A name begins with a letter or digit."),
    built("PutTargets", Right::Bus(control::resources::Scope::Subscribe), |asked| Box::pin(manage::targets::put(asked)))
    .differing("Targets are API destinations, SQS queues, SNS topics, Kinesis streams, Lambda functions and event buses; other ARNs are refused. An ARN of Amazon's is reached through the connection of the bus that serves it (a failed entry, if there is none), and a `RoleArn` is assumed if that connection says so. A bus of this server needs no connection of its own; whoever puts the target must be allowed to publish there. An event bus is sent the event, or the output as its detail. Dead letters stay in Trunkline as well; a `DeadLetterConfig` gets copies. What AWS drops (an output that is no JSON, a status that it does not retry) is a dead letter or is tried again. A value of `HttpParameters` that is not in the event makes a dead letter. Values in strings of a template stay escaped."),
    built("RemovePermission", Right::Bus(control::resources::Scope::Manage), |asked| Box::pin(manage::policies::remove(asked))),
    built("RemoveTargets", Right::Bus(control::resources::Scope::Subscribe), |asked| Box::pin(manage::targets::remove(asked))),
    built("StartReplay", Right::SomeBus(control::resources::Scope::Subscribe), |asked| Box::pin(manage::replays::start(asked)))
    .differing(
        "Events come in their order, as a Trunkline replay for each target. They carry `replay-name`, for patterns of rules, transformers \
         and envelopes; the archive's pattern, path and header parameters, and an event bus as target do not see it, and a dead letter \
         that is redriven has lost it.",
    ),
    built("TagResource", Right::SomeBus(control::resources::Scope::Subscribe), |asked| Box::pin(manage::tags::tag(asked)))
    .differing("Rules and event buses have tags."),
    built("TestEventPattern", Right::AnyKey, |asked| {
        Box::pin(test_event_pattern::run(asked))
    })
    .differing("Any key may ask: it is about nothing that the server keeps."),
    built("UntagResource", Right::SomeBus(control::resources::Scope::Subscribe), |asked| Box::pin(manage::tags::untag(asked))),
    built("UpdateApiDestination", Right::SomeBus(control::resources::Scope::Manage), |asked| Box::pin(manage::api_destinations::update(asked))),
    built("UpdateArchive", Right::SomeBus(control::resources::Scope::Manage), |asked| Box::pin(manage::archives::update(asked))),
    built("UpdateConnection", Right::SomeBus(control::resources::Scope::Manage), |asked| Box::pin(manage::connections::update(asked)))
    .differing("`AuthParameters` are given whole."),
    refused("UpdateEndpoint", NO_ENDPOINTS),
    built("UpdateEventBus", Right::Installation(control::resources::Scope::Administer), |asked| Box::pin(manage::buses::update(asked))),
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
