//! What the operator decides about resources: where connections may lead, and as whom.

use connector::{Guard, Networks, Refused};
use std::{borrow::Cow, collections::BTreeMap};

/// The operator's rules for resources; passed to the planner. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Says where a connection may lead, as far as its URL shows; the address is checked again, after resolution, at every
    /// connection.
    pub guard: Guard,
    /// The buses whose connections may use the machine's own AWS credentials; `*`: all.
    pub aws_machine_credentials: Vec<String>,
    /// Networks that connections of one bus may lead to as well, by the bus's name.
    pub bus_networks: BTreeMap<String, Networks>,
}

impl Rules {
    /// With the guard of the one connector.
    pub fn new(guard: Guard) -> Self {
        Self {
            guard,
            ..Self::default()
        }
    }

    /// Lets connections of these buses use the machine's own AWS credentials; `*` is all of them.
    pub fn with_aws_machine_credentials(self, buses: Vec<String>) -> Self {
        Self {
            aws_machine_credentials: buses,
            ..self
        }
    }

    /// Lets connections of these buses lead to networks of their own as well.
    pub fn with_bus_networks(self, bus_networks: BTreeMap<String, Networks>) -> Self {
        Self { bus_networks, ..self }
    }

    /// The rules as they are for one bus: with its own networks beside everybody's.
    pub(crate) fn of_bus(&self, bus: &str) -> Cow<'_, Rules> {
        let Some(networks) = self.bus_networks.get(bus) else {
            return Cow::Borrowed(self);
        };
        let mut rules = self.clone();
        rules.guard.allow_networks = rules.guard.allow_networks.and(networks);
        Cow::Owned(rules)
    }

    /// Whether a connection of this bus may use the machine's own AWS credentials.
    pub fn may_use_machine_credentials(&self, bus: &str) -> bool {
        let mut buses = self.aws_machine_credentials.iter();
        buses.any(|allowed| allowed == "*" || allowed == bus)
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
