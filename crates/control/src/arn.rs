//! Amazon Resource Names: their parts, and patterns of them. What a part means its service knows.

use crate::limits;

/// Digits of an account.
const ACCOUNT_DIGITS: usize = 12;

/// `arn:partition:service:region:account:resource`, of characters that cannot be taken for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arn<'a> {
    /// The service, as signatures name it.
    pub service: &'a str,
    /// The region; empty where the service has none.
    pub region: &'a str,
    /// The account; empty where the service says none.
    pub account: &'a str,
    /// What it names, never empty.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// The parts of a text; `None`: it is no ARN.
    pub fn parse(text: &'a str) -> Option<Self> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b":/-_.+=@,$".contains(&byte);
        if text.len() > limits::AWS_NAME_BYTES_MAX || !text.bytes().all(legal) {
            return None;
        }
        let mut parts = text.splitn(6, ':');
        let (prefix, partition) = (parts.next()?, parts.next()?);
        let (service, region, account) = (parts.next()?, parts.next()?, parts.next()?);
        let resource = parts.next().filter(|resource| !resource.is_empty())?;
        (prefix == "arn" && partition.starts_with("aws")).then_some(Self {
            service,
            region,
            account,
            resource,
        })
    }

    /// Whether it says a region and an account in full, as the ARN of a queue, a topic, a stream, a function or a bus does.
    pub fn is_placed(&self) -> bool {
        is_region(self.region)
            && self.account.len() == ACCOUNT_DIGITS
            && self.account.bytes().all(|byte| byte.is_ascii_digit())
    }
}

/// A region is part of host names.
pub(crate) fn is_region(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=limits::AWS_REGION_BYTES_MAX).contains(&text.len()) && text.bytes().all(legal)
}

/// Whether a text is one that a pattern stands for; `*` stands for any characters.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut left) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        // With stars alone the first place is as good as any.
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.len() >= last.len() && left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_has_six_parts() {
        let arn = Arn::parse("arn:aws:lambda:eu-west-1:123456789012:function:orders:live").expect("an ARN");
        assert_eq!(
            (arn.service, arn.region, arn.account, arn.resource),
            ("lambda", "eu-west-1", "123456789012", "function:orders:live")
        );
        assert!(arn.is_placed());
        for text in [
            "",
            "arn:aws:sqs",
            "arn:aws:sqs:eu-west-1:123456789012:",
            "arn:gcp:sqs:eu-west-1:123456789012:orders",
            "urn:aws:sqs:eu-west-1:123456789012:orders",
            "arn:aws:sqs:eu-west-1:123456789012:or ders",
            "arn:aws:sqs:eu-west-1:123456789012:аdmin",
        ] {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
        for text in [
            "arn:aws:sqs::123456789012:orders",
            "arn:aws:sqs:eu-west-1:1:orders",
            "arn:aws:sqs:EU:123456789012:orders",
        ] {
            assert!(!Arn::parse(text).expect("an ARN").is_placed(), "{text}");
        }
    }

    #[test]
    fn a_star_stands_for_any_characters_and_everything_else_for_itself() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "arn:aws:sqs:r:1:q", true),
            ("arn:aws:sqs:*", "arn:aws:sqs:r:1:q", true),
            ("arn:aws:sqs:*:1:q", "arn:aws:sqs:r:1:q", true),
            ("arn:aws:sqs:*:1:*", "arn:aws:sqs:r:2:q", false),
            ("arn:aws:sqs:*:1:q", "arn:aws:sqs:r:1:q2", false),
            ("a*a", "a", false),
            ("a*ba", "abba", true),
            ("arn:.*", "arn:aws", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
