//! `azure_msi` and `azure_imds`: the maps of tenants that SPIRE documents, and the one tenant of writings about it.

mod access;

use std::collections::BTreeSet;

use self::access::Who;
use super::{Method, Pair, first_use, same, those_that_are};
use crate::attestor::issuer::config::MOST;
use crate::cloud::azure::Guid;
use crate::spire::Import;
use crate::spire::out::Node;
use crate::spire::paths::Naming;
use crate::spire::settings::{Settings, texts};

/// What SPIRE's agents ask tokens for, and its server expects, unless something else is said.
pub(in crate::spire) const SPIRES_AUDIENCE: &str = "https://management.azure.com/";
/// Nobody's: lets nobody in until the operator says who.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// Why a tenant is left out.
const NO_MORE: &str = "a tenant is there once, and of several at most 32";

const NO_TENANT: &str = "no tenant is named, so no policy was written";

/// The lists of writings on SPIRE.
const LISTS: [Pair; 8] = [
    ("subscription_ids", "subscriptionIds"),
    ("resource_groups", "resourceGroups"),
    ("vm_name_patterns", "vmNamePatterns"),
    ("required_nsg_names", "requiredNsgNames"),
    ("vnet_names", "vnetNames"),
    ("subnet_names", "subnetNames"),
    ("vm_sizes", "vmSizes"),
    ("locations", "locations"),
];

pub(super) fn msi(data: &mut Settings, service: &mut Node, import: &mut Import) -> Option<Method> {
    let (members, strangers): (Vec<_>, Vec<_>) = data
        .keyed("tenants", import)
        .into_iter()
        .partition(|member| Guid::parse(&member.key).is_some());
    for stranger in strangers {
        let reason = "a tenant is named by its ID, which is a GUID";
        stranger.left(reason, "az account show --query tenantId", import);
    }
    if members.is_empty() && data.peek("tenant_id").is_none() {
        data.leave_all(NO_TENANT, "azure_msi: {tenants: [{tenantID}]}", import);
        return None;
    }
    let mut config = Node::map();
    let environment = environment(data, &mut config, import);
    let mut tenants = Vec::new();
    same(&LISTS, data, &mut config, import);
    let is_restricted = config.at(&["subscriptionIds"]).is_some();
    if let Some(id) = data.peek("tenant_id").map(ToOwned::to_owned) {
        data.take("tenant_id", "tenants[0].tenantID", import);
        let mut tenant = Node::map();
        tenant.put(&["tenantID"], Node::Text(id.clone()));
        data.carry("audience", &["audience"], &mut tenant, import);
        let who = Who::of_application(data, ("client_id", "client_secret"), import);
        who.grant(
            (id.as_str(), environment.as_ref()),
            "azure-client-secret",
            service,
            import,
        );
        tenants.push((id, tenant, is_restricted));
    }
    for mut member in members {
        let id = member.key.clone();
        let is_there = |(known, ..): &(String, Node, bool)| known.eq_ignore_ascii_case(&id);
        if tenants.iter().any(is_there) || tenants.len() == MOST {
            member.left(NO_MORE, "make another policy with it", import);
            continue;
        }
        member.carried(&format!("tenants[{}].tenantID", tenants.len()), import);
        let own = &mut member.settings;
        let mut tenant = Node::map();
        tenant.put(&["tenantID"], Node::Text(id.clone()));
        match own.has("resource_id") {
            true => own.carry("resource_id", &["audience"], &mut tenant, import),
            false => {
                let audience = Node::Text(SPIRES_AUDIENCE.to_owned());
                tenant.put(&["audience"], audience);
                import.note(format!("azure_msi: {AUDIENCE_NOTE}"));
            }
        }
        let subscriptions = subscriptions(
            own,
            &["subscription_id", "restrict_to_subscriptions"],
            import,
        );
        let is_restricted = !subscriptions.is_empty() || is_restricted;
        if !subscriptions.is_empty() {
            tenant.put(&["subscriptionIDs"], Node::texts(subscriptions));
        }
        let who = Who::of_application(own, ("app_id", "app_secret"), import);
        let secret = format!("azure-secret-{id}");
        who.grant(
            (id.as_str(), environment.as_ref()),
            &secret,
            service,
            import,
        );
        member.settings.finish(import);
        tenants.push((id, tenant, is_restricted));
    }
    let ids: Vec<String> = tenants.iter().map(|(id, ..)| id.clone()).collect();
    let tenants = tenants.into_iter().map(|(id, mut tenant, is_restricted)| {
        if !is_restricted {
            tenant.put(&["principalID"], Node::Text(NOBODY.to_owned()));
            import.note(format!(
                "azure_msi: of tenant {id} nobody is let in: name the identity (principalID, `az identity show --query principalId`), or its machines' subscriptions (subscriptionIDs) in place of it. SPIRE lets in any whose machine its own credentials can see"
            ));
        }
        tenant
    });
    let tenants: Vec<Node> = tenants.collect();
    let mut whole = Node::map();
    whole.put(&["tenants"], Node::List(tenants));
    let mut config = merged(whole, config);
    first_use("azure_msi", data, &mut config, import);
    let values = [
        ("TenantID", "azure_msi.tenant.id"),
        ("PrincipalID", "azure_msi.identity.principal_id"),
    ];
    let default = "/{{azure_msi.tenant.id}}/{{azure_msi.identity.principal_id}}";
    let naming = Naming::of(data, ("azure_msi", default), &values, import);
    Some(Method {
        kind: "azure_msi",
        config,
        naming: Some(naming.told_by("azure_msi.tenant.id", lower(ids))),
    })
}

