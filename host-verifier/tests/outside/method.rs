//! One method's part of a login: its payload, its errand, its decision.

use assay_common::login::{Direction, LoginKeys, Transcript, proof_nonce};
use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::registry::deserialize_config;
use assay_host_verifier::attestor::{
    AttestError, Attestor, Attribute, Claims, ConfigError, Errand, ErrandContext, Facts, Judged,
    LoginContext,
};
use assay_host_verifier::blobs::Blobs;
use assay_host_verifier::document::Files;
use assay_host_verifier::outside::client::Client;
use assay_host_verifier::outside::{
    Error, ErrorKind, Fetch, KeySource, Outside, Request, Response,
};
use assay_host_verifier::store::JoinTokenTaken;
use jiff::Timestamp;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// The network, and nothing else of the outside.
#[derive(Debug)]
pub(crate) struct Network(pub(crate) Client);

#[async_trait::async_trait]
impl Fetch for Network {
    async fn fetch(&self, request: &Request) -> Result<Response, Error> {
        self.0.fetch(request).await
    }
}

#[async_trait::async_trait]
impl Outside for Network {
    async fn jwk(&self, source: &KeySource, _: Option<&str>) -> Result<Vec<u8>, Error> {
        Err(Error::new(source.location.url(), ErrorKind::Offline))
    }

    async fn take_join_token(&self, _: &[u8; 32], _: Timestamp) -> Result<JoinTokenTaken, Error> {
        Err(Error::store(ErrorKind::Offline))
    }
}

/// The attestor of a policy's entry.
pub(crate) fn attestor(
    kind: AttestorKind,
    config: &Value,
    base: &Path,
) -> Result<Arc<dyn Attestor>, ConfigError> {
    deserialize_config(kind, config.clone())
        .unwrap()
        .build_in(Files::beside(base).in_trust_domain("example.org"))
}

/// A login: what was said in it, and by which cluster.
pub(crate) struct Login {
    kind: AttestorKind,
    transcript: Transcript,
    keys: LoginKeys,
    facts: Facts,
    pub(crate) context: ErrandContext,
}

impl Login {
    pub(crate) fn new(kind: AttestorKind, hello: &str) -> Self {
        let transcript = Transcript::new().then(Direction::Agent, hello.as_bytes());
        let context = ErrandContext {
            now: Timestamp::UNIX_EPOCH,
            login_id: "login-1".to_owned(),
            cluster: "rack".to_owned(),
            trust_domain: "example.org".to_owned(),
            policy: "first".to_owned(),
            proven: vec![(
                AttestorKind::TPM_EK,
                vec![Attribute {
                    origin: AttestorKind::TPM_EK,
                    name: "tpm_ek.public_hash".into(),
                    value: "3f".to_owned(),
                }],
            )],
            proof_nonce: proof_nonce(kind, &transcript),
        };
        Self {
            kind,
            transcript,
            keys: LoginKeys::new([0; 32]),
            facts: Facts::default(),
            context,
        }
    }

    fn cx(&self) -> LoginContext<'_> {
        static NONE: std::sync::OnceLock<Blobs> = std::sync::OnceLock::new();
        LoginContext {
            now: self.context.now,
            transcript: &self.transcript,
            request: &[],
            blobs: NONE.get_or_init(Blobs::default),
            facts: &self.facts,
            last_boot: None,
            keys: &self.keys,
        }
    }

    /// The errand that a payload leads to.
    pub(crate) fn errand(
        &self,
        attestor: &dyn Attestor,
        payload: &[u8],
    ) -> Result<Box<dyn Errand>, AttestError> {
        assert_eq!(attestor.kind(), self.kind);
        match attestor.judge(&self.cx(), payload)? {
            Judged::Errand(errand) => Ok(errand),
            other => panic!("{other:?}"),
        }
    }

    /// What an answer that was kept comes to.
    pub(crate) fn decide(
        &self,
        attestor: &dyn Attestor,
        payload: &[u8],
        answer: &[u8],
    ) -> Result<Claims, AttestError> {
        self.errand(attestor, payload)?.judge(&self.cx(), answer)
    }

    /// All of it.
    pub(crate) async fn claims(
        &self,
        attestor: &dyn Attestor,
        payload: &[u8],
        outside: &dyn Outside,
    ) -> Result<Claims, AttestError> {
        let errand = self.errand(attestor, payload)?;
        let answer = errand.run(outside, &self.context).await?;
        errand.judge(&self.cx(), &answer)
    }
}

/// The first column of the table below a heading, without its ticks.
pub(crate) fn column(document: &str, heading: &str) -> std::collections::BTreeSet<String> {
    let (_, section) = document.split_once(&format!("# {heading}\n")).unwrap();
    let section = section.split("\n# ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| line.split('`').nth(1).unwrap().to_owned())
        .collect()
}

/// The fields that a configuration knows, as its schema has them.
pub(crate) fn fields(kind: AttestorKind) -> std::collections::BTreeSet<String> {
    let mut generator = schemars::SchemaGenerator::default();
    assay_host_verifier::attestor::registry::config_schema(kind, &mut generator).unwrap();
    let schema = generator.definitions()[kind.name().unwrap()].clone();
    schema["properties"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}
