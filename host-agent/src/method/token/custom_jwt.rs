//! `custom_jwt`: a token of any issuer, out of a file or an environment variable.

use std::path::PathBuf;

use assay_common::policy::AttestorKind;
use serde::Deserialize;

use super::Source;
use crate::finding::Finding;
use crate::method::{Method, MethodConfig, MethodError, Offer, Proof, ProofRequest, Surroundings};

/// `config:` of a `custom_jwt` entry: one of the two.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    token_path: Option<PathBuf>,
    token_env: Option<String>,
}

impl MethodConfig for Config {
    fn build(self: Box<Self>, around: &Surroundings<'_>) -> Result<Box<dyn Method>, MethodError> {
        const HINT: &str =
            "`tokenPath` names a file with the token, `tokenEnv` an environment variable";
        let source = match (self.token_path, self.token_env) {
            (Some(path), None) => Source::Secret(around.path(&path)),
            (None, Some(name)) if !name.is_empty() && !name.contains(['=', '\0']) => {
                Source::Environment(name)
            }
            (None, Some(_)) => {
                let what = "`tokenEnv` is no name of an environment variable";
                return Err(MethodError::new(what, HINT));
            }
            (Some(_), Some(_)) => {
                let what = "both `tokenPath` and `tokenEnv`";
                return Err(MethodError::new(what, "remove one of them"));
            }
            (None, None) => {
                let what = "neither `tokenPath` nor `tokenEnv`";
                return Err(MethodError::new(what, HINT));
            }
        };
        Ok(Box::new(CustomJwt { source }))
    }
}

/// A token as the agent has it.
#[derive(Debug)]
struct CustomJwt {
    source: Source,
}

impl Method for CustomJwt {
    fn kind(&self) -> AttestorKind {
        AttestorKind::CUSTOM_JWT
    }

    fn begin(&mut self) -> Result<(), MethodError> {
        self.source.token().map(drop)
    }

    fn prove(&mut self, _: &ProofRequest<'_>) -> Result<Proof, MethodError> {
        let token = self.source.token()?;
        Ok(token.as_bytes().to_vec().into())
    }

    fn show(&self) -> Result<Offer, MethodError> {
        super::offer(&self.source)
    }

    fn doctor(&self) -> Vec<Finding> {
        let subject = AttestorKind::CUSTOM_JWT.to_string();
        super::doctor(&subject, &self.source, false, jiff::Timestamp::now())
    }
}
