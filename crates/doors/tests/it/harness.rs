//! A node in this process, and a client that shows everything on the wire.

use connector::{Guard, Networks};
use control::{
    Model, Rules,
    seal::{MasterKey, Sealer},
};
use delivery::{
    Attempt, BoxFuture, Core, Destination, Limits, Outcome, Outcomes, Parts, Settings, Validations, Verdict,
};
use doors::{
    http::{Door, DoorParts, Operations, Origins, eventbridge::EventBridge},
    server::{Server, ServerSettings, Serving},
};
use journal::Journal;
use serde_json::Value;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};
use store::{AttemptHistory, Store};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Longer than anything here takes; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An endpoint that notes what it gets and answers with a status that the test sets.
#[derive(Default)]
pub struct Endpoint {
    pub status: AtomicU16,
    pub events: Mutex<Vec<(String, Option<Vec<u8>>)>>,
}

impl Destination for Endpoint {
    fn limits(&self) -> Limits {
        Limits::ONE
    }

    fn attempt<'a>(&'a self, attempt: Attempt<'a>) -> BoxFuture<'a, Outcomes> {
        let status = self.status.load(Ordering::Relaxed);
        let verdict = match status {
            0 | 200 => Verdict::Delivered,
            422 => Verdict::Refused,
            _ => Verdict::Retry { after: None },
        };
        let failed = verdict != Verdict::Delivered;
        if !failed {
            let event = attempt.members[0].event;
            let seen = (event.id().to_owned(), event.data().map(<[u8]>::to_vec));
            self.events.lock().expect("no test panics while holding it").push(seen);
        }
        let outcome = Outcome {
            verdict,
            status: Some(status.max(200)),
            reason: if failed {
                format!("http_{status}")
            } else {
                String::new()
            },
            detail: if failed {
                format!("the endpoint answered {status}")
            } else {
                String::new()
            },
            answer: if failed {
                "its answer".into()
            } else {
                bytes::Bytes::new()
            },
        };
        Box::pin(std::future::ready(Outcomes::all(&attempt, outcome)))
    }
}

/// The origin whose pages the node answers.
pub const PAGE: &str = "https://app.example.com";

/// A running node.
pub struct Node {
    pub address: SocketAddr,
    pub endpoint: Arc<Endpoint>,
    pub journal: journal::Memory,
    pub validations: Validations,
    pub serving: Option<Serving>,
    _directory: tempfile::TempDir,
}

/// A node on a free loopback port.
pub async fn start() -> Node {
    start_with(ServerSettings {
        listen: vec![([127, 0, 0, 1], 0).into()],
        ..ServerSettings::default()
    })
    .await
}

pub async fn start_with(settings: ServerSettings) -> Node {
    start_as(settings, EventBridge::default()).await
}

pub async fn start_as(settings: ServerSettings, eventbridge: EventBridge) -> Node {
    let directory = tempfile::tempdir().expect("a directory");
    let endpoint = Arc::new(Endpoint::default());
    let memory = journal::Memory::new(journal::MemorySettings::default());
    let journal: Arc<dyn Journal> = Arc::new(memory.clone());
    let store: Arc<dyn Store> = Arc::new(store::Memory::new());
    let sealer = Sealer::from_key(MasterKey::from_bytes(&[7; 32]));
    if let Some(operations) = control::bootstrap(&Model::default(), &sealer).expect("it can be sealed") {
        store.apply(0, operations).await.expect("memory takes it");
    }
    let model = Model::load(&store.documents().await.expect("memory gives it")).expect("it was just written");
    let rules = Rules::new(Guard {
        allow_networks: Networks::loopback(),
    });
    let validations = Validations::open(store.clone(), "http://localhost:8080").await;
    let validations = validations.expect("memory opens");
    let to = endpoint.clone();
    let core = Core::start(Parts {
        journal: journal.clone(),
        store,
        attempts: AttemptHistory::open(&directory.path().join("attempts"), store::AttemptSettings::default())
            .expect("a new history"),
        model,
        sealer: sealer.clone(),
        rules: rules.clone(),
        destinations: Arc::new(move |_, _| Ok(to.clone() as Arc<dyn Destination>)),
        settings: Settings::default(),
    })
    .await
    .expect("the core starts");
    let server = Server::bind(settings).await.expect("the address is free");
    let origins = Origins::parse([PAGE]).expect("an origin");
    let door = Door::new(DoorParts {
        core,
        journal,
        sealer,
        rules,
        operations: Operations::none(),
        eventbridge,
        validations: validations.clone(),
        tester: Arc::new(|connection, how, _| {
            let detail = format!("{how} to {}", connection.name);
            Box::pin(std::future::ready(delivery::TestReport {
                steps: vec![delivery::TestStep::good("answer", detail)],
                status: Some(204),
            }))
        }),
    })
    .allowing(origins);
    let serving = server.start(door);
    Node {
        address: serving.addresses()[0],
        endpoint,
        journal: memory,
        validations,
        serving: Some(serving),
        _directory: directory,
    }
}

