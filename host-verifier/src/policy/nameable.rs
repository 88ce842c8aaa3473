//! Attributes that are not good for naming a node, though a path template may have them.
//!
//! A template fills values in as they are ([`PathTemplate`](crate::session::PathTemplate)): one that no SPIFFE path may have denies
//! the login, and is never escaped, since what is escaped can be made to look like another. So an attribute whose every value has
//! such characters denies every login. Another one is worse for being legal: it names a machine by what it was in this login.
//!
//! Serial numbers of certificates are none of these. They change when a certificate is renewed, but for methods that prove a
//! certificate they are what surely tells two nodes apart.

use crate::document::Place;

use super::fit::Misfit;

/// Why an attribute is not good for a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// No value of it is legal in a path.
    Illegal,
    /// Whoever logs in chooses it.
    Chosen,
    /// It is another one after a restart, or in each login.
    Changing,
}

/// By name; one that ends in `*` stands for all that begin so.
const FAULTS: &[(&str, Fault)] = &[
    ("aws_iid.ec2.image.created_time", Fault::Illegal),
    ("aws_iid.iam.role", Fault::Illegal),
    ("aws_token.ec2.instance.arn", Fault::Illegal),
    ("aws_token.lambda.function.arn", Fault::Illegal),
    ("aws_token.ou_path", Fault::Illegal),
    ("aws_token.principal_arn", Fault::Illegal),
    ("aws_token.request_tags.*", Fault::Chosen),
    ("gcp_iit.network", Fault::Illegal),
    ("gcp_iit.service_account.email", Fault::Illegal),
    ("gcp_iit.subnetwork", Fault::Illegal),
    ("http_dns.port", Fault::Changing),
    ("join_token.spiffe_id", Fault::Illegal),
    ("k8s_psat.agent_pod_name", Fault::Changing),
    ("k8s_psat.agent_pod_uid", Fault::Changing),
    ("k8s_sat.agent_uuid", Fault::Changing),
    ("ssh_pop.valid.*", Fault::Changing),
    ("tpm_ek.firmware_version", Fault::Illegal),
    ("tpm_ek.manufacturer", Fault::Illegal),
    ("tpm_quote.boot_counter", Fault::Changing),
    ("tpm_quote.clock_safe", Fault::Changing),
    ("tpm_quote.image.digest", Fault::Illegal),
    ("tpm_quote.measurements", Fault::Illegal),
    ("tpm_quote.pcr.*", Fault::Changing),
    ("tpm_quote.reset_count", Fault::Changing),
    ("tpm_quote.restart_count", Fault::Changing),
];

/// What is told of the attributes of a template.
pub fn warnings<'a>(
    attributes: impl Iterator<Item = &'a str>,
    at: Place,
) -> impl Iterator<Item = Misfit> {
    attributes.filter_map(move |attribute| {
        let stands_for = |(name, _): &&(&str, Fault)| match name.strip_suffix('*') {
            Some(begin) => attribute.starts_with(begin),
            None => *name == attribute,
        };
        let (_, fault) = FAULTS.iter().find(stands_for)?;
        let (message, hint) = match fault {
            Fault::Illegal => (
                "no value of it may stand in a SPIFFE path",
                "every login would be denied: a path has letters, digits, `-`, `_` and `.` between its slashes; name another attribute of the method",
            ),
            Fault::Chosen => (
                "whoever logs in chooses it",
                "a node could take the name of any other: name what the method proves",
            ),
            Fault::Changing => (
                "it does not stay the same",
                "the node would be another one after it changed, and a ban would not hold: name what stays",
            ),
        };
        Some(Misfit {
            at,
            message: format!("pathTemplate: `{attribute}`: {message}"),
            hint: hint.to_owned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use assay_common::policy::AttestorKind;

    use super::{FAULTS, warnings};
    use crate::attestor::registry::may_give;
    use crate::document::Place;

    const AT: Place = Place { line: 3, column: 7 };

    fn told(attribute: &str) -> Vec<String> {
        let all = warnings(core::iter::once(attribute), AT);
        all.map(|one| one.message).collect()
    }

    #[test]
    fn every_name_is_an_attribute_of_its_method() {
        for (name, _) in FAULTS {
            let method = name.split('.').next().unwrap_or_default();
            let kind = AttestorKind::from_name(method).unwrap_or(AttestorKind::TPM_EK);
            let attribute = match *name {
                "tpm_quote.pcr.*" => "tpm_quote.pcr.sha256.7".to_owned(),
                "ssh_pop.valid.*" => "ssh_pop.valid.after".to_owned(),
                other => other.replace('*', "rack"),
            };
            assert_eq!(may_give(kind, &attribute), Some(true), "{name}");
        }
    }

    #[test]
    fn what_names_a_node_well_is_not_told_of() {
        for name in [
            "aws_token.ec2.instance.id",
            "aws_token.principal_tags.Rack",
            "tpm_ek.public_hash",
            "x509_pop.serial_number",
            "k8s_psat.agent_node_uid",
        ] {
            assert!(told(name).is_empty(), "{name}");
        }
        assert!(
            told("aws_token.principal_arn")
                .concat()
                .contains("no value of it")
        );
        assert!(
            told("aws_token.request_tags.rack")
                .concat()
                .contains("chooses it")
        );
        assert!(
            told("tpm_quote.pcr.sha256.7")
                .concat()
                .contains("does not stay")
        );
    }
}
