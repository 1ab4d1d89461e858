//! What the operator decides about resources: where connections may lead.

use std::{fmt, sync::Arc};
use url::Url;

type DestinationRule = Arc<dyn Fn(&Url) -> Result<(), String> + Send + Sync>;

/// The operator's rules for resources; passed to the planner. Cheap to clone.
#[derive(Clone)]
pub struct Rules {
    destination: DestinationRule,
}

impl fmt::Debug for Rules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Rules")
    }
}

impl Rules {
    /// Asks the connector's guard about each URL. Only what the text shows is decided here; the address is checked again,
    /// after resolution, at every connection.
    pub fn new(destination: impl Fn(&Url) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self {
            destination: Arc::new(destination),
        }
    }

    /// Whether a connection may lead there, or why not.
    pub(crate) fn destination(&self, url: &Url) -> Result<(), String> {
        (self.destination)(url)
    }
}
