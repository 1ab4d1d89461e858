//! The slow, obvious matcher: a tree, a list of fields, and every choice tried. It knows no index, no compiled form and no bytes.

use std::net::IpAddr;

/// An event, duplicate keys and number spellings included.
#[derive(Debug, Clone)]
pub enum Json {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// A spelling and its value; none when only the spelling counts.
pub type Number = (&'static str, Option<f64>);

/// Members in the order of the text.
pub type Pattern = Vec<(String, Node)>;

#[derive(Debug, Clone)]
pub enum Node {
    Tests(Vec<Test>),
    Object(Pattern),
    Or(Vec<Pattern>),
}

#[derive(Debug, Clone)]
pub enum Test {
    Value(Json),
    Prefix(String),
    Suffix(String),
    PrefixFolded(String),
    SuffixFolded(String),
    Folded(String),
    Wildcard(String),
    Exists(bool),
    /// Lower end with whether it is included, and upper end.
    Numeric(Option<(f64, bool)>, Option<(f64, bool)>),
    Cidr(&'static str, fn(IpAddr) -> bool),
    AnythingButTexts(Vec<String>),
    AnythingButNumbers(Vec<Number>),
    AnythingButPrefixes(Vec<String>),
    AnythingButSuffixes(Vec<String>),
    AnythingButFolded(Vec<String>),
    AnythingButWildcards(Vec<String>),
}

/// A leaf of an event: its path, its value, and the index in each array it lies in, arrays being numbered.
struct Field<'j> {
    path: Vec<&'j str>,
    value: &'j Json,
    indexes: Vec<(usize, usize)>,
}

/// Whether the pattern matches the event.
pub fn matches(pattern: &Pattern, event: &Json) -> bool {
    let mut fields = Vec::new();
    flatten(event, &mut Vec::new(), &mut Vec::new(), &mut 0, &mut fields);
    let mut alternatives = vec![Vec::new()];
    expand(pattern, "", &mut alternatives);
    alternatives.into_iter().any(|mut alternative| {
        alternative.sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
        choose(&alternative, &fields, &[])
    })
}

fn flatten<'j>(
    json: &'j Json,
    path: &mut Vec<&'j str>,
    indexes: &mut Vec<(usize, usize)>,
    arrays: &mut usize,
    fields: &mut Vec<Field<'j>>,
) {
    match json {
        Json::Object(members) => {
            for (key, value) in members {
                path.push(key);
                flatten(value, path, indexes, arrays, fields);
                path.pop();
            }
        }
        Json::List(items) => {
            let array = *arrays;
            *arrays += 1;
            for (index, item) in items.iter().enumerate() {
                let bound = matches!(item, Json::Object(_) | Json::List(_));
                if bound {
                    indexes.push((array, index));
                }
                flatten(item, path, indexes, arrays, fields);
                if bound {
                    indexes.pop();
                }
            }
        }
        value => fields.push(Field {
            path: path.clone(),
            value,
            indexes: indexes.clone(),
        }),
    }
}

type Alternative<'p> = Vec<(String, &'p Vec<Test>)>;

fn expand<'p>(pattern: &'p Pattern, above: &str, alternatives: &mut Vec<Alternative<'p>>) {
    for (key, node) in pattern {
        let path = if above.is_empty() {
            key.clone()
        } else {
            format!("{above}.{key}")
        };
        match node {
            Node::Object(members) => expand(members, &path, alternatives),
            Node::Or(objects) => {
                let before = std::mem::take(alternatives);
                for object in objects {
                    let mut branch = before.clone();
                    expand(object, above, &mut branch);
                    alternatives.append(&mut branch);
                }
            }
            Node::Tests(tests) => {
                for alternative in &mut *alternatives {
                    alternative.retain(|(known, _)| *known != path);
                    alternative.push((path.clone(), tests));
                }
            }
        }
    }
}

