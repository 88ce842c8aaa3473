//! `k8s_psat`: the map of clusters that SPIRE documents, and the one cluster of writings about it.

use super::{Method, Pair};
use crate::spire::Import;
use crate::spire::files::Part;
use crate::spire::hcl::Value;
use crate::spire::out::Node;
use crate::spire::paths::Naming;
use crate::spire::settings::{Settings, node_of, texts};

const SAME: [Pair; 4] = [
    ("kube_config_file", "kubeConfigFile"),
    ("allowed_node_label_keys", "allowedNodeLabelKeys"),
    ("allowed_pod_label_keys", "allowedPodLabelKeys"),
    ("use_pod_uid_for_agent_id", "usePodUidForAgentId"),
];
/// What SPIRE's server expects, and its agents' tokens are projected for, unless something else is said.
const AUDIENCE: &str = "spire-server";

pub(super) fn psat(data: &mut Settings, part: &Part, import: &mut Import) -> Option<Method> {
    let mut clusters = Vec::new();
    for mut member in data.keyed("clusters", import) {
        let name = member.key.clone();
        match cluster(&name, &mut member.settings, None, import) {
            Some(cluster) => {
                member.carried(&format!("clusters.{name}"), import);
                member.settings.finish(import);
                clusters.push((name, cluster));
            }
            None => member.left("it lets in no service account", "", import),
        }
    }
    if data.has("service_account_allow_list") {
        let name = data.take("cluster", "clusters", import);
        let name = name.map_or_else(|| "kubernetes".to_owned(), |value| texts(&value).concat());
        let namespace = part.namespace.as_deref().unwrap_or("spire");
        let cluster = cluster(&name, data, Some(namespace), import);
        clusters.extend(cluster.map(|cluster| (name, cluster)));
    }
    if clusters.is_empty() {
        return None;
    }
    let names = clusters.iter().map(|(name, _)| name.clone()).collect();
    let default = "/{{k8s_psat.cluster}}/{{k8s_psat.agent_node_uid}}";
    let naming = Naming::of(data, ("k8s_psat", default), &[], import);
    let mut config = Node::map();
    config.put(&["clusters"], Node::Map(clusters));
    Some(Method {
        kind: "k8s_psat",
        config,
        naming: Some(naming.told_by("k8s_psat.cluster", names)),
    })
}

/// A cluster; `namespace` is that of service accounts that name none.
fn cluster(
    name: &str,
    data: &mut Settings,
    namespace: Option<&str>,
    import: &mut Import,
) -> Option<Node> {
    const ACCOUNTS: &str = "service_account_allow_list";
    let to = format!("clusters.{name}.serviceAccountAllowList");
    if data.get(ACCOUNTS).map(texts).unwrap_or_default().is_empty() {
        return None;
    }
    let accounts = data.take(ACCOUNTS, &to, import)?;
    let accounts = texts(&accounts).into_iter().map(|account| match namespace {
        Some(namespace) if !account.contains(':') => {
            let account = format!("{namespace}:{account}");
            import.note(format!(
                "{to}: a service account is NAMESPACE:NAME; {account} was taken, look whether that is right"
            ));
            account
        }
        _ => account,
    });
    let accounts: Vec<String> = accounts.collect();
    let mut own = Node::map();
    own.put(&["serviceAccountAllowList"], Node::texts(accounts));
    match data.take("audience", &format!("clusters.{name}.audience"), import) {
        Some(Value::List(all)) => {
            own.put(&["audience"], node_of(&Value::List(all)));
        }
        Some(one) => own.put(&["audience"], Node::texts(texts(&one))),
        None => {
            own.put(&["audience"], Node::texts([AUDIENCE]));
            import.note(format!(
                "clusters.{name}.audience: {AUDIENCE}, which is SPIRE's unless something else is said, and what agents' tokens are projected for"
            ));
        }
    }
    for (key, ours) in SAME {
        if let Some(value) = data.take(key, &format!("clusters.{name}.{ours}"), import) {
            own.put(&[ours], node_of(&value));
        }
    }
    if own.at(&["kubeConfigFile"]).is_none() {
        let server = "https://kubernetes.default.svc";
        let token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
        own.put(&["apiServer"], Node::Text(server.to_owned()));
        own.put(&["tokenFile"], Node::Text(token.to_owned()));
        import.note(format!(
            "clusters.{name}: SPIRE asks the cluster that its own pod runs in, and so does this; name its authority in `caCerts` (/var/run/secrets/kubernetes.io/serviceaccount/ca.crt), and with `assay config set` a `credential` of outbound.credentials in place of tokenFile"
        ));
    }
    Some(own)
}
