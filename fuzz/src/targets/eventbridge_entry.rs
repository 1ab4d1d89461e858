//! EventBridge's entries: source, detail type, detail, time, trace header and resources, each on a line.

use super::{Target, ending, outline, texts};
use event::eventbridge::{Entry, REGION_DEFAULT, epoch_of, time_of_epoch};

pub(super) const TARGET: Target = Target {
    name: "eventbridge_entry",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(input) else { return 0 };
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (source, detail_type, detail, time, trace) = (line(), line(), line(), line(), line());
    if let Some(time) = time_of_epoch(time) {
        let again = epoch_of(&time).expect("a time that was written is one");
        assert_eq!(time_of_epoch(&again), Some(time), "a time comes back");
    }
    let given = Entry {
        source: source.into(),
        detail_type: detail_type.into(),
        detail: detail.into(),
        time: time_of_epoch(time).map(Into::into),
        resources: lines.map(Into::into).collect(),
        trace_header: (!trace.is_empty()).then(|| trace.into()),
        account: None,
        region: Some(REGION_DEFAULT.into()),
    };
    match given.clone().into_event("id") {
        Err(invalid) => ending(&(invalid.attribute, invalid.code, outline(&invalid.rule))),
        Ok(event) => {
            let view = event.view();
            let back = Entry::of(&view).expect("its detail is an object");
            // The usual region is not written.
            let region = Some(REGION_DEFAULT.into());
            assert_eq!(Entry { region, ..back }, given, "an entry comes back");
            ending(&(event.extensions().len(), event.source() == source, event.time().is_some()))
        }
    }
}

fn samples() -> Vec<Vec<u8>> {
    texts(&[
        "com.example.shop\nOrder Placed\n{\"total\": 5}\n1700000000.123",
        "my shop %2\nt\n{}\n1.7e9\nRoot=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1\narn:aws:s3:::b\n\"",
        "http://[::1]/x\n\u{e9}\n {\"a\": [{\"b\": null}]} \n0\nParent=1;Root=2",
    ])
}
