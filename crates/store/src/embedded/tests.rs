//! What only this engine has: its file.

use super::*;
use tempfile::TempDir;

#[tokio::test]
async fn the_embedded_store_keeps_the_contract() {
    let directory = TempDir::new().unwrap();
    let open = async |name: &'static str| {
        let store = Embedded::open(&directory.path().join(name), Settings::default())?;
        Ok(Arc::new(store) as Arc<dyn Store>)
    };
    crate::conformance::run(open).await;
}
