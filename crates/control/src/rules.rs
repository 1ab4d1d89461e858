//! What the operator decides about resources: where connections may lead.

use connector::{Guard, Refused};

/// The operator's rules for resources; passed to the planner. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Says where a connection may lead, as far as its URL shows; the address is checked again, after resolution, at every
    /// connection.
    pub guard: Guard,
}

impl Rules {
    /// With the guard of the one connector.
    pub fn new(guard: Guard) -> Self {
        Self { guard }
    }

    /// The stable code and the reason why a URL is refused.
    pub(crate) fn destination(&self, url: &str) -> Result<(), (&'static str, String)> {
        let code = |refused: &Refused| match refused {
            Refused::Host { .. } | Refused::Address { .. } => "url_refused",
            Refused::Url(_) | Refused::Scheme | Refused::Userinfo => "resource_invalid",
        };
        match self.guard.check_url(url) {
            Ok(_) => Ok(()),
            Err(refused) => Err((code(&refused), refused.to_string())),
        }
    }
}