fn choose(alternative: &[(String, &Vec<Test>)], fields: &[Field<'_>], picked: &[(usize, usize)]) -> bool {
    let Some(((path, tests), rest)) = alternative.split_first() else {
        return true;
    };
    let agrees = |field: &Field<'_>| {
        field
            .indexes
            .iter()
            .all(|(array, index)| picked.iter().all(|(known, at)| known != array || at == index))
    };
    let mut here = fields
        .iter()
        .filter(|field| field.path.join(".") == *path && agrees(field))
        .peekable();
    if here.peek().is_none() && tests.iter().any(|test| matches!(test, Test::Exists(false))) {
        return choose(rest, fields, picked);
    }
    here.any(|field| {
        let picked: Vec<_> = picked.iter().chain(&field.indexes).copied().collect();
        tests.iter().any(|test| passes(test, field.value)) && choose(rest, fields, &picked)
    })
}

fn passes(test: &Test, value: &Json) -> bool {
    let text = match value {
        Json::Text(text) => Some(text.as_str()),
        _ => None,
    };
    let number = match value {
        Json::Number((_, number)) => *number,
        _ => None,
    };
    let is_text = |check: &dyn Fn(&str) -> bool| text.is_some_and(check);
    let address = || text.and_then(|text| text.parse::<IpAddr>().ok());
    match test {
        Test::Value(wanted) => equal(wanted, value),
        Test::Prefix(prefix) => is_text(&|text| text.starts_with(prefix)),
        Test::Suffix(suffix) => is_text(&|text| text.ends_with(suffix)),
        Test::PrefixFolded(prefix) => {
            is_text(&|text| (0..=text.len()).any(|at| text.is_char_boundary(at) && folded(prefix, &text[..at])))
        }
        Test::SuffixFolded(suffix) => {
            is_text(&|text| (0..=text.len()).any(|at| text.is_char_boundary(at) && folded(suffix, &text[at..])))
        }
        Test::Folded(wanted) => is_text(&|text| folded(wanted, text)),
        Test::Wildcard(pattern) => {
            is_text(&|text| wildcard(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>()))
        }
        Test::Exists(wanted) => *wanted,
        Test::Numeric(low, high) => number.is_some_and(|number| {
            low.is_none_or(|(low, included)| number > low || included && number == low)
                && high.is_none_or(|(high, included)| number < high || included && number == high)
        }),
        Test::Cidr(_, contains) => address().is_some_and(contains),
        Test::AnythingButTexts(texts) => !is_text(&|text| texts.iter().any(|known| known == text)),
        Test::AnythingButNumbers(numbers) => !numbers.iter().any(|(_, known)| number.is_some() && *known == number),
        Test::AnythingButPrefixes(texts) => !texts.iter().any(|known| passes(&Test::Prefix(known.clone()), value)),
        Test::AnythingButSuffixes(texts) => !texts.iter().any(|known| passes(&Test::Suffix(known.clone()), value)),
        Test::AnythingButFolded(texts) => !texts.iter().any(|known| passes(&Test::Folded(known.clone()), value)),
        Test::AnythingButWildcards(texts) => !texts.iter().any(|known| passes(&Test::Wildcard(known.clone()), value)),
    }
}

fn equal(wanted: &Json, value: &Json) -> bool {
    match (wanted, value) {
        (Json::Null, Json::Null) => true,
        (Json::Bool(wanted), Json::Bool(value)) => wanted == value,
        (Json::Number((wanted, None)), Json::Number((value, None))) => wanted == value,
        (Json::Number((_, wanted)), Json::Number((_, value))) => wanted.is_some() && wanted == value,
        (Json::Text(wanted), Json::Text(value)) => {
            let address = |text: &str| text.parse::<IpAddr>().ok();
            wanted == value || address(wanted).is_some() && address(wanted) == address(value)
        }
        _ => false,
    }
}

/// Every character of the pattern in its lower or upper form.
fn folded(pattern: &str, text: &str) -> bool {
    let Some(first) = pattern.chars().next() else {
        return text.is_empty();
    };
    let rest = &pattern[first.len_utf8()..];
    [first.to_lowercase().to_string(), first.to_uppercase().to_string()]
        .iter()
        .any(|form| text.strip_prefix(form.as_str()).is_some_and(|text| folded(rest, text)))
}

