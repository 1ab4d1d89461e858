//! The EventBridge door with the AWS SDK for Rust as it comes from its registry, unchanged but for endpoint and credentials.

use crate::support::{eventually, receiver::Receiver, server::Server};
use aws_sdk_eventbridge::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region, SharedAsyncSleep, retry::RetryConfig, timeout::TimeoutConfig},
    error::ProvideErrorMetadata,
    primitives::DateTime,
    types::{
        ApiDestinationHttpMethod, ConnectionAuthorizationType, CreateConnectionApiKeyAuthRequestParameters,
        CreateConnectionAuthRequestParameters, PutEventsRequestEntry, Target,
    },
};
use aws_smithy_async::{rt::sleep::TokioSleep, time::StaticTimeSource};
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

/// The client with this secret; more is told to `with`.
fn client(server: &Server, secret: &str, with: impl FnOnce(&mut aws_sdk_eventbridge::config::Builder)) -> Client {
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(server.url())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("ops", secret, None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .timeout_config(
            TimeoutConfig::builder()
                .operation_timeout(Duration::from_secs(20))
                .build(),
        );
    with(&mut config);
    Client::from_conf(config.build())
}

fn entry(total: u64) -> aws_sdk_eventbridge::types::builders::PutEventsRequestEntryBuilder {
    PutEventsRequestEntry::builder()
        .source("com.example.shop")
        .detail_type("Order Placed")
        .detail(json!({"total": total}).to_string())
}

/// A server with keys, and the secret of an access key that may publish and manage.
async fn signed_server(directory: &std::path::Path) -> (Server, String) {
    let allowed = [("TRUNKLINE_ALLOW_NETWORKS", "127.0.0.0/8")];
    let server = Server::start_with(directory, &["--listen", "127.0.0.1:0"], &allowed);
    let scopes = json!({"scopes": ["publish", "subscribe", "manage", "administer"]});
    let admin = server.put("/v1/keys/admin", scopes.clone()).await;
    let server = server.with_key(admin["token"].as_str().expect("it is shown once"));
    let mut key = scopes;
    key["signing"] = "aws".into();
    let made = server.put("/v1/keys/ops", key).await;
    (server, made["secret"].as_str().expect("it is shown once").to_owned())
}

#[tokio::test]
async fn the_rust_sdk_publishes_and_makes_a_rule_that_delivers() {
    let directory = tempfile::tempdir().expect("a directory");
    let (server, secret) = signed_server(directory.path()).await;
    let receiver = Receiver::healthy().await;
    let client = client(&server, &secret, |_| {});

    let bus = client.create_event_bus().name("orders").send().await.expect("made");
    let described = client.describe_event_bus().name("orders").send().await.expect("there");
    assert_eq!(
        (described.name(), described.arn()),
        (Some("orders"), bus.event_bus_arn())
    );
    let parameters = CreateConnectionApiKeyAuthRequestParameters::builder()
        .api_key_name("x-api-key")
        .api_key_value("sesame")
        .build()
        .expect("nothing is missing");
    let parameters = CreateConnectionAuthRequestParameters::builder().api_key_auth_parameters(parameters);
    let connection = client
        .create_connection()
        .name("crm")
        .authorization_type(ConnectionAuthorizationType::ApiKey)
        .auth_parameters(parameters.build());
    let connection = connection.send().await.expect("made");
    let destination = client
        .create_api_destination()
        .name("crm-orders")
        .connection_arn(connection.connection_arn().expect("it has one"))
        .http_method(ApiDestinationHttpMethod::Post)
        .invocation_endpoint(receiver.url("/orders"))
        .send()
        .await
        .expect("made");
    let pattern = json!({"detail": {"total": [{"numeric": [">", 10]}]}}).to_string();
    let rule = client
        .put_rule()
        .name("big")
        .event_bus_name("orders")
        .event_pattern(&pattern);
    rule.send().await.expect("made");
    let target = Target::builder()
        .id("crm")
        .arn(destination.api_destination_arn().expect("it has one"))
        .input_path("$.detail")
        .build()
        .expect("nothing is missing");
    let put = client
        .put_targets()
        .rule("big")
        .event_bus_name("orders")
        .targets(target);
    assert_eq!(put.send().await.expect("made").failed_entry_count(), 0);
    let described = client.describe_rule().name("big").event_bus_name("orders");
    assert_eq!(described.send().await.expect("there").event_pattern(), Some(&*pattern));

    let answer = client
        .put_events()
        .entries(entry(5).event_bus_name("orders").build())
        .entries(
            entry(50)
                .event_bus_name("orders")
                .time(DateTime::from_millis(1_700_000_000_250))
                .resources("arn:aws:s3:::invoices")
                .build(),
        )
        .entries(entry(7).detail("no JSON").event_bus_name("orders").build())
        .send()
        .await
        .expect("answered");
    assert_eq!(answer.failed_entry_count(), 1, "{answer:?}");
    let [small, big, wrong] = answer.entries() else {
        panic!("three entries: {answer:?}")
    };
    assert!(small.event_id().is_some());
    assert_eq!(wrong.error_code(), Some("MalformedDetail"), "{wrong:?}");
    let id = big.event_id().expect("it was taken");
    let event = server.get(&format!("/v1/buses/orders/events/{id}")).await["event"].clone();
    assert_eq!(
        (&event["type"], &event["data"]),
        (&json!("Order Placed"), &json!({"total": 50}))
    );
    assert_eq!(event["time"], "2023-11-14T22:13:20.25Z");
    let got = eventually("one delivery", Duration::from_secs(20), async || {
        let got = receiver.deliveries();
        (!got.is_empty()).then_some(got)
    })
    .await;
    let body: Value = serde_json::from_slice(&got[0].body).expect("JSON");
    assert_eq!((got.len(), body), (1, json!({"total": 50})));
}

/// The codes that the SDK understands, and no event.
#[tokio::test]
async fn the_rust_sdk_is_told_what_is_wrong_with_its_secret_and_its_clock() {
    let directory = tempfile::tempdir().expect("a directory");
    let (server, secret) = signed_server(directory.path()).await;
    let slow = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let wrong_secret = client(&server, "not-the-secret", |_| {});
    let wrong_clock = client(&server, &secret, |config| {
        config.set_time_source(Some(StaticTimeSource::new(slow).into()));
        config.set_retry_config(Some(RetryConfig::disabled()));
    });
    for (client, words) in [
        (wrong_secret, "does not match the signature you provided"),
        (wrong_clock, "Signature expired: 20231114T221320Z"),
    ] {
        let refused = client.put_events().entries(entry(1).build()).send().await;
        let refused = refused.expect_err("it is refused").into_service_error();
        assert_eq!(refused.code(), Some("InvalidSignatureException"), "{refused:?}");
        assert!(
            refused.message().is_some_and(|message| message.contains(words)),
            "{refused:?}"
        );
    }
    let good = client(&server, &secret, |_| {});
    let nowhere = good.describe_event_bus().name("nowhere").send().await;
    let nowhere = nowhere.expect_err("there is none").into_service_error();
    assert!(nowhere.is_resource_not_found_exception(), "{nowhere:?}");
    let answer = good
        .put_events()
        .entries(entry(1).build())
        .send()
        .await
        .expect("answered");
    assert_eq!(answer.failed_entry_count(), 0);
}
