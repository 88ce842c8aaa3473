//! `gcp_iit`.

use super::{Method, Pair, first_use, same};
use crate::spire::Import;
use crate::spire::out::Node;
use crate::spire::paths::Naming;
use crate::spire::settings::Settings;
use crate::spire::spans;

/// Those for which Compute Engine is asked.
const OF_INSTANCE: [Pair; 7] = [
    ("instance_label_whitelist", "instanceLabelWhitelist"),
    ("machine_type_whitelist", "machineTypeWhitelist"),
    ("network_whitelist", "networkWhitelist"),
    ("subnetwork_whitelist", "subnetworkWhitelist"),
    ("allowed_label_keys", "attributeLabelKeys"),
    ("allowed_metadata_keys", "attributeMetadataKeys"),
    ("max_metadata_value_size", "maxMetadataValueSize"),
];
/// What `tokenLifetime` may be.
const LIFETIME: spans::Limits = (
    core::time::Duration::from_secs(1),
    core::time::Duration::from_secs(3600),
);

pub(super) fn iit(data: &mut Settings, service: &mut Node, import: &mut Import) -> Method {
    let mut config = Node::map();
    same(
        &[
            ("projectid_whitelist", "allowedProjectIDs"),
            ("projectid_allow_list", "allowedProjectIDs"),
            ("audience", "audience"),
            ("service_account_whitelist", "serviceAccountWhitelist"),
            ("zone_whitelist", "zoneWhitelist"),
            ("use_instance_metadata", "useInstanceMetadata"),
        ],
        data,
        &mut config,
        import,
    );
    let why = "Google gives tokens of an hour";
    let to = ["tokenLifetime"];
    spans::carry(
        data,
        "token_lifetime",
        &to,
        (LIFETIME, why),
        &mut config,
        import,
    );
    if OF_INSTANCE.iter().any(|(key, _)| data.has(key)) {
        config.put(&["useInstanceMetadata"], Node::Plain("true".to_owned()));
    }
    same(&OF_INSTANCE, data, &mut config, import);
    for (key, own) in [
        ("credentials_file", "credentialsFile"),
        ("service_account_file", "credentialsFile"),
        ("ca_bundle_path", "caCerts"),
    ] {
        data.carry(key, &["clouds", "gcp", own], service, import);
    }
    first_use("gcp_iit", data, &mut config, import);
    let values = [
        ("ProjectID", "gcp_iit.project_id"),
        ("InstanceID", "gcp_iit.instance_id"),
        ("ProjectNumber", "gcp_iit.project_number"),
        ("Zone", "gcp_iit.zone"),
        ("InstanceName", "gcp_iit.instance_name"),
        (
            "InstanceCreationTimestamp",
            "gcp_iit.instance_creation_timestamp",
        ),
    ];
    let default = "/{{gcp_iit.project_id}}/{{gcp_iit.instance_id}}";
    let naming = Naming::of(data, ("gcp_iit", default), &values, import);
    let projects = config.at(&["allowedProjectIDs"]);
    let projects = projects.map(Node::all_texts).unwrap_or_default();
    Method {
        kind: "gcp_iit",
        config,
        naming: Some(naming.told_by("gcp_iit.project_id", projects)),
    }
}
