//! `tpm_quote` as a login uses it: request, answer, rules, claims.

mod answers;
mod counters;
pub(crate) mod measured;

use std::path::Path;

use assay_common::login::quote_nonce;
use assay_common::method::tpm_quote::QuotePayload;
use assay_host_verifier::attestor::tpm_quote::Config;
use assay_host_verifier::attestor::{
    AttestError, Attestor, BootState, BoundKey, Claims, Facts, Fault, Judged, MethodConfig,
};
use assay_host_verifier::blobs::Blobs;
use serde_json::json;

use crate::ek::Login;
use crate::soft::{SoftKey, Statement};

const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";

const ONES: &str = "1111111111111111111111111111111111111111111111111111111111111111";

const SEVENS: &str = "7777777777777777777777777777777777777777777777777777777777777777";

fn attestor(config: serde_json::Value) -> std::sync::Arc<dyn Attestor> {
    let config: Config = serde_json::from_value(config).unwrap();
    config.build(Path::new("")).unwrap()
}

/// A login in which `tpm_ek` bound a key.
pub(crate) struct Bound {
    pub(crate) key: SoftKey,
    pub(crate) login: Login,
    pub(crate) last: Option<BootState>,
    pub(crate) statement: Statement,
}

impl Bound {
    pub(crate) fn new() -> Self {
        let key = SoftKey::new();
        let mut login = Login::new(Blobs::default());
        login.facts = Facts {
            subject: Some("ab".repeat(32)),
            attestation_key: Some(BoundKey {
                public: key.public.clone(),
                name: key.key().name().unwrap().as_bytes().to_vec(),
            }),
            ..Facts::default()
        };
        let mut statement = Statement::proper(&key);
        statement.nonce = quote_nonce(&login.transcript).to_vec();
        Self {
            key,
            login,
            last: None,
            statement,
        }
    }

    /// Judges the statement, properly signed, under a config.
    pub(crate) fn judge(&mut self, config: serde_json::Value) -> Result<Claims, AttestError> {
        let attestor = attestor(config);
        self.login.request = attestor.request(None).unwrap();
        self.answer(attestor.as_ref())
    }

    /// Judges the statement by an attestor, after the request was made.
    fn answer(&self, attestor: &dyn Attestor) -> Result<Claims, AttestError> {
        let attest = self.statement.attest();
        self.answer_with(
            attestor,
            &attest,
            &self.key.sign(&attest),
            &self.statement.values,
        )
    }

    fn answer_with(
        &self,
        attestor: &dyn Attestor,
        attest: &[u8],
        signature: &[u8],
        values: &[u8],
    ) -> Result<Claims, AttestError> {
        let payload = QuotePayload {
            pcr_values: values,
            attest,
            signature,
        };
        let mut buffer = [0; 4096];
        let payload = postcard::to_slice(&payload, &mut buffer).unwrap().to_vec();
        let mut context = self.login.context();
        context.last_boot = self.last.as_ref();
        match attestor.judge(&context, &payload)? {
            Judged::Proven(claims) => Ok(*claims),
            Judged::Challenge(_) | Judged::Errand(_) => panic!("a quote needs no second step"),
        }
    }

    #[track_caller]
    fn refused(&mut self, config: serde_json::Value, check: &str) {
        let error = self.judge(config).map(drop).unwrap_err();
        assert_eq!(
            (error.fault, error.check),
            (Fault::Refused, check),
            "{error}"
        );
    }
}

/// The values of [`Statement::proper`].
pub(crate) fn good() -> serde_json::Value {
    json!({"pcrs": {"0": ZERO, "1": [SEVENS, ONES], "7": SEVENS}})
}

fn with(extra: serde_json::Value) -> serde_json::Value {
    let mut config = good();
    let object = config.as_object_mut().unwrap();
    object.extend(extra.as_object().unwrap().clone());
    config
}
