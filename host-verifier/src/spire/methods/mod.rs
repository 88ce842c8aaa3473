//! A node attestor of SPIRE's: the entries of a policy that ask for the same, and what the service needs for them.
//!
//! * `aws`, `azure`, `gcp`: clouds. `kubernetes`: its service accounts. `keys`: what shows that it has a key. `tpm`.

mod aws;
mod azure;
mod gcp;
mod keys;
mod kubernetes;
mod tpm;

pub(super) use azure::{AUDIENCE_NOTE, SPIRES_AUDIENCE};

use super::Import;
use super::files::Part;
use super::hcl::Value;
use super::out::Node;
use super::paths::Naming;
use super::server::lists_of;
use super::settings::{Settings, node_of};

/// An entry of a policy.
#[derive(Debug, Clone)]
pub(super) struct Method {
    /// `type:`.
    pub(super) kind: &'static str,
    /// `config:`.
    pub(super) config: Node,
    /// How its nodes are named; of several methods for one node attestor the first says so.
    pub(super) naming: Option<Naming>,
}

/// A setting there, and its name here.
type Pair = (&'static str, &'static str);

pub(super) fn entries(
    name: &str,
    data: &mut Settings,
    service: &mut Node,
    part: &Part,
    import: &mut Import,
) -> Vec<Method> {
    let one = match name {
        "aws_iid" => Some(aws::iid(data, service, import)),
        "gcp_iit" => Some(gcp::iit(data, service, import)),
        "azure_msi" => azure::msi(data, service, import),
        "azure_imds" => azure::imds(data, service, import),
        "k8s_psat" => kubernetes::psat(data, part, import),
        "x509pop" => keys::x509pop(data, import),
        "sshpop" => keys::sshpop(data, import),
        "tpm_devid" => keys::tpm_devid(data, import),
        "http_challenge" => keys::http_challenge(data, import),
        "join_token" => Some(keys::join_token(import)),
        "tpm" => return tpm::entries(data, import),
        _ => None,
    };
    one.into_iter().collect()
}

fn same(pairs: &[Pair], data: &mut Settings, config: &mut Node, import: &mut Import) {
    for (key, own) in pairs {
        if let Some(value) = data.take(key, own, import) {
            let node = match &value {
                Value::Object(_) => lists_of(&value),
                other => node_of(other),
            };
            config.put(&[own], node);
        }
    }
}

/// What SPIRE does with every node of these methods, without a setting: it lets each in once. A setting of this name is heeded.
fn first_use(kind: &str, data: &mut Settings, config: &mut Node, import: &mut Import) {
    let own = data.take("tofu", "tofu", import);
    if own == Some(Value::Bool(false)) {
        return;
    }
    config.put(&["tofu"], Node::Plain("true".to_owned()));
    import.note(format!(
        "{kind}: SPIRE lets each node in by this method once (trust on first use), which is `tofu: true` here: a node may log in again, with the key that it used first (agent.keyFile), until `assay node evict`"
    ));
}

/// A list of names, without those of another form, which are said: fewer are let in, and never more.
fn those_that_are(
    what: &str,
    all: Vec<String>,
    is: impl Fn(&str) -> bool,
    import: &mut Import,
) -> Vec<String> {
    let (good, bad): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| is(one));
    if !bad.is_empty() {
        import.note(format!(
            "{what}: left out, for it is none: {}",
            bad.join(", ")
        ));
    }
    good
}
