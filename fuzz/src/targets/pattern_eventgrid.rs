//! Event Grid filters and the data they are asked about: a filter, a line feed, a JSON text.

use super::{Target, ending, halves, pattern::asked, texts};
use pattern::{Data, Document, Filter, Mounts};

pub(super) const TARGET: Target = Target {
    name: "pattern_eventgrid",
    run,
    samples,
};

fn run(input: &[u8]) -> u64 {
    let (json, data) = halves(input, "\n");
    let mounts = Mounts::builder()
        .mount("data", "/data")
        .mount("type", "/attr/type")
        .build();
    let mounted = Document::new()
        .text("/attr/type", "Order.Placed")
        .text("/attr/subject", "/orders/1")
        .data(Data::Json(data));
    let answers = [(Mounts::bare(), Document::bare(data)), (mounts, mounted)].map(|(mounts, document)| {
        let filter = Filter::eventgrid(json, &mounts).map_err(|error| {
            assert!(error.position <= json.len());
            (error.code as u8, (error.message.len() / 16).min(8))
        })?;
        Ok::<_, (u8, usize)>(asked(filter, &document, data))
    });
    ending(&answers)
}

fn samples() -> Vec<Vec<u8>> {
    texts(&[
        "{\"includedEventTypes\":[\"Order.Placed\"],\"subjectBeginsWith\":\"/Orders\",\"isSubjectCaseSensitive\":false}\n{}",
        "{\"advancedFilters\":[{\"operatorType\":\"NumberInRange\",\"key\":\"data.a\",\"values\":[[1,2.5],[-3e2,4]]},{\"operatorType\":\"StringContains\",\"key\":\"Subject\",\"values\":[\"ORD\"]}]}\n{\"a\":1.50}",
        "{\"enableAdvancedFilteringOnArrays\":true,\"advancedFilters\":[{\"operatorType\":\"StringNotIn\",\"key\":\"data.a.b\",\"values\":[\"x\",\"\u{e9}\"]},{\"operatorType\":\"IsNotNull\",\"key\":\"data.a\"}]}\n{\"a\":{\"b\":[\"y\",1,null]}}",
        "{\"advancedFilters\":[{\"operatorType\":\"BoolEquals\",\"key\":\"data.t\",\"value\":true},{\"operatorType\":\"NumberNotIn\",\"key\":\"data.n\",\"values\":[5,12345678901234567890]},{\"operatorType\":\"IsNullOrUndefined\",\"key\":\"tier\"}]}\n{\"t\":true,\"n\":12345678901234567890.0}",
    ])
}
