//! The JSON format's rules, one table each.

use super::*;

fn decode(text: impl AsRef<[u8]>) -> Result<Event, Invalid> {
    decode_structured(&Bytes::copy_from_slice(text.as_ref()))
}

/// An event with these members beside the required ones.
fn decode_with(members: &str) -> Result<Event, Invalid> {
    decode(format!(
        r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t"{members}}}"#
    ))
}

#[track_caller]
fn refused(outcome: Result<Event, Invalid>, code: &str, attribute: &str) {
    let invalid = outcome.expect_err("it breaks a rule");
    assert_eq!(
        (invalid.code, invalid.attribute.as_str()),
        (code, attribute),
        "{invalid}"
    );
}

fn encode(event: &Event) -> String {
    let mut out = Vec::new();
    encode_structured(&event.view(), &mut out);
    String::from_utf8(out).expect("JSON is UTF-8")
}

#[test]
fn an_event_is_written_as_it_was_read() {
    let text = concat!(
        r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"a \"b\" é","time":"2026-01-31T12:00:00Z","#,
        r#""datacontenttype":"application/json","dataschema":"https://example.com/s#a","flag":true,"number":-7,"#,
        r#""text":"7","data":{ "b": 1.0e2,"a":[ "\ud83e\udd80" ] , "a":2}}"#
    );
    let event = decode(text).expect("it is valid");
    assert_eq!(encode(&event), text);
    assert_eq!(event.subject(), Some("a \"b\" é"));
    assert_eq!(event.extension("number"), Some("-7"));
    assert_eq!(event.extensions()[1].kind, AttributeKind::Integer);
    let names: Vec<&str> = event.attributes().map(|(name, _)| name).collect();
    let expected = [
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "datacontenttype",
        "dataschema",
    ];
    assert_eq!(names[..8], expected);
    assert_eq!(names[8..], ["flag", "number", "text"]);
}

#[test]
fn every_required_attribute_is_required() {
    for name in ["specversion", "id", "source", "type"] {
        let whole = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;
        let renamed = whole.replacen(&format!("\"{name}\""), "\"other\"", 1);
        refused(decode(renamed), codes::ATTRIBUTE_MISSING, name);
        let value = if name == "specversion" {
            "1.0"
        } else {
            &whole[whole.find(name).expect("it is there") + name.len() + 3..]
        };
        let value = &value[..value.find('"').unwrap_or(value.len())];
        for blank in ["\"\"", "null"] {
            let blanked = whole.replacen(&format!("\"{name}\":\"{value}\""), &format!("\"{name}\":{blank}"), 1);
            refused(decode(blanked), codes::ATTRIBUTE_MISSING, name);
        }
    }
}

