//! Every bound of this crate, with its reason. Nothing else decides how much a filter or an event may ask for.

/// Bytes of one pattern's JSON. AWS takes 4 KiB by default; patterns with long lists of accounts or resources are larger.
pub const PATTERN_BYTES_MAX: usize = 256 * 1024;

/// Nesting of objects and arrays, in patterns and in event data; the recursion of the readers is bounded by it.
pub const JSON_DEPTH_MAX: usize = 128;

/// Combinations that `$or` may multiply out to: AWS's own bound.
pub const OR_COMBINATIONS_MAX: usize = 1_000;

/// Fields written while the combinations of one pattern are multiplied out, copies included: what bounds the time of compiling
/// a filter and the memory of the result.
pub const COMBINED_FIELDS_MAX: usize = 200_000;

/// Positions a wildcard may be at simultaneously while it reads some text. AWS refuses what needs more, with the text
/// "Rule is too complex"; its exact bound is not documented, and this one agrees with every case that is published.
pub const WILDCARD_COMPLEXITY_MAX: usize = 10;

/// Sets of places looked at while the wildcards of one pattern are checked for complexity. What is beyond is taken to be simple,
/// which costs nothing, because matching is linear in any case.
pub const WILDCARD_PLACES_MAX: usize = 10_000;

/// Entries of a list of event types.
pub const TYPES_MAX: usize = 1_000;

/// Bytes of one entry of a list of event types.
pub const TYPE_BYTES_MAX: usize = 1_024;

/// Bytes of one text that is looked at; a longer one is absent. Positions are kept in 32 bits, and a document has several texts.
pub const TEXT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Array elements considered together while one rule looks for a consistent choice of them. Only events that repeat the key
/// of an array of objects come near it, where the exact answer may take exponential time; past it the rule does not match.
pub const ARRAY_CHOICES_MAX: usize = 200_000;

/// Bytes of one JSONPath query.
pub const JSONPATH_BYTES_MAX: usize = 4_096;

/// Filters, parentheses and calls inside each other in a JSONPath query; the recursion of parser and evaluation is bounded by it.
pub const JSONPATH_DEPTH_MAX: usize = 24;

/// Steps that the evaluation of a JSONPath query takes at most, beside [`JSONPATH_STEPS_PER_NODE`]: nodes looked at and texts
/// compared. Only queries that search the whole text again for each of its nodes come near it; past it the query selects nothing.
/// So many steps take about 50 ms.
pub const JSONPATH_STEPS_MAX: u64 = 5_000_000;

/// Steps more for each node of the text, so that a query that visits each node a few times is answered however large the text is.
pub const JSONPATH_STEPS_PER_NODE: u64 = 16;

/// Bytes of one regular expression.
pub const REGEX_BYTES_MAX: usize = 2_048;

/// Nesting of one regular expression.
pub const REGEX_NESTING_MAX: u32 = 64;

/// Bytes of the automaton of one regular expression: what bounds its states, and the time of making them.
pub const REGEX_AUTOMATON_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of the automata of one filter together, as they are made; what is kept is a fraction of it. It bounds the time of
/// compiling a filter to about a second.
pub const REGEX_AUTOMATA_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of a regular expression that is itself a value of the document (`match(@.a, $.pattern)`), and must be compiled while
/// matching.
pub const REGEX_FOUND_BYTES_MAX: usize = 256;

/// Bytes of the automaton of such an expression.
pub const REGEX_FOUND_AUTOMATON_BYTES_MAX: usize = 64 * 1024;

/// Steps that compiling such an expression counts for.
pub const REGEX_FOUND_STEPS: u64 = 250_000;

/// Such expressions that are kept from one use to the next.
pub const REGEX_FOUND_KEPT_MAX: usize = 8;

/// Advanced filters of one Event Grid filter: Azure's bound.
pub const EVENTGRID_FILTERS_MAX: usize = 25;

/// Values of all advanced filters of one Event Grid filter: Azure's bound.
pub const EVENTGRID_VALUES_MAX: usize = 25;

/// Characters of one text in an Event Grid filter: Azure's bound.
pub const EVENTGRID_CHARACTERS_MAX: usize = 512;

/// Nesting of `$and` and `$not` in a pattern of the extended dialect.
pub const EXTENDED_DEPTH_MAX: usize = 24;

/// Nesting of `all`, `any` and `not` in a filter that is imported.
pub const IMPORT_DEPTH_MAX: usize = 24;

/// Values of a field that an explanation shows.
pub const EXPLAINED_VALUES_MAX: usize = 16;

/// Characters of one value or clause that an explanation shows.
pub const EXPLAINED_CHARACTERS_MAX: usize = 256;

/// Bytes of one CESQL expression, the longest list of `IN` included.
pub const CESQL_BYTES_MAX: usize = 64 * 1024;

/// Steps that one CESQL expression is compiled into: what bounds its memory, and the stack of values of its evaluation.
pub const CESQL_STEPS_MAX: usize = 32_768;

/// Attributes and paths that one CESQL expression names.
pub const CESQL_REFERENCES_MAX: usize = 256;

/// Characters between two `%` of a `LIKE` pattern if `_` is among them: sixteen words of bits, which one character of a value costs
/// at most.
pub const CESQL_LIKE_CHARACTERS_MAX: usize = 1_024;

/// Bytes that the functions of one CESQL evaluation write together; past it a function has an error. Nested `CONCAT`s would
/// otherwise multiply a long attribute.
pub const CESQL_WRITTEN_BYTES_MAX: usize = 1024 * 1024;

/// Levels of a CESQL expression that an explanation shows.
pub const CESQL_EXPLAINED_DEPTH_MAX: usize = 32;

/// Conjunctions that the index of a CESQL filter is made of; an `AND` of lists that would multiply to more keeps one of them.
pub const CESQL_GUARD_ALTERNATIVES_MAX: usize = 16;

/// Attributes of one such conjunction.
pub const CESQL_GUARD_FIELDS_MAX: usize = 8;

/// Texts of all such conjunctions together, if there are several attributes; a longer list of `IN` is indexed by itself.
pub const CESQL_GUARD_OPERATORS_MAX: usize = 512;

/// Alternatives that nested `all` of the CloudEvents filter dialects multiply to in the index; past it one of its filters is indexed.
pub const CLOUDEVENTS_COMBINATIONS_MAX: usize = 64;

/// Tests of all these alternatives together, if there are several.
pub const CLOUDEVENTS_COMBINED_TESTS_MAX: usize = 1_024;

/// Findings that a lint tells; who has so many reads the first ones.
pub const LINT_FINDINGS_MAX: usize = 100;

/// Pairs of tests, or of fields of alternatives, that a lint compares; what is beyond is not looked at.
pub const LINT_PAIRS_MAX: usize = 200_000;

const _: () = assert!(
    JSON_DEPTH_MAX <= u128::BITS as usize,
    "the scanner keeps one bit of a u128 per level"
);
