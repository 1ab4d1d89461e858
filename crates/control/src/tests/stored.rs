//! Golden texts of the stored documents. Persisted: a change here is a new format that must read this one too.

use super::*;

fn stored(installation: &Installation, bus: BusId, kind: Kind, name: &str) -> String {
    let document = &installation.documents[&(bus, kind, name.to_owned())];
    String::from_utf8(document.body.to_vec()).unwrap()
}

#[test]
fn a_new_installation_has_the_default_bus_with_its_topic_and_the_settings() {
    let installation = Installation::new();
    let names: Vec<_> = installation
        .documents
        .keys()
        .map(|(bus, kind, name)| (*bus, *kind, name.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            (0, Kind::Bus, "default"),
            (0, Kind::Setting, "counters"),
            (0, Kind::Setting, "fingerprint-key"),
            (1, Kind::Topic, "events")
        ]
    );
    assert_eq!(
        stored(&installation, 0, Kind::Bus, "default"),
        r#"{"format":1,"id":1,"spec":{"unknown_types":"accept"}}"#
    );
    assert_eq!(
        stored(&installation, 1, Kind::Topic, "events"),
        r#"{"format":1,"id":1,"spec":{"partitions":12,"retention":{"age":"7d","bytes":null}}}"#
    );
    assert_eq!(
        stored(&installation, 0, Kind::Setting, "counters"),
        r#"{"format":1,"bus":2,"topic":2,"subscription":1}"#
    );
    assert!(bootstrap(&installation.model, &installation.sealer).unwrap().is_none());
}

#[test]
fn the_stored_forms_are_these() {
    let mut installation = Installation::furnished();
    let event_type = json!({"owner": "checkout", "routes": [{"topic": "orders", "key": "order.id"}], "tags": ["pii"]});
    installation
        .put(ResourceKind::EventType, "order.placed", event_type)
        .unwrap();
    installation
        .put(
            ResourceKind::Bus,
            "shop",
            json!({"eventbridge": {"source": "shop.example.com"}}),
        )
        .unwrap();
    assert_eq!(
        stored(&installation, 0, Kind::Bus, "shop"),
        r#"{"format":1,"id":2,"spec":{"unknown_types":"accept","eventbridge":{"source":"shop.example.com"}}}"#
    );
    let key = Action::CreateKey {
        body: json!({"scopes": ["administer"], "publish": null}),
        token: token("admin"),
    };
    installation.change(&change(ResourceKind::Key, "admin", key)).unwrap();
    assert_eq!(
        stored(&installation, 1, Kind::EventType, "order.placed"),
        r#"{"format":1,"spec":{"owner":"checkout","lifecycle":"stable","routes":[{"topic":"orders","key":"order.id"}],"tags":["pii"]}}"#
    );
    assert_eq!(
        stored(&installation, 1, Kind::Subscription, "to-crm"),
        concat!(
            r#"{"format":1,"id":1,"created":1800000000000,"spec":{"topics":["orders"],"connection":"crm","#,
            r#""target":{},"delivery":{"ordering":"none","concurrency":16,"timeout":"15s","retry":"#,
            r#"{"schedule":["0s","5s","30s","2m","10m","30m","1h","3h","6h","12h"],"age":"1d"}},"start":"now"}}"#
        )
    );
    assert_eq!(
        stored(&installation, 0, Kind::Key, "admin"),
        concat!(
            r#"{"format":2,"created":1800000000000,"secrets":[{"sha256":"Zmh6rfhivXdsj8GLjp+OIAiXFIVu4jOzkCpZHQ1fKSU=","#,
            r#""created":1800000000000}],"spec":{"scopes":["administer"]}}"#
        )
    );
    let mut connection: Value = serde_json::from_str(&stored(&installation, 1, Kind::Connection, "crm")).unwrap();
    let sealed = connection
        .pointer_mut("/spec/config/signing/secrets/0/sealed")
        .unwrap()
        .take();
    assert!(sealed.as_str().unwrap().len() > 40);
    assert_eq!(
        connection.to_string(),
        concat!(
            r#"{"format":1,"spec":{"provider":"webhook","config":{"url":"https://crm.example/hook","#,
            r#""signing":{"style":"standard-webhooks","secrets":[{"sealed":null}]}}}}"#
        )
    );
}

#[test]
fn a_document_of_an_unknown_format_or_without_its_bus_is_told() {
    let document = |bus, body: &'static [u8]| Document {
        bus,
        kind: Kind::Topic,
        name: "t".to_owned(),
        version: 1,
        body: bytes::Bytes::from_static(body),
    };
    let told = |document| Model::load(&[document]).unwrap_err().to_string();
    assert_eq!(
        told(document(1, br#"{"format":2}"#)),
        r#"load Topic "t" of bus 1: its format is 2; this program knows 1"#
    );
    assert_eq!(
        told(document(1, br#"{"format":1,"id":1,"spec":{}}"#)),
        r#"load Topic "t" of bus 1: its bus is not stored"#
    );
    assert!(told(document(1, b"{")).starts_with(r#"load Topic "t" of bus 1: EOF"#));
}

/// Keys of format 1 mean what they meant: `manage` for all buses was what `administer` is.
#[test]
fn keys_of_the_first_format_are_read() {
    let load = |spec: &str| {
        let body = format!(
            r#"{{"format":1,"created":5,"secret_sha256":"Zmh6rfhivXdsj8GLjp+OIAiXFIVu4jOzkCpZHQ1fKSU=","spec":{spec}}}"#
        );
        let document = Document {
            bus: 0,
            kind: Kind::Key,
            name: "old".to_owned(),
            version: 3,
            body: body.into(),
        };
        let model = Model::load(&[document]).unwrap();
        let bearer = token("old").expose();
        assert!(crate::authenticate(&model, &bearer, NOW).is_ok());
        let scopes = model.keys["old"].spec.scopes.iter();
        scopes.map(|scope| scope.word()).collect::<Vec<_>>()
    };
    assert_eq!(load(r#"{"scopes":["manage","publish"]}"#), ["administer", "publish"]);
    assert_eq!(load(r#"{"scopes":["publish"]}"#), ["publish"]);
    assert_eq!(load(r#"{"buses":["default"],"scopes":["manage"]}"#), ["manage"]);
}
