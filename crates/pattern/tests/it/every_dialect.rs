//! Filters of every dialect in one matcher: the answer for the set is the answer for each.

use std::sync::Arc;

use pattern::{Data, Dialect, Document, Filter, Matcher, Mounts, Scratch, explain};
use proptest::prelude::*;

/// One filter of some dialect.
#[derive(Debug, Clone, Copy)]
enum Written {
    EventBridge(&'static str),
    Cesql(&'static str),
    CloudEvents(&'static str),
    EventGrid(&'static str),
    JsonPath(&'static str),
    Types(&'static [&'static str]),
}

/// Filters that the events below tell apart.
const FILTERS: [Written; 24] = [
    Written::EventBridge(r#"{"detail-type": ["order.placed"]}"#),
    Written::EventBridge(r#"{"detail": {"status": ["paid", {"prefix": "op"}]}}"#),
    Written::EventBridge(r#"{"detail": {"items": {"n": [1], "m": [{"exists": false}]}}}"#),
    Written::EventBridge(r#"{"detail": {"total": [{"numeric": [">", 10]}]}, "source": [{"suffix": "shop"}]}"#),
    Written::EventBridge(r#"{"detail": {"status": [{"anything-but": "paid"}]}}"#),
    Written::Cesql("type = 'order.placed' AND hop > 3"),
    Written::Cesql("type IN ('order.placed', 'order.paid') OR subject = 'x'"),
    Written::Cesql("NOT EXISTS subject"),
    Written::Cesql("subject LIKE '%x%' XOR flag"),
    Written::Cesql("data.total > 10 AND data.status = 'paid'"),
    Written::Cesql("INT(subject) = 5"),
    Written::CloudEvents(r#"[{"exact": {"type": "order.placed", "hop": "5"}}]"#),
    Written::CloudEvents(
        r#"[{"not": {"prefix": {"subject": "x"}}}, {"any": [{"suffix": {"type": "paid"}}, {"sql": "flag"}]}]"#,
    ),
    Written::CloudEvents(
        r#"[{"all": [{"any": [{"exact": {"subject": "x"}}, {"exact": {"subject": "5"}}]}, {"prefix": {"type": "order"}}]}]"#,
    ),
    Written::EventGrid(r#"{"includedEventTypes": ["order.placed"], "subjectBeginsWith": "X"}"#),
    Written::EventGrid(
        r#"{"advancedFilters": [{"operatorType": "NumberGreaterThan", "key": "data.total", "value": 10}]}"#,
    ),
    Written::EventGrid(
        r#"{"advancedFilters": [{"operatorType": "StringNotIn", "key": "data.status", "values": ["paid"]}]}"#,
    ),
    Written::JsonPath("$.items[?@.n == 1]"),
    Written::JsonPath("$[?@ == 'paid']"),
    Written::Types(&["order.*"]),
    Written::Types(&["*.paid", "order.placed"]),
    Written::EventBridge(r#"{"$or": [{"detail": {"total": [12]}}, {"detail-type": ["order.paid"]}]}"#),
    Written::Cesql("TRUE"),
    Written::Cesql("data.items.n = 1"),
];

impl Written {
    fn compiled(self) -> Filter {
        let mounts = Mounts::builder()
            .mount("detail", "/data")
            .mount("detail-type", "/attr/type")
            .mount("source", "/attr/source")
            .mount("data", "/data")
            .mount("type", "/attr/type")
            .mount("subject", "/attr/subject")
            .build();
        let compiled = match self {
            Written::EventBridge(text) => Filter::eventbridge(text.as_bytes(), &mounts),
            Written::Cesql(text) => Filter::cesql(text, Dialect::Extended),
            Written::CloudEvents(text) => Filter::cloudevents(text.as_bytes(), Dialect::Standard),
            Written::EventGrid(text) => Filter::eventgrid(text.as_bytes(), &mounts),
            Written::JsonPath(text) => Filter::jsonpath(text),
            Written::Types(types) => Filter::types(types),
        };
        compiled.unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }
}

#[derive(Debug, Clone)]
struct Event {
    name: &'static str,
    subject: Option<&'static str>,
    hop: Option<&'static str>,
    flag: Option<&'static str>,
    data: Option<&'static str>,
}

impl Event {
    fn document(&self) -> Document<'_> {
        let mut document = Document::new()
            .text("/attr/type", self.name)
            .text("/attr/source", "/shop");
        if let Some(subject) = self.subject {
            document = document.text("/attr/subject", subject);
        }
        if let Some(hop) = self.hop {
            document = document.integer("/attr/hop", hop);
        }
        if let Some(flag) = self.flag {
            document = document.boolean("/attr/flag", flag);
        }
        document.data(self.data.map_or(Data::Absent, |data| Data::Json(data.as_bytes())))
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    let data = vec![
        r#"{"status": "paid", "total": 12}"#,
        r#"{"status": "open", "total": 3, "items": [{"n": 1}, {"n": 2, "m": 3}]}"#,
        r#"{"items": [{"n": 1}]}"#,
        r#"{"status": ["paid", "x"], "total": "12"}"#,
        r#"{"status": "paid", "#,
        "5",
    ];
    (
        proptest::sample::select(vec!["order.placed", "order.paid", "other"]),
        proptest::option::of(proptest::sample::select(vec!["x", "xyz", "5", "05"])),
        proptest::option::of(proptest::sample::select(vec!["5", "2"])),
        proptest::option::of(proptest::sample::select(vec!["true", "false"])),
        proptest::option::of(proptest::sample::select(data)),
    )
        .prop_map(|(name, subject, hop, flag, data)| Event {
            name,
            subject,
            hop,
            flag,
            data,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn filters_of_all_dialects_do_not_disturb_each_other(
        chosen in proptest::sample::subsequence((0..FILTERS.len()).collect::<Vec<_>>(), 1..FILTERS.len()),
        all_of in proptest::sample::subsequence((0..FILTERS.len()).collect::<Vec<_>>(), 1..3),
        events in proptest::collection::vec(any_event(), 1..8),
    ) {
        let both = Filter::all_of(all_of.iter().map(|index| FILTERS[*index].compiled()).collect());
        let mut filters: Vec<Arc<Filter>> = chosen.iter().map(|index| Arc::new(FILTERS[*index].compiled())).collect();
        filters.push(Arc::new(both));
        let matcher = Matcher::build((0u32..).zip(filters.iter().cloned()));
        let mut scratch = Scratch::new();
        for event in &events {
            let document = event.document();
            let mut out = Vec::new();
            matcher.matches(&document, &mut scratch, &mut out);
            let alone: Vec<u32> = (0u32..).zip(&filters).filter(|(_, filter)| filter.matches(&document)).map(|(id, _)| id).collect();
            prop_assert_eq!(&out, &alone, "{:?} {:?} and {:?} about {:?}", chosen, all_of, filters.len(), event);
            for (id, filter) in (0u32..).zip(&filters) {
                prop_assert_eq!(explain(filter, &document).matched, alone.contains(&id), "{} explained about {:?}", id, event);
            }
        }
    }
}
