//! Destinations: one module per provider, each with the same inside: `config` (what a connection and a subscription say,
//! checked and made ready), `wire` (events as the provider's bytes; pure), `act` (one request), and tests.
//!
//! A destination knows nothing of the journal, of queues or of retries: it makes one request and says what it meant.

#[cfg(feature = "aws")]
pub mod aws;
mod claim_check;
mod connections;
pub mod dry_run;
pub mod eventgrid;
mod outcomes;
mod ways;
pub mod webhook;

use connections::Connections;
use connector::Client;
use control::{
    Connection, Rules, Subscription,
    resources::{ConnectionSpec, TargetMode},
};
use delivery::{ConnectionTest, ConnectionTester, Destination, DestinationFactory, TestReport, TestStep, Validations};
use std::sync::Arc;
use ways::Ways;

/// Makes the destination of a subscription by its connection's provider. Every destination goes out through `client`, or, where
/// the operator allows its bus networks of its own, through one that differs in nothing else.
pub fn factory(client: Client, rules: Rules, validations: Validations) -> DestinationFactory {
    let shared = Shared::new(validations);
    let ways = Ways::new(client, &rules);
    Arc::new(move |connection, subscription| made(ways.of(&connection.bus)?, &rules, &shared, connection, subscription))
}

/// What subscriptions of one connection share, by provider.
struct Shared {
    validations: Validations,
    /// Where this server is reached from outside; empty: nobody said.
    public_url: Arc<str>,
    webhook: Connections<webhook::Shared>,
    eventgrid: Connections<eventgrid::Shared>,
    #[cfg(feature = "aws")]
    aws: Connections<aws::Access>,
}

impl Shared {
    fn new(validations: Validations) -> Self {
        Self {
            public_url: validations.public_url().into(),
            validations,
            webhook: Connections::default(),
            eventgrid: Connections::default(),
            #[cfg(feature = "aws")]
            aws: Connections::default(),
        }
    }
}

fn made(
    client: &Client,
    rules: &Rules,
    shared: &Shared,
    connection: &Connection,
    subscription: &Subscription,
) -> Result<Arc<dyn Destination>, String> {
    permitted(rules, connection)?;
    let public_url = &shared.public_url;
    match &connection.spec {
        ConnectionSpec::Webhook(config) => {
            let make = || Ok(webhook::Shared::new(client, config)?.in_dry_run(connection.dry_run));
            let endpoint = shared.webhook.shared(connection, make)?;
            let webhook = webhook::Webhook::new(endpoint, &subscription.spec)?;
            if subscription.spec.target.mode != Some(TargetMode::EventGrid) {
                return Ok(Arc::new(webhook));
            }
            let gate = webhook::Gate::new(shared.validations.clone(), &connection.bus, subscription.id);
            Ok(Arc::new(webhook.behind(gate)))
        }
        ConnectionSpec::EventGrid(config) => {
            let make = || eventgrid::Shared::new(client, config, connection.dry_run);
            let shared = shared.eventgrid.shared(connection, make)?;
            Ok(Arc::new(
                eventgrid::EventGrid::new(shared, &subscription.spec).on(public_url, &subscription.spec),
            ))
        }
        ConnectionSpec::Bus(_) => Err("events go to another bus inside of the server".to_owned()),
        #[cfg(feature = "aws")]
        spec => {
            let spec = spec.at(&subscription.spec.target).map_err(|refusal| refusal.detail)?;
            let make = || aws::Access::new(client, &spec, connection.dry_run);
            let shared = shared.aws.shared_part(connection, aws::Access::part_of(&spec), make)?;
            let aws = aws::Aws::new(shared, &spec, &subscription.spec)?;
            Ok(Arc::new(aws.on(public_url, &subscription.spec)))
        }
        #[cfg(not(feature = "aws"))]
        spec => Err(not_built_in(spec)),
    }
}

/// Tries connections by their provider, through the same client.
pub fn tester(client: Client, rules: Rules) -> ConnectionTester {
    let ways = Ways::new(client, &rules);
    Arc::new(move |connection, how, now| {
        let client = permitted(&rules, &connection).and_then(|()| ways.of(&connection.bus).cloned());
        let client = match client {
            Ok(client) => client,
            Err(reason) => return Box::pin(std::future::ready(misconfigured(reason))),
        };
        Box::pin(async move {
            match &connection.spec {
                ConnectionSpec::Webhook(_) | ConnectionSpec::EventGrid(_)
                    if connection.dry_run && how == ConnectionTest::Event =>
                {
                    in_dry_run()
                }
                ConnectionSpec::Webhook(config) => webhook::test(&client, config, how, now).await,
                ConnectionSpec::EventGrid(config) => eventgrid::test(&client, config, how, now).await,
                ConnectionSpec::Bus(config) => to_bus(&config.bus),
                #[cfg(feature = "aws")]
                ConnectionSpec::Aws(config) => aws::test_account(&client, config).await,
                #[cfg(feature = "aws")]
                spec => aws::test(&client, spec, connection.dry_run, how).await,
                #[cfg(not(feature = "aws"))]
                spec => misconfigured(not_built_in(spec)),
            }
        })
    })
}

/// What the operator allowed when the connection was saved may be forbidden since.
fn permitted(rules: &Rules, connection: &Connection) -> Result<(), String> {
    let is_ambient = connection.spec.aws().is_some_and(|aws| aws.credentials.is_ambient());
    match is_ambient && !rules.may_use_machine_credentials(&connection.bus) {
        true => Err(format!(
            "the operator does not let bus {:?} use the machine's own AWS credentials (aws_machine_credentials)",
            connection.bus
        )),
        false => Ok(()),
    }
}

#[cfg(not(feature = "aws"))]
fn not_built_in(spec: &ConnectionSpec) -> String {
    let provider = spec.provider();
    format!("this Trunkline is built without the feature aws, which {provider} connections need")
}

/// A dry run sends no event, a test's neither.
fn in_dry_run() -> TestReport {
    let detail = "the connection is in a dry run: no event is sent, and a delivery shows the request".to_owned();
    TestReport {
        steps: vec![TestStep::good("answer", detail)],
        status: None,
    }
}

/// A bus of this server answers whoever asks.
fn to_bus(bus: &str) -> TestReport {
    TestReport {
        steps: vec![TestStep::good(
            "answer",
            format!("events go to bus {bus:?} inside of this server"),
        )],
        status: None,
    }
}

fn misconfigured(reason: String) -> TestReport {
    TestReport {
        steps: vec![TestStep::failed("configuration", "misconfigured", reason)],
        status: None,
    }
}
