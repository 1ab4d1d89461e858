//! The command line's way to a server: requests to `/v1`, and refusals turned into exit codes and advice.

use crate::{
    answer::Answer,
    cli::ServerOptions,
    exit::{Code, Failure},
};
use bytes::Bytes;
use connector::{Guard, Roots, SendError, Settings, Timeouts};
use http::{HeaderValue, Method, Request, Uri, header, uri::Authority};
use http_body_util::Full;
use serde_json::Value;
use std::time::Duration;

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// A command gives up on a server that does not answer for this long.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Connections kept to the server: as many as `bench` may use at once.
const CONNECTIONS_MAX: usize = 1024;
/// Refused entries of a batch that are told one by one.
const ENTRIES_SHOWN_MAX: usize = 10;
/// Items asked for in one page of a list.
const PAGE_ITEMS: usize = 500;

/// A handle on one server.
pub struct Client {
    http: connector::Client,
    server: String,
    bus: String,
    authorization: Option<HeaderValue>,
}

impl Client {
    /// A client for the server, bus and key that the options name. The server may be anywhere: the caller chose it.
    pub fn new(options: &ServerOptions) -> Result<Client, Failure> {
        let usage = |message: String| Failure::new(Code::Usage, message);
        let extra_roots = match &options.ca {
            None => Vec::new(),
            Some(path) => {
                std::fs::read(path).map_err(|error| usage(format!("cannot read {}: {error}", path.display())))?
            }
        };
        let guard = Guard {
            allow_networks: "0.0.0.0/0,::/0".parse().expect("the text is two networks"),
        };
        let roots = Roots {
            extra_pem: extra_roots,
            ..Roots::default()
        };
        let settings = Settings {
            guard,
            roots,
            idle_per_host_max: CONNECTIONS_MAX,
            ..Settings::default()
        };
        let http = connector::Client::new(settings).map_err(|error| match &options.ca {
            None => usage(error.to_string()),
            Some(path) => usage(format!("--ca {}: {error}", path.display())),
        })?;
        // An empty one is a variable that a script left unset.
        let authorization = match options.key.as_deref() {
            None | Some("") => None,
            Some(key) => {
                let value = HeaderValue::from_str(&format!("Bearer {key}"));
                Some(value.map_err(|_| usage("the key has characters that no key has".into()))?)
            }
        };
        let server = options.server.trim_end_matches('/').to_string();
        if !is_address(&server) {
            let message = format!(
                "--server {:?} is no address such as http://127.0.0.1:8080",
                options.server
            );
            return Err(usage(message));
        }
        Ok(Client {
            http,
            server,
            bus: options.bus.clone(),
            authorization,
        })
    }

    /// The bus that commands act on.
    pub fn bus(&self) -> &str {
        &self.bus
    }

