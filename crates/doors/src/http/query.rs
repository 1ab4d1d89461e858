//! Query parameters, strictly: on resources an unknown or repeated one is an error. Publishing looks at the one it knows.

use super::{problem::Problem, routes::Parameter};
use http::Uri;
use std::borrow::Cow;

/// A request's parameters, decoded.
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// Items of a page at most: bounds the memory of an answer.
pub(super) const LIMIT_MAX: usize = 1_000;
/// Far more than any route takes.
const PARAMETERS_MAX: usize = 32;

impl<'a> Query<'a> {
    /// Parses the query of an address.
    pub(super) fn of(uri: &'a Uri) -> Result<Query<'a>, Problem> {
        let Some(query) = uri.query() else {
            return Ok(Query(Vec::new()));
        };
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes())
            .take(PARAMETERS_MAX + 1)
            .collect();
        if pairs.len() > PARAMETERS_MAX {
            return Err(wrong(format!("more than {PARAMETERS_MAX} parameters")));
        }
        Ok(Query(pairs))
    }

    /// The same, refusing every parameter that is not in `known` or is there twice.
    pub(super) fn strict(uri: &'a Uri, known: &[Parameter]) -> Result<Query<'a>, Problem> {
        let query = Self::of(uri)?;
        for (at, (name, _)) in query.0.iter().enumerate() {
            if !known.iter().any(|parameter| parameter.name == name) {
                let names: Vec<_> = known.iter().map(|parameter| parameter.name).collect();
                let known = if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                };
                return Err(wrong(format!(
                    "parameter {:?} is not known here; known: {known}",
                    super::shown(name)
                )));
            }
            if query.0[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(wrong(format!("parameter {name:?} is given twice")));
            }
        }
        Ok(query)
    }

    /// The value of a parameter.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_ref())
    }

    /// A parameter that is `true` or `false`; absent: false; without a value: true.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("" | "true") => Ok(true),
            Some(_) => Err(wrong(format!("parameter {name:?} must be true or false"))),
        }
    }

    /// How many items a page has.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        /// Enough for a screen.
        const LIMIT_DEFAULT: usize = 100;
        let Some(text) = self.text("limit") else {
            return Ok(LIMIT_DEFAULT);
        };
        let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        limit.ok_or_else(|| wrong(format!("parameter \"limit\" must be a number from 1 to {LIMIT_MAX}")))
    }
}

/// The problem of a parameter.
pub(super) fn wrong(detail: String) -> Problem {
    Problem::new("query_invalid", detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::routes::{CURSOR, LIMIT};

    #[test]
    fn unknown_and_repeated_parameters_are_refused() {
        let uri: Uri = "/x?limit=5&cursor=a%20b".parse().expect("a URI");
        let query = Query::strict(&uri, &[LIMIT, CURSOR]).expect("both are known");
        assert_eq!(
            (query.limit().expect("a number"), query.text("cursor")),
            (5, Some("a b"))
        );
        for (uri, part) in [
            ("/x?limt=5", "limt"),
            ("/x?limit=5&limit=6", "twice"),
            ("/x?a\u{0}b", "known here"),
        ] {
            let Ok(uri) = uri.parse::<Uri>() else { continue };
            let problem = Query::strict(&uri, &[LIMIT]).err().expect("it is refused");
            assert!(format!("{problem:?}").contains(part), "{problem:?}");
        }
        for limit in ["0", "1001", "-1", "ten", ""] {
            let uri: Uri = format!("/x?limit={limit}").parse().expect("a URI");
            assert!(Query::of(&uri).expect("it parses").limit().is_err(), "{limit}");
        }
    }
}