/// An answer, taken apart.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn parse(raw: &[u8]) -> Option<Answer> {
        let end = raw.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&raw[..end]).into_owned();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer {
            status,
            head,
            body: raw[end + 4..].to_vec(),
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Asserts a problem with this status and code, and gives it.
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self}");
        let problem = self.json();
        assert_eq!(
            (&problem["code"], &problem["status"]),
            (&code.into(), &status.into()),
            "{self}"
        );
        assert_eq!(problem["type"], format!("/docs/errors/{code}"), "{self}");
        assert!(
            problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()),
            "{self}"
        );
        problem
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}\n\n{}", self.head, String::from_utf8_lossy(&self.body))
    }
}

/// Sends raw bytes and reads until the server closes.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    // A server that refuses early may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(
        read.is_ok(),
        "the server neither answered nor closed: {:?}",
        String::from_utf8_lossy(bytes)
    );
    answer
}

impl Node {
    /// One request on a connection of its own. `headers` are whole lines.
    pub async fn ask(&self, method: &str, path: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        if !body.is_empty() || matches!(method, "POST" | "PUT") {
            request += &format!("content-length: {}\r\n", body.len());
        }
        for header in headers {
            request += header;
            request += "\r\n";
        }
        request += "\r\n";
        let mut request = request.into_bytes();
        request.extend_from_slice(body);
        let answer = raw(self.address, &request).await;
        Answer::parse(&answer).unwrap_or_else(|| panic!("no answer to {method} {path}: {answer:?}"))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    pub async fn put(&self, path: &str, document: Value) -> Answer {
        self.ask("PUT", path, &["content-type: application/json"], document.to_string())
            .await
    }

    /// Publishes one event in structured mode.
    pub async fn publish(&self, event: Value) -> Answer {
        let headers = ["content-type: application/cloudevents+json"];
        self.ask("POST", "/v1/buses/default/events", &headers, event.to_string())
            .await
    }

    /// Declares a connection and a subscription to it.
    pub async fn subscribe(&self, name: &str, more: Value) {
        let connection = serde_json::json!({"provider": "webhook", "config": {"url": "http://127.0.0.1:9/"}});
        let put = self.put("/v1/buses/default/connections/c", connection).await;
        assert!(matches!(put.status, 200 | 201), "{put}");
        let mut subscription = serde_json::json!({"connection": "c"});
        for (name, value) in more.as_object().expect("an object") {
            subscription[name] = value.clone();
        }
        let put = self
            .put(&format!("/v1/buses/default/subscriptions/{name}"), subscription)
            .await;
        assert_eq!(put.status, 201, "{put}");
    }

    /// Asks again until the answer is as wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let asking = async {
            loop {
                let answer = self.get(path).await;
                if answer.status == 200 && wanted(&answer.json()) {
                    return answer.json();
                }
                tokio::task::yield_now().await;
            }
        };
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(value) => value,
            Err(_) => panic!("{path} never became as wanted; now:\n{}", self.get(path).await),
        }
    }
}

/// A minimal valid event.
pub fn event(id: &str) -> Value {
    serde_json::json!({"specversion": "1.0", "id": id, "source": "/test", "type": "t", "data": {"n": id}})
}
