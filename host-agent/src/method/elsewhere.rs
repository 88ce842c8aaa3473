//! Settings that other agents have and this one has not, or not by that name: refused with the reason, instead of as an unknown
//! field, for whoever comes from there has read what they do.

use core::fmt;
use core::marker::PhantomData;

use assay_host::document::HINT;
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IntoDeserializer as _, MapAccess, Visitor,
};

/// A name of elsewhere, in any spelling, and what to do instead.
pub(super) type Elsewhere = (&'static str, &'static str);

/// Reads settings; those of `elsewhere` are refused with their hints.
pub(super) fn read<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    elsewhere: &'static [Elsewhere],
) -> Result<T, D::Error> {
    deserializer.deserialize_map(Watching {
        elsewhere,
        read: PhantomData,
    })
}

struct Watching<T> {
    elsewhere: &'static [Elsewhere],
    read: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Watching<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping with the method's settings")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(Watched {
            map,
            elsewhere: self.elsewhere,
        }))
    }
}

struct Watched<A> {
    map: A,
    elsewhere: &'static [Elsewhere],
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Watched<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let Some(key) = self.map.next_key::<String>()? else {
            return Ok(None);
        };
        let found = self.elsewhere.iter().find(|(name, _)| same(name, &key));
        if let Some((_, instead)) = found {
            let what = format_args!("`{key}` is no setting of this agent{HINT}{instead}");
            return Err(A::Error::custom(what));
        }
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// Whether two names differ by nothing but case and underscores.
fn same(one: &str, other: &str) -> bool {
    let plain = |name: &str| -> String {
        let letters = name.chars().filter(|letter| *letter != '_');
        letters.map(|letter| letter.to_ascii_lowercase()).collect()
    };
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use assay_common::policy::AttestorKind;
    use serde_json::json;

    use super::same;
    use crate::method::registry::deserialize_config;

    #[test]
    fn what_other_agents_have_is_refused_with_the_name_that_it_has_here() {
        for (kind, name, instead) in [
            (AttestorKind::AWS_IID, "use_imdsv2", "`imdsv1: true`"),
            (AttestorKind::AWS_IID, "useIMDSv2", "`imdsv1: true`"),
            (
                AttestorKind::AWS_IID,
                "ec2_metadata_endpoint",
                "`metadataEndpoint`",
            ),
            (AttestorKind::AWS_IID, "skip_verification", "leave it out"),
            (AttestorKind::AWS_TOKEN, "duration", "`durationSeconds`"),
            (
                AttestorKind::AWS_TOKEN,
                "secret_access_key",
                "never from this file",
            ),
            (AttestorKind::AZURE_IMDS, "tenant_domain", "`agentDomain`"),
            (AttestorKind::AZURE_MSI, "resource_id", "`audience`"),
            (
                AttestorKind::AZURE_MSI,
                "use_system_assigned_identity",
                "`clientId`",
            ),
            (
                AttestorKind::AZURE_MSI,
                "userAssignedIdentityClientId",
                "`clientId`",
            ),
            (
                AttestorKind::GCP_IIT,
                "service_account_email",
                "`serviceAccount`",
            ),
            (AttestorKind::GCP_IIT, "token_type", "access token"),
            (
                AttestorKind::GCP_IIT,
                "identity_token_host",
                "`metadataEndpoint`",
            ),
        ] {
            let refused = deserialize_config(kind, json!({name: "s3cret"}));
            let told = refused.map(drop).map_err(|error| error.to_string());
            let told = told.err().unwrap_or_default();
            let named = format!("`{name}` is no setting of this agent; hint: ");
            assert!(
                told.starts_with(&named) && told.contains(instead),
                "{name}: {told}"
            );
            assert!(!told.contains("s3cret"), "{told}");
        }
    }

    #[test]
    fn the_common_settings_are_those_of_the_other_agents() {
        let common = json!({"metadataEndpoint": "http://a", "timeout": "30s", "maxRetries": 3, "retryDelay": "1s"});
        for kind in [
            AttestorKind::AWS_IID,
            AttestorKind::AWS_TOKEN,
            AttestorKind::AZURE_IMDS,
            AttestorKind::AZURE_MSI,
            AttestorKind::GCP_IIT,
        ] {
            let read = deserialize_config(kind, common.clone());
            assert!(read.is_ok(), "{kind}");
        }
    }

    #[test]
    fn names_differ_by_more_than_spelling() {
        assert!(same("use_imdsv2", "useImdsV2") && !same("use_imdsv2", "use_imdsv1"));
    }
}
