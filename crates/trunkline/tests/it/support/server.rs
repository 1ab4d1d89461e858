//! The real binary, started on a free port with a data directory of the test's, and killed with it.

use super::receiver::Receiver;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_trunkline");
/// The longest a start may take in a test, recovery included.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running server.
pub struct Server {
    child: Child,
    /// Base URLs, in the order of `--listen`.
    pub urls: Vec<String>,
    /// Standard error so far, collected by a thread.
    log: std::sync::Arc<std::sync::Mutex<String>>,
    http: connector::Client,
    key: Option<String>,
}

/// An answer of the server.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body as it came.
    pub bytes: bytes::Bytes,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }
}

impl Server {
    /// Starts it on a free loopback port.
    pub fn start(data_dir: &Path) -> Server {
        Server::start_with(data_dir, &["--listen", "127.0.0.1:0"], &[])
    }

    /// Starts it with these arguments and environment.
    pub fn start_with(data_dir: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Server {
        Server::try_start(data_dir, arguments, environment)
            .unwrap_or_else(|log| panic!("the server did not start:\n{log}"))
    }

    /// Starts it; what it printed when it does not come up.
    pub fn try_start(data_dir: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Server, String> {
        Server::try_start_under(&[], data_dir, arguments, environment)
    }

    /// Starts it under another program, such as a tracer, that leaves it a child of this process.
    pub fn try_start_under(
        program: &[&str],
        data_dir: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Server, String> {
        let mut words = program.iter().copied().chain([BINARY]);
        let mut command = Command::new(words.next().expect("the binary at least"));
        command
            .args(words)
            .arg("serve")
            .arg("--data-dir")
            .arg(data_dir)
            .args(arguments)
            .envs(environment.iter().copied());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let log = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let stderr = child.stderr.take().expect("piped");
        let collected = collect(stderr, log.clone());
        let stdout = child.stdout.take().expect("piped");
        match urls(stdout) {
            Some(urls) => {
                let guard = connector::Guard {
                    allow_networks: connector::Networks::loopback(),
                };
                let settings = connector::Settings {
                    guard,
                    ..connector::Settings::default()
                };
                let http = connector::Client::new(settings).expect("a client");
                Ok(Server {
                    child,
                    urls,
                    log,
                    http,
                    key: None,
                })
            }
            None => {
                let status = child.wait().expect("it ends");
                collected.join().expect("it only collects");
                Err(format!("{status}\n{}", log.lock().expect("no holder panics")))
            }
        }
    }

    /// Uses this key for requests and commands.
    pub fn with_key(mut self, key: &str) -> Server {
        self.key = Some(key.to_string());
        self
    }

    /// The first base URL.
    pub fn url(&self) -> &str {
        &self.urls[0]
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said on standard error.
    pub fn log(&self) -> String {
        self.log.lock().expect("no holder panics").clone()
    }

    /// Kills it as a power cut would, as far as a process can tell.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits for its end and gives the exit code.
    pub fn wait(mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }

    /// Asks it to stop, waits, and gives the exit code.
    pub fn stop(self) -> Option<i32> {
        self.signal("TERM");
        self.wait()
    }

    /// Sends a request; an error is one of the network.
    pub async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<bytes::Bytes>,
    ) -> Result<Answer, String> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let request = request.body(http_body_util::Full::new(body.into())).expect("a request");
        let limit = Duration::from_secs(60);
        let timeouts = connector::Timeouts {
            first_byte: limit,
            total: limit,
        };
        let answer = self
            .http
            .send(request, timeouts, 64 << 20)
            .await
            .map_err(|error| error.to_string())?;
        Ok(Answer {
            status: answer.status.as_u16(),
            headers: answer.headers,
            bytes: answer.body,
        })
    }

    /// Sends a request.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<bytes::Bytes>,
    ) -> Answer {
        self.try_send(method, path, headers, body)
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()))
    }

    /// Sends JSON; panics unless the answer is a success.
    pub async fn put(&self, path: &str, body: Value) -> Value {
        let answer = self
            .send("PUT", path, &[("content-type", "application/json")], body.to_string())
            .await;
        assert!(answer.status < 300, "PUT {path}: {} {}", answer.status, answer.json());
        answer.json()
    }

    /// Reads JSON; panics unless the answer is a success.
    pub async fn get(&self, path: &str) -> Value {
        let answer = self.send("GET", path, &[], "").await;
        assert!(answer.status < 300, "GET {path}: {} {}", answer.status, answer.json());
        answer.json()
    }

    /// Publishes one event in binary mode; panics unless it is taken.
    pub async fn publish(&self, event_type: &str, id: &str, data: Value) -> Value {
        let headers = [
            ("ce-specversion", "1.0"),
            ("ce-type", event_type),
            ("ce-source", "/test"),
            ("ce-id", id),
            ("content-type", "application/json"),
        ];
        let answer = self
            .send("POST", "/v1/buses/default/events", &headers, data.to_string())
            .await;
        assert!(answer.status < 300, "publish {id}: {} {}", answer.status, answer.json());
        answer.json()
    }

    /// Subscribes the receiver by a connection and a subscription of this name; `extra` is laid over the subscription.
    pub async fn subscribe(&self, name: &str, receiver: &Receiver, extra: Value) {
        let connection = json!({"provider": "webhook", "config": {"url": receiver.url("/")}});
        self.put(&format!("/v1/buses/default/connections/{name}"), connection)
            .await;
        let mut subscription = json!({"connection": name});
        for (field, value) in extra.as_object().expect("an object") {
            subscription[field] = value.clone();
        }
        self.put(&format!("/v1/buses/default/subscriptions/{name}"), subscription)
            .await;
    }

    /// How a subscription is doing.
    pub async fn status(&self, name: &str) -> Value {
        self.get(&format!("/v1/buses/default/subscriptions/{name}")).await["status"].clone()
    }

    /// Runs a command of the binary against this server.
    pub fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command.args(arguments).env("TRUNKLINE_SERVER", self.url());
        if let Some(key) = &self.key {
            command.env("TRUNKLINE_KEY", key);
        }
        command.stdin(Stdio::null()).output().expect("the binary runs")
    }

    /// Runs a command that must succeed, and gives what it printed.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        let (stdout, stderr) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(
            output.status.success(),
            "{arguments:?}: {}\n{stdout}{stderr}",
            output.status
        );
        stdout.into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The URLs that the server says it listens on: the lines before its first empty line. `None` if it ends before.
fn urls(stdout: impl Read + Send + 'static) -> Option<Vec<String>> {
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let mut urls = Vec::new();
    let deadline = std::time::Instant::now() + START_LIMIT;
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        let line = lines.recv_timeout(left).ok()?;
        match line.strip_prefix("listening on ") {
            Some(url) => urls.push(url.trim().to_string()),
            None if line.trim().is_empty() && !urls.is_empty() => return Some(urls),
            None => {}
        }
    }
}

/// Collects what comes, until the pipe ends.
fn collect(
    mut pipe: impl Read + Send + 'static,
    log: std::sync::Arc<std::sync::Mutex<String>>,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read) = pipe.read(&mut buffer) {
            if read == 0 {
                return;
            }
            log.lock()
                .expect("no holder panics")
                .push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    })
}
