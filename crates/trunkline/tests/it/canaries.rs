//! Checks 62 and 63: every kind of secret there is, each one of its own, used for everything it is for and given where it is wrong; then
//! everything that leaves the server, and everything it leaves behind, is searched for all of them.

#[path = "../../../doors/tests/it/eventbridge/signer.rs"]
mod signer;

use crate::support::{
    eventually,
    receiver::{Delivery, Receiver, Reply},
    scan::Scanner,
    server::{BINARY, Server},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use doors::http::routes::{self, Route, Verb};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

const LIMIT: Duration = Duration::from_secs(60);
const BUS: &str = "/v1/buses/default";
const PASSWORD: &str = "canaryPasswordOfBasicAuth01";
const BEARER: &str = "canaryBearerOfAConnection02";
const API_KEY: &str = "canaryApiKeyOfAConnection03";
const CLIENT: &str = "canaryOauthClientSecretBasic04";
const CLIENT_IN_BODY: &str = "canaryOauthClientSecretBody05";
const ACCESS: &str = "canaryOauthAccessTokenIssued06";
const MAGENTO: &str = "canaryMagentoSigningSecret07";
const USERINFO: &str = "canaryPasswordInUserinfo08";
const OTLP: &str = "canaryHeaderForTheCollector09";
const MISPLACED: &str = "canaryGivenWhereItIsWrong10";
const RESOLVED: &str = "canaryResolvedByTheCommandLine11";
const IN_QUERY: &str = "canaryParameterInTheQuery14";
const IN_HEADER: &str = "canaryParameterInAHeader15";
const IN_BODY: &str = "canaryParameterInTheBody16";
const FOR_TOKEN: &str = "canaryParameterOfATokensForm17";
const FOR_TOKEN_QUERY: &str = "canaryParameterOfATokensQuery18";
const HMAC: &[u8] = b"canarySigningHmac12bytesOfIt";
const SEED: &[u8; 32] = b"canaryEd25519SeedOfThirtyTwoByte";
/// In the data of an event: it may be where events are, and shows that the search finds what is there.
const PLANTED: &str = "plantedInTheDataOfAnEvent13";
const NEXT_MASTER: &[u8; 32] = b"canaryNextMasterKeyOf32BytesLong";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn trunkline(arguments: &[&str]) -> Output {
    let output = Command::new(BINARY).args(arguments).output();
    output.expect("the binary runs")
}

/// What came out of the server or a command, by where.
#[derive(Default)]
struct Seen(BTreeMap<String, Vec<u8>>);

impl Seen {
    fn add(&mut self, place: impl Into<String>, bytes: &[u8]) {
        self.0.entry(place.into()).or_default().extend_from_slice(bytes);
    }

    fn command(&mut self, server: &Server, arguments: &[&str]) -> Option<i32> {
        let output = server.command(arguments);
        let place = format!("the output of {arguments:?}");
        self.add(&place, &[output.stdout, output.stderr].concat());
        output.status.code()
    }

    async fn ask(&mut self, server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> u16 {
        let answer = server.send(method, path, headers, body).await;
        let head = format!("{:?}", answer.headers).into_bytes();
        self.add(
            format!("the answer to {method} {path}"),
            &[&head, &answer.bytes[..]].concat(),
        );
        answer.status
    }
}

/// An authorization server that gives one token to everybody.
async fn token_endpoint(got: Arc<Mutex<Vec<u8>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 16 << 10];
            let body = json!({"access_token": ACCESS, "token_type": "Bearer", "expires_in": 3600}).to_string();
            let head = "HTTP/1.1 200 x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length";
            if let Ok(read) = stream.read(&mut request).await {
                got.lock()
                    .expect("no holder panics")
                    .extend_from_slice(&request[..read]);
                let answer = format!("{head}: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    format!("http://{address}/token")
}

fn secrets(master: &str, tokens: &[(&str, String)], identity: &str, private_key: &str) -> Scanner {
    let mut scanner = Scanner::default();
    for canary in [
        PASSWORD,
        BEARER,
        API_KEY,
        CLIENT,
        CLIENT_IN_BODY,
        ACCESS,
        MAGENTO,
        USERINFO,
        OTLP,
        MISPLACED,
        RESOLVED,
        IN_QUERY,
        IN_HEADER,
        IN_BODY,
        FOR_TOKEN,
        FOR_TOKEN_QUERY,
    ] {
        scanner.add(canary, canary.as_bytes());
    }
    scanner.add("the HMAC key", HMAC);
    scanner.add("the ed25519 key", SEED);
    scanner.add("the next master key", NEXT_MASTER);
    scanner.add("the master key", &STANDARD.decode(master).expect("base64"));
    scanner.add("the identity of age", identity.as_bytes());
    let line = private_key.lines().nth(1).expect("a line of base64");
    scanner.add("the private key of mutual TLS", line.as_bytes());
    for (name, token) in tokens {
        scanner.add(name, token.rsplit('.').next().expect("a secret").as_bytes());
    }
    scanner
}

/// How each connection shows itself, by its name.
fn connections(token_url: &str, private_key: &str) -> Vec<(&'static str, Value)> {
    let signed = |secrets: Value| json!({"signing": {"style": "standard-webhooks", "secrets": secrets}});
    let client = |secret: &str, style: &str| {
        json!({"auth": {"type": "oauth2-client-credentials", "token_url": token_url, "client_id": "trunkline",
            "client_secret": secret, "style": style}})
    };
    let certificate = include_str!("../../../connector/tests/outbound/client.pem");
    vec![
        (
            "basic",
            json!({"auth": {"type": "basic", "username": "someone", "password": PASSWORD}}),
        ),
        ("bearer", json!({"auth": {"type": "bearer", "token": BEARER}})),
        (
            "api-key",
            json!({"auth": {"type": "api-key", "header": "x-key", "value": API_KEY}}),
        ),
        ("client", client(CLIENT, "basic")),
        ("client-in-body", client(CLIENT_IN_BODY, "body")),
        (
            "parameters",
            json!({
                "parameters": [
                    {"in": "query", "name": "token", "secret": IN_QUERY},
                    {"in": "header", "name": "x-token", "secret": IN_HEADER},
                    {"in": "body", "name": "token", "secret": IN_BODY},
                ],
                "auth": {"type": "oauth2-client-credentials", "token_url": token_url, "client_id": "trunkline",
                    "client_secret": CLIENT, "parameters": [
                        {"in": "body", "name": "resource", "secret": FOR_TOKEN},
                        {"in": "query", "name": "tenant", "secret": FOR_TOKEN_QUERY},
                    ]},
            }),
        ),
        ("hmac", signed(json!([format!("whsec_{}", STANDARD.encode(HMAC))]))),
        ("ed25519", signed(json!([format!("whsk_{}", STANDARD.encode(SEED))]))),
        (
            "magento",
            json!({"signing": {"style": "x-magento-signature", "secrets": [MAGENTO]}}),
        ),
        (
            "mutual",
            json!({"tls": {"certificate": certificate, "key": private_key}}),
        ),
    ]
}

/// Each connection with a subscription that delivers, fails, and times out; and a test of each.
async fn use_connections(server: &Server, seen: &mut Seen, connections: &[(&str, Value)]) -> Receiver {
    let receiver = Receiver::start(|delivery: &Delivery| match delivery.header("ce-id") {
        "refused" => Reply::Status(422),
        "failing" => Reply::Status(500),
        "silent" => Reply::Silence,
        _ => Reply::Status(204),
    })
    .await;
    for (name, config) in connections {
        let mut config = config.clone();
        let scheme = if *name == "mutual" { "https" } else { "http" };
        config["url"] = receiver.url("/hook").replace("http", scheme).into();
        let connection = json!({"provider": "webhook", "config": config}).to_string();
        let path = format!("{BUS}/connections/{name}");
        assert_eq!(
            seen.ask(server, "PUT", &format!("{path}?dry_run=true"), &[], connection.clone())
                .await,
            200
        );
        assert_eq!(seen.ask(server, "PUT", &path, &[], connection).await, 201);
        let retry = json!({"schedule": ["0s", "10ms"], "attempts": 2});
        let policy = json!({"connection": name, "delivery": {"timeout": "1s", "retry": retry}}).to_string();
        assert_eq!(
            seen.ask(server, "PUT", &format!("{BUS}/subscriptions/{name}"), &[], policy)
                .await,
            201
        );
        for with in ["head", "options", "event"] {
            assert_eq!(
                seen.ask(server, "POST", &format!("{path}:test?with={with}"), &[], String::new())
                    .await,
                200
            );
        }
    }
    for id in ["fine", "refused", "failing", "silent"] {
        server.publish("a.type", id, json!({"note": PLANTED})).await;
    }
    for (name, _) in connections {
        let letters = if *name == "mutual" { 4 } else { 3 };
        eventually(&format!("dead letters of {name}"), LIMIT, async || {
            (server.status(name).await["dead_letters"] == letters).then_some(())
        })
        .await;
    }
    receiver
}

/// Secrets where they are wrong: whatever says so does not repeat them.
async fn misuse(server: &Server, seen: &mut Seen) {
    let webhook = |config: Value| json!({"provider": "webhook", "config": config}).to_string();
    let url = "http://127.0.0.1:9/";
    let signing =
        |secrets: Value| webhook(json!({"url": url, "signing": {"style": "standard-webhooks", "secrets": secrets}}));
    let auth = |auth: Value| webhook(json!({"url": url, "auth": auth}));
    for body in [
        webhook(json!({"url": format!("http://someone:{USERINFO}@127.0.0.1:9/")})),
        webhook(
            json!({"url": url, "auth": {"type": "oauth2-client-credentials", "client_id": "c", "client_secret": CLIENT,
            "token_url": format!("http://someone:{USERINFO}@127.0.0.1:9/")}}),
        ),
        auth(json!(MISPLACED)),
        auth(json!({"type": "bearer", "token": [MISPLACED]})),
        auth(json!({"type": "bearer", "token": {"plain": MISPLACED}})),
        auth(json!({"type": "bearer", "token": {"fingerprint": MISPLACED}})),
        auth(json!({"type": "bearer", "token": {"sealed": MISPLACED}})),
        auth(json!({"type": "bearer", "token": format!("{MISPLACED}\n")})),
        auth(json!({"type": "basic", "username": "a:b", "password": MISPLACED})),
        auth(json!({"type": "bearer", "tokn": MISPLACED})),
        signing(json!(MISPLACED)),
        signing(json!([MISPLACED])),
        signing(json!([format!("whsec_{MISPLACED}!")])),
        signing(json!([format!("whsk_{MISPLACED}")])),
        webhook(
            json!({"url": url, "tls": {"key": format!("-----BEGIN PRIVATE KEY-----\n{MISPLACED}\n-----END PRIVATE KEY-----")}}),
        ),
        format!("{{\"provider\": \"webhook\", \"config\": {{\"auth\": {{\"token\": \"{MISPLACED}"),
    ] {
        let status = seen
            .ask(server, "PUT", &format!("{BUS}/connections/wrong"), &[], body)
            .await;
        assert!(matches!(status, 400 | 422), "{status}");
    }
    for body in [json!(MISPLACED), json!({"key": MISPLACED}), json!({"key": [MISPLACED]})] {
        let status = seen
            .ask(server, "POST", "/v1/master-key:rotate", &[], body.to_string())
            .await;
        assert!(matches!(status, 400 | 422), "{status}");
    }
    let basic = format!("Basic {}", STANDARD.encode(format!("someone:{MISPLACED}")));
    for header in [
        format!("Bearer {MISPLACED}"),
        format!("Bearer tlk_admin.{MISPLACED}"),
        basic,
    ] {
        let wrong = [("authorization", header.as_str())];
        let status = seen.ask(server, "GET", "/v1/keys", &wrong, String::new()).await;
        assert!((400..500).contains(&status), "{status}");
    }
}

/// An event with a key of Event Grid and nothing else to show who sends it; the status.
async fn publish_to_event_grid(server: &Server, seen: &mut Seen, key: &str) -> u16 {
    let event = json!([{"id": "grid", "subject": "s", "eventType": "a.type", "eventTime": "2026-01-01T00:00:00Z",
        "dataVersion": "1", "data": {}}])
    .to_string();
    let headers = [
        format!("aeg-sas-key: {key}"),
        "content-type: application/json".to_owned(),
    ];
    let answer = post(server, "/default/api/events", &headers, &event).await;
    seen.add("the answers of Event Grid's door", &answer);
    status(&answer)
}

/// `PutEvents` as an SDK of AWS signs it, and nothing else to show who sends it; the status.
async fn put_events(server: &Server, seen: &mut Seen, secret: &str, operation: &str) -> u16 {
    let signer = signer::Signer {
        host: server.url().trim_start_matches("http://").to_owned(),
        ..signer::Signer::new("aws", secret)
    };
    let event = json!({"Source": "canaries", "DetailType": "a.type", "Detail": "{}", "EventBusName": "default"});
    let body = json!({"Entries": [event]}).to_string();
    let answer = post(server, "/", &signer.headers(operation, &body), &body).await;
    seen.add("the answers of EventBridge's door", &answer);
    status(&answer)
}

/// A request without the server's own key.
async fn post(server: &Server, path: &str, headers: &[String], body: &str) -> Vec<u8> {
    let address = server.url().trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
    );
    stream.write_all((head + body).as_bytes()).await.expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("it answers");
    answer
}

fn status(answer: &[u8]) -> u16 {
    let status = text(answer).split(' ').nth(1).and_then(|status| status.parse().ok());
    status.expect("a status")
}

/// Resource files, whose secrets the command line resolves: applied with and without a fault, looked at, exported.
fn apply(server: &Server, seen: &mut Seen, directory: &Path) {
    let resolved = directory.join("resolved");
    fs::write(&resolved, RESOLVED).expect("written");
    let file = |name: &str, more: &str| {
        let path = directory.join(name);
        let config = format!(
            "{{url: \"http://127.0.0.1:9/\", auth: {{type: bearer, token: {{file: {:?}}}}}}}",
            resolved
        );
        let text =
            format!("kind: connection\nbus: default\nname: applied\nprovider: webhook\nconfig: {config}\n{more}");
        fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let (good, bad) = (
        file("good.yaml", ""),
        file("bad.yaml", "---\nkind: topic\nname: x\npartitions: none\n"),
    );
    for arguments in [
        &["apply", "--dry-run", "-f", &good][..],
        &["apply", "-f", &bad],
        &["apply", "-f", &good],
        &["apply", "--dry-run", "-f", &good],
        &["export"],
        &["--output", "json", "key", "list"],
        &["audit", "export"],
    ] {
        let code = seen.command(server, arguments);
        assert_eq!(code == Some(0), !arguments.contains(&bad.as_str()), "{arguments:?}");
    }
    fs::remove_file(resolved).expect("removed");
}

/// The address of a row with things that are there.
fn addresses(row: &Route, things: &BTreeMap<&str, Vec<String>>) -> Vec<String> {
    let path = row.path.replace("{bus}", "default");
    let Some((before, rest)) = path.split_once('{') else {
        return vec![path];
    };
    let after = rest.split_once('}').expect("a brace is closed").1;
    let collection = before.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let names = things
        .get(collection)
        .unwrap_or_else(|| panic!("nothing is known of {collection}"));
    names.iter().map(|name| format!("{before}{name}{after}")).collect()
}

/// Every GET of the table, as somebody who may see everything.
async fn look_at_everything(server: &Server, seen: &mut Seen) {
    let names = async |path: &str, field: &str| -> Vec<String> {
        let items = server.get(path).await["items"].clone();
        let items = items.as_array().expect("a list").clone();
        items
            .iter()
            .map(|item| item[field].as_str().expect("text").to_owned())
            .collect()
    };
    let mut things = BTreeMap::from([
        ("events", ["fine", "refused", "silent"].map(str::to_owned).to_vec()),
        ("errors", vec!["internal".to_owned()]),
        ("validations", vec!["unknown".to_owned()]),
        ("buses", vec!["default".to_owned()]),
        ("keys", names("/v1/keys", "name").await),
        ("backups", names("/v1/backups", "name").await),
        ("dead-letters", names(&format!("{BUS}/dead-letters"), "id").await),
    ]);
    for kind in [
        "topics",
        "event-types",
        "connections",
        "subscriptions",
        "replays",
        "redrives",
    ] {
        things.insert(kind, names(&format!("{BUS}/{kind}"), "name").await);
    }
    let mut rows = 0;
    for row in routes::all().filter(|row| row.verb == Verb::Get && row.id != "tailEvents") {
        rows += 1;
        for path in addresses(row, &things) {
            let status = seen.ask(server, "GET", &path, &[], String::new()).await;
            // No subscription here waits for its endpoint's yes.
            let wanted = if path.contains("/validations/") { 404 } else { 200 };
            assert_eq!(status, wanted, "{path}");
        }
    }
    assert!(rows > 20, "the table has more than {rows} rows to look at");
    seen.command(server, &["tail", "--from", "earliest", "--count", "4"]);
}

/// Check 63: what stands where a secret was given.
async fn write_only(server: &Server) {
    let config = async |name: &str| server.get(&format!("{BUS}/connections/{name}")).await["config"].clone();
    for (name, pointer) in [
        ("basic", "/auth/password"),
        ("bearer", "/auth/token"),
        ("api-key", "/auth/value"),
        ("client", "/auth/client_secret"),
        ("parameters", "/parameters/0/secret"),
        ("parameters", "/parameters/1/secret"),
        ("parameters", "/parameters/2/secret"),
        ("parameters", "/auth/parameters/0/secret"),
        ("parameters", "/auth/parameters/1/secret"),
        ("hmac", "/signing/secrets/0"),
        ("ed25519", "/signing/secrets/0"),
        ("magento", "/signing/secrets/0"),
        ("mutual", "/tls/key"),
    ] {
        let config = config(name).await;
        let secret = config.pointer(pointer).and_then(Value::as_object);
        let secret = secret.unwrap_or_else(|| panic!("{name}: no object at {pointer} of {config}"));
        assert_eq!(secret.keys().collect::<Vec<_>>(), ["fingerprint"], "{name}");
    }
    for key in ["admin", "publisher", "aws", "eventgrid"] {
        let shown = server.get(&format!("/v1/keys/{key}")).await;
        assert!(shown.get("token").is_none() && shown.get("secret").is_none(), "{shown}");
    }
}

async fn create_key(server: &Server, id: &str, signing: &str) -> String {
    let body = json!({"scopes": ["publish"], "signing": signing});
    let made = server.put(&format!("/v1/keys/{id}"), body).await;
    let secret = made["token"].as_str().or(made["secret"].as_str());
    secret.expect("it is shown once").to_owned()
}

#[tokio::test]
async fn checks_62_and_63_no_secret_is_in_anything_that_leaves_the_server_or_stays_behind() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let shown = |path: &PathBuf| path.display().to_string();
    let (data, backups, identity_file) = (at("data"), shown(&at("backups")), shown(&at("identity")));
    let admin = text(&trunkline(&["key", "generate"]).stdout).trim().to_owned();
    let recipient: Value =
        serde_json::from_slice(&trunkline(&["--output", "json", "backup", "key", &identity_file]).stdout)
            .expect("JSON");
    let identity = fs::read_to_string(&identity_file).expect("it is read");
    let identity = identity
        .lines()
        .find(|line| line.starts_with("AGE-SECRET-KEY"))
        .expect("an identity");
    let private_key = include_str!("../../../connector/tests/outbound/client.key.pem");
    let collector = Receiver::start(|_| Reply::Status(200)).await;
    let (collected, headers) = (collector.url(""), format!("x-secret={OTLP}"));
    let environment = [
        ("TRUNKLINE_ADMIN_KEY", admin.as_str()),
        ("TRUNKLINE_BACKUP_DIRECTORY", backups.as_str()),
        ("TRUNKLINE_OTLP_ENDPOINT", collected.as_str()),
        ("TRUNKLINE_OTLP_HEADERS", headers.as_str()),
        ("TRUNKLINE_OTLP_SAMPLE", "100%"),
        ("TRUNKLINE_JOURNAL_WRITE_AHEAD", "256MiB"),
    ];
    let loud = [
        "--listen",
        "127.0.0.1:0",
        "--log-level",
        "trace",
        "--allow-network",
        "127.0.0.0/8",
    ];
    let server = Server::start_with(&data, &loud, &environment).with_key(&admin);
    let mut seen = Seen::default();
    let mut tokens = vec![("the administrator's key", admin.clone())];
    for (name, id, signing) in [
        ("the publisher's key", "publisher", "bearer"),
        ("the key of kind aws", "aws", "aws"),
        ("the key of kind eventgrid", "eventgrid", "eventgrid"),
    ] {
        tokens.push((name, create_key(&server, id, signing).await));
    }
    let overlap = server
        .send(
            "POST",
            "/v1/keys/publisher:rotate",
            &[],
            json!({"overlap": "1h"}).to_string(),
        )
        .await;
    tokens.push((
        "the publisher's next key",
        overlap.json()["token"].as_str().expect("a token").to_owned(),
    ));
    let master = fs::read_to_string(data.join("master.key")).expect("it is read");
    let mut scanner = secrets(master.trim(), &tokens, identity, private_key);

    let got = Arc::default();
    let secret_of = |kind: &str| {
        let found = tokens.iter().find(|(name, _)| name.ends_with(kind));
        found.expect("it was made").1.clone()
    };
    let (shared, of_aws) = (secret_of("eventgrid"), secret_of("aws"));
    let token_url = token_endpoint(Arc::clone(&got)).await;
    let receiver = use_connections(&server, &mut seen, &connections(&token_url, private_key)).await;
    misuse(&server, &mut seen).await;
    for (key, status) in [(shared.as_str(), 200), (MISPLACED, 401)] {
        assert_eq!(publish_to_event_grid(&server, &mut seen, key).await, status);
    }
    for (secret, operation, status) in [
        (of_aws.as_str(), "PutEvents", 200),
        // A refusal shows what was signed, and a right signature is no right to do everything.
        (MISPLACED, "PutEvents", 403),
        (&of_aws, "ListRules", 400),
    ] {
        assert_eq!(
            put_events(&server, &mut seen, secret, operation).await,
            status,
            "{operation}"
        );
    }
    apply(&server, &mut seen, place.path());
    let replay = json!({"name": "again", "from": "earliest", "into": {"subscription": "bearer"}});
    assert_eq!(
        seen.ask(&server, "POST", &format!("{BUS}/replays"), &[], replay.to_string())
            .await,
        201
    );
    let typed = json!({"owner": "nobody", "routes": [{"topic": "events"}]});
    server.put(&format!("{BUS}/event-types/a.type.of.its.own"), typed).await;
    seen.command(&server, &["backup", "create"]);
    let rotation = json!({"key": STANDARD.encode(NEXT_MASTER)}).to_string();
    assert_eq!(
        seen.ask(&server, "POST", "/v1/master-key:rotate", &[], rotation).await,
        202
    );
    let recipient = recipient["recipient"].as_str().expect("a recipient");
    seen.command(&server, &["backup", "create", "--recipient", recipient]);
    look_at_everything(&server, &mut seen).await;
    write_only(&server).await;
    for file in ["cmdline", "comm"] {
        let text = fs::read(format!("/proc/{}/{file}", server.pid())).expect("the process runs");
        seen.add(format!("the process list ({file})"), &text);
    }
    eventually("spans are exported", LIMIT, async || {
        (!collector.deliveries().is_empty()).then_some(())
    })
    .await;
    server.signal("TERM");
    eventually("it has said everything", LIMIT, async || {
        server.try_send("GET", "/healthz", &[], "").await.is_err().then_some(())
    })
    .await;
    let log = server.log();
    assert!(log.contains("TRACE"), "no trace lines");
    seen.add("the diagnostics", log.as_bytes());
    assert_eq!(server.wait(), Some(0));
    for delivery in collector.deliveries() {
        assert_eq!(delivery.header("x-secret"), OTLP);
        seen.add("the spans", &delivery.body);
    }
    let doctor = trunkline(&["doctor", "--data-dir", &shown(&data)]);
    seen.add("the output of doctor", &[doctor.stdout, doctor.stderr].concat());

    let mut found: Vec<String> = Vec::new();
    for (place, bytes) in &seen.0 {
        found.extend(
            scanner
                .found_in(bytes)
                .iter()
                .map(|name| format!("{name} is in {place}")),
        );
    }
    for (directory, but) in [(&data, &["master.key"][..]), (&at("backups"), &[])] {
        let below = scanner.found_below(directory, but);
        found.extend(
            below
                .iter()
                .map(|(path, name)| format!("{name} is in {}", path.display())),
        );
    }
    assert!(found.is_empty(), "{found:#?}");

    // The search finds what is there: what was sent is found where it was sent to.
    let mut sent = got.lock().expect("no holder panics").clone();
    for delivery in receiver.deliveries() {
        sent.extend_from_slice(format!("{:?}", delivery.headers).as_bytes());
        sent.extend_from_slice(&delivery.body);
    }
    let sent = scanner.found_in(&sent);
    for canary in [
        PASSWORD,
        BEARER,
        API_KEY,
        CLIENT,
        CLIENT_IN_BODY,
        ACCESS,
        IN_HEADER,
        IN_BODY,
        FOR_TOKEN,
        FOR_TOKEN_QUERY,
    ] {
        assert!(sent.contains(canary), "{canary} reached nobody");
    }

    // And an event's data, where it may be and nowhere else.
    scanner.add("planted", PLANTED.as_bytes());
    let has = |place: &str| {
        let mut at = seen.0.iter().filter(|(found, _)| found.contains(place)).peekable();
        assert!(at.peek().is_some(), "nothing was seen of {place}");
        at.any(|(_, bytes)| !scanner.found_in(bytes).is_empty())
    };
    assert!(
        has("/events/fine") && has("/dead-letters/"),
        "stories and dead letters show events"
    );
    for place in [
        "the diagnostics",
        "the spans",
        "/metrics",
        "/v1/audit",
        "the output of doctor",
    ] {
        assert!(!has(place), "the data of an event is in {place}");
    }
    assert!(
        !scanner.found_below(&data, &["master.key"]).is_empty(),
        "the journal holds events"
    );
    let mut kept = BTreeMap::new();
    for entry in fs::read_dir(at("backups")).expect("a directory") {
        let path = entry.expect("an entry").path();
        let manifest = fs::read_to_string(path.join("manifest.json")).expect("a manifest");
        kept.insert(manifest.contains("age"), scanner.found_below(&path, &[]).len());
    }
    assert!(kept[&false] > 0, "a backup holds events");
    assert_eq!(kept[&true], 0, "an encrypted one shows none");
}
