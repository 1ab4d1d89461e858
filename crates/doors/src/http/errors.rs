//! Every code that a problem can carry, with its status and what to do about it: the one table behind the answers, behind
//! `GET /docs/errors/{code}` and behind the error pages of the documentation. Codes are stable.

use super::{
    openapi,
    problem::Problem,
    routes::{Gives, Permission, Route, Verb, content, route},
};
use axum::{response::IntoResponse, routing};
use http::header;
use serde_json::json;

pub(super) const ROUTES: &[Route] = &[route(
    Verb::Get,
    "/docs/errors/{code}",
    "explainError",
    Permission::Open,
    |on| routing::on(on, page),
)
.summary("What a code means and what to do about it")
.gives(&[Gives {
    status: 200,
    content: Some(content("text/markdown", "Text")),
}])
.problems(&["not_found"])];

/// One kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode {
    /// The stable code.
    pub code: &'static str,
    /// The HTTP status it comes with.
    pub status: u16,
    /// A short summary, the same for every occurrence.
    pub title: &'static str,
    /// What to do about it.
    pub help: &'static str,
}

const fn entry(code: &'static str, status: u16, title: &'static str, help: &'static str) -> ErrorCode {
    ErrorCode {
        code,
        status,
        title,
        help,
    }
}

/// The table, sorted by code.
pub static ERRORS: &[ErrorCode] = &[
    entry(
        "already_exists",
        412,
        "It exists already",
        "`If-None-Match: *` asked that it does not exist. Leave the header out to replace it.",
    ),
    entry(
        "audit_broken",
        409,
        "The audit trail does not verify",
        "An entry was altered or removed by something else than the server, or the noted one is not in the trail; `detail` names it. Keep the data directory as it is, and compare with a backup.",
    ),
    entry(
        "backup_failed",
        500,
        "The backup failed",
        "The directory of backups, or a file in it, refused. `detail` names it and what the system said. Nothing half done counts as a backup.",
    ),
    entry(
        "backup_invalid",
        422,
        "The request for a backup cannot be carried out",
        "`detail` says which field is wrong: the body takes `incremental` (true or false) and `recipients` (a list of `age1…`), nothing else.",
    ),
    entry(
        "backup_not_found",
        404,
        "The backup does not exist",
        "List the backups with `GET /v1/backups`.",
    ),
    entry(
        "backup_running",
        409,
        "A backup is being made",
        "One is made at a time. `detail` names it; `GET /v1/backups/{name}` shows how far it is.",
    ),
    entry(
        "backups_off",
        409,
        "The configuration names no directory for backups",
        "Set `backup.directory` in the configuration of the server and reload it: `trunkline config reload`.",
    ),
    entry(
        "batch_refused",
        400,
        "Entries of the batch were refused",
        "Nothing was kept. `errors` lists every entry that was refused, with its index. Correct them, or send the batch with `?partial=true` to keep the others.",
    ),
    entry(
        "body_incomplete",
        400,
        "The body ended early",
        "The connection or the transfer coding broke off before the whole body had arrived. Send the request again.",
    ),
    entry(
        "body_too_large",
        413,
        "The body is too large",
        "Split it. The limits are: 1 MiB of event data, 10 MiB and 1,000 events in a batch, 1 MiB for a resource.",
    ),
    entry(
        "bus_busy",
        429,
        "The bus has too much in flight",
        "Wait as long as `Retry-After` says, then send the request again, and keep fewer requests in flight.",
    ),
    entry(
        "bus_not_found",
        404,
        "The bus does not exist",
        "Check the spelling; list the buses with `GET /v1/buses`; create one with `PUT /v1/buses/{bus}`.",
    ),
    entry(
        "clock_not_alarmed",
        409,
        "There is no alarm of the clock",
        "Nothing is to be confirmed: the wall clock is believed. `GET /v1/clock` shows both clocks.",
    ),
    entry(
        "config_invalid",
        422,
        "The configuration cannot be used",
        "Nothing changed: the server goes on with the configuration it has. `detail` names the file, the line and the key. Correct it and reload again.",
    ),
    entry(
        "content_encoding_invalid",
        400,
        "The body does not decompress",
        "The body is not what `Content-Encoding` says, or it ends early.",
    ),
    entry(
        "content_encoding_unsupported",
        415,
        "The content encoding is not supported",
        "Use one of gzip, deflate, br, zstd, or none.",
    ),
    entry(
        "cross_origin_refused",
        403,
        "A request of another origin was refused",
        "Without keys the server answers pages of its own origin only. Create a key.",
    ),
    entry(
        "cursor_invalid",
        400,
        "The cursor is not one of this list",
        "Use `next` of the page before exactly as it was given, with the same filters; start over without a cursor.",
    ),
    entry(
        "dead_letter_identity",
        422,
        "An edited event stays the event that it is",
        "Its `id` and `source` must be those of the dead letter. To send another event, publish it and discard the dead letter.",
    ),
    entry(
        "dead_letter_line_invalid",
        422,
        "A line is no exported dead letter",
        "`detail` names the line and what is wrong with it. Nothing was imported: put the line right, or take it out, and send all again.",
    ),
    entry(
        "dead_letter_not_found",
        404,
        "The dead letter does not exist",
        "It may have been redriven or discarded. List those there are with `GET /v1/buses/{bus}/dead-letters`.",
    ),
    entry(
        "event_ambiguous",
        409,
        "The id names several events",
        "Identity is source and id. Give one of `sources` as `?source=`.",
    ),
    entry(
        "event_attribute_invalid",
        400,
        "An attribute of the event breaks a rule",
        "`attribute` names it and `detail` says the rule; CloudEvents 1.0 has them all.",
    ),
    entry(
        "event_attribute_missing",
        400,
        "An attribute of the event is missing",
        "Every event has `id`, `source`, `type` and `specversion`, none of them empty.",
    ),
    entry(
        "event_batch_too_large",
        413,
        "The batch is too large",
        "At most 1,000 events and 10 MiB in one request. Split it.",
    ),
    entry(
        "event_body_invalid",
        400,
        "The body is not an event",
        "The body is not JSON in the CloudEvents JSON format, or it lacks what its media type promises.",
    ),
    entry(
        "event_data_invalid",
        400,
        "The data is not what it claims to be",
        "The data must fit `datacontenttype`: JSON must parse, text must be UTF-8, `data_base64` must be base64.",
    ),
    entry(
        "event_media_type_unsupported",
        415,
        "The event format is not supported",
        "Use `application/cloudevents+json`, `application/cloudevents-batch+json`, or binary mode with `ce-` headers.",
    ),
    entry(
        "event_not_found",
        404,
        "The event does not exist",
        "It was never accepted, or retention has removed it. The id must be percent-encoded in the path.",
    ),
    entry(
        "event_not_permitted",
        403,
        "The key may not publish this event",
        "The key is for events of certain types and sources only; `attribute` says which of the two is not among them. Use another key, or change its `publish`.",
    ),
    entry(
        "event_specversion_unsupported",
        400,
        "The specversion is not supported",
        "Only CloudEvents `1.0` is.",
    ),
    entry(
        "event_too_large",
        413,
        "The event is too large",
        "At most 1 MiB of data and 64 KiB of attributes. Put the rest elsewhere and send a reference (claim check).",
    ),
    entry(
        "field_unknown",
        422,
        "A field is unknown",
        "`pointer` names it and `detail` the nearest right name.",
    ),
    entry(
        "filter_invalid",
        422,
        "The filter does not compile",
        "`pointer` names the place in the filter, `position` the byte and line of its text, `detail` the reason, and `suggestion` the corrected form where it can be guessed.",
    ),
    entry(
        "filter_not_json",
        422,
        "The filter is not JSON",
        "`position` says where its text stops being JSON.",
    ),
    entry(
        "filter_too_complex",
        422,
        "The filter is too complex",
        "`detail` names the bound. Use fewer wildcards, fewer alternatives, or several subscriptions.",
    ),
    entry(
        "fingerprint_unknown",
        422,
        "A fingerprint is not known",
        "A fingerprint stands for a secret of this same resource and with the same host; give the secret itself.",
    ),
    entry(
        "forwarded_refused",
        403,
        "A forwarded request was refused",
        "Without keys the server takes no request through a proxy. Create a key.",
    ),
    entry(
        "host_refused",
        403,
        "The Host header was refused",
        "Without keys the server answers to loopback names only (localhost, 127.0.0.1, [::1]). Create a key to use another name.",
    ),
    entry(
        "in_use",
        409,
        "Another resource needs it",
        "`detail` names what needs it. Change or delete that first.",
    ),
    entry(
        "internal",
        500,
        "An error of the server",
        "This is a defect. The diagnostics of the server have the details; please report them.",
    ),
    entry(
        "journal_behind",
        503,
        "The journal cannot take events now",
        "It resumes by itself. Send the request again after `Retry-After`.",
    ),
    entry(
        "journal_poisoned",
        503,
        "The disk failed",
        "A sync failed and the server is about to exit. Whether this request was kept is not known: send it again with the same id and source after the restart.",
    ),
    entry(
        "key_expired",
        401,
        "The key has expired",
        "Use another key, or extend `not_after` of this one.",
    ),
    entry(
        "key_invalid",
        401,
        "The key is not known",
        "The key does not exist, or its secret is wrong. Whoever manages keys can make a new one.",
    ),
    entry("limit_exceeded", 422, "A limit is reached", "`detail` names the limit."),
    entry(
        "master_key_invalid",
        422,
        "This cannot become the master key",
        "A master key is 32 random bytes in base64; `trunkline master-key generate` prints one. Where the server reads its keys from the \
         configuration or the environment, the new key must be given; `docs/security.md` says in which order.",
    ),
    entry(
        "master_key_rotating",
        409,
        "Secrets are still being sealed again",
        "`trunkline master-key show` tells how many are left. Ask again when none is.",
    ),
    entry(
        "master_key_unknown",
        404,
        "There is no such earlier master key",
        "`trunkline master-key show` lists earlier keys. The current one cannot be forgotten: rotate first.",
    ),
    entry(
        "master_key_unwritten",
        500,
        "The master key's file cannot be read or written",
        "Nothing was changed. Make the file and its directory writable for the server, or put the new key into the first line of the \
         file yourself, keep the others below, and ask again.",
    ),
    entry(
        "method_not_allowed",
        405,
        "The method is not allowed here",
        "`Allow` lists the methods that are.",
    ),
    entry(
        "name_invalid",
        422,
        "The name is not valid",
        "`detail` says what a name may be.",
    ),
    entry(
        "not_found",
        404,
        "There is nothing at this address",
        "Check the path against the reference of `/v1`.",
    ),
    entry(
        "out_of_space",
        507,
        "The disk is full",
        "Publishing resumes by itself when space returns. Free some, or shorten the retention of topics.",
    ),
    entry(
        "precondition_invalid",
        400,
        "A precondition cannot be read",
        "`If-Match` takes one ETag as it was given, or `*`; `If-None-Match` takes `*`.",
    ),
    entry(
        "query_invalid",
        400,
        "A query parameter is wrong",
        "`detail` names the parameter and what it takes.",
    ),
    entry(
        "quota_exceeded",
        429,
        "A quota is used up",
        "`limit` names it: a rate has room again after `Retry-After`; of connections, subscriptions and partitions something must be closed or deleted first, or the quota raised by an administrator.",
    ),
    entry(
        "quota_stored",
        507,
        "The bus stores as much as it may",
        "Publishing resumes when retention has made room. Shorten the retention of topics, or have an administrator raise the quota `stored` of the bus.",
    ),
    entry(
        "redrive_over",
        409,
        "The redrive is over",
        "It can be looked at and deleted; start another one to send out more.",
    ),
    entry(
        "redrive_running",
        409,
        "The redrive is not over",
        "Cancel it with `POST …/redrives/{name}:cancel`, or wait until it is completed.",
    ),
    entry(
        "replay_over",
        409,
        "The replay is over",
        "It can be looked at and deleted; start another one to go on.",
    ),
    entry(
        "replay_running",
        409,
        "The replay is not over",
        "Cancel it with `POST …/replays/{name}:cancel`, or wait until it is completed.",
    ),
    entry(
        "request_timeout",
        408,
        "The request took too long to arrive",
        "The body did not arrive in time. Send the request again.",
    ),
    entry(
        "request_too_many_headers",
        431,
        "Too many headers",
        "Send fewer headers.",
    ),
    entry(
        "resource_invalid",
        422,
        "The resource breaks a rule",
        "`pointer` names the place and `detail` the rule.",
    ),
    entry(
        "resource_malformed",
        400,
        "The resource cannot be read",
        "The body must be one JSON object of the documented form; unknown fields are errors.",
    ),
    entry(
        "resource_not_found",
        404,
        "The resource does not exist",
        "Check the spelling; list what there is with a GET of the collection.",
    ),
    entry(
        "resources_exhausted",
        503,
        "The server is short of open files or memory",
        "Nothing was accepted; send it again after `Retry-After`. Connections and files share one limit: the operator raises it (`ulimit -n`, `LimitNOFILE=`), or lets fewer connections in.",
    ),
    entry(
        "scope_missing",
        403,
        "The key may not do this",
        "The key lacks the scope or the bus. Use another key, or change this one.",
    ),
    entry(
        "secrets_unreadable",
        500,
        "Secrets cannot be read",
        "The master key is not the one that the secrets were sealed under. Start the server with the right one.",
    ),
    entry(
        "server_busy",
        503,
        "The server has too many large requests",
        "It passes. Send the request again after `Retry-After`.",
    ),
    entry(
        "shutting_down",
        503,
        "The server is shutting down",
        "Send the request again after `Retry-After`, to another node or after the restart.",
    ),
    entry(
        "source_reserved",
        422,
        "The event's source is the server's own",
        "Sources that begin with `io.trunkline.` belong to operational events, which only the server publishes. Choose another.",
    ),
    entry(
        "store_failed",
        503,
        "The store failed",
        "The change was not made or its outcome is not known. Send the request again; the diagnostics of the server have the details.",
    ),
    entry(
        "subscription_busy",
        409,
        "The subscription is busy",
        "Attempts are in flight that take long, or its lane has not started yet. Pause it, wait, and send the request again.",
    ),
    entry(
        "tails_exhausted",
        429,
        "Too many live tails are open",
        "`detail` says whether it is the node, the bus or the key that has too many. Close one, or come again after `Retry-After`.",
    ),
    entry(
        "transform_invalid",
        422,
        "The transform does not compile",
        "`pointer` names the part and `detail` the reason: a path, a placeholder that nothing defines, or a template that is neither JSON nor strings.",
    ),
    entry(
        "type_disabled",
        422,
        "The event type is disabled",
        "All routes of the event type are disabled. Enable one.",
    ),
    entry(
        "type_reserved",
        422,
        "The event's type is the server's own",
        "Types that begin with `io.trunkline.` belong to operational events, which only the server publishes. Choose another.",
    ),
    entry(
        "type_unknown",
        422,
        "The event type is not in the catalogue",
        "The bus refuses types that are not catalogued. Create the event type, or set `unknown_types` of the bus to `accept`.",
    ),
    entry(
        "types_invalid",
        422,
        "The list of event types is wrong",
        "`pointer` names the entry and `detail` the rule.",
    ),
    entry(
        "unauthenticated",
        401,
        "A key is needed",
        "Send `Authorization: Bearer <key>`.",
    ),
    entry(
        "url_refused",
        422,
        "The URL is refused",
        "The address is not allowed: private, loopback and other special networks need the operator's `allow_networks`.",
    ),
    entry(
        "version_conflict",
        412,
        "The version is another one",
        "The resource was changed, created or deleted meanwhile. Read it again and decide anew.",
    ),
];

