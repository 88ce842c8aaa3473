//! The tables in the methods' README files say what the code does.

use std::{collections::BTreeSet, path::Path};

use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::{tpm_ek, tpm_quote};
use serde_json::json;

use crate::{ek, quote_rules};

const EK: &str = include_str!("../../../docs/methods/tpm_ek.md");
const QUOTE: &str = include_str!("../../../docs/methods/tpm_quote.md");

/// The first column of the table below a heading, without its ticks.
fn column(document: &str, heading: &str) -> BTreeSet<String> {
    let (_, section) = document.split_once(&format!("# {heading}\n")).unwrap();
    let section = section.split("\n# ").next().unwrap();
    section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('`').nth(1).unwrap().to_owned())
        .collect()
}

/// The field names that a configuration knows: serde lists them when it meets another one.
fn fields(error: &str) -> BTreeSet<String> {
    let (_, list) = error.split_once("expected one of ").unwrap();
    list.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn configuration_tables_list_exactly_the_fields() {
    let unknown = json!({"no such field": 1});
    let ek = serde_json::from_value::<tpm_ek::Config>(unknown.clone()).unwrap_err();
    assert_eq!(column(EK, "Configuration"), fields(&ek.to_string()));
    let quote = serde_json::from_value::<tpm_quote::Config>(unknown).unwrap_err();
    // An entry of `measurements` has fields of its own, which the error about an unknown setting does not name.
    let mut settings = column(QUOTE, "Configuration");
    for of_entry in ["digest", "name", "version"] {
        assert!(settings.remove(of_entry), "{of_entry}");
    }
    assert_eq!(settings, fields(&quote.to_string()));
}

#[test]
fn attribute_tables_list_exactly_the_attributes() {
    let (_pki, certificate, anchor) = ek::manufactured();
    let config = json!({"manufacturerCAs": [anchor]});
    let claims = ek::claims(config, &ek::Sent::with_certificate(&certificate)).unwrap();
    let names: BTreeSet<String> = claims
        .attributes
        .into_iter()
        .map(|a| a.name.into_owned())
        .collect();
    assert_eq!(column(EK, "Attributes"), names);

    let claims = quote_rules::Bound::new()
        .judge(quote_rules::good())
        .unwrap();
    let measured = quote_rules::measured::claims();
    let names: BTreeSet<String> = claims
        .attributes
        .into_iter()
        .chain(measured.attributes)
        .map(|a| {
            if a.name.starts_with("tpm_quote.pcr.") {
                "tpm_quote.pcr.<bank>.<index>".into()
            } else {
                a.name.into_owned()
            }
        })
        .collect();
    assert_eq!(column(QUOTE, "Attributes"), names);
}

#[test]
fn no_method_lets_anybody_in_without_settings_but_those_that_know_their_own() {
    // Tokens are in the store; EC2 instances are those of the verifier's own account; a microcontroller's TPM is somebody
    // else's to let in.
    let own = [
        AttestorKind::AWS_IID,
        AttestorKind::JOIN_TOKEN,
        AttestorKind::MCU_KEY,
    ];
    for kind in assay_host_verifier::attestor::registry::BUILT {
        let config = assay_host_verifier::attestor::registry::default_config(*kind);
        let stands = config.is_some_and(|config| config.build(Path::new("")).is_ok());
        assert_eq!(stands, own.contains(kind), "{kind}");
    }
}
