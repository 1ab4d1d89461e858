//! Filters over documents: compiled when saved, many of them in one matcher, able to explain themselves.
//!
//! A [`Document`] is scalars and lists of scalars at canonical paths, and one JSON text mounted at `/data`. Each dialect's
//! compiler rewrites its paths through the [`Mounts`] its caller passes. This crate knows no events, topics or buses.

/// Placeholder: the contract is in the comments of the helper's task.
pub struct Document;