/// Said where the audience is SPIRE's default, of the verifier and of agents.
pub(in crate::spire) const AUDIENCE_NOTE: &str = "the audience is https://management.azure.com/, which is SPIRE's unless something else is said: a token for it lets whoever has it act in Azure as the node. Register an application of your own for it, as docs/methods/azure_msi.md says, and name that in the policy and in agents";

pub(super) fn imds(data: &mut Settings, service: &mut Node, import: &mut Import) -> Option<Method> {
    let members = data.keyed("tenants", import);
    if members.is_empty() {
        let instead = "azure_imds: {tenants: [{tenantID, subscriptionIDs}]}";
        data.leave_all(NO_TENANT, instead, import);
        return None;
    }
    let mut config = Node::map();
    let environment = environment(data, &mut config, import);
    same(&LISTS, data, &mut config, import);
    let several = members.len() > 1;
    let mut tenants = Vec::new();
    let mut ids = Vec::new();
    let mut tags: Vec<String> = Vec::new();
    let mut seen = BTreeSet::new();
    for (position, mut member) in members.into_iter().enumerate() {
        let is_there = |known: &String| known.eq_ignore_ascii_case(&member.key);
        if ids.iter().any(is_there) || ids.len() == MOST {
            member.left(NO_MORE, "make another policy with it", import);
            continue;
        }
        let id = tenant_id(&member.key, position, import);
        member.carried(&format!("tenants[{position}].tenantID"), import);
        let own = &mut member.settings;
        let mut tenant = Node::map();
        tenant.put(&["tenantID"], Node::Text(id.clone()));
        let is_limited = own.has("restrict_to_subscriptions");
        let mut listed = subscriptions(own, &["restrict_to_subscriptions"], import);
        // A subscription is of one tenant.
        listed.retain(|one| seen.insert(one.clone()));
        if listed.is_empty() && (several || is_limited) {
            // Nobody's, and another one for each tenant: none may be there twice.
            let (head, _) = NOBODY.split_at(NOBODY.len() - 4);
            listed.insert(format!("{head}{position:04}"));
            import.note(format!(
                "azure_imds: of tenant {} nobody is let in: name its subscriptions (tenants[{position}].subscriptionIDs). A document of Azure's does not say of which tenant a machine is, so they are needed where there are several",
                member.key
            ));
        }
        if !listed.is_empty() {
            tenant.put(&["subscriptionIDs"], Node::texts(listed));
        }
        // SPIRE always asks; without it a machine of anybody's would do.
        tenant.put(&["useComputeAPI"], Node::Plain("true".to_owned()));
        if let Some(all) = own.take("allowed_vm_tags", "attributeVMTagKeys", import) {
            tags.extend(texts(&all));
        }
        let who = Who::of_imds(own, import);
        let secret = format!("azure-secret-{id}");
        who.grant(
            (id.as_str(), environment.as_ref()),
            &secret,
            service,
            import,
        );
        member.settings.finish(import);
        ids.push(id);
        tenants.push(tenant);
    }
    let mut whole = Node::map();
    whole.put(&["tenants"], Node::List(tenants));
    let mut config = merged(whole, config);
    if !tags.is_empty() {
        let tags = those_that_are(
            "attributeVMTagKeys",
            tags,
            crate::session::is_attribute_name,
            import,
        );
        let mut names = BTreeSet::new();
        let tags = tags
            .into_iter()
            .filter(|tag| names.insert(tag.to_ascii_lowercase()));
        config.put(&["attributeVMTagKeys"], Node::texts(tags));
    }
    if let Some(path) = data.take("trust_bundle_path", "clouds.azure.roots", import) {
        for path in texts(&path) {
            service.push(&["clouds", "azure", "roots"], Node::Text(path));
        }
    }
    first_use("azure_imds", data, &mut config, import);
    let values = [
        ("TenantID", "azure_imds.tenant.id"),
        ("SubscriptionID", "azure_imds.subscription.id"),
        ("VMID", "azure_imds.vm.id"),
    ];
    let default = "/{{azure_imds.tenant.id}}/{{azure_imds.subscription.id}}/{{azure_imds.vm.id}}";
    let naming = Naming::of(data, ("azure_imds", default), &values, import);
    Some(Method {
        kind: "azure_imds",
        config,
        naming: Some(naming.told_by("azure_imds.tenant.id", lower(ids))),
    })
}

