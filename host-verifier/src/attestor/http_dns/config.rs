//! Settings of `http_dns`, and the attestor made from them.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    HttpDns, Rules,
    rules::{Allowed, PatternError},
};
use crate::{
    attestor::{Attestor, ConfigError, MethodConfig},
    document::Files,
};

/// Most host names of an entry.
const MAX_HOSTNAMES: usize = 4096;

/// `config:` of a `http_dns` entry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "http_dns")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The host names that are let in. `*` is one whole label, the left-most: `*.nodes.example.org`.
    #[schemars(length(min = 1, max = 4096))]
    pub allowed_hostnames: Vec<String>,
    /// The ports that may be asked. Default: every port.
    #[schemars(length(min = 1), inner(range(min = 1, max = 65535)))]
    pub allowed_ports: Option<Vec<u16>>,
    /// Ask private addresses too (RFC 1918, RFC 6598, fc00::/7).
    #[serde(default)]
    pub allow_private_addresses: bool,
}

impl MethodConfig for Config {
    fn build_in(&self, _: Files<'_>) -> Result<Arc<dyn Attestor>, ConfigError> {
        self.rules()
            .map(|rules| Arc::new(HttpDns::new(rules)) as Arc<dyn Attestor>)
    }
}

impl Config {
    /// Checks the meaning of the settings.
    ///
    /// # Errors
    /// [`ConfigError`]: an empty list, a pattern that is none or lets in whoever likes, a port that is none.
    pub fn rules(&self) -> Result<Rules, ConfigError> {
        const NAMES: &str = "allowedHostnames";
        if self.allowed_hostnames.is_empty() {
            let hint = "list the names that are let in: no other way of saying `all` exists";
            return Err(error(NAMES, "the list is empty", hint));
        }
        if self.allowed_hostnames.len() > MAX_HOSTNAMES {
            let hint = "use a wildcard: `*.nodes.example.org`";
            return Err(error(NAMES, "the list is too long", hint));
        }
        let names = self.allowed_hostnames.iter().enumerate();
        let hostnames = names.map(|(i, text)| {
            Allowed::parse(text).map_err(|wrong| {
                let message = format!("`{}`: {wrong}", text.escape_debug());
                error(&format!("{NAMES}[{i}]"), &message, hint(wrong))
            })
        });
        let hostnames = hostnames.collect::<Result<_, _>>()?;
        let ports = match self.allowed_ports.as_deref() {
            None => None,
            Some([]) => {
                let hint = "list ports, or remove the field to let in every port";
                return Err(error("allowedPorts", "the list is empty", hint));
            }
            Some(ports) if ports.contains(&0) => {
                return Err(error(
                    "allowedPorts",
                    "0 is no port",
                    "ports are 1 to 65535",
                ));
            }
            Some(ports) => Some(ports.iter().copied().collect()),
        };
        Ok(Rules {
            hostnames,
            ports,
            private: self.allow_private_addresses,
        })
    }
}

const fn hint(wrong: PatternError) -> &'static str {
    match wrong {
        PatternError::Address => "give the host a name, or use another method",
        PatternError::Wildcard => "e.g. `*.nodes.example.org`",
        PatternError::PublicSuffix => "put the wildcard below a domain of your own",
        PatternError::Localhost => "name the host as the verifier's resolver knows it",
        PatternError::Name => "e.g. `node7.example.org` or `*.nodes.example.org`",
    }
}

fn error(field: &str, message: &str, hint: &str) -> ConfigError {
    ConfigError {
        field: field.to_owned(),
        message: message.to_owned(),
        hint: Some(hint.to_owned()),
    }
}
