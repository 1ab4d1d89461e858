//! As whom requests to Amazon's services are signed: every source of credentials, right and wrong, at a service that verifies
//! every signature and permission (moto), with what the server's environment and files say.

use crate::{
    sdk::installed,
    support::{eventually, script::Script, server::Server},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path, time::Duration};

/// moto, and the places that give out a machine's credentials.
struct Amazon {
    script: Script,
    made: Value,
    /// Messages so far, by queue.
    arrived: BTreeMap<String, u64>,
    /// How often each place has given credentials.
    given: Value,
}

impl Amazon {
    fn start(python: &str) -> Amazon {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/moto_credentials.py");
        let mut script = Script::start(python, &[script]);
        Amazon {
            made: script.told(),
            arrived: BTreeMap::new(),
            given: Value::Null,
            script,
        }
    }

    /// Waits until so many messages have arrived in every queue.
    async fn took(&mut self, count: u64) {
        eventually(
            &format!("{count} messages of every source"),
            Duration::from_secs(30),
            async || {
                self.script.tell("collect");
                let mut now = self.script.told();
                for (queue, more) in now["arrived"].as_object().expect("an object") {
                    *self.arrived.entry(queue.clone()).or_default() += more.as_u64().expect("a number");
                }
                self.given = now["given"].take();
                self.arrived.values().all(|arrived| *arrived >= count).then_some(())
            },
        )
        .await;
    }

    fn text(&self, pointer: &str) -> &str {
        self.made.pointer(pointer).and_then(Value::as_str).expect("a text")
    }

    fn role(&self) -> Value {
        json!({"role_arn": self.text("/role"), "session_name": "trunkline-test", "sts_endpoint": self.text("/places")})
    }

    fn connection(&self, queue: &str, credentials: Value, role: Option<Value>) -> Value {
        let mut aws = json!({"region": "eu-central-1", "endpoint": self.text("/endpoint"), "credentials": credentials});
        if let Some(role) = role {
            aws["assume_role"] = role;
        }
        json!({"provider": "sqs", "config": {"queue": self.text(&format!("/queues/{queue}")), "aws": aws}})
    }

    fn key(&self) -> Value {
        json!({"type": "static", "access_key_id": self.text("/key/0"), "secret_access_key": self.text("/key/1")})
    }

    /// What the machine says of itself: the variables, with files in this folder.
    fn machine(&self, folder: &Path) -> BTreeMap<&'static str, String> {
        let (id, secret, role) = (self.text("/key/0"), self.text("/key/1"), self.text("/role"));
        let places = self.text("/places");
        let file = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).expect("written");
            path.to_str().expect("UTF-8").to_owned()
        };
        let config = format!(
            "[profile with-role]\nrole_arn = {role}\nsource_profile = keys\nregion = eu-central-1\n\
             [profile a-program]\ncredential_process = /bin/echo never\n"
        );
        let keys = format!("[keys]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        BTreeMap::from([
            ("TRUNKLINE_ALLOW_NETWORKS", "127.0.0.0/8".to_owned()),
            ("TRUNKLINE_AWS_MACHINE_CREDENTIALS", "default".to_owned()),
            ("AWS_ACCESS_KEY_ID", id.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", secret.to_owned()),
            ("AWS_CONFIG_FILE", file("config", config)),
            ("AWS_SHARED_CREDENTIALS_FILE", file("credentials", keys)),
            (
                "AWS_WEB_IDENTITY_TOKEN_FILE",
                file("token", self.text("/identity").to_owned()),
            ),
            ("AWS_ROLE_ARN", role.to_owned()),
            ("AWS_ENDPOINT_URL_STS", places.to_owned()),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{places}/container")),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", self.text("/container").to_owned()),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", places.to_owned()),
        ])
    }
}

fn start(directory: &Path, machine: &BTreeMap<&str, String>) -> Server {
    let environment: Vec<_> = machine.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Server::start_with(directory, &["--listen", "127.0.0.1:0"], &environment)
}

/// The last step of a connection's test, and whether all of them were good.
async fn tested(server: &Server, name: &str, connection: Value) -> (bool, String) {
    let path = format!("/v1/buses/default/connections/{name}");
    server.put(&path, connection).await;
    let path = format!("{path}:test?with=event");
    let said = server.send("POST", &path, &[], "").await.json();
    let last = said["steps"].as_array().and_then(|steps| steps.last()).cloned();
    (
        said["ok"] == true,
        last.map_or_else(|| said.to_string(), |last| last.to_string()),
    )
}

