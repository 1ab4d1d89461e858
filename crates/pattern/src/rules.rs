//! A compiled filter's body: alternatives, each a conjunction of fields, each a list of tests of which one must pass.
//!
//! `$or` is multiplied out when compiled, as in event-ruler: what follows the last `$or` or repeats a path replaces what was there,
//! separately in each alternative.

use crate::consistency::Choices;
use crate::document::Document;
use crate::few::Ends;
use crate::fields::{Fields, OUTSIDE, Value};
use crate::operator::{LISTED_MAX, Operator};
use crate::paths::{Path, Place};

/// What one field must be: one of several tests.
#[derive(Debug, Clone)]
pub(crate) struct FieldTest {
    pub(crate) path: Path,
    /// The plain texts first, sorted.
    operators: Box<[Operator]>,
    texts: u32,
    /// Whether it passes when the field is absent.
    pub(crate) absent: bool,
}

impl FieldTest {
    pub(crate) fn new(path: Path, mut operators: Vec<Operator>) -> Self {
        operators.sort_by(|left, right| match (left, right) {
            (Operator::Text(left), Operator::Text(right)) => left.cmp(right),
            (left, right) => is_text(right).cmp(&is_text(left)),
        });
        let texts = operators.iter().take_while(|operator| is_text(operator)).count();
        let texts = u32::try_from(texts).expect("the size of a filter is bounded");
        let absent = operators.iter().any(|operator| matches!(operator, Operator::Absent));
        Self {
            path,
            operators: operators.into(),
            texts,
            absent,
        }
    }

    pub(crate) fn operators(&self) -> &[Operator] {
        &self.operators
    }

    /// Writes what only tests have that accept the same, of at most so many bytes; false if it takes more or cannot be told.
    pub(crate) fn name(&self, bytes_max: usize, into: &mut impl Extend<u8>) -> bool {
        let mut left = bytes_max;
        self.operators.iter().all(|operator| {
            let mut write = |bytes: &[u8]| {
                let fits = bytes.len() <= left;
                left = left.saturating_sub(bytes.len());
                if fits {
                    into.extend(bytes.iter().copied());
                }
                fits
            };
            operator.name(&mut write)
        })
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        let operators = self.operators.iter().map(Operator::memory).sum::<usize>();
        self.path.memory() + size_of_val(&*self.operators) + operators
    }

    /// Whether a value that is present passes.
    #[inline]
    pub(crate) fn accepts(&self, value: Value<'_>) -> bool {
        let (texts, others) = self.operators.split_at(self.texts as usize);
        let listed = |text: &[u8]| match texts.len() <= LISTED_MAX {
            true => texts.iter().any(|known| text_of(known) == text),
            false => texts.binary_search_by(|known| text_of(known).cmp(text)).is_ok(),
        };
        matches!(value, Value::Text(text) if listed(text)) || others.iter().any(|operator| operator.accepts(value))
    }
}

fn is_text(operator: &Operator) -> bool {
    matches!(operator, Operator::Text(_))
}

fn text_of(operator: &Operator) -> &[u8] {
    match operator {
        Operator::Text(text) => text,
        _ => b"",
    }
}

/// Alternatives of conjunctions.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) tests: Vec<FieldTest>,
    /// For each alternative the indexes of its tests, sorted by path.
    pub(crate) alternatives: Vec<Box<[u32]>>,
}

/// What a field's values say about one test.
#[derive(Debug, Clone, Copy, Default)]
struct Verdict {
    /// A value outside all arrays passes, or there is none and there need not be.
    free: bool,
    /// A value in an array's element passes.
    bound: bool,
    /// The field is absent as long as no element that has it is chosen.
    conditional: bool,
}

impl Rules {
    /// What every document satisfies.
    pub(crate) fn always() -> Self {
        Self {
            tests: Vec::new(),
            alternatives: vec![[].into()],
        }
    }

    /// What no document satisfies.
    pub(crate) fn never() -> Self {
        Self {
            tests: Vec::new(),
            alternatives: Vec::new(),
        }
    }

    /// One test of one field.
    pub(crate) fn field(test: FieldTest) -> Self {
        Self {
            tests: vec![test],
            alternatives: vec![[0].into()],
        }
    }

    /// One of several rules.
    pub(crate) fn any(rules: impl IntoIterator<Item = Rules>) -> Self {
        rules.into_iter().fold(Self::never(), |mut any, rules| {
            let before = u32::try_from(any.tests.len()).expect("compilers bound the tests of a filter");
            any.tests.extend(rules.tests);
            let alternatives = rules.alternatives.iter();
            any.alternatives
                .extend(alternatives.map(|alternative| alternative.iter().map(|test| before + test).collect()));
            any
        })
    }