/// SPIRE names a tenant by its domain and asks for its ID; nobody is asked here.
fn tenant_id(key: &str, position: usize, import: &mut Import) -> String {
    if Guid::parse(key).is_some() {
        return key.to_owned();
    }
    let (head, _) = NOBODY.split_at(NOBODY.len() - 4);
    let id = format!("{head}{:04}", position + 1);
    import.note(format!(
        "azure_imds: {id} stands for the tenant {key}, which is named by its ID here: put that in its place wherever it stands (`curl https://login.microsoftonline.com/{key}/.well-known/openid-configuration` has it in `issuer`); until then nobody of it is let in"
    ));
    id
}

/// Which of the Azures, by its name or by the domain of its metadata service.
fn environment(data: &mut Settings, config: &mut Node, import: &mut Import) -> Option<String> {
    const NAMES: [(&[&str], &str); 3] = [
        (
            &["AzurePublicCloud", "AzureCloud", "metadata.azure.com"],
            "AzurePublicCloud",
        ),
        (
            &[
                "AzureGovernmentCloud",
                "AzureUSGovernment",
                "AzureUSGovernmentCloud",
                "metadata.azure.us",
            ],
            "AzureGovernmentCloud",
        ),
        (&["AzureChinaCloud", "metadata.azure.cn"], "AzureChinaCloud"),
    ];
    let mut found = None;
    for key in ["azure_environment", "allowed_metadata_domains"] {
        let Some(named) = data.get(key).map(texts) else {
            continue;
        };
        let known = |name: &str| NAMES.iter().find(|(names, _)| names.contains(&name));
        let environment = match named.as_slice() {
            [only] => known(only).map(|(_, environment)| (*environment).to_owned()),
            _ => None,
        };
        match environment {
            Some(environment) => {
                data.take(key, "azureEnvironment", import);
                config.put(&["azureEnvironment"], Node::Text(environment.clone()));
                found = Some(environment);
            }
            None => {
                let reason = "a policy's entry is for one Azure, which is AzurePublicCloud, AzureGovernmentCloud or AzureChinaCloud";
                let instead = "make a policy for each: azureEnvironment";
                data.leave(key, reason, instead, import);
            }
        }
    }
    found
}

/// The subscriptions of these settings, a text or a list each.
fn subscriptions(data: &mut Settings, keys: &[&str], import: &mut Import) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for key in keys {
        if let Some(value) = data.take(key, "subscriptionIDs", import) {
            let is = |one: &str| Guid::parse(one).is_some();
            let good = those_that_are(&format!("{}.{key}", data.path), texts(&value), is, import);
            all.extend(good.into_iter().map(|one| one.to_ascii_lowercase()));
        }
    }
    all
}

/// The members of both, those of the first before the others.
fn merged(first: Node, others: Node) -> Node {
    match (first, others) {
        (Node::Map(mut all), Node::Map(others)) => {
            all.extend(others);
            Node::Map(all)
        }
        (first, _) => first,
    }
}

/// As attributes have them.
fn lower(ids: Vec<String>) -> Vec<String> {
    ids.into_iter().map(|id| id.to_ascii_lowercase()).collect()
}
