//! What a connection to an AWS account is to one target: a connection to the queue, topic, stream, function or bus that the target's
//! ARN names.

use super::{
    AssumeRole, AwsAccess, AwsAccountConfig, ConnectionSpec, EventBridgeApi, EventBridgeConfig, Invocation,
    KinesisConfig, LambdaConfig, SnsConfig, SqsConfig, TargetRoles, TargetSpec,
};
use crate::{arn::Arn, refusal::Refusal};
use std::borrow::Cow;

const AT: &str = "/target/arn";

impl ConnectionSpec {
    /// This connection as a target reaches it. Only one to an AWS account is another one: that to the service which the target's ARN
    /// names, in the region of the ARN.
    pub fn at(&self, target: &TargetSpec) -> Result<Cow<'_, ConnectionSpec>, Refusal> {
        let Self::Aws(account) = self else {
            return match (&target.arn, &target.role_arn) {
                (None, None) => Ok(Cow::Borrowed(self)),
                _ => {
                    let detail = "arn and role_arn are for aws connections: others say themselves where they lead";
                    Err(Refusal::invalid(AT, detail))
                }
            };
        };
        let missing = || Refusal::invalid(AT, "with aws connections, arn says where events go");
        let text = target.arn.as_deref().ok_or_else(missing)?;
        account.at(text, target.role_arn.as_deref()).map(Cow::Owned)
    }
}

impl AwsAccountConfig {
    /// The connection to what an ARN names.
    fn at(&self, text: &str, role_arn: Option<&str>) -> Result<ConnectionSpec, Refusal> {
        let unknown = || {
            let detail = "arn is that of an SQS queue, an SNS topic, a Kinesis stream, a Lambda function or an event bus, such as arn:aws:sqs:eu-central-1:123456789012:orders";
            Refusal::invalid(AT, detail)
        };
        let arn = Arn::parse(text).filter(Arn::is_placed).ok_or_else(unknown)?;
        let aws = self.access(arn.region, role_arn)?;
        let whole = || text.to_owned();
        Ok(match (arn.service, arn.resource.split_once([':', '/'])) {
            ("sqs", None) => ConnectionSpec::Sqs(SqsConfig {
                queue: queue_url(&aws, &arn),
                aws,
            }),
            ("sns", None) => ConnectionSpec::Sns(SnsConfig { aws, topic: whole() }),
            ("kinesis", Some(("stream", name))) if is_one(name) => {
                ConnectionSpec::Kinesis(KinesisConfig { aws, stream: whole() })
            }
            ("lambda", Some(("function", name))) => {
                let qualifier = name.split_once(':').map(|(_, qualifier)| qualifier);
                let function = qualifier.map_or(text, |qualifier| &text[..text.len() - qualifier.len() - 1]);
                if ![function.rsplit(':').next(), qualifier]
                    .into_iter()
                    .flatten()
                    .all(is_one)
                {
                    return Err(unknown());
                }
                ConnectionSpec::Lambda(LambdaConfig {
                    aws,
                    function: function.to_owned(),
                    qualifier: qualifier.map(str::to_owned),
                    invocation: Invocation::Event,
                })
            }
            ("events", Some(("event-bus", name))) if !name.is_empty() => {
                ConnectionSpec::EventBridge(EventBridgeConfig {
                    aws,
                    event_bus: Some(whole()),
                    source: None,
                    api: EventBridgeApi::Eventbridge,
                })
            }
            _ => return Err(unknown()),
        })
    }

    /// As whom, in the region of an ARN.
    fn access(&self, region: &str, role_arn: Option<&str>) -> Result<AwsAccess, Refusal> {
        let mut aws = AwsAccess {
            region: region.to_owned(),
            ..self.aws.clone()
        };
        let Some(role_arn) = role_arn else { return Ok(aws) };
        if Arn::parse(role_arn).is_none_or(|arn| arn.service != "iam") {
            let detail = "role_arn is an ARN, such as arn:aws:iam::123456789012:role/events";
            return Err(Refusal::invalid("/target/role_arn", detail));
        }
        if self.roles == TargetRoles::Assume {
            let own = aws.assume_role.take();
            aws.assume_role = Some(AssumeRole {
                role_arn: role_arn.to_owned(),
                external_id: own.as_ref().and_then(|role| role.external_id.clone()),
                session_name: own.as_ref().and_then(|role| role.session_name.clone()),
                sts_endpoint: own.and_then(|role| role.sts_endpoint),
            });
        }
        Ok(aws)
    }
}

fn is_one(name: &str) -> bool {
    !name.is_empty() && !name.contains([':', '/'])
}