    /// One alternative by itself.
    pub(crate) fn only(&self, alternative: &[u32]) -> Self {
        let tests: Vec<FieldTest> = alternative
            .iter()
            .map(|test| self.tests[*test as usize].clone())
            .collect();
        let count = u32::try_from(tests.len()).expect("compilers bound the tests of a filter");
        Self {
            tests,
            alternatives: vec![(0..count).collect()],
        }
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        let tests =
            self.tests.capacity() * size_of::<FieldTest>() + self.tests.iter().map(FieldTest::memory).sum::<usize>();
        let alternatives = self.alternatives.iter().map(|alternative| size_of_val(&**alternative));
        tests + self.alternatives.capacity() * size_of::<Box<[u32]>>() + alternatives.sum::<usize>()
    }

    /// Whether one alternative asks for nothing, so that every document satisfies it.
    pub(crate) fn is_always(&self) -> bool {
        self.alternatives.iter().any(|alternative| alternative.is_empty())
    }

    /// Whether one of the alternatives is satisfied.
    pub(crate) fn match_any(&self, found: &Found<'_, '_>, places: &[Place], choices: &mut Choices) -> bool {
        self.alternatives
            .iter()
            .any(|alternative| self.matches(alternative, found, places, choices))
    }

    /// Whether one alternative is satisfied.
    pub(crate) fn matches(
        &self,
        alternative: &[u32],
        found: &Found<'_, '_>,
        places: &[Place],
        choices: &mut Choices,
    ) -> bool {
        let (mut bound, mut conditional) = (0, 0);
        for index in alternative {
            let verdict = found.verdict(&self.tests[*index as usize], places[*index as usize]);
            if !(verdict.free || verdict.bound || verdict.conditional) {
                return false;
            }
            bound += usize::from(verdict.bound && !verdict.free);
            conditional += usize::from(verdict.conditional);
        }
        // One bound field is in some element whatever the others do.
        (conditional == 0 && bound <= 1) || self.choose(alternative, found, places, choices)
    }

    /// Whether elements can be chosen consistently for all fields.
    fn choose(&self, alternative: &[u32], found: &Found<'_, '_>, places: &[Place], choices: &mut Choices) -> bool {
        choices.clear();
        for index in alternative {
            let (test, place) = (&self.tests[*index as usize], places[*index as usize]);
            if found.fields.is_present(place) {
                let accepted = found.fields.at(place).filter(|field| test.accepts(found.value(field)));
                let present = test.absent.then(|| found.fields.at(place).map(|field| field.element));
                choices.add_level(accepted.map(|field| field.element), present);
            }
        }
        choices.are_consistent(found.fields)
    }
}

/// A document and what a scan of it found.
#[derive(Clone, Copy)]
pub(crate) struct Found<'s, 'd> {
    pub(crate) document: &'s Document<'d>,
    pub(crate) fields: &'s Fields,
}

impl<'s> Found<'s, '_> {
    #[inline(always)]
    pub(crate) fn value(&self, field: &crate::fields::Field) -> Value<'s> {
        self.fields.value(field, self.document)
    }

    /// The first and the last bytes of a field's text.
    #[inline(always)]
    pub(crate) fn ends(&self, field: &crate::fields::Field) -> Ends {
        self.fields.ends(field, self.document)
    }

    /// Whether a test passes in a document whose values lie in no elements.
    #[inline]
    pub(crate) fn passes(&self, test: &FieldTest, place: Place) -> bool {
        let mut values = self.fields.at(place).map(|field| self.value(field)).peekable();
        match values.peek() {
            None => test.absent,
            Some(_) => values.any(|value| test.accepts(value)),
        }
    }

    fn verdict(&self, test: &FieldTest, place: Place) -> Verdict {
        let mut verdict = Verdict {
            conditional: test.absent,
            ..Verdict::default()
        };
        if !self.fields.is_present(place) {
            return Verdict {
                free: test.absent,
                ..Verdict::default()
            };
        }
        for field in self.fields.at(place) {
            let outside = field.element == OUTSIDE;
            verdict.conditional &= !outside;
            if test.accepts(self.value(field)) {
                verdict.free |= outside;
                verdict.bound |= !outside;
            }
        }
        verdict
    }
}
