//! Filters of Azure Event Grid: event types, how the subject begins and ends, and advanced filters, in Azure's own JSON.
//!
//! What is documented is followed: operators compare texts without regard to case and convert nothing; values of one advanced filter
//! are alternatives, advanced filters hold together; an operator that negates passes when none of its values does. A key that an
//! event does not have fails every operator but `NumberNotIn`, `StringNotIn` and `IsNullOrUndefined`. Elements of an array are
//! looked at only if `enableAdvancedFilteringOnArrays` says so, those of another type are ignored, and no key leads through an
//! array. Names of attributes are taken in any case, names inside the data as they are written.

use crate::automaton::Budget;
use crate::check::Check;
use crate::document::DATA;
use crate::error::{CompileCode, CompileError};
use crate::extended::Extended;
use crate::filter::Part;
use crate::fold::Folded;
use crate::limits::{EVENTGRID_CHARACTERS_MAX, EVENTGRID_FILTERS_MAX, EVENTGRID_VALUES_MAX, TYPES_MAX};
use crate::mounts::Mounts;
use crate::operator::Operator;
use crate::paths::Path;
use crate::rules::{FieldTest, Rules};

mod condition;
mod member;
mod text;

use condition::{Condition, OPERATORS};
pub(crate) use member::Member;
use text::Text;

/// The canonical path of an attribute that no mount names begins with this.
const ATTRIBUTES: &str = "/attr/";

/// The members of a filter, lower-case.
const MEMBERS: [&str; 6] = [
    "includedeventtypes",
    "subjectbeginswith",
    "subjectendswith",
    "issubjectcasesensitive",
    "advancedfilters",
    "enableadvancedfilteringonarrays",
];

/// Names that an event has at the top: lower-case, as Event Grid's schema writes them, as CloudEvents does.
const NAMES: [(&str, &str, &str); 14] = [
    ("id", "id", "id"),
    ("eventid", "id", "id"),
    ("topic", "topic", "topic"),
    ("subject", "subject", "subject"),
    ("eventtype", "eventType", "type"),
    ("eventtime", "eventTime", "time"),
    ("dataversion", "dataVersion", "dataversion"),
    ("metadataversion", "metadataVersion", "metadataversion"),
    ("data", "data", "data"),
    ("source", "source", "source"),
    ("type", "type", "type"),
    ("time", "time", "time"),
    ("dataschema", "dataschema", "dataschema"),
    ("specversion", "specversion", "specversion"),
];

/// Compiles a filter; its parts must all hold.
pub(crate) fn compile(json: &[u8], mounts: &Mounts) -> Result<Vec<Part>, CompileError> {
    let text = Text::whole(json)?;
    let mut compiler = Compiler {
        mounts,
        automata: Budget::default(),
        values: 0,
        on_arrays: false,
    };
    compiler.filter(&text)
}

struct Compiler<'m> {
    mounts: &'m Mounts,
    automata: Budget,
    /// Values of advanced filters so far.
    values: usize,
    on_arrays: bool,
}