    /// Reads a resource.
    pub async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::GET, path, None).await
    }

    /// Reads all pages of a list.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        let mut query = format!("{path}?limit={PAGE_ITEMS}");
        loop {
            let mut page = self.get(&query).await?.into_value();
            if let Some(Value::Array(more)) = page.get_mut("items").map(Value::take) {
                items.extend(more);
            }
            match page["next"].as_str() {
                Some(cursor) => query = format!("{path}?limit={PAGE_ITEMS}&cursor={}", segment(cursor)),
                None => return Ok(items),
            }
        }
    }

    /// Sends a request and returns the answer's body, null when it is empty; a refusal becomes a failure with its exit code
    /// and advice, and so does an answer that cannot be read.
    pub async fn send(&self, method: Method, path: &str, body: Option<(&str, Vec<u8>)>) -> Result<Answer, Failure> {
        let request = self.request(method, path, body)?;
        self.answer(request, &entry).await
    }

    /// Sends events in the JSON batch format; a refusal calls them by these names, each of which is of an index in the batch.
    pub async fn send_events(
        &self,
        path: &str,
        batch: Vec<u8>,
        named: &dyn Fn(usize) -> String,
    ) -> Result<Answer, Failure> {
        let request = self.request(Method::POST, path, Some((event::json::BATCH_MEDIA_TYPE, batch)))?;
        self.answer(request, named).await
    }

    async fn answer(&self, request: Request<Full<Bytes>>, named: &dyn Fn(usize) -> String) -> Result<Answer, Failure> {
        let timeouts = Timeouts {
            first_byte: TIMEOUT,
            total: TIMEOUT,
        };
        let answer = self.http.send(request, timeouts, ANSWER_BYTES_MAX).await;
        let answer = answer.map_err(|error| self.unreachable(&error))?;
        if answer.truncated {
            return Err(Failure::new(
                Code::Failed,
                "the answer is larger than this command reads",
            ));
        }
        if !answer.status.is_success() {
            let problem = problem(&answer.body);
            return Err(refusal(&self.server, answer.status.as_u16(), &problem, named));
        }
        Answer::read(&answer.body).map_err(|reason| {
            let message = format!("cannot read what {} answered: {reason}", self.server);
            Failure::new(Code::Failed, message).hint("is it a Trunkline server that answers there, and no proxy?")
        })
    }

    /// Opens an answer without an end, where the one before stopped; what is said until then is a refusal.
    pub async fn open(&self, path: &str, last_event_id: Option<&str>) -> Result<connector::Head, Failure> {
        let mut request = self.request(Method::GET, path, None)?;
        if let Some(id) = last_event_id.and_then(|id| HeaderValue::from_str(id).ok()) {
            request.headers_mut().insert("last-event-id", id);
        }
        let timeouts = Timeouts {
            first_byte: TIMEOUT,
            total: TIMEOUT,
        };
        let head = self.http.send_head(request, timeouts).await;
        let head = head.map_err(|error| self.unreachable(&error))?;
        if head.status.is_success() {
            return Ok(head);
        }
        let status = head.status.as_u16();
        let (body, _) = head.read(ANSWER_BYTES_MAX).await;
        Err(refusal(&self.server, status, &problem(&body), &entry))
    }

    /// Changes a resource at the version it was read in; `None`: it must not exist.
    pub async fn put(&self, path: &str, body: Vec<u8>, version: Option<u64>) -> Result<Answer, Failure> {
        let mut request = self.request(Method::PUT, path, Some(("application/json", body)))?;
        let (name, value) = match version {
            Some(version) => (header::IF_MATCH, format!("\"{version}\"")),
            None => (header::IF_NONE_MATCH, "*".to_owned()),
        };
        let value = HeaderValue::from_str(&value).expect("digits in quotes are a header value");
        request.headers_mut().insert(name, value);
        self.answer(request, &entry).await
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.server));
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some((content_type, _)) = body {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let body = Full::new(Bytes::from(body.map(|(_, bytes)| bytes).unwrap_or_default()));
        let wrong = |error| Failure::new(Code::Usage, format!("--server {:?}: {error}", self.server));
        request.body(body).map_err(wrong)
    }

    fn unreachable(&self, error: &SendError) -> Failure {
        Failure::new(Code::Unreachable, format!("cannot reach {}: {error}", self.server))
            .hint(self.what_to_look_at(error))
    }

    /// What to do about a server that did not answer.
    fn what_to_look_at(&self, error: &SendError) -> &'static str {
        match error {
            SendError::Tls { .. } => {
                "--ca or TRUNKLINE_CA names the authority of a server's own certificate (docs/operations.md)"
            }
            SendError::Protocol(_) if self.server.starts_with("http:") => {
                "what answers there speaks no HTTP: does it speak TLS, so that --server begins with https://?"
            }
            _ => "is it running? `trunkline serve` starts one; --server or TRUNKLINE_SERVER says where it is",
        }
    }
}

