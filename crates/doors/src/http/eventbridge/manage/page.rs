//! Pages of lists: `Limit` and `NextToken`.

use super::super::fault::Fault;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

/// Things of a page, by the model.
const LIMIT_MAX: usize = 100;

/// What a list is asked with.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Paging {
    pub limit: Option<i64>,
    pub next_token: Option<String>,
    pub name_prefix: Option<String>,
}

impl Paging {
    /// The things of this page, and the token of the next one. They come with their names and leave in their order.
    pub(super) fn cut<T>(&self, mut things: Vec<(String, T)>) -> Result<(Vec<T>, Option<String>), Fault> {
        let limit = self.limit()?;
        let after = self.after()?;
        let prefix = self.name_prefix.as_deref().unwrap_or_default();
        things.retain(|(name, _)| name.starts_with(prefix) && after.as_ref().is_none_or(|after| name > after));
        things.sort_by(|one, other| one.0.cmp(&other.0));
        let next = things.get(limit.wrapping_sub(1)).filter(|_| things.len() > limit);
        let next = next.map(|(name, _)| URL_SAFE_NO_PAD.encode(name));
        Ok((things.into_iter().take(limit).map(|(_, thing)| thing).collect(), next))
    }

    fn limit(&self) -> Result<usize, Fault> {
        let Some(asked) = self.limit else { return Ok(LIMIT_MAX) };
        let limit = usize::try_from(asked)
            .ok()
            .filter(|limit| (1..=LIMIT_MAX).contains(limit));
        let rule = "Member must have a value between 1 and 100";
        limit.ok_or_else(|| Fault::constraint(&asked.to_string(), "limit", rule))
    }

    fn after(&self) -> Result<Option<String>, Fault> {
        let Some(token) = &self.next_token else { return Ok(None) };
        let name = URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let wrong = || Fault::validation("The token is invalid: it is none that a list gave.");
        name.ok_or_else(wrong).map(Some)
    }
}

/// The answer of a list.
pub(super) fn answer<T: serde::Serialize>(name: &str, (things, next): (Vec<T>, Option<String>)) -> serde_json::Value {
    let mut answer = serde_json::json!({name: things});
    if let Some(next) = next {
        answer["NextToken"] = next.into();
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another_and_hold_everything_once() {
        let things = || (0..7).rev().map(|n| (format!("n{n}"), n)).collect::<Vec<_>>();
        let mut paging = Paging {
            limit: Some(3),
            ..Paging::default()
        };
        let mut all = Vec::new();
        loop {
            let (page, next) = paging.cut(things()).expect("a page");
            assert!(page.len() <= 3);
            all.extend(page);
            match next {
                Some(token) => paging.next_token = Some(token),
                None => break,
            }
        }
        assert_eq!(all, [0, 1, 2, 3, 4, 5, 6]);
        for limit in [0, 101, -1] {
            let limit = Some(limit);
            assert!(
                Paging {
                    limit,
                    ..Paging::default()
                }
                .cut(things())
                .is_err()
            );
        }
        let next_token = Some("%".to_owned());
        assert!(
            Paging {
                next_token,
                ..Paging::default()
            }
            .cut(things())
            .is_err()
        );
    }
}
