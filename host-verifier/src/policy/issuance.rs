//! Reads `SVIDIssuancePolicy` documents: which SPIFFE ID a node gets.
//!
//! ```yaml
//! section: SVIDIssuancePolicy
//! schema: v1
//! spec:
//!   policy:
//!     pathTemplate: /node/{{tpm_ek.public_hash}}
//!   policyOverrides:                  # in order; the first that fits takes the place of `policy`
//!     - when:                         # every attribute has one of its values, compared whole
//!         tpm_ek.manufacturer: ["id:49465800", "id:53544D20"]
//!       policy:
//!         pathTemplate: /lab/{{tpm_ek.public_hash}}
//! ```
//!
//! A document that is set for a cluster takes the place of `session.pathTemplate` of the service.

use core::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_saphyr::Spanned;

use crate::attestor::Attribute;
use crate::document::{self, DocumentError, HINT, OneOrMany};
use crate::session::{PathTemplate, is_attribute_name};

/// Most overrides in one document.
const MAX_OVERRIDES: usize = 64;
/// The values of an attribute. The document's own length bounds them.
const VALUES: OneOrMany = OneOrMany {
    expected: "a quoted value or a list of them",
    most: usize::MAX,
    empty: Some(("the list of values is empty", "list the values that fit")),
};

/// An `SVIDIssuancePolicy` document, shape checked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    rename = "SVIDIssuancePolicy",
    description = "SVIDIssuancePolicy: which SPIFFE ID a node of a cluster gets."
)]
pub struct IssuanceDocument {
    /// Always `SVIDIssuancePolicy`.
    #[schemars(with = "String", extend("const" = "SVIDIssuancePolicy"))]
    section: Spanned<String>,
    /// Always `v1`.
    #[schemars(with = "String", extend("const" = "v1"))]
    schema: Spanned<String>,
    /// What is issued.
    spec: Spec,
}

/// What is issued.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(rename = "Issues")]
struct Spec {
    /// Where no override fits.
    policy: Issue,
    /// In order: the first that fits takes the place of `policy`.
    #[schemars(with = "Option<Vec<Override>>", length(min = 1, max = MAX_OVERRIDES))]
    policy_overrides: Option<Spanned<Vec<Override>>>,
}

/// How an SVID is made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Issue {
    /// The path of the SPIFFE ID, with `{{attribute}}` for attributes of the login.
    #[schemars(with = "String", regex(pattern = "^/"))]
    path_template: Spanned<String>,
}

/// Another way for some nodes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Override {
    /// Which nodes.
    #[schemars(with = "super::schema::Condition")]
    when: Spanned<When>,
    /// How it is made for them.
    policy: Issue,
}

/// A document that is right.
#[derive(Debug, PartialEq, Eq)]
pub struct Issuance {
    /// The template that holds where no override fits, and its text.
    pub base: Template,
    /// The overrides in order: attributes with the values that fit, and the template.
    pub overrides: Vec<(When, Template)>,
}

impl Issuance {
    /// The template for a node with these attributes: that of the first override that fits, or the base.
    ///
    /// An override fits when every attribute that it names is there with one of the values that it lists. Of an attribute
    /// with several values one is enough.
    #[must_use]
    pub fn template(&self, attributes: &[Attribute]) -> &Template {
        let fits = |(name, values): &(String, Vec<String>)| {
            attributes
                .iter()
                .any(|attribute| attribute.name == *name && values.contains(&attribute.value))
        };
        let mut overrides = self.overrides.iter();
        let fitting = overrides.find(|(when, _)| when.0.iter().all(fits));
        fitting.map_or(&self.base, |(_, template)| template)
    }
}

/// A checked template beside the text that it was made from.
#[derive(Debug, PartialEq, Eq)]
pub struct Template {
    /// As written.
    pub text: String,
    /// As checked.
    pub path: PathTemplate,
    /// Where.
    pub at: document::Place,
}

impl IssuanceDocument {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn parse(file: &str, text: &str) -> Result<Self, DocumentError> {
        document::parse(file, text)
    }

    /// Checks the meaning.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn check(self, file: &str) -> Result<Issuance, DocumentError> {
        document::expect(file, &self.section, "section", "SVIDIssuancePolicy")?;
        document::expect(file, &self.schema, "schema", "v1")?;
        let mut checked = Issuance {
            base: self.spec.policy.check(file)?,
            overrides: Vec::new(),
        };
        let Some(overrides) = self.spec.policy_overrides else {
            return Ok(checked);
        };
        let at = overrides.referenced.into();
        if overrides.value.is_empty() {
            return Err(DocumentError::new(file, "`policyOverrides` is empty")
                .at(at)
                .hint("list an override, or remove the field"));
        }
        if overrides.value.len() > MAX_OVERRIDES {
            let message = format!("more than {MAX_OVERRIDES} overrides");
            return Err(DocumentError::new(file, message)
                .at(at)
                .hint("let templates do it: attributes tell nodes apart without an override"));
        }
        for Override { when, policy } in overrides.value {
            let template = policy.check(file)?;
            if checked
                .overrides
                .iter()
                .any(|(other, _)| *other == when.value)
            {
                let error = DocumentError::new(file, "`when` is the same as in an override before");
                return Err(error
                    .at(when.referenced.into())
                    .hint("the first one wins: remove or change one of them"));
            }
            checked.overrides.push((when.value, template));
        }
        Ok(checked)
    }
}

impl Issue {
    fn check(self, file: &str) -> Result<Template, DocumentError> {
        let at = self.path_template.referenced.into();
        let text = self.path_template.value;
        match PathTemplate::parse(&text) {
            Ok(path) => Ok(Template { text, path, at }),
            Err(error) => Err(DocumentError::new(file, format!("pathTemplate: {error}"))
                .at(at)
                .hint("for example `/node/{{tpm_ek.public_hash}}`")),
        }
    }
}

/// Attributes with the values that fit: every attribute must have one of its values.
#[derive(Debug, PartialEq, Eq)]
pub struct When(pub Vec<(String, Vec<String>)>);

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = When;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("attributes with the values that fit")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<When, A::Error> {
                let mut all = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if !is_attribute_name(&name) {
                        return Err(de::Error::custom(format_args!(
                            "`{name}` is no attribute name{HINT}an attribute begins with its method, as in `tpm_ek.public_hash`"
                        )));
                    }
                    let mut values = map.next_value_seed(VALUES)?;
                    values.sort();
                    all.push((name, values));
                }
                if all.is_empty() {
                    return Err(de::Error::custom(format_args!(
                        "`when` names no attribute, so it would always fit{HINT}name one, or let `policy` have the template"
                    )));
                }
                all.sort();
                Ok(When(all))
            }
        }
        deserializer.deserialize_any(Table)
    }
}
