//! The SPIFFE ID of a node: a path template filled in with what was attested, in a trust domain.

use assay_common::identity::{SpiffeId, SpiffeIdError};

use super::{PathTemplate, RenderError};
use crate::attestor::Attribute;

/// Why a node gets no SPIFFE ID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamingError {
    /// The template cannot be filled in.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// What comes out is no SPIFFE ID, for its length.
    #[error("{id}: {error}")]
    Id {
        /// What came out.
        id: String,
        /// The rule.
        error: SpiffeIdError,
    },
}

impl PathTemplate {
    /// The SPIFFE ID of a node with these attributes.
    ///
    /// # Errors
    ///
    /// [`NamingError`]. A template that cannot be filled in is an error, never a reason to try another one.
    pub fn spiffe_id(
        &self,
        trust_domain: &str,
        attributes: &[Attribute],
    ) -> Result<String, NamingError> {
        let id = format!("spiffe://{trust_domain}{}", self.render(attributes)?);
        match SpiffeId::parse(&id) {
            Ok(_) => Ok(id),
            Err(error) => Err(NamingError::Id { id, error }),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::NamingError;
    use crate::attestor::Attribute;
    use crate::policy::IssuanceDocument;
    use crate::session::RenderError;
    use assay_common::policy::AttestorKind;

    const DOCUMENT: &str = "section: SVIDIssuancePolicy
schema: v1
spec:
  policy:
    pathTemplate: /node/{{tpm_ek.public_hash}}
  policyOverrides:
    - when: {tpm_ek.manufacturer: [\"id:A\", \"id:B\"], tpm_quote.boot: secure}
      policy: {pathTemplate: \"/secure/{{tpm_ek.public_hash}}\"}
    - when: {tpm_ek.manufacturer: \"id:A\"}
      policy: {pathTemplate: \"/a/{{tpm_ek.model}}\"}
";

    fn id(attributes: &[(&str, &str)]) -> Result<String, NamingError> {
        let issuance = IssuanceDocument::parse("svid.yaml", DOCUMENT)
            .and_then(|document| document.check("svid.yaml"))
            .unwrap();
        let attributes: Vec<_> = attributes
            .iter()
            .map(|(name, value)| Attribute {
                origin: AttestorKind::TPM_EK,
                name: (*name).to_owned().into(),
                value: (*value).to_owned(),
            })
            .collect();
        let template = &issuance.template(&attributes).path;
        template.spiffe_id("example.org", &attributes)
    }

    #[test]
    fn the_first_override_that_fits_in_every_attribute_names_the_node() {
        const HASH: (&str, &str) = ("tpm_ek.public_hash", "ab");
        const A: (&str, &str) = ("tpm_ek.manufacturer", "id:A");
        const SECURE: (&str, &str) = ("tpm_quote.boot", "secure");
        const MODEL: (&str, &str) = ("tpm_ek.model", "m");
        let named = |attributes: &[_]| id(attributes).unwrap();
        assert_eq!(named(&[HASH]), "spiffe://example.org/node/ab");
        assert_eq!(named(&[HASH, SECURE]), "spiffe://example.org/node/ab");
        assert_eq!(named(&[HASH, A, MODEL]), "spiffe://example.org/a/m");
        let all = [HASH, A, SECURE, MODEL];
        assert_eq!(named(&all), "spiffe://example.org/secure/ab");
        // Whole values: no prefix, no other case.
        let longer = ("tpm_ek.manufacturer", "id:AA");
        assert_eq!(
            named(&[HASH, longer, MODEL]),
            "spiffe://example.org/node/ab"
        );
    }

    #[test]
    fn an_override_that_fits_and_cannot_be_filled_in_is_an_error_and_not_the_base() {
        let result = id(&[
            ("tpm_ek.public_hash", "ab"),
            ("tpm_ek.manufacturer", "id:A"),
        ]);
        let missing = RenderError::Missing("tpm_ek.model".to_owned());
        assert_eq!(result, Err(missing.into()));
    }

    #[test]
    fn a_name_that_is_longer_than_a_spiffe_id_is_refused() {
        let long = "x".repeat(2048);
        assert!(matches!(
            id(&[("tpm_ek.public_hash", &long)]),
            Err(NamingError::Id { .. })
        ));
    }
}