fn wildcard(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|at| wildcard(rest, &text[at..])),
        ['\\', escaped, rest @ ..] => text.first() == Some(escaped) && wildcard(rest, &text[1..]),
        [first, rest @ ..] => text.first() == Some(first) && wildcard(rest, &text[1..]),
    }
}

/// Writes an event or a value.
pub fn write_json(json: &Json) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match json {
        Json::Null => "null".into(),
        Json::Bool(value) => value.to_string(),
        Json::Number((text, _)) => (*text).into(),
        Json::Text(text) => write_text(text),
        Json::List(items) => format!("[{}]", list(items.iter().map(write_json).collect())),
        Json::Object(members) => {
            let members = members
                .iter()
                .map(|(key, value)| format!("{} : {}", write_text(key), write_json(value)));
            format!("{{{}}}", list(members.collect()))
        }
    }
}

/// Texts of odd length begin with an escape.
fn write_text(text: &str) -> String {
    let mut written = String::from("\"");
    for (index, unit) in text.encode_utf16().enumerate() {
        match char::from_u32(unit.into()) {
            Some(character)
                if character.is_ascii_graphic()
                    && character != '"'
                    && character != '\\'
                    && (index > 0 || text.len().is_multiple_of(2)) =>
            {
                written.push(character);
            }
            Some(character) if index > 0 && unit > 0x7F => written.push(character),
            _ => written.push_str(&format!("\\u{unit:04X}")),
        }
    }
    written.push('"');
    written
}

/// Writes a pattern.
pub fn write_pattern(pattern: &Pattern) -> String {
    let members = pattern.iter().map(|(key, node)| match node {
        Node::Object(members) => format!("{}:{}", write_text(key), write_pattern(members)),
        Node::Or(objects) => {
            let objects: Vec<String> = objects.iter().map(write_pattern).collect();
            format!("\"$or\":[{}]", objects.join(","))
        }
        Node::Tests(tests) => {
            let tests: Vec<String> = tests.iter().map(write_test).collect();
            format!("{}:[{}]", write_text(key), tests.join(","))
        }
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn write_test(test: &Test) -> String {
    let one = |name: &str, text: &str| format!("{{\"{name}\":{}}}", write_text(text));
    let folded = |name: &str, text: &str| format!("{{\"{name}\":{}}}", one("equals-ignore-case", text));
    let texts = |texts: &[String]| {
        format!(
            "[{}]",
            texts.iter().map(|text| write_text(text)).collect::<Vec<_>>().join(",")
        )
    };
    let but = |name: &str, items: &[String]| format!("{{\"anything-but\":{{\"{name}\":{}}}}}", texts(items));
    match test {
        Test::Value(value) => write_json(value),
        Test::Prefix(text) => one("prefix", text),
        Test::Suffix(text) => one("suffix", text),
        Test::PrefixFolded(text) => folded("prefix", text),
        Test::SuffixFolded(text) => folded("suffix", text),
        Test::Folded(text) => one("equals-ignore-case", text),
        Test::Wildcard(text) => one("wildcard", text),
        Test::Exists(wanted) => format!("{{\"exists\":{wanted}}}"),
        Test::Numeric(low, high) => {
            let end = |sign: &str, end: &Option<(f64, bool)>| {
                end.map(|(value, included)| format!("\"{sign}{}\",{value}", if included { "=" } else { "" }))
            };
            let ends: Vec<String> = [end(">", low), end("<", high)].into_iter().flatten().collect();
            format!("{{\"numeric\":[{}]}}", ends.join(","))
        }
        Test::Cidr(text, _) => one("cidr", text),
        Test::AnythingButTexts(items) => format!("{{\"anything-but\":{}}}", texts(items)),
        Test::AnythingButNumbers(numbers) => {
            let numbers: Vec<&str> = numbers.iter().map(|(text, _)| *text).collect();
            format!("{{\"anything-but\":[{}]}}", numbers.join(","))
        }
        Test::AnythingButPrefixes(items) => but("prefix", items),
        Test::AnythingButSuffixes(items) => but("suffix", items),
        Test::AnythingButFolded(items) => but("equals-ignore-case", items),
        Test::AnythingButWildcards(items) => but("wildcard", items),
    }
}
