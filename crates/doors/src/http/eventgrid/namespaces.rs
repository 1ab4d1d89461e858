//! Event Grid namespaces: their addresses are known only to be refused by name, so that who points such a client here learns more
//! than that there is nothing.

use crate::http::problem::Problem;

/// What is asked of a topic or of a subscription of a namespace.
const VERBS: [&str; 6] = ["publish", "receive", "acknowledge", "release", "reject", "renewLock"];

/// Whether a path is one of a namespace: `/topics/{topic}:publish`, `/topics/{topic}/eventsubscriptions/{name}:receive`.
pub(super) fn is_path(path: &str) -> bool {
    let verb = path.strip_prefix("/topics/").and_then(|rest| rest.rsplit_once(':'));
    verb.is_some_and(|(_, verb)| VERBS.contains(&verb))
}

/// What its clients are told, whoever they are: nothing is looked at.
pub(super) fn problem() -> Problem {
    let detail = "this is an address of an Event Grid namespace, and namespaces are not built here: publish as to a topic, at \
                  /{bus}/api/events (without a namespace topic in the client), and have events delivered to a webhook";
    Problem::new("not_found", detail)
}