/// The first credentials of each place end within five minutes, so they are renewed before the second event; the next ones not.
#[tokio::test]
async fn every_source_of_credentials_signs_and_those_that_end_are_renewed_early() {
    let Some(python) = installed("TRUNKLINE_PYTHON") else {
        return;
    };
    let mut amazon = Amazon::start(&python);
    let directory = tempfile::tempdir().expect("a directory");
    let machine = amazon.machine(directory.path());
    let server = start(&directory.path().join("data"), &machine);
    let profile = |name: &str| json!({"type": "profile", "profile": name});
    for (name, credentials, role) in [
        ("environment", json!({"type": "environment"}), None),
        ("default", json!({"type": "default"}), None),
        ("profile", profile("keys"), None),
        ("profile-with-role", profile("with-role"), None),
        ("static-with-role", amazon.key(), Some(amazon.role())),
        ("web-identity", json!({"type": "web-identity"}), None),
        ("container", json!({"type": "container"}), None),
        ("instance", json!({"type": "instance"}), None),
    ] {
        let connection = amazon.connection(name, credentials, role);
        server
            .put(&format!("/v1/buses/default/connections/{name}"), connection)
            .await;
        let path = format!("/v1/buses/default/subscriptions/{name}");
        server.put(&path, json!({"connection": name})).await;
    }
    for number in 1..=3 {
        server
            .publish("order.placed", &number.to_string(), json!({"n": number}))
            .await;
        amazon.took(number).await;
    }
    let expected = json!({"sts": 2, "web-identity": 2, "container": 2, "instance": 2});
    assert_eq!(amazon.given, expected, "asked by");
    let log = server.log();
    for secret in [
        amazon.text("/key/1"),
        amazon.text("/identity"),
        amazon.text("/container"),
    ] {
        assert!(!log.contains(secret), "{log}");
    }
}

/// Each is told from the others, in words, and no credentials are in them.
#[tokio::test]
async fn credentials_that_are_wrong_or_not_there_are_said_in_words() {
    let Some(python) = installed("TRUNKLINE_PYTHON") else {
        return;
    };
    let amazon = Amazon::start(&python);
    let directory = tempfile::tempdir().expect("a directory");
    let mut machine = amazon.machine(directory.path());
    for (name, value) in [
        ("AWS_SECRET_ACCESS_KEY", "CANARY-SECRET"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "CANARY-TOKEN"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1"),
    ] {
        machine.insert(name, value.to_owned());
    }
    fs::write(directory.path().join("token"), "CANARY-IDENTITY").expect("written");
    let server = start(&directory.path().join("data"), &machine);
    let of = |credentials: Value| amazon.connection("environment", credentials, None);
    let profile = |name: &str| of(json!({"type": "profile", "profile": name}));
    let key = |id: &str, secret: &str| json!({"type": "static", "access_key_id": id, "secret_access_key": secret});
    let stranger = key(amazon.text("/stranger/0"), amazon.text("/stranger/1"));
    let stranger_as_role = amazon.connection("environment", stranger.clone(), Some(amazon.role()));
    for (name, connection, words) in [
        (
            "wrong-secret",
            of(json!({"type": "environment"})),
            "SignatureDoesNotMatch",
        ),
        ("unknown-key", of(key("AKIANOBODY", "CANARY")), "InvalidClientTokenId"),
        (
            "no-permission",
            of(stranger),
            "not authorized to perform: sqs:SendMessage",
        ),
        ("no-role", stranger_as_role, "not authorized to perform: sts:AssumeRole"),
        ("no-profile", profile("nobody"), "nobody"),
        (
            "a-program",
            profile("a-program"),
            "names a program (credential_process)",
        ),
        (
            "wrong-identity",
            of(json!({"type": "web-identity"})),
            "the token is of nobody here",
        ),
        ("wrong-container", of(json!({"type": "container"})), "401"),
        ("no-instance", of(json!({"type": "instance"})), "IMDS"),
    ] {
        let (is_good, said) = tested(&server, name, connection).await;
        assert!(!is_good && said.contains(words), "{name}: {said}");
        assert!(!said.contains("CANARY"), "{name}: {said}");
    }
    assert!(!server.log().contains("CANARY"), "{}", server.log());
}

/// Whoever may write connections must not act as the machine, unless the operator says so for the bus.
#[tokio::test]
async fn a_bus_that_is_not_listed_does_not_get_the_machines_credentials() {
    let directory = tempfile::tempdir().expect("a directory");
    let machine = BTreeMap::from([("TRUNKLINE_AWS_MACHINE_CREDENTIALS", "default".to_owned())]);
    let server = start(directory.path(), &machine);
    server.put("/v1/buses/other", json!({})).await;
    let connection = json!({"provider": "sqs", "config": {"queue": "https://sqs.eu-central-1.amazonaws.com/1/q",
        "aws": {"region": "eu-central-1", "credentials": {"type": "instance"}}}});
    for (bus, status) in [("default", 201), ("other", 422)] {
        let path = format!("/v1/buses/{bus}/connections/c");
        let answer = server.send("PUT", &path, &[], connection.to_string()).await;
        assert_eq!(answer.status, status, "{bus}: {}", answer.json());
        if status == 422 {
            assert!(
                answer.json().to_string().contains("aws_machine_credentials"),
                "{}",
                answer.json()
            );
        }
    }
}