/// A name as one segment of a path or one value of a query.
pub fn segment(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Whether a server can be there: HTTP or HTTPS, a host, and a port, if any, that ports can be.
fn is_address(server: &str) -> bool {
    let Ok(uri) = server.parse::<Uri>() else { return false };
    let is_port = |authority: &Authority| authority.port().is_some() || authority.as_str().ends_with(authority.host());
    matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some_and(is_port)
}

/// The body of a refusal; null if it is none of a server of ours.
fn problem(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

/// What an entry of a batch is called that has no other name.
fn entry(index: usize) -> String {
    format!("entry {index}")
}

/// A problem document of this server as a failure, the entries that it speaks of by these names. The server has a page for each
/// code.
fn refusal(server: &str, status: u16, problem: &Value, named: &dyn Fn(usize) -> String) -> Failure {
    let text = |name: &str| problem[name].as_str().unwrap_or_default();
    let mut message = match text("detail") {
        "" => format!("the server answered {status}"),
        detail => detail.to_string(),
    };
    let refused = |entry: &Value| {
        let index = entry["index"].as_u64().and_then(|index| usize::try_from(index).ok());
        let attribute = entry["attribute"]
            .as_str()
            .map(|name| format!("{name}: "))
            .unwrap_or_default();
        let detail = entry["detail"].as_str().unwrap_or_default();
        format!("{}: {attribute}{detail}", named(index.unwrap_or_default()))
    };
    match problem["errors"].as_array().map_or(&[][..], Vec::as_slice) {
        // The detail says the same of it, by its index.
        [only] => message = refused(only),
        entries => entries
            .iter()
            .take(ENTRIES_SHOWN_MAX)
            .for_each(|entry| message.push_str(&format!("\n  {}", refused(entry)))),
    }
    if let (Some(line), Some(column)) = (
        problem["position"]["line"].as_u64(),
        problem["position"]["column"].as_u64(),
    ) {
        message.push_str(&format!(" (line {line}, column {column} of the filter)"));
    } else if !text("pointer").is_empty() {
        message.push_str(&format!(" (at {})", text("pointer")));
    }
    for source in problem["sources"].as_array().into_iter().flatten() {
        message.push_str(&format!("\n  --source {}", source.as_str().unwrap_or_default()));
    }
    let code = match status {
        401 | 403 => Code::Forbidden,
        404 => Code::NotFound,
        429 | 503 | 507 => Code::Busy,
        400..500 => Code::Refused,
        _ => Code::Failed,
    };
    let mut failure = Failure::new(code, message);
    if status == 401 {
        failure = failure.hint("give a key with --key or TRUNKLINE_KEY; `trunkline key create` makes one");
    } else if !text("suggestion").is_empty() {
        failure = failure.hint(text("suggestion"));
    } else if !text("code").is_empty() {
        failure = failure.hint(format!("code {0}; {server}/docs/errors/{0} explains it", text("code")));
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SERVER: &str = "http://127.0.0.1:8080";

    #[test]
    fn a_problem_becomes_a_sentence_a_code_and_advice() {
        let problem = json!({"detail": "2 events were refused", "code": "events_invalid",
            "errors": [{"index": 1, "attribute": "source", "detail": "must not be empty"}, {"index": 2, "detail": "no"}]});
        let failure = refusal(SERVER, 422, &problem, &entry);
        assert_eq!(failure.code, Code::Refused);
        assert_eq!(
            failure.message,
            "2 events were refused\n  entry 1: source: must not be empty\n  entry 2: no"
        );
        assert_eq!(
            failure.hint.as_deref(),
            Some("code events_invalid; http://127.0.0.1:8080/docs/errors/events_invalid explains it")
        );
        assert_eq!(refusal(SERVER, 507, &Value::Null, &entry).code, Code::Busy);
        assert_eq!(refusal(SERVER, 404, &Value::Null, &entry).code, Code::NotFound);
        assert!(
            refusal(SERVER, 401, &Value::Null, &entry)
                .hint
                .is_some_and(|hint| hint.contains("--key"))
        );
    }

    #[test]
    fn the_only_refused_entry_is_called_by_its_name() {
        let problem = json!({"detail": "entry 1 was refused: type: must not be empty; nothing was kept",
            "errors": [{"index": 1, "attribute": "type", "detail": "must not be empty"}]});
        let failure = refusal(SERVER, 422, &problem, &|index| format!("line {}", index + 2_001));
        assert_eq!(failure.message, "line 2002: type: must not be empty");
    }

    #[test]
    fn a_refusal_of_a_resource_says_where_it_is_wrong() {
        let problem = json!({"detail": "expected a string, found an integer", "code": "resource_invalid", "pointer": "/retention/age"});
        let failure = refusal(SERVER, 422, &problem, &entry);
        assert_eq!(
            failure.message,
            "expected a string, found an integer (at /retention/age)"
        );
    }

    #[test]
    fn an_id_that_names_several_events_is_told_with_what_tells_them_apart() {
        let problem = json!({"detail": "the id names 2 events of different sources", "sources": ["/a", "/b"]});
        assert_eq!(
            refusal(SERVER, 409, &problem, &entry).message,
            "the id names 2 events of different sources\n  --source /a\n  --source /b"
        );
    }

    #[test]
    fn an_empty_key_is_none_and_a_file_without_a_certificate_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("ca.pem");
        std::fs::write(&file, "nothing").expect("written");
        let mut options = ServerOptions {
            server: "http://127.0.0.1:8080".to_owned(),
            key: Some(String::new()),
            ca: None,
            bus: "default".to_owned(),
            output: crate::output::Format::Table,
        };
        assert!(Client::new(&options).expect("a client").authorization.is_none());
        options.ca = Some(file);
        let refused = Client::new(&options).err().expect("no certificate in it");
        assert_eq!(refused.code, Code::Usage);
        assert!(
            refused.message.contains("ca.pem: ") && refused.message.contains("certificate"),
            "{}",
            refused.message
        );
    }

    #[test]
    fn an_address_that_no_server_can_have_is_refused() {
        for server in [
            "http://127.0.0.1:8080",
            "https://localhost",
            "http://[::1]:1",
            "https://bus.example.com/prefix",
        ] {
            assert!(is_address(server), "{server}");
        }
        for server in [
            "",
            "nonsense",
            "localhost:8080",
            "ftp://localhost",
            "http://localhost:99999",
            "http://",
            "/v1",
        ] {
            assert!(!is_address(server), "{server}");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_place_in_a_path() {
        assert_eq!(segment("../a b?c#d"), "%2E%2E%2Fa%20b%3Fc%23d");
    }
}
