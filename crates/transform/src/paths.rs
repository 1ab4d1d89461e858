//! Several paths into an event's EventBridge envelope, which are looked for together.

use crate::{
    envelope::{DETAIL, Envelope, RESOURCES},
    error::Failure,
    json::Quotes,
    limits::{OUTPUT_BYTES_MAX, PATHS_MAX},
    path::{InputPath, Step},
    walk::{Found, PLAN_PATHS_MAX, Plan},
};

const _: () = assert!(PATHS_MAX <= PLAN_PATHS_MAX);

/// Paths into an event's EventBridge envelope, compiled so that one walk over the event finds what all of them name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Of each path, in their order.
    places: Vec<Place>,
    detail: Plan,
    resources: Plan,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Whole,
    /// To what no envelope has.
    Nowhere,
    /// To a member that is a text, if the envelope has it.
    Attribute(Box<str>),
    /// To the path of this number in the plan of `detail`.
    Detail(usize),
    /// The same for `resources`.
    Resources(usize),
}

/// What paths found in an envelope.
pub(crate) struct Pieces<'e> {
    pub(crate) envelope: &'e Envelope<'e>,
    pub(crate) places: &'e [Place],
    pub(crate) detail: Vec<Found<'e>>,
    pub(crate) resources: Vec<Found<'e>>,
}

impl Paths {
    /// Of these, at most [`PATHS_MAX`].
    pub fn new(paths: &[InputPath]) -> Self {
        assert!(
            paths.len() <= PATHS_MAX,
            "there are more paths than a transform may have"
        );
        let (mut detail, mut resources) = (Vec::new(), Vec::new());
        let place = |path| place(path, &mut detail, &mut resources);
        Self {
            places: paths.iter().map(place).collect(),
            detail: Plan::new(&detail, 1),
            resources: Plan::new(&resources, 1),
        }
    }

    /// What they name; `None`: more than any output may have.
    pub(crate) fn find<'e>(&'e self, envelope: &'e Envelope<'e>) -> Option<Pieces<'e>> {
        // Each value of a list takes at least the byte that separates it from the next.
        Some(Pieces {
            envelope,
            places: &self.places,
            detail: self.detail.find(envelope.detail(), OUTPUT_BYTES_MAX)?,
            resources: self.resources.find(envelope.resources(), OUTPUT_BYTES_MAX)?,
        })
    }
}

/// Where a path leads. Paths into a member with a plan are noted there, equal ones once.
fn place<'p>(path: &'p InputPath, detail: &mut Vec<&'p InputPath>, resources: &mut Vec<&'p InputPath>) -> Place {
    let number_in = |plan: &mut Vec<&'p InputPath>| {
        plan.iter().position(|known| *known == path).unwrap_or_else(|| {
            plan.push(path);
            plan.len() - 1
        })
    };
    match path.steps() {
        [] => Place::Whole,
        [Step::Member(name), ..] if &**name == DETAIL => Place::Detail(number_in(detail)),
        [Step::Member(name), ..] if &**name == RESOURCES => Place::Resources(number_in(resources)),
        [Step::Member(name)] => Place::Attribute(name.clone()),
        _ => Place::Nowhere,
    }
}

impl Envelope<'_> {
    /// What stands at each of these paths: a text as it is, any other value as JSON; `None`: nothing does, or null.
    pub fn texts_at(self, paths: &Paths) -> Result<Vec<Option<String>>, Failure> {
        let envelope = self.compact();
        let pieces = paths.find(&envelope).ok_or_else(too_large)?;
        let mut room = OUTPUT_BYTES_MAX;
        let texts = (0..paths.places.len()).map(|path| {
            let text = pieces.text(path);
            room = room
                .checked_sub(text.as_ref().map_or(0, String::len))
                .ok_or_else(too_large)?;
            Ok(text)
        });
        texts.collect()
    }
}

fn too_large() -> Failure {
    Failure {
        code: "transform_too_large",
        message: format!("the paths find more than {OUTPUT_BYTES_MAX} bytes in this event"),
    }
}

impl Pieces<'_> {
    fn text(&self, path: usize) -> Option<String> {
        let mut json = Vec::new();
        if !self.put(&mut json, path, Quotes::Kept) {
            return None;
        }
        match json.first() {
            Some(b'"') => serde_json::from_slice(&json).ok(),
            _ if json == b"null" => None,
            // As it is written: a number keeps its digits.
            _ => String::from_utf8(json).ok(),
        }
    }
}