/// The entry of a code.
pub fn find(code: &str) -> Option<&'static ErrorCode> {
    ERRORS
        .binary_search_by(|entry| entry.code.cmp(code))
        .ok()
        .map(|at| &ERRORS[at])
}

/// `GET /docs/errors/{code}`: what a problem's `type` points to. Needs no key; it holds nothing of the installation.
async fn page(axum::extract::Path(code): axum::extract::Path<String>) -> Result<impl IntoResponse, Problem> {
    let Some(entry) = find(&code) else {
        return Err(Problem::new("not_found", "there is no such error code"));
    };
    Ok(([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], entry.page()))
}

/// Rows that a page lists one by one; beyond, the code is of (nearly) every request.
const PLACES_MAX: usize = 24;

impl ErrorCode {
    /// Its page in Markdown: what it means, what it looks like, what to do, where it occurs.
    pub fn page(&self) -> String {
        let ErrorCode {
            code,
            status,
            title,
            help,
        } = self;
        let example = json!({
            "type": format!("/docs/errors/{code}"), "title": title, "status": status, "detail": "what is wrong this time, in words", "code": code,
        });
        format!(
            "# {code}\n\n{title} (HTTP {status}).\n\n## What to do\n\n{help}\n\n## What it looks like\n\n\
             ```json\n{example:#}\n```\n\n## Where it occurs\n\n{}",
            self.places()
        )
    }

