//! Every limit of an event and of a request that carries events, in one place.

/// Bytes of an event's data. The field's usual bound (EventBridge and Event Grid take 1 MB).
pub const EVENT_DATA_BYTES_MAX: usize = 1 << 20;
/// Bytes of an event's attributes, names and values together, besides its data.
pub const EVENT_ATTRIBUTES_BYTES_MAX: usize = 64 << 10;
/// Bytes of a batch request, decompressed.
pub const BATCH_BYTES_MAX: usize = 10 << 20;
/// Events in a batch request.
pub const BATCH_EVENTS_MAX: usize = 1_000;
/// Nesting depth of an event's JSON data, and of every other JSON document in a request. What a mode puts around the data
/// (the event's object, a batch's array) does not count, so that an event that is taken in one mode can be delivered, and
/// published again, in every other.
pub const JSON_DEPTH_MAX: usize = 128;
/// Members of one event's JSON object. Far more than [`EVENT_ATTRIBUTES_BYTES_MAX`] leaves room for in practice; it bounds
/// what a hostile body makes the decoder remember.
pub const EVENT_MEMBERS_MAX: usize = 4_096;
