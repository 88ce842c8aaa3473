//! Whether the policies of a cluster can fill the templates of its SPIFFE IDs.
//!
//! A template names attributes, and a login by a policy whose attestors never give one of them is denied. That is known
//! before anything is put in force, and told then: a template that no policy can fill is an error, one that some cannot
//! fill a warning, and so is an attribute that is not good for a path.

use assay_common::policy::AttestorKind;

use crate::document::{Place, nearest};
use crate::session::PathTemplate;

use super::{Issuance, Policy, PolicySet, nameable};

/// Something about a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Where the template stands, in its own document.
    pub at: Place,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// How templates and policies fit together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fit {
    /// Templates that no policy can fill.
    pub errors: Vec<Misfit>,
    /// Templates that some policies cannot fill, and overrides that never fit.
    pub warnings: Vec<Misfit>,
}

/// Whether one of these names, as [`Attestor::attributes`](crate::attestor::Attestor::attributes) gives them, stands for the attribute.
#[must_use]
pub fn gives(names: &[String], attribute: &str) -> bool {
    names.iter().any(|name| match name.strip_suffix('*') {
        Some(begin) => attribute.starts_with(begin),
        None => name == attribute,
    })
}

/// Holds one template against the policies.
#[must_use]
pub fn template(policies: &PolicySet, template: &PathTemplate, at: Place) -> Fit {
    let mut fit = Fit::default();
    let all = Given::of(policies);
    let named: Vec<_> = template.attributes().collect();
    let all: Vec<_> = all.iter().collect();
    fit.hold(&all, &named, at);
    fit.share(&all, &named, at);
    fit.warnings
        .extend(nameable::warnings(template.attributes(), at));
    fit
}

/// Holds every template of a document against the policies.
#[must_use]
pub fn issuance(policies: &PolicySet, issuance: &Issuance) -> Fit {
    let base = &issuance.base;
    let mut fit = template(policies, &base.path, base.at);
    let all = Given::of(policies);
    for (when, own) in &issuance.overrides {
        fit.warnings
            .extend(nameable::warnings(own.path.attributes(), own.at));
        let fits = |given: &&Given<'_>| when.0.iter().all(|(name, _)| gives(&given.names, name));
        let some: Vec<_> = all.iter().filter(fits).collect();
        if some.is_empty() {
            let names: Vec<_> = when.0.iter().map(|(name, _)| name.as_str()).collect();
            fit.warnings.push(Misfit {
                at: own.at,
                message: format!(
                    "this override never fits: no policy of the cluster gives {}",
                    quoted(&names, " and ")
                ),
                hint: hint(&all, names.first().copied().unwrap_or_default()),
            });
            continue;
        }
        let named: Vec<_> = own.path.attributes().collect();
        fit.hold(&some, &named, own.at);
        fit.share(&some, &named, own.at);
    }
    fit
}

/// What logins by a policy can give.
struct Given<'a> {
    policy: &'a Policy,
    names: Vec<String>,
}

impl<'a> Given<'a> {
    fn of(policies: &'a PolicySet) -> Vec<Self> {
        let all = policies.policies().iter().enumerate();
        let serving = all.filter(|(position, _)| policies.applies(*position));
        let given = serving.map(|(_, policy)| {
            let attestors = policy.attestors().iter();
            Self {
                policy,
                names: attestors
                    .flat_map(|attestor| attestor.attributes())
                    .collect(),
            }
        });
        given.collect()
    }
}

/// The attributes of which each is one instance's alone, for methods that bind instances. A path that has one is no other's.
const fn own_names(kind: AttestorKind) -> &'static [&'static str] {
    match kind {
        AttestorKind::AWS_IID => &["aws_iid.ec2.instance.id"],
        AttestorKind::AWS_TOKEN => &["aws_token.ec2.instance.id"],
        AttestorKind::AZURE_IMDS => &["azure_imds.vm.id"],
        AttestorKind::AZURE_MSI => &["azure_msi.identity.principal_id"],
        AttestorKind::GCP_IIT => &["gcp_iit.instance_id"],
        _ => &[],
    }
}

impl Fit {
    /// Tells of policies that bind instances (`tofu`) of which several can have one SPIFFE ID: evicting one evicts the node that
    /// all of them are, and unbinds them.
    fn share(&mut self, given: &[&Given<'_>], named: &[&str], at: Place) {
        for given in given {
            let attestors = given.policy.attestors().iter();
            let bound = attestors.filter(|attestor| attestor.binds_first_use());
            for kind in bound.map(|attestor| attestor.kind()) {
                let own = own_names(kind);
                if own.is_empty() || named.iter().any(|name| own.contains(name)) {
                    continue;
                }
                self.warnings.push(Misfit {
                    at,
                    message: format!(
                        "pathTemplate: policy `{}` binds each instance of {kind} to its key (tofu), and several instances can have one SPIFFE ID",
                        given.policy.name()
                    ),
                    hint: format!(
                        "evicting one of them unbinds all: have {} in the path",
                        quoted(own, " or ")
                    ),
                });
            }
        }
    }

    /// Holds a template that needs these attributes against these policies.
    fn hold(&mut self, given: &[&Given<'_>], named: &[&str], at: Place) {
        let missing = |given: &Given<'_>| -> Vec<&str> {
            let names = named.iter().copied();
            names.filter(|name| !gives(&given.names, name)).collect()
        };
        let lacking: Vec<_> = given
            .iter()
            .map(|given| (given.policy, missing(given)))
            .filter(|(_, missing)| !missing.is_empty())
            .collect();
        if lacking.len() < given.len() {
            for (policy, missing) in lacking {
                self.warnings.push(Misfit {
                    at,
                    message: format!(
                        "pathTemplate: policy `{}` never gives {}",
                        policy.name(),
                        quoted(&missing, " and ")
                    ),
                    hint: "a login by that policy is denied: name what all policies give, or add an override in an SVIDIssuancePolicy".to_owned(),
                });
            }
            return;
        }
        let nowhere = |name: &&&str| lacking.iter().all(|(_, missing)| missing.contains(*name));
        let (message, hint) = match named.iter().find(nowhere) {
            Some(name) => (
                format!("pathTemplate: no policy of the cluster gives `{name}`"),
                hint(given, name),
            ),
            None => (
                format!(
                    "pathTemplate: no policy of the cluster gives {} together",
                    quoted(named, " and ")
                ),
                "every login would be denied: name what one policy gives".to_owned(),
            ),
        };
        self.errors.push(Misfit { at, message, hint });
    }
}

/// What is given, with the nearest name first if there is one that is near.
fn hint<'a>(given: &[impl core::borrow::Borrow<Given<'a>>], name: &str) -> String {
    let mut names: Vec<&str> = given
        .iter()
        .flat_map(|given| given.borrow().names.iter().map(String::as_str))
        .collect();
    names.sort_unstable();
    names.dedup();
    match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!(
            "every login would be denied; its policies give {}. A cluster's own template is the SVIDIssuancePolicy's",
            quoted(&names, ", ")
        ),
    }
}

fn quoted(names: &[&str], between: &str) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(between)
}
