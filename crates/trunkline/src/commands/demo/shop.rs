//! The shop: what it declares on the bus, and its orders. Every order follows from its number, so that it is known what has to
//! arrive where.

use crate::{client::Client, exit::Failure};
use http::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Orders above it are looked at by the fraud check.
const LARGE_ABOVE: u64 = 500;

/// The shop's counter.
#[derive(Debug, Default)]
pub struct Shop {
    published: u64,
    large: u64,
}

/// What an order comes to: spread over 20 to 999, the same in every demo.
pub fn total(number: u64) -> u64 {
    20 + number * 389 % 980
}

impl Shop {
    /// The next order.
    pub async fn publish_next(&mut self, client: &Client) -> Result<(), Failure> {
        let number = self.published + 1;
        let event = json!({
            "specversion": "1.0",
            "id": format!("order-{number}"),
            "source": "/shop",
            "type": "com.example.order.placed",
            "data": {"number": number, "customer": format!("customer-{}", number % 7), "total": total(number)},
        });
        let body = Some(("application/cloudevents+json", event.to_string().into_bytes()));
        client.send(Method::POST, "/v1/buses/default/events", body).await?;
        self.published = number;
        self.large += u64::from(total(number) > LARGE_ABOVE);
        Ok(())
    }

    /// Orders so far, and large ones among them.
    pub fn expected(&self) -> (u64, u64) {
        (self.published, self.large)
    }
}

/// Topic, event type, connections and subscriptions, at the endpoints' address.
pub async fn declare(client: &Client, address: SocketAddr) -> Result<(), Failure> {
    put(client, "topics/orders", json!({"partitions": 3})).await?;
    let routes = json!({"routes": [{"topic": "orders", "key": "customer"}]});
    put(client, "event-types/com.example.order.placed", routes).await?;
    let retry = json!({"schedule": ["0s", "100ms", "300ms"], "attempts": 1000});
    let orders = |more: Value| {
        let mut body = json!({"topics": ["orders"], "delivery": {"retry": retry.clone()}});
        merge(&mut body, more);
        body
    };
    let large = json!({"detail": {"total": [{"numeric": [">", LARGE_ABOVE]}]}});
    let subscriptions = [
        ("crm", orders(json!({}))),
        (
            "billing",
            orders(json!({"delivery": {"retry": retry.clone(), "ordering": "key"}})),
        ),
        ("fraud-check", orders(json!({"filter": {"eventbridge": large}}))),
        ("narrator", json!({"types": ["io.trunkline.*"]})),
    ];
    for (name, mut subscription) in subscriptions {
        let config = json!({"url": format!("http://{address}/{name}")});
        let connection = json!({"provider": "webhook", "config": config});
        put(client, &format!("connections/{name}"), connection).await?;
        merge(&mut subscription, json!({"connection": name}));
        put(client, &format!("subscriptions/{name}"), subscription).await?;
    }
    Ok(())
}

async fn put(client: &Client, path: &str, body: Value) -> Result<(), Failure> {
    let body = Some(("application/json", body.to_string().into_bytes()));
    let path = format!("/v1/buses/default/{path}");
    client.send(Method::PUT, &path, body).await.map(drop)
}

fn merge(into: &mut Value, from: Value) {
    if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}
