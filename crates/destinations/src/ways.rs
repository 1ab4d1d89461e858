//! The ways out: one for all buses, and one for each bus that the operator allows networks of its own.

use connector::Client;
use control::Rules;
use std::collections::HashMap;

/// Which way the connections of a bus go out.
pub(crate) struct Ways {
    everybodys: Client,
    /// By the bus's name; the operator lists them, so that there are few.
    of_buses: HashMap<String, Result<Client, String>>,
}

impl Ways {
    pub(crate) fn new(everybodys: Client, rules: &Rules) -> Ways {
        let own = |networks| everybodys.also_to(networks).map_err(|error| error.to_string());
        let of_buses = rules.bus_networks.iter();
        let of_buses = of_buses.map(|(bus, networks)| (bus.clone(), own(networks)));
        Ways {
            of_buses: of_buses.collect(),
            everybodys,
        }
    }

    /// The error is a sentence without secrets.
    pub(crate) fn of(&self, bus: &str) -> Result<&Client, String> {
        match self.of_buses.get(bus) {
            None => Ok(&self.everybodys),
            Some(own) => own.as_ref().map_err(String::clone),
        }
    }
}