    fn places(&self) -> String {
        let occurs = |row: &&Route| openapi::problems(row).values().any(|codes| codes.contains(self.code));
        let rows: Vec<&Route> = super::routes::all().filter(occurs).collect();
        if rows.is_empty() || rows.len() > PLACES_MAX {
            return "Wherever a request meets it; it is not of one operation.\n".to_owned();
        }
        let line = |row: &&Route| format!("- `{} {}`: {}\n", row.verb.method(), row.path, row.summary);
        rows.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_no_code_stands_twice() {
        for pair in ERRORS.windows(2) {
            assert!(pair[0].code < pair[1].code, "{} before {}", pair[0].code, pair[1].code);
        }
    }

    #[test]
    fn every_code_has_an_error_status_and_sentences_that_end() {
        for entry in ERRORS {
            assert!((400..600).contains(&entry.status), "{}", entry.code);
            assert!(
                !entry.title.ends_with('.') && entry.help.ends_with('.'),
                "{}",
                entry.code
            );
        }
    }

    #[test]
    fn every_code_of_an_invalid_event_is_listed() {
        use event::codes::*;
        for code in [
            ATTRIBUTE_MISSING,
            ATTRIBUTE_INVALID,
            SPECVERSION_UNSUPPORTED,
            TOO_LARGE,
            DATA_INVALID,
            BODY_INVALID,
            MEDIA_TYPE_UNSUPPORTED,
            BATCH_TOO_LARGE,
        ] {
            assert!(find(code).is_some(), "{code}");
        }
    }
}