#[test]
fn another_version_is_refused() {
    for version in ["0.3", "1.1", "1", "2.0", " 1.0"] {
        let text = format!(r#"{{"specversion":"{version}","id":"1","source":"/s","type":"t"}}"#);
        refused(decode(text), codes::SPECVERSION_UNSUPPORTED, "specversion");
    }
}

#[test]
fn attributes_keep_their_rules() {
    let broken = [
        (r#","time":"yesterday""#, "time"),
        (r#","time":5"#, "time"),
        (r#","subject":"""#, "subject"),
        (r#","subject":true"#, "subject"),
        (r#","subject":["a"]"#, "subject"),
        (r#","subject":"a\r\nb""#, "subject"),
        (r#","subject":"\u0000""#, "subject"),
        (r#","subject":"\ud800""#, "subject"),
        (r#","datacontenttype":"json""#, "datacontenttype"),
        (r#","dataschema":"/relative""#, "dataschema"),
        (r#","my-ext":"x""#, "my-ext"),
        (r#","Upper":"x""#, "Upper"),
        (r#","":"x""#, ""),
        (r#","a\nb":"x""#, "a\u{fffd}b"),
        (r#","ext":2147483648"#, "ext"),
        (r#","ext":1.5"#, "ext"),
        (r#","ext":1e3"#, "ext"),
        (r#","ext":{}"#, "ext"),
        (r#","ext":[]"#, "ext"),
        (r#","ext":"\ufdd0""#, "ext"),
        (r#","ext":"a","ext":"a""#, "ext"),
        (r#","ext":null,"\u0065xt":"a""#, "ext"),
        (r#","id":"2""#, "id"),
    ];
    for (members, attribute) in broken {
        refused(decode_with(members), codes::ATTRIBUTE_INVALID, attribute);
    }
    let fine = [
        r#","ext":-2147483648"#,
        r#","ext":"""#,
        r#","ext":false"#,
        r#","subject":null,"ext":null"#,
    ];
    for members in fine {
        decode_with(members).unwrap_or_else(|invalid| panic!("{members}: {invalid}"));
    }
}

#[test]
fn data_is_json_text_or_bytes() {
    let expected = [
        (
            r#","data":{"a":1}"#,
            Some(("{\"a\":1}", DataForm::Json)),
            Some("application/json"),
        ),
        (
            r#","data":"text""#,
            Some(("\"text\"", DataForm::Json)),
            Some("application/json"),
        ),
        (
            r#","datacontenttype":"text/xml","data":"<a>\n</a>""#,
            Some(("<a>\n</a>", DataForm::Text)),
            Some("text/xml"),
        ),
        (
            r#","datacontenttype":"text/xml","data":[1]"#,
            Some(("[1]", DataForm::Json)),
            Some("text/xml"),
        ),
        (
            r#","datacontenttype":"a/b+json","data":"x""#,
            Some(("\"x\"", DataForm::Json)),
            Some("a/b+json"),
        ),
        (r#","data_base64":"aGk=""#, Some(("hi", DataForm::Binary)), None),
        (
            r#","data":null,"data_base64":"aGk=""#,
            Some(("hi", DataForm::Binary)),
            None,
        ),
        (
            r#","datacontenttype":"application/json","data_base64":"eyJhIjoxfQ==""#,
            Some(("{\"a\":1}", DataForm::Json)),
            Some("application/json"),
        ),
        (
            r#","datacontenttype":"application/json","data_base64":"aGk=""#,
            Some(("hi", DataForm::Binary)),
            Some("application/json"),
        ),
        (r#","data":null"#, None, None),
        ("", None, None),
    ];
    for (members, data, media_type) in expected {
        let event = decode_with(members).unwrap_or_else(|invalid| panic!("{members}: {invalid}"));
        let found = event
            .data()
            .map(|data| (std::str::from_utf8(&data.bytes).expect("text"), data.form));
        assert_eq!((found, event.data_content_type()), (data, media_type), "{members}");
        assert_eq!(
            decode(encode(&event)).expect("what is written is valid"),
            event,
            "{members}"
        );
    }
    refused(
        decode_with(r#","data":1,"data_base64":"aGk=""#),
        codes::DATA_INVALID,
        "data",
    );
    for broken in ["\"aGk\"", "\"a b\"", "\"_-==\""] {
        refused(
            decode_with(&format!(",\"data_base64\":{broken}")),
            codes::DATA_INVALID,
            "data_base64",
        );
    }
    refused(
        decode_with(r#","datacontenttype":"a/b","data":"\udfff""#),
        codes::DATA_INVALID,
        "data",
    );
}

#[test]
fn json_data_is_the_very_bytes_of_the_body() {
    let body = Bytes::from_static(br#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data": {"a":1} }"#);
    let event = decode_structured(&body).expect("it is valid");
    assert_eq!(event.data().expect("it has data").bytes.as_ptr(), body[63..].as_ptr());
}

#[test]
fn what_is_not_an_event_is_refused() {
    for text in [
        "",
        " ",
        "5",
        "[]",
        "\"\"",
        "{",
        "{}x",
        "{\"a\"}",
        "{\"a\":01}",
        "nul",
        "{'a':1}",
        "\u{feff}{}",
    ] {
        refused(decode(text), codes::BODY_INVALID, "body");
    }
    refused(decode(b"{\"id\":\"\xff\"}"), codes::BODY_INVALID, "body");
    refused(decode("{\"id\":\"a\nb\"}"), codes::BODY_INVALID, "body");
    let many: String = (0..5_000).map(|n| format!(",\"e{n}\":1")).collect();
    refused(decode_with(&many), codes::BODY_INVALID, "body");
}

#[test]
fn depth_is_bounded_without_recursion() {
    let nested = |depth: usize| format!(",\"data\":{}{}", "[".repeat(depth), "]".repeat(depth));
    refused(
        decode_with(&nested(limits::JSON_DEPTH_MAX + 1)),
        codes::BODY_INVALID,
        "body",
    );
    refused(decode("{\"a\":".repeat(1_000_000)), codes::BODY_INVALID, "body");
    assert!(check("[".repeat(1_000_000).as_bytes()).is_err());
    assert!(check(format!("\"{}\"", "[".repeat(1_000)).as_bytes()).is_ok());
}

/// What surrounds the data does not count: the deepest data there may be goes through every mode and back.
#[test]
fn the_deepest_data_survives_every_mode() {
    let deepest = "[".repeat(limits::JSON_DEPTH_MAX) + &"]".repeat(limits::JSON_DEPTH_MAX);
    assert!(check(deepest.as_bytes()).is_ok() && check(format!("[{deepest}]").as_bytes()).is_err());
    let event = decode_with(&format!(",\"data\":{deepest}")).expect("it fits");
    let (mut structured, mut batch) = (Vec::new(), Vec::new());
    encode_structured(&event.view(), &mut structured);
    encode_batch([&event.view()], &mut batch);
    let again = decode_structured(&structured.into()).expect("what we write can be read");
    let batch = decode_batch(&batch.into()).expect("what we write can be read");
    assert_eq!(again.data().map(|data| &data.bytes[..]), Some(deepest.as_bytes()));
    assert!(matches!(&batch[..], [Ok(event)] if event.data() == again.data()));
    let deeper = format!("[{{\"data\":[{deepest}]}}]");
    assert!(decode_batch(&deeper.into()).is_err());
}

#[test]
fn sizes_are_bounded() {
    let data = "x".repeat(limits::EVENT_DATA_BYTES_MAX - 2);
    assert!(decode_with(&format!(",\"data\":\"{data}\"")).is_ok());
    refused(decode_with(&format!(",\"data\":\"{data}x\"")), codes::TOO_LARGE, "data");
    let value = "x".repeat(limits::EVENT_ATTRIBUTES_BYTES_MAX);
    refused(
        decode_with(&format!(",\"ext\":\"{value}\"")),
        codes::TOO_LARGE,
        "attributes",
    );
    assert!(decode_with(&format!(",\"ext\":\"{}\"", &value[100..])).is_ok());
}

#[test]
fn a_batch_says_which_entries_are_wrong() {
    let good = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":[1]}"#;
    let body = Bytes::from(format!("[{good}, 5, {{}},{good}]"));
    let entries = decode_batch(&body).expect("the batch is an array");
    let fine: Vec<bool> = entries.iter().map(Result::is_ok).collect();
    assert_eq!(fine, [true, false, false, true]);
    let events: Vec<Event> = entries.into_iter().flatten().collect();
    let views: Vec<EventView<'_>> = events.iter().map(Event::view).collect();
    let mut out = Vec::new();
    encode_batch(&views, &mut out);
    let again = decode_batch(&Bytes::from(out)).expect("what is written is valid");
    assert_eq!(again.into_iter().flatten().collect::<Vec<_>>(), events);
    assert_eq!(
        decode_batch(&Bytes::from_static(b" [ ] "))
            .expect("an empty batch is one")
            .len(),
        0
    );
}

#[test]
fn a_batch_is_bounded_as_a_whole() {
    let code = |body: String| decode_batch(&Bytes::from(body)).expect_err("it is refused").code;
    for body in ["", "{}", "[{}", "[{},]", "null"] {
        assert_eq!(code(body.to_owned()), codes::BODY_INVALID, "{body}");
    }
    let of = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
    assert_eq!(
        decode_batch(&Bytes::from(of(limits::BATCH_EVENTS_MAX)))
            .expect("it fits")
            .len(),
        1_000
    );
    assert_eq!(code(of(limits::BATCH_EVENTS_MAX + 1)), codes::BATCH_TOO_LARGE);
    assert_eq!(code(" ".repeat(limits::BATCH_BYTES_MAX + 1)), codes::BATCH_TOO_LARGE);
}

#[test]
fn data_that_belies_its_form_goes_out_as_base64() {
    let headers: [(&str, Option<&[u8]>); 5] = [
        ("ce_specversion", Some(b"1.0")),
        ("ce_id", Some(b"1")),
        ("ce_source", Some(b"/s")),
        ("ce_type", Some(b"t")),
        ("content-type", Some(b"application/json")),
    ];
    let view = EventView::from_record(headers.into_iter(), Some(b"{\"a\":1},\"id\":2")).expect("it is an event");
    let mut out = Vec::new();
    encode_structured(&view, &mut out);
    let event = decode(&out).expect("the message is not broken");
    assert_eq!(event.data().map(|data| data.form), Some(DataForm::Binary));
    assert_eq!(event.id(), "1");
}

/// What is read with care is read the same.
#[test]
fn a_batch_is_the_same_however_it_is_read() {
    let good = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":["]",{"b":"\\\""}]}}"#;
    let bad = r#"{"specversion":"1.0","id":"1","source":"/s"}"#;
    let batches = [
        format!("[{good}]"),
        format!(" [ {good} ,\n\t{bad}\r, {good} ] "),
        format!("[{good},5]"),
        format!("[{good},{good}"),
        format!("[{good},]"),
        format!("[{good}]x"),
        format!("[{good} {good}]"),
        format!("[\u{c}{good}]"),
        format!("[{good},{{\"a\":tru}}]"),
        format!("[{good},{{\"\\ud800\":1}}]"),
        format!("[{good}}}"),
        "[]".to_owned(),
        good.to_owned(),
    ];
    for batch in batches {
        let body = Bytes::from(batch.clone());
        let text = std::str::from_utf8(&body).expect("text");
        assert_eq!(decode_batch(&body), decode_entries(&body, text, &event_of), "{batch}");
    }
    let several = Bytes::from(format!("[{good},{bad}]"));
    let entries = decode_batch(&several).expect("it is JSON");
    assert!(entries[0].is_ok() && entries[1].is_err());
    assert!(decode_objects(&several, std::str::from_utf8(&several).expect("text"), &event_of).is_some());
}
