//! Spans out to a collector, by OTLP over HTTP with protobuf. The core says what is traced; this only carries it away, in
//! batches, beside everything else: what a collector does not take in time is counted and dropped, and nobody waits for it.
//!
//! The messages are written by hand, five of them, fixed for years; `docs/adr` has the
//! reasons.

mod encode;
mod export;

pub use export::Exporter;

use crate::{
    config::Otlp,
    exit::{Code, Failure},
};
use connector::{Client, Guard, Networks};
use delivery::trace::{Tracer, tracer};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;

/// What OTLP over HTTP appends to a base address for traces.
const TRACES_PATH: &str = "/v1/traces";

/// Where spans go and how.
pub struct Target {
    uri: Uri,
    headers: HeaderMap,
    service: String,
    guard: Guard,
}

fn wrong(place: &str, reason: String) -> Failure {
    Failure::new(Code::Usage, format!("{place}: {reason}"))
}

impl Target {
    /// What the configuration or OpenTelemetry's own variables ask for; none without an endpoint.
    pub fn of(config: &Otlp, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Target>, Failure> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let headers = match config.headers.as_str() {
            "" => variable("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default(),
            text => text.to_owned(),
        };
        let headers = parse_headers(&headers).map_err(|reason| wrong("otlp.headers", reason))?;
        let Some(endpoint) = endpoint(config, &variable) else {
            return Ok(None);
        };
        let guard = Guard {
            // The endpoint is the operator's own word, and usually next door.
            allow_networks: "0.0.0.0/0,::/0".parse::<Networks>().expect("the text is two networks"),
        };
        let checked = guard.check_url(&endpoint);
        let checked = checked.map_err(|error| wrong("otlp.endpoint", error.to_string()))?;
        Ok(Some(Target {
            uri: checked.uri().clone(),
            headers,
            service: variable("OTEL_SERVICE_NAME").unwrap_or_else(|| "trunkline".to_owned()),
            guard,
        }))
    }

    /// Starts the exporter, and the tracer that feeds it.
    pub fn start(self, config: &Otlp) -> Result<(Tracer, Exporter), Failure> {
        let settings = connector::Settings {
            guard: self.guard.clone(),
            ..connector::Settings::default()
        };
        let client = Client::new(settings).map_err(|error| wrong("otlp", error.to_string()))?;
        let (tracer, spans) = tracer(config.sample.share());
        Ok((tracer.clone(), Exporter::start((self, client), tracer, spans)))
    }
}

/// Ours first, then the variable for traces, which is taken as it is, then the one for all signals.
fn endpoint(config: &Otlp, variable: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let with_path = |base: &str| format!("{}{TRACES_PATH}", base.trim_end_matches('/'));
    if !config.endpoint.is_empty() {
        return Some(with_path(&config.endpoint));
    }
    variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        .or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| with_path(&base)))
}

/// `name=value,name=value`, values percent-encoded, as OpenTelemetry has it. They may be secrets: no error shows one.
fn parse_headers(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or("a header is written name=value")?;
        let parsed: HeaderName = name.trim().parse().map_err(|_| "a name is no header's name")?;
        let value = percent_decode_str(value.trim()).decode_utf8();
        let value = value.ok().and_then(|value| HeaderValue::from_str(&value).ok());
        let mut value = value.ok_or_else(|| format!("the value of {parsed} is no header's value"))?;
        value.set_sensitive(true);
        headers.insert(parsed, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Otlp;

    fn asked(endpoint: &str, variables: &[(&str, &str)]) -> Option<String> {
        let config = Otlp {
            endpoint: endpoint.to_owned(),
            headers: String::new(),
            sample: "1%".to_owned().try_into().expect("a share"),
        };
        let found = |name: &str| {
            variables
                .iter()
                .find(|(found, _)| *found == name)
                .map(|(_, value)| (*value).to_owned())
        };
        super::endpoint(&config, &found)
    }

    #[test]
    fn ours_wins_over_opentelemetrys_own_variables() {
        let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318/");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces/as/it/is");
        assert_eq!(asked("", &[]), None);
        assert_eq!(asked("", &[general]).as_deref(), Some("http://all:4318/v1/traces"));
        assert_eq!(asked("", &[general, traces]).as_deref(), Some("http://traces/as/it/is"));
        assert_eq!(
            asked("http://ours", &[general, traces]).as_deref(),
            Some("http://ours/v1/traces")
        );
    }

    #[test]
    fn headers_are_decoded_and_a_wrong_one_is_named_without_its_value() {
        let headers = parse_headers("authorization=Bearer%20abc, x-tenant=shop").expect("valid");
        assert_eq!(headers["authorization"], "Bearer abc");
        assert_eq!(headers["x-tenant"], "shop");
        let refused = parse_headers("x-secret=a%0Ab").expect_err("a line break");
        assert!(refused.contains("x-secret") && !refused.contains('\n'), "{refused}");
        assert!(parse_headers("nothing").is_err());
    }
}
