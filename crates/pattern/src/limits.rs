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

/// Values of a field that an explanation shows.
pub const EXPLAINED_VALUES_MAX: usize = 16;

/// Characters of one value or clause that an explanation shows.
pub const EXPLAINED_CHARACTERS_MAX: usize = 256;

const _: () = assert!(
    JSON_DEPTH_MAX <= u128::BITS as usize,
    "the scanner keeps one bit of a u128 per level"
);