/// The URL of a queue, which SQS wants to be told beside being reached.
fn queue_url(aws: &AwsAccess, arn: &Arn<'_>) -> String {
    let base = match &aws.endpoint {
        Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
        None if arn.region.starts_with("cn-") => format!("https://sqs.{}.amazonaws.com.cn", arn.region),
        None => format!("https://sqs.{}.amazonaws.com", arn.region),
    };
    format!("{base}/{}/{}", arn.account, arn.resource)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(mut config: serde_json::Value, target: serde_json::Value) -> Result<serde_json::Value, String> {
        config["aws"] = json!({"region": "us-east-1", "credentials": {"type": "environment"}});
        if config["endpoint"].is_string() {
            config["aws"]["endpoint"] = config["endpoint"].take();
        }
        config.as_object_mut().expect("an object").remove("endpoint");
        let connection: ConnectionSpec =
            serde_json::from_value(json!({"provider": "aws", "config": config})).expect("a connection");
        let target: TargetSpec = serde_json::from_value(target).expect("a target");
        let reached = connection.at(&target).map_err(|refusal| refusal.detail)?;
        Ok(serde_json::to_value(reached).expect("plain data"))
    }

    fn of(arn: &str) -> Result<serde_json::Value, String> {
        at(json!({}), json!({"arn": arn}))
    }

    #[test]
    fn an_arn_says_which_service_and_region() {
        let access = |region: &str| json!({"region": region, "credentials": {"type": "environment"}});
        for (arn, provider, config) in [
            (
                "arn:aws:sqs:eu-west-1:123456789012:orders.fifo",
                "sqs",
                json!({"aws": access("eu-west-1"), "queue": "https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo"}),
            ),
            (
                "arn:aws-cn:sqs:cn-north-1:123456789012:orders",
                "sqs",
                json!({"aws": access("cn-north-1"), "queue": "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/orders"}),
            ),
            (
                "arn:aws:sns:eu-west-1:123456789012:orders",
                "sns",
                json!({"aws": access("eu-west-1"), "topic": "arn:aws:sns:eu-west-1:123456789012:orders"}),
            ),
            (
                "arn:aws:kinesis:eu-west-1:123456789012:stream/orders",
                "kinesis",
                json!({"aws": access("eu-west-1"), "stream": "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"}),
            ),
            (
                "arn:aws:lambda:eu-west-1:123456789012:function:orders:live",
                "lambda",
                json!({"aws": access("eu-west-1"), "function": "arn:aws:lambda:eu-west-1:123456789012:function:orders", "qualifier": "live"}),
            ),
            (
                "arn:aws:events:eu-west-1:123456789012:event-bus/orders",
                "eventbridge",
                json!({"aws": access("eu-west-1"), "event_bus": "arn:aws:events:eu-west-1:123456789012:event-bus/orders"}),
            ),
        ] {
            assert_eq!(of(arn), Ok(json!({"provider": provider, "config": config})), "{arn}");
        }
    }

    #[test]
    fn what_no_subscription_can_deliver_to_is_refused() {
        for arn in [
            "orders",
            "arn:aws:sqs:eu-west-1:1:orders",
            "arn:aws:sqs:eu-west-1:123456789012:a/b",
            "arn:aws:sns:eu-west-1:123456789012:orders:7a8b",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/x:1",
            "arn:aws:lambda:eu-west-1:123456789012:layer:orders",
            "arn:aws:lambda:eu-west-1:123456789012:function:orders:a:b",
            "arn:aws:lambda:eu-west-1:123456789012:function:orders:",
            "arn:aws:events:eu-west-1:123456789012:rule/orders",
            "arn:aws:states:eu-west-1:123456789012:stateMachine:orders",
        ] {
            let refused = of(arn).expect_err(arn);
            assert!(refused.starts_with("arn is that of an SQS queue"), "{arn}: {refused}");
        }
        assert!(at(json!({}), json!({})).is_err());
    }

    #[test]
    fn a_role_is_taken_where_the_connection_says_so() {
        let target =
            json!({"arn": "arn:aws:sqs:eu-west-1:123456789012:orders", "role_arn": "arn:aws:iam::123456789012:role/r"});
        let ignored = at(json!({}), target.clone()).expect("a queue");
        assert_eq!(ignored["config"]["aws"].get("assume_role"), None);
        let assumed = at(json!({"roles": "assume"}), target).expect("a queue");
        assert_eq!(
            assumed["config"]["aws"]["assume_role"],
            json!({"role_arn": "arn:aws:iam::123456789012:role/r"})
        );
        let wrong = json!({"arn": "arn:aws:sqs:eu-west-1:123456789012:orders", "role_arn": "events"});
        assert!(at(json!({}), wrong).is_err());
    }

    #[test]
    fn an_endpoint_of_its_own_is_that_of_the_queue() {
        let target = json!({"arn": "arn:aws:sqs:eu-west-1:123456789012:orders"});
        let reached = at(json!({"endpoint": "http://localstack:4566/"}), target).expect("a queue");
        assert_eq!(reached["config"]["queue"], "http://localstack:4566/123456789012/orders");
    }
}
