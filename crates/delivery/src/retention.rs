//! Retention.
use crate::core::Inner;
use std::sync::Arc;

/// Runs until the core closes.
pub async fn run(inner: Arc<Inner>) {
    let _ = inner;
    std::future::pending::<()>().await;
}
