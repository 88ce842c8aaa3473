//! Which SPIFFE IDs nodes get: as SPIRE gives them, so that whatever names them elsewhere still holds.
//!
//! Of one method it is `session.pathTemplate`. Of several it is an `SVIDIssuancePolicy`, for a template names what one method says
//! and a login by another would be denied: each method has a path of its own, which holds where a proof says one of the values
//! that the configuration lists for it (an account, a project, a tenant, a cluster). One method without such a list can be the
//! rest; a second one could not be told from it, and is left to the operator.

use super::Import;
use super::methods::Method;
use super::out::Node;
use super::settings::Settings;
use crate::session::PathTemplate;

/// What every path of an agent begins with in SPIRE.
const AGENTS: &str = "/spire/agent";

/// How nodes of a method are named.
#[derive(Debug, Clone)]
pub(super) struct Naming {
    /// The path that SPIRE gives them.
    pub(super) template: String,
    /// An attribute that every proof of the method has, and the values that the configuration knows it by.
    pub(super) told_by: Option<(&'static str, Vec<String>)>,
}

impl Naming {
    /// The template of `agent_path_template`, or SPIRE's default for the method: what its values are called there and here. The
    /// default has ours.
    pub(super) fn of(
        data: &mut Settings,
        (plugin, default): (&str, &str),
        values: &[(&str, &str)],
        import: &mut Import,
    ) -> Self {
        const KEY: &str = "agent_path_template";
        let own = data.peek(KEY).map(|text| translated(text, plugin, values));
        let template = match own {
            Some(Some(own)) => {
                data.take(KEY, "pathTemplate", import);
                own
            }
            // What is left of it is listed.
            Some(None) | None => format!("{AGENTS}/{plugin}{default}"),
        };
        Self {
            template,
            told_by: None,
        }
    }

    /// With what tells proofs of the method from others; an empty list tells nothing.
    pub(super) fn told_by(mut self, attribute: &'static str, values: Vec<String>) -> Self {
        self.told_by = (!values.is_empty()).then_some((attribute, values));
        self
    }
}

/// A template of Go's that puts values in and does nothing else.
fn translated(text: &str, plugin: &str, values: &[(&str, &str)]) -> Option<String> {
    let mut path = String::from(AGENTS);
    if !text.starts_with('/') {
        path.push('/');
    }
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}")?;
        path.push_str(before);
        let name = name.trim().strip_prefix('.')?;
        if name == "PluginName" {
            path.push_str(plugin);
        } else {
            let (_, own) = values.iter().find(|(there, _)| *there == name)?;
            path.push_str(&format!("{{{{{own}}}}}"));
        }
        rest = after;
    }
    path.push_str(rest);
    PathTemplate::parse(&path).ok().map(|_| path)
}

/// Puts the path of a method where it belongs; gives the `SVIDIssuancePolicy` where there are several. `combined` says that one
/// policy has all of them.
pub(super) fn import(
    found: &[(String, Vec<Method>)],
    combined: bool,
    service: &mut Node,
    import: &mut Import,
) -> Option<Node> {
    let named = found.iter().filter_map(|(plugin, methods)| {
        let naming = methods.iter().find_map(|method| method.naming.as_ref())?;
        Some((plugin.as_str(), naming))
    });
    let named: Vec<(&str, &Naming)> = named.collect();
    match named.as_slice() {
        [] => None,
        [(_, only)] => {
            let template = Node::Text(only.template.clone());
            service.put(&["session", "pathTemplate"], template);
            None
        }
        _ if combined => {
            import.note("session.pathTemplate is not written: a node proves itself by several methods, and which of them names it has to be decided; write an SVIDIssuancePolicy, or a template of attributes that every combination gives");
            None
        }
        several => issuance(several, import),
    }
}

/// The document for several methods, each with policies of its own.
fn issuance(several: &[(&str, &Naming)], import: &mut Import) -> Option<Node> {
    type Named<'a> = (&'a str, &'a Naming);
    let (told, rest): (Vec<Named<'_>>, Vec<Named<'_>>) = several
        .iter()
        .copied()
        .partition(|(_, naming)| naming.told_by.is_some());
    // Where all can be told from one another, the last is the rest.
    let (base, told, undecided) = match (rest.as_slice(), told.as_slice()) {
        ([], [told @ .., last]) => (*last, told, Vec::new()),
        ([base, others @ ..], told) => (*base, told, others.to_vec()),
        ([], []) => return None,
    };
    let mut document = Node::map();
    document.put(&["section"], Node::Text("SVIDIssuancePolicy".to_owned()));
    document.put(&["schema"], Node::Text("v1".to_owned()));
    let template = |naming: &Naming| Node::Text(naming.template.clone());
    document.put(&["spec", "policy", "pathTemplate"], template(base.1));
    for (_, naming) in told {
        let Some((attribute, values)) = &naming.told_by else {
            continue;
        };
        let mut entry = Node::map();
        entry.put(&["when", attribute], Node::texts(values.clone()));
        entry.put(&["policy", "pathTemplate"], template(naming));
        document.push(&["spec", "policyOverrides"], entry);
    }
    for (plugin, naming) in undecided {
        import.note(format!(
            "issuance.yaml: nodes that log in by {plugin} get no path, for nothing that the configuration lists tells them from those of {}; SPIRE's would be {}. Give them a cluster of their own, or add an override",
            base.0, naming.template
        ));
    }
    Some(document)
}

#[cfg(test)]
mod tests {
    use super::translated;

    #[test]
    fn a_template_that_only_puts_values_in_is_ours_with_other_names() {
        let values = [
            ("AccountID", "aws_iid.account.id"),
            ("Region", "aws_iid.ec2.instance.region"),
        ];
        let path = |text| translated(text, "aws_iid", &values);
        let own = "/spire/agent/aws_iid/{{aws_iid.account.id}}/x-{{aws_iid.ec2.instance.region}}";
        assert_eq!(
            path("/{{ .PluginName}}/{{ .AccountID }}/x-{{.Region}}").as_deref(),
            Some(own)
        );
        assert_eq!(
            path("{{.PluginName}}/{{.AccountID}}/x-{{.Region}}").as_deref(),
            Some(own)
        );
        for none in [
            "/{{ .InstanceID }}",
            "/{{ index .Tags 0 }}",
            "/{{- .Region }}",
            "/{{ .Region | upper }}",
            "/{{ .Region",
            "/a b/{{ .Region }}",
        ] {
            assert_eq!(path(none), None, "{none}");
        }
    }
}
