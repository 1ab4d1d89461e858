//! Check 41: names with metacharacters never come in, so they can widen nothing and lead nowhere.

use super::*;
use crate::names::{EventTypeName, KeyId, Name};

const HOSTILE: [&str; 24] = [
    "",
    ".",
    "..",
    "../up",
    "..\\up",
    "/etc",
    "a/b",
    "a\\b",
    "%2e%2e",
    "a%00",
    "a\0",
    "a b",
    " a",
    "a ",
    ".*",
    "*",
    "a?",
    "[a]",
    "-a",
    "_a",
    "a\n",
    "a\u{202e}b",
    "\u{430}pple",
    "a\u{ff0e}b",
];

#[test]
fn check_41_no_resource_takes_a_name_with_metacharacters_look_alikes_or_ten_thousand_letters() {
    let long = "a".repeat(10_000);
    let mut installation = Installation::new();
    for name in HOSTILE.into_iter().chain([long.as_str(), &long[..201]]) {
        for kind in [
            ResourceKind::Bus,
            ResourceKind::Topic,
            ResourceKind::Connection,
            ResourceKind::Subscription,
        ] {
            let refusal = installation.put(kind, name, json!({})).unwrap_err();
            assert_eq!(refusal.code, "name_invalid", "{name:?}");
            assert!(refusal.detail.len() < 300, "a refusal does not repeat a long name");
        }
        assert!(Name::new(name).is_err() && KeyId::new(name).is_err(), "{name:?}");
    }
}

#[test]
fn check_41_an_event_type_is_visible_and_no_pattern() {
    let long = "a".repeat(256);
    let hostile = [
        "",
        ".",
        "..",
        "*",
        "a.*",
        " a",
        "a ",
        "a\tb",
        "a\0",
        "a\u{7f}",
        "a\u{200b}b",
        "a\u{202e}b",
        "\u{feff}a",
        "a\u{a0}b",
    ];
    for name in hostile.into_iter().chain([long.as_str()]) {
        assert!(EventTypeName::new(name).is_err(), "{name:?}");
    }
    for name in [
        "com.example.order.placed",
        "Order Placed",
        "https://example.com/t?x=1",
        "größe",
        "注文",
        &long[..255],
    ] {
        assert!(EventTypeName::new(name).is_ok(), "{name:?}");
    }
}

#[test]
fn check_41_names_of_other_resources_are_compared_whole_and_never_as_patterns() {
    let mut installation = Installation::furnished();
    for name in HOSTILE {
        for body in [
            json!({"connection": name}),
            json!({"connection": "crm", "topics": [name]}),
        ] {
            assert!(
                installation.put(ResourceKind::Subscription, "s", body).is_err(),
                "{name:?}"
            );
        }
        let change = Change {
            bus: name.to_owned(),
            ..change(ResourceKind::Topic, "t", Action::Put(json!({})))
        };
        assert_eq!(
            installation.change(&change).unwrap_err().code,
            "resource_not_found",
            "{name:?}"
        );
    }
}

#[test]
fn ordinary_names_are_names() {
    for name in ["a", "0", "orders", "A.b_c-d", "x..y", &"a".repeat(200)] {
        assert_eq!(Name::new(name).unwrap().as_str(), name);
    }
    assert!(KeyId::new("a.b").is_err(), "the dot ends the id in a token");
}
