//! Every bound of a transform, in one place, with its reason. Those of a transform's text are EventBridge's own.

/// Variables of an input transformer.
pub const PATHS_MAX: usize = 100;
/// Characters of a path.
pub const PATH_CHARACTERS_MAX: usize = 256;
/// Characters of a variable's name.
pub const NAME_CHARACTERS_MAX: usize = 256;
/// Characters of a template, and of a constant.
pub const TEXT_CHARACTERS_MAX: usize = 8_192;
/// Bytes of an output: what an event's data may have, and room for its envelope. A template may name the whole event many times.
pub const OUTPUT_BYTES_MAX: usize = event::limits::EVENT_DATA_BYTES_MAX + event::limits::EVENT_ATTRIBUTES_BYTES_MAX;
