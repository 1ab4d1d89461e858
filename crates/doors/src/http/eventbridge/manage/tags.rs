//! Tags of rules and event buses.

use super::{
    super::{asked::Asked, fault::Fault, names},
    changing::annotate,
    record::{self, BUS, BusRecord, ITSELF, RULE, Tag, Tags},
    rules::{self, Rule},
    target::named_in,
};
use control::resources::{Annotations, Scope};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

/// What has tags.
enum Thing<'a> {
    Bus(&'a str),
    Rule(&'a str, &'a str),
}

impl Input {
    fn thing(&self) -> Result<Thing<'_>, Fault> {
        let arn = record::required(self.resource_arn.as_ref(), "resourceARN")?;
        match named_in(arn) {
            Some((names::EVENT_BUS, bus)) => Ok(Thing::Bus(bus)),
            Some((RULE, place)) => {
                let (bus, rule) = rules::place(place);
                Ok(Thing::Rule(bus, rule))
            }
            _ => Err(Fault::constraint(
                arn,
                "resourceARN",
                "Member must be the ARN of a rule or an event bus",
            )),
        }
    }
}

impl Thing<'_> {
    fn bus(&self) -> &str {
        match self {
            Self::Bus(bus) | Self::Rule(bus, _) => bus,
        }
    }

    fn tags(&self, annotations: &Annotations) -> Result<Tags, Fault> {
        match self {
            Self::Bus(_) => Ok(self.bus_record(annotations).tags),
            Self::Rule(..) => Ok(self.rule(annotations)?.tags),
        }
    }

    fn bus_record(&self, annotations: &Annotations) -> BusRecord {
        record::get(annotations, BUS, ITSELF).unwrap_or_default()
    }

    fn rule(&self, annotations: &Annotations) -> Result<Rule, Fault> {
        let Self::Rule(bus, rule) = self else {
            return Err(Fault::not_found("There is no such rule."));
        };
        let missing = || Fault::not_found(format!("Rule {rule} does not exist on EventBus {bus}."));
        record::get(annotations, RULE, rule).ok_or_else(missing)
    }

    fn set(&self, annotations: &mut Annotations, tags: Tags) -> Result<(), Fault> {
        match self {
            Self::Bus(_) => {
                let kept = BusRecord {
                    tags,
                    ..self.bus_record(annotations)
                };
                record::put(annotations, BUS, ITSELF, &kept);
            }
            Self::Rule(_, name) => {
                let rule = Rule {
                    tags,
                    ..self.rule(annotations)?
                };
                record::put(annotations, RULE, name, &rule);
            }
        }
        Ok(())
    }
}

/// `ListTagsForResource`.
pub(in super::super) async fn list(asked: &Asked) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    let thing = input.thing()?;
    let bus = asked.bus(Some(thing.bus()), Scope::Read)?;
    Ok(json!({"Tags": record::listed(&thing.tags(&bus.spec.annotations)?)}))
}

/// `TagResource`.
pub(in super::super) async fn tag(asked: &Asked) -> Result<Value, Fault> {
    change(asked, |tags, input| record::tagged(tags, &input.tags)).await
}

/// `UntagResource`.
pub(in super::super) async fn untag(asked: &Asked) -> Result<Value, Fault> {
    change(asked, |mut tags, input| {
        tags.retain(|key, _| !input.tag_keys.contains(key));
        Ok(tags)
    })
    .await
}

async fn change(asked: &Asked, edit: fn(Tags, &Input) -> Result<Tags, Fault>) -> Result<Value, Fault> {
    let input: Input = asked.input()?;
    let thing = input.thing()?;
    let bus = asked.bus(Some(thing.bus()), Scope::Subscribe)?;
    annotate(asked, &bus.name, |annotations| {
        let tags = edit(thing.tags(annotations)?, &input)?;
        thing.set(annotations, tags)
    })
    .await?;
    Ok(json!({}))
}
