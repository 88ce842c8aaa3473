//! Where a command finds the verifier: beside its store, by the service's configuration, or over its API.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::remote::Remote;
use super::service::{Failure, load};
use crate::config::Config;

/// Where the verifier is. What the command line says goes before the environment.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Where the verifier is")]
pub struct Access {
    /// The verifier's configuration; or in ASSAYD_CONFIG
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    config: Option<PathBuf>,
    /// The URL of a running verifier; or in ASSAY_SERVER
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// A file with a token for it; or in ASSAY_TOKEN_FILE
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    token_file: Option<PathBuf>,
    /// The authority of its certificate, PEM, instead of the system's; or in ASSAY_CA
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    ca: Option<PathBuf>,
}

/// What a command works on.
#[derive(Debug)]
pub(super) enum Reached {
    /// The store of this configuration.
    Store(Box<Config>),
    /// A verifier that answers.
    Api(Box<Remote>),
}

impl Access {
    /// What to work on. A command that names a configuration never goes elsewhere because of the environment.
    pub(super) fn reach(&self) -> Result<Reached, Failure> {
        if let Some(remote) = self.remote()? {
            return Ok(Reached::Api(Box::new(remote)));
        }
        match self.config() {
            Some(config) => Ok(Reached::Store(Box::new(load(&config)?))),
            None => Err(Failure::usage("no verifier is named").hint(
                "--config FILE of a verifier on this machine, or --server URL and --token-file FILE",
            )),
        }
    }

    /// The configuration that is named, where no server is.
    pub(super) fn config(&self) -> Option<PathBuf> {
        let named = self.config.clone();
        named.or_else(|| environment("ASSAYD_CONFIG").map(PathBuf::from))
    }

    /// The server that is named, if one is.
    pub(super) fn remote(&self) -> Result<Option<Remote>, Failure> {
        if self.config.is_some() {
            return Ok(None);
        }
        let server = match (&self.server, environment("ASSAY_SERVER")) {
            (Some(server), _) => server.clone(),
            (None, None) => return Ok(None),
            (None, Some(server)) => server.into_string().map_err(|_| {
                Failure::usage("ASSAY_SERVER is no URL").hint("e.g. https://assay.example.org:8443")
            })?,
        };
        let file = |named: &Option<PathBuf>, name: &str| {
            let named = named.clone();
            named.or_else(|| environment(name).map(PathBuf::from))
        };
        let token = file(&self.token_file, "ASSAY_TOKEN_FILE").ok_or_else(|| {
            Failure::usage("no token for the server")
                .hint("name a file with one: --token-file FILE (`assay token create` makes one)")
        })?;
        let ca = file(&self.ca, "ASSAY_CA");
        Remote::new(&server, &token, ca).map(Some)
    }
}

/// What a variable says; an empty one says nothing.
fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