impl Compiler<'_> {
    fn filter(&mut self, text: &Text<'_>) -> Result<Vec<Part>, CompileError> {
        let members = text.members("a filter")?;
        for (name, value) in &members {
            if !MEMBERS.contains(&name.to_ascii_lowercase().as_str()) {
                return Err(value.unknown(name, &MEMBERS_WRITTEN));
            }
        }
        let find = |wanted: &str| {
            let found = members.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value).filter(|value| !value.is_null())
        };
        self.on_arrays = find("enableAdvancedFilteringOnArrays").map_or(Ok(false), Text::boolean)?;
        let is_case_sensitive = find("isSubjectCaseSensitive").map_or(Ok(false), Text::boolean)?;
        let mut parts = Vec::new();
        if let Some(types) = find("includedEventTypes") {
            parts.extend(self.types(types)?);
        }
        for name in ["subjectBeginsWith", "subjectEndsWith"] {
            let Some(value) = find(name) else { continue };
            let wanted = value.string(name)?;
            if wanted.is_empty() {
                continue;
            }
            let folded = || Folded::new(wanted.as_bytes());
            let exact = || wanted.as_bytes().into();
            let operator = match (name, is_case_sensitive) {
                ("subjectBeginsWith", true) => Operator::Prefix(exact()),
                ("subjectBeginsWith", false) => Operator::PrefixFolded(folded()),
                (_, true) => Operator::Suffix(exact()),
                (_, false) => Operator::SuffixFolded(folded()),
            };
            parts.push(Part::exact(Rules::field(FieldTest::new(
                self.path("subject"),
                vec![operator],
            ))));
        }
        if let Some(filters) = find("advancedFilters") {
            parts.extend(self.advanced(filters)?);
        }
        Ok(parts)
    }

    /// One of a list of types; `All` is no restriction.
    fn types(&mut self, types: &Text<'_>) -> Result<Option<Part>, CompileError> {
        let types = match types.is_string() {
            true => vec![types.clone()],
            false => types.items("includedEventTypes")?,
        };
        if types.len() > TYPES_MAX {
            let message = format!("there are more than {TYPES_MAX} event types");
            return Err(types[TYPES_MAX].refuse(CompileCode::TooComplex, message));
        }
        let mut operators = Vec::new();
        for item in &types {
            let name = item.string("an event type")?;
            if name.eq_ignore_ascii_case("all") && types.len() == 1 {
                return Ok(None);
            }
            operators.push(Operator::Text(name.into_bytes().into()));
        }
        // A bare document may be an event of either schema.
        let keys: &[&str] = if self.mounts.is_bare() {
            &["eventType", "type"]
        } else {
            &["eventType"]
        };
        let tests = keys.iter().map(|key| FieldTest::new(self.path(key), operators.clone()));
        let rules = Rules::any(tests.map(Rules::field));
        // An empty list restricts nothing.
        Ok((!types.is_empty()).then(|| Part::exact(rules)))
    }

    fn advanced(&mut self, filters: &Text<'_>) -> Result<Vec<Part>, CompileError> {
        let filters = filters.items("advancedFilters")?;
        if let Some(beyond) = filters.get(EVENTGRID_FILTERS_MAX) {
            let message = format!("there are more than {EVENTGRID_FILTERS_MAX} advanced filters");
            return Err(beyond.refuse(CompileCode::TooComplex, message));
        }
        filters.iter().map(|filter| self.one(filter)).collect()
    }

    fn one(&mut self, filter: &Text<'_>) -> Result<Part, CompileError> {
        let members = filter.members("an advanced filter")?;
        let (mut operator, mut key, mut values) = (None, None, None);
        for (name, value) in &members {
            match name.to_ascii_lowercase().as_str() {
                "operatortype" | "operator" => operator = Some(value),
                "key" => key = Some(value),
                "value" | "values" if value.is_null() => {}
                "value" | "values" if values.is_none() => values = Some(value),
                "value" | "values" => return Err(value.invalid("an advanced filter has either value or values")),
                _ => return Err(value.unknown(name, &["operatorType", "key", "value", "values"])),
            }
        }
        let missing = |name: &str| filter.invalid(format!("the advanced filter has no {name}"));
        let operator = operator.ok_or_else(|| missing("operatorType"))?;
        let key = key.ok_or_else(|| missing("key"))?;
        let name = operator.string("operatorType")?;
        if !OPERATORS.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            return Err(operator.unknown(&name, &OPERATORS));
        }
        let condition = Condition::read(self, &name, filter, values)?;
        let written = key.string("key")?;
        self.check_length(key, &written)?;
        if written.is_empty() || written.split('.').any(str::is_empty) {
            return Err(key.invalid("a key is a name, or names with dots between them"));
        }
        Ok(self.part(&written, condition))
    }

    /// Counts a value.
    fn count(&mut self, value: &Text<'_>) -> Result<(), CompileError> {
        self.values += 1;
        if self.values > EVENTGRID_VALUES_MAX {
            let message = format!("the advanced filters have more than {EVENTGRID_VALUES_MAX} values together");
            return Err(value.refuse(CompileCode::TooComplex, message));
        }
        Ok(())
    }

    fn check_length(&self, value: &Text<'_>, text: &str) -> Result<(), CompileError> {
        if text.chars().count() > EVENTGRID_CHARACTERS_MAX {
            let message = format!("a text is longer than {EVENTGRID_CHARACTERS_MAX} characters");
            return Err(value.refuse(CompileCode::TooComplex, message));
        }
        Ok(())
    }

    /// A text that is found anywhere, whatever the case.
    fn containing(&mut self, value: &Text<'_>, text: &str) -> Result<Operator, CompileError> {
        let extended = Extended::containing(text.as_bytes(), &mut self.automata);
        let extended = extended.map_err(|reason| value.refuse(CompileCode::TooComplex, reason))?;
        Ok(Operator::Extended(Box::new(extended)))
    }

    /// A condition on what a key leads to.
    fn part(&self, key: &str, condition: Condition) -> Part {
        let path = self.path(key);
        if path.mount.as_deref() != Some(DATA) {
            return condition.of_attribute(path);
        }
        let guard = condition
            .guard()
            .map(|operators| FieldTest::new(path.clone(), operators));
        let guard = guard.map_or_else(Rules::always, Rules::field);
        let member = Member::new(path, condition, self.on_arrays);
        Part::checked(guard, Check::Member(Box::new(member)))
    }

    /// Where a key lies. A bare document is a whole event in Event Grid's schema; otherwise the first name is what the mount table
    /// has for it, or an attribute.
    fn path(&self, key: &str) -> Path {
        let (top, below) = key
            .split_once('.')
            .map_or((key, None), |(top, below)| (top, Some(below)));
        let below: Vec<&[u8]> = below
            .into_iter()
            .flat_map(|below| below.split('.'))
            .map(str::as_bytes)
            .collect();
        let lower = top.to_ascii_lowercase();
        let known = NAMES.iter().find(|(name, ..)| *name == lower);
        let resolve = |top: &str| {
            let path = self.mounts.resolve(&[&[top.as_bytes()], &below[..]].concat());
            Path::new(path.mount.as_deref(), &segments(&path), key)
        };
        if self.mounts.is_bare() {
            return resolve(known.map_or(top, |(_, name, _)| name));
        }
        let name = known.map_or(lower.as_str(), |(_, _, name)| name);
        let mounted = [lower.as_str(), name]
            .into_iter()
            .map(resolve)
            .find(|path| path.mount.is_some());
        mounted.unwrap_or_else(|| Path::new(Some(&format!("{ATTRIBUTES}{name}")), &below, key))
    }
}

fn segments(path: &Path) -> Vec<&[u8]> {
    path.segments().collect()
}

/// The members of a filter as they are written.
pub(crate) const MEMBERS_WRITTEN: [&str; 6] = [
    "includedEventTypes",
    "subjectBeginsWith",
    "subjectEndsWith",
    "isSubjectCaseSensitive",
    "advancedFilters",
    "enableAdvancedFilteringOnArrays",
];

#[cfg(test)]
mod tests;
