//! Checks 38 and 41: two tenants of one installation. What one has, the other's key neither sees nor changes nor can tell from what is
//! not there, whatever it asks for; and a name is a name: none of its characters reaches further than that. The requests come from
//! the served OpenAPI document, so a new route is asked as well.

use crate::support::{
    eventually,
    receiver::{Receiver, Reply},
    server::{Answer, Server},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const LIMIT: Duration = Duration::from_secs(30);
const LISTEN: &[&str] = &["--listen", "127.0.0.1:0"];
/// In the name or the value of everything that the victim has.
const CANARY: &str = "canary";
/// A bus that is not there, with a name as long as `victim`.
const ABSENT: &str = "nobody";
/// Everything but the installation, on one bus alone.
const TENANT: &str = r#"{"scopes": ["publish", "read", "subscribe", "manage", "audit"], "buses": ["mine"]}"#;
/// What the document describes that is everybody's.
const COMMON: &[&str] = &["/healthz", "/readyz", "/v1/openapi.json", "/docs/errors/{code}"];

/// A request of the document: method, and path with its parameters in braces.
type Operation = (String, String);

/// An installation with buses `victim` and `mine`, and the tenant's key.
struct Installation {
    server: Server,
    admin: String,
    tenant: String,
    _receiver: Receiver,
    directory: tempfile::TempDir,
}

impl Installation {
    async fn start() -> Installation {
        let directory = tempfile::tempdir().expect("a directory");
        let receiver = Receiver::start(|_| Reply::Status(422)).await;
        let server = Server::start_with(&directory.path().join("data"), LISTEN, &[]);
        let mut installation = Installation {
            server,
            admin: String::new(),
            tenant: String::new(),
            _receiver: receiver,
            directory,
        };
        installation.admin = installation
            .key("admin", json!({"scopes": ["administer", "publish", "audit"]}))
            .await;
        for bus in ["victim", "mine"] {
            installation.declare(&format!("/v1/buses/{bus}"), json!({})).await;
        }
        let tenant = serde_json::from_str(TENANT).expect("it is JSON");
        installation.tenant = installation.key("tenant", tenant).await;
        installation.furnish().await;
        installation
    }

    /// One of everything, for the victim.
    async fn furnish(&self) {
        let url = self._receiver.url("/canary-path");
        let victim = "/v1/buses/victim";
        self.declare(&format!("{victim}/topics/canary"), json!({})).await;
        let routed = json!({"routes": [{"topic": "canary"}]});
        self.declare(&format!("{victim}/event-types/canary"), routed).await;
        let connection = json!({"provider": "webhook", "config": {"url": url}});
        self.declare(&format!("{victim}/connections/canary"), connection).await;
        let subscription = json!({"connection": "canary"});
        self.declare(&format!("{victim}/subscriptions/canary"), subscription)
            .await;
        let event = json!({"specversion": "1.0", "id": "canary", "source": "/canary", "type": "canary",
            "data": {"secret": "canary"}});
        let path = format!("{victim}/events");
        let published = self.ask("POST", &path, &self.admin, &event.to_string()).await;
        assert_eq!(published.status, 200, "{}", published.json());
        self.letter().await;
        let replay = json!({"name": "canary", "from": "earliest", "into": {"subscription": "canary"}});
        let path = format!("{victim}/replays");
        let begun = self.ask("POST", &path, &self.admin, &replay.to_string()).await;
        assert_eq!(begun.status, 201, "{}", begun.json());
    }

    /// The id of the victim's dead letter.
    async fn letter(&self) -> String {
        eventually("the event is a dead letter", LIMIT, async || {
            let path = "/v1/buses/victim/dead-letters";
            let letters = self.ask("GET", path, &self.admin, "").await.json();
            letters["items"][0]["id"].as_str().map(str::to_owned)
        })
        .await
    }

    async fn key(&self, name: &str, spec: Value) -> String {
        let made = self.declare(&format!("/v1/keys/{name}"), spec).await;
        made["token"].as_str().expect("it is shown once").to_string()
    }

    async fn declare(&self, path: &str, document: Value) -> Value {
        let answer = self.ask("PUT", path, &self.admin, &document.to_string()).await;
        assert!(answer.status < 300, "{path}: {}", answer.json());
        answer.json()
    }

    async fn ask(&self, method: &str, path: &str, key: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {key}");
        let kind = match path.ends_with("/events") {
            true => "application/cloudevents+json",
            false => "application/json",
        };
        let mut headers = vec![("content-type", kind)];
        if !key.is_empty() {
            headers.push(("authorization", &bearer));
        }
        self.server.send(method, path, &headers, body.to_string()).await
    }

    /// Every operation of the document.
    async fn operations(&self) -> Vec<Operation> {
        let document = self.ask("GET", "/v1/openapi.json", &self.admin, "").await.json();
        let paths = document["paths"].as_object().expect("paths").clone();
        let operations: Vec<Operation> = paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().expect("operations").keys();
                methods.map(|method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        assert!(operations.len() > 40, "{operations:?}");
        operations
    }
}

/// The path with the bus and every other parameter filled in.
fn fill(path: &str, bus: &str, other: &str) -> String {
    let parts = path.split('/').map(|part| match part.split_once('}') {
        Some(("{bus", rest)) => format!("{bus}{rest}"),
        Some((_, rest)) => format!("{other}{rest}"),
        None => part.to_string(),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// A body that is good for every operation that wants one.
fn body(method: &str) -> String {
    match method {
        "GET" | "DELETE" | "OPTIONS" => String::new(),
        _ => json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}).to_string(),
    }
}

fn silent(answer: &Answer, asked: &str) {
    let shown = String::from_utf8_lossy(&answer.bytes);
    assert!(!shown.contains(CANARY), "{asked}: {shown}");
    let told: Vec<_> = answer
        .headers
        .values()
        .filter_map(|value| value.to_str().ok())
        .collect();
    assert!(!told.concat().contains(CANARY), "{asked}: {told:?}");
}

#[tokio::test]
async fn check_38_a_tenant_cannot_tell_another_tenants_things_from_nothing() {
    let installation = Installation::start().await;
    let letter = installation.letter().await;
    let asked: Vec<Operation> = installation.operations().await;
    let mut compared = 0;
    for (method, path) in asked.iter().filter(|(_, path)| !COMMON.contains(&path.as_str())) {
        let other = if path.contains("/dead-letters/") {
            letter.as_str()
        } else {
            CANARY
        };
        let ask = async |bus: &str, name: &str| {
            let path = fill(path, bus, name);
            (
                installation
                    .ask(method, &path, &installation.tenant, &body(method))
                    .await,
                path,
            )
        };
        let (there, at) = ask("victim", other).await;
        // The tenant may say the name, and hear it again in "there is no …".
        let shown = String::from_utf8_lossy(&there.bytes).replace(&at, "");
        if !path.contains("{bus}") {
            assert!(
                !shown.contains("victim") && !shown.contains("/canary"),
                "{method} {at}: {shown}"
            );
            continue;
        }
        compared += 1;
        assert_eq!(there.status, 403, "{method} {at}: {shown}");
        let (nowhere, _) = ask(ABSENT, other).await;
        let alike = String::from_utf8_lossy(&nowhere.bytes).replace(ABSENT, "victim");
        assert_eq!(String::from_utf8_lossy(&there.bytes), alike, "{method} {at}");
        assert_eq!(there.status, nowhere.status, "{method} {at}");
        // On a bus of its own, names and ids of the other's things are nobody's.
        if path.contains("/events/") || path.contains("/dead-letters/") {
            let (own, at) = ask("mine", other).await;
            assert_eq!(own.status, 404, "{method} {at}: {}", own.json());
        }
    }
    assert!(compared > 30, "{compared}");
    reach_across(&installation).await;
    assert_untouched(&installation).await;
}

/// Documents of the tenant's own bus that name what is the other's.
async fn reach_across(installation: &Installation) {
    let webhook = json!({"provider": "webhook", "config": {"url": "http://127.0.0.1:9/"}});
    let tenant = &installation.tenant;
    for (method, path, document) in [
        ("PUT", "/v1/buses/mine/subscriptions/s", json!({"connection": "canary"})),
        (
            "PUT",
            "/v1/buses/mine/subscriptions/s",
            json!({"connection": "victim/canary"}),
        ),
        (
            "PUT",
            "/v1/buses/mine/event-types/t",
            json!({"routes": [{"topic": "canary"}]}),
        ),
        (
            "PUT",
            "/v1/buses/mine/event-types/t",
            json!({"routes": [{"topic": "victim/canary"}]}),
        ),
        (
            "POST",
            "/v1/buses/mine/replays",
            json!({"from": "earliest", "into": {"bus": "victim", "subscription": "canary"}}),
        ),
        (
            "POST",
            "/v1/buses/mine/replays",
            json!({"from": "earliest", "into": {"bus": "victim", "topic": "canary"}}),
        ),
        (
            "POST",
            "/v1/buses/mine/replays?dry_run=true",
            json!({"from": "earliest", "topics": ["canary"], "into": {"bus": "victim", "topic": "canary"}}),
        ),
    ] {
        let answer = installation.ask(method, path, tenant, &document.to_string()).await;
        assert!(
            matches!(answer.status, 400..=499),
            "{path} {document}: {}",
            answer.json()
        );
        let absent = document
            .to_string()
            .replace("victim", ABSENT)
            .replace("\"canary\"", "\"nobody\"");
        let nowhere = installation.ask(method, path, tenant, &absent).await;
        let told = |answer: &Answer| (answer.status, answer.json()["code"].clone());
        assert_eq!(told(&answer), told(&nowhere), "{path} {document}");
    }
    // What lists and streams give is the tenant's own.
    installation
        .ask("PUT", "/v1/buses/mine/connections/own", tenant, &webhook.to_string())
        .await;
    for path in [
        "/v1/buses",
        "/v1/buses/mine",
        "/v1/buses/mine/audit",
        "/v1/buses/mine/connections",
        "/v1/buses/mine/dead-letters",
        "/v1/buses/mine/replays",
        "/v1/buses/mine/subscriptions",
        "/v1/buses/mine/topics",
        "/v1/buses/mine/event-types",
    ] {
        let answer = installation.ask("GET", path, tenant, "").await;
        assert_eq!(answer.status, 200, "{path}");
        silent(&answer, path);
        assert!(!String::from_utf8_lossy(&answer.bytes).contains("victim"), "{path}");
    }
}

/// Everything is where it was, and nothing was done to it.
async fn assert_untouched(installation: &Installation) {
    for kind in [
        "topics",
        "event-types",
        "connections",
        "subscriptions",
        "replays",
        "events",
    ] {
        let path = format!("/v1/buses/victim/{kind}/canary");
        assert_eq!(
            installation.ask("GET", &path, &installation.admin, "").await.status,
            200,
            "{path}"
        );
    }
    installation.letter().await;
    let path = "/v1/buses/victim/audit?limit=1000";
    let audit = installation.ask("GET", path, &installation.admin, "").await.json();
    let by_tenant = |entry: &&Value| entry["actor"].to_string().contains("tenant");
    let entries = audit["items"].as_array().expect("entries");
    assert!(
        !entries.is_empty() && !entries.iter().any(|entry| by_tenant(&entry)),
        "{audit}"
    );
}

/// Patterns, paths, and what looks like something else, as a path takes them.
const HOSTILE: &[&str] = &[
    ".*",
    "*",
    "?",
    "**",
    "%2A",
    "[a-z]*",
    "vic*",
    "victi%3F",
    "(victim)",
    "victim%7Cmine",
    "^victim$",
    "..",
    "%2e%2e",
    "%2e",
    "..%2fvictim",
    "..%2F..%2F..%2Fetc%2Fpasswd",
    "%2Fetc%2Fpasswd",
    "mine%2F..%2Fvictim",
    "mine/../victim",
    "mine/%2e%2e/victim",
    "mine%2f%2e%2e%2fvictim",
    "%252e%252e",
    "victim%00",
    "%00victim",
    "mine%00victim",
    "victim%0a",
    "victim%0d%0aX-Injected:%201",
    "VICTIM",
    "Victim",
    "%20victim",
    "victim%20",
    "victim.",
    "victim%2e",
    "victim;",
    "victim,mine",
    "mine,victim",
    "victim%23",
    "v%D1%96ctim",
    "%EF%BD%96ictim",
    "victim%E2%80%8B",
    "%FF%FE",
    "v%C3%ADctim",
    "victi%C5%8F",
    "%2d%2dversion",
    "~",
    "$(id)",
    "%60id%60",
    "';DROP%20TABLE%20documents;--",
    "%25s%25n",
    "%7B%7B7*7%7D%7D",
];

#[tokio::test]
async fn check_41_no_character_of_a_name_widens_rights_or_leaves_the_data_directory() {
    let installation = Installation::start().await;
    let before = outside(installation.directory.path());
    let long = "x".repeat(10_000);
    let names: Vec<&str> = HOSTILE.iter().copied().chain([long.as_str()]).collect();
    for (method, path) in installation.operations().await {
        if !path.contains('{') {
            continue;
        }
        for name in &names {
            hostile(&installation, &method, &path, name).await;
        }
    }
    in_documents(&installation).await;
    assert_eq!(
        outside(installation.directory.path()),
        before,
        "something is written beside the data directory"
    );
    assert_untouched(&installation).await;
    let answer = installation
        .ask("GET", "/v1/buses", &installation.admin, "")
        .await
        .json();
    let buses: Vec<_> = answer["items"]
        .as_array()
        .expect("buses")
        .iter()
        .map(|bus| bus["name"].clone())
        .collect();
    assert_eq!(buses, ["default", "mine", "victim"]);
}

/// One name at one path: as the bus, and as everything else, by the tenant and by the administrator.
async fn hostile(installation: &Installation, method: &str, path: &str, name: &str) {
    let body = body(method);
    let as_bus = fill(path, name, CANARY);
    let as_other = fill(path, "mine", name);
    for (at, key) in [
        (&as_bus, &installation.tenant),
        (&as_other, &installation.tenant),
        (&as_other, &installation.admin),
    ] {
        let Some(answer) = raw(installation, method, at, key, &body).await else {
            continue;
        };
        let (status, shown) = answer;
        assert!(status < 500, "{method} {at}: {shown}");
        assert!(
            !shown.to_lowercase().contains("\r\nx-injected"),
            "{method} {at}: {shown}"
        );
        assert!(
            !shown.contains("canary-path") && !shown.contains("root:x:0"),
            "{method} {at}: {shown}"
        );
        if path.contains("{bus}") && at == &as_bus {
            assert!(matches!(status, 400..=499), "{method} {at}: {shown}");
        }
        if method == "PUT" {
            assert!(matches!(status, 400..=499), "{method} {at} made something: {shown}");
        }
    }
}

/// Names within documents: a pattern in a list of buses is no pattern, and a file's name is none.
async fn in_documents(installation: &Installation) {
    for bus in [
        ".*",
        "*",
        "vic*",
        "^victim$",
        "../victim",
        "victim\0",
        "VICTIM",
        "",
        "mine/../victim",
    ] {
        let document = json!({"scopes": ["manage"], "buses": [bus]}).to_string();
        let made = installation
            .ask("PUT", "/v1/keys/wide", &installation.admin, &document)
            .await;
        if made.status < 300 {
            let token = made.json()["token"].as_str().expect("it is shown once").to_string();
            let seen = installation.ask("GET", "/v1/buses/victim/topics", &token, "").await;
            assert_eq!(seen.status, 403, "{bus:?}");
            installation
                .ask("DELETE", "/v1/keys/wide", &installation.admin, "")
                .await;
        } else {
            assert!(matches!(made.status, 400..=499), "{bus:?}: {}", made.json());
        }
    }
    for name in ["../escaped", "/tmp/escaped", "..", "a/b", "\0", "escaped\n"] {
        for (path, document) in [
            ("/v1/backups", json!({"name": name})),
            (
                "/v1/buses/mine/replays",
                json!({"name": name, "from": "earliest", "into": {"topic": "events"}}),
            ),
        ] {
            let answer = installation
                .ask("POST", path, &installation.admin, &document.to_string())
                .await;
            assert!(matches!(answer.status, 400..=499), "{path} {name:?}: {}", answer.json());
        }
    }
}

/// Status and whole answer of a request whose path is sent as it stands; none where the server closed without an answer.
async fn raw(installation: &Installation, method: &str, path: &str, key: &str, body: &str) -> Option<(u16, String)> {
    let address = installation.server.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    // A stream of events that is well asked for has no end.
    let path = if path.ends_with("events:tail") {
        format!("{path}?from=wrong")
    } else {
        path.to_string()
    };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "{method} {path}: no end of the answer");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer))
}

/// Everything that lies beside the data directory.
fn outside(directory: &Path) -> BTreeSet<PathBuf> {
    let listed = |place: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(place).expect("a directory");
        entries.map(|entry| entry.expect("it is readable").path()).collect()
    };
    let mut found: BTreeSet<_> = listed(directory).into_iter().collect();
    found.extend(
        ["/tmp/escaped", "/etc/escaped"]
            .map(PathBuf::from)
            .into_iter()
            .filter(|path| path.exists()),
    );
    found
}
