//! `aws_iid`.

use super::{Method, first_use, same};
use crate::spire::Import;
use crate::spire::hcl::Value;
use crate::spire::out::Node;
use crate::spire::paths::Naming;
use crate::spire::settings::{Settings, texts};
use crate::spire::spans;

/// What `clouds.aws.cacheTtl` may be.
const KEPT: spans::Limits = (
    core::time::Duration::from_secs(1),
    core::time::Duration::from_secs(15 * 60),
);
/// What needs an answer of AWS's, which is asked nothing for accounts that are validated locally.
const ASKING: [&str; 6] = [
    "instance_tag_requirements",
    "allowed_vpc_ids",
    "allowed_subnet_ids",
    "required_security_groups",
    "validate_eks_cluster_membership",
    "verify_organization",
];

pub(super) fn iid(data: &mut Settings, service: &mut Node, import: &mut Import) -> Method {
    let mut config = Node::map();
    let asks: Vec<&str> = ASKING.into_iter().filter(|key| data.has(key)).collect();
    let accounts = accounts(data, &asks, (&mut config, service), import);
    same(
        &[
            ("instance_tag_requirements", "instanceTagRequirements"),
            ("allowed_regions", "allowedRegions"),
            ("allowed_instance_types", "allowedInstanceTypes"),
            ("allowed_vpc_ids", "allowedVpcIds"),
            ("allowed_subnet_ids", "allowedSubnetIds"),
            ("required_security_groups", "requiredSecurityGroups"),
            ("allowed_ami_ids", "allowedAmiIds"),
            ("skip_block_device", "skipBlockDevice"),
            (
                "disable_instance_profile_selectors",
                "disableInstanceProfileSelectors",
            ),
        ],
        data,
        &mut config,
        import,
    );
    if let Some(mut block) = data.block("validate_eks_cluster_membership") {
        same(
            &[("eks_cluster_names", "eksClusterNames")],
            &mut block,
            &mut config,
            import,
        );
        block.finish(import);
    }
    for (key, own) in [
        ("region", "region"),
        ("assume_role_arn", "assumeRole"),
        ("assume_role", "role"),
        ("ca_bundle_path", "caCerts"),
    ] {
        data.carry(key, &["clouds", "aws", own], service, import);
    }
    let why = "an instance that was stopped is let in for as long";
    let to = ["clouds", "aws", "cacheTtl"];
    spans::carry(
        data,
        "metadata_cache_ttl",
        &to,
        (KEPT, why),
        service,
        import,
    );
    credentials(data, service, import);
    import.note("clouds.aws.certificates is not written: SPIRE has AWS's certificates in its program, and here they are the operator's: save AWS's page of them and name it there, or no instance is let in (docs/clouds.md)");
    first_use("aws_iid", data, &mut config, import);
    let default =
        "/{{aws_iid.account.id}}/{{aws_iid.ec2.instance.region}}/{{aws_iid.ec2.instance.id}}";
    let values = [
        ("AccountID", "aws_iid.account.id"),
        ("Region", "aws_iid.ec2.instance.region"),
        ("InstanceID", "aws_iid.ec2.instance.id"),
    ];
    let naming = Naming::of(data, ("aws_iid", default), &values, import);
    // Accounts tell only where no others are let in.
    let naming = naming.told_by("aws_iid.account.id", accounts);
    Method {
        kind: "aws_iid",
        config,
        naming: Some(naming),
    }
}

/// Whose instances are let in. Gives all accounts, or none where they are not known by their numbers.
fn accounts(
    data: &mut Settings,
    asks: &[&str],
    (config, service): (&mut Node, &mut Node),
    import: &mut Import,
) -> Vec<String> {
    const LISTED: &str = "account_ids_for_verification";
    const LOCAL: &str = "account_ids_for_local_validation";
    let is_listed = data.has(LISTED);
    let listed = data.take(LISTED, "awsAccountsAllowed", import);
    let mut all = listed.as_ref().map(texts).unwrap_or_default();
    let local = data.get(LOCAL).map(texts).unwrap_or_default();
    let instead = "make two policies of them: one with accountIdsForLocalValidation, and one with what AWS must be asked for";
    let reason = || {
        format!(
            "AWS is asked about these instances as well, since {} needs its answer",
            asks.join(" and ")
        )
    };
    for account in &local {
        if !all.contains(account) {
            all.push(account.clone());
        }
    }
    if asks.is_empty() {
        if data
            .take(LOCAL, "accountIdsForLocalValidation", import)
            .is_some()
            && !local.is_empty()
        {
            config.put(
                &["accountIdsForLocalValidation"],
                Node::texts(local.clone()),
            );
        }
    } else {
        data.leave(LOCAL, &reason(), instead, import);
    }
    if !local.is_empty() {
        import.note("awsAccountsAllowed has the accounts of account_ids_for_local_validation too: nobody is asked whose they are, so they are listed");
    }
    let organization = organization(data, config, service, import);
    if !all.is_empty() {
        config.put(&["awsAccountsAllowed"], Node::texts(all.clone()));
    }
    let only_local = local_only(data, asks, !all.is_empty(), config, import);
    // Whoever lists accounts for verification means these and no other: ours lets in the service's own too, unless told otherwise.
    if is_listed && !all.is_empty() || only_local {
        config.put(&["allowOwnAccount"], Node::Plain("false".to_owned()));
        return if organization { Vec::new() } else { all };
    }
    if !organization {
        import.note("aws_iid: SPIRE lets in instances of every account in which its calls succeed; here of the verifier's own account and of awsAccountsAllowed: list the others");
    }
    Vec::new()
}

/// `local_only` is the word of writings on SPIRE. Where it cannot hold, AWS is asked.
fn local_only(
    data: &mut Settings,
    asks: &[&str],
    has_accounts: bool,
    config: &mut Node,
    import: &mut Import,
) -> bool {
    const KEY: &str = "local_only";
    let on = data.is(KEY, &Value::Bool(true));
    if on && !asks.is_empty() {
        let reason = format!("{} needs an answer of AWS's", asks.join(" and "));
        data.leave(KEY, &reason, "make two policies of them", import);
        return false;
    }
    if on && !has_accounts {
        let reason = "without AWS's answer only accounts that are listed can be let in";
        let instead = "awsAccountsAllowed: [ACCOUNT], localOnly: true";
        data.leave(KEY, reason, instead, import);
        return false;
    }
    same(&[(KEY, "localOnly")], data, config, import);
    on
}

/// `verify_organization`: a role by account and name, or a file of accounts.
fn organization(
    data: &mut Settings,
    config: &mut Node,
    service: &mut Node,
    import: &mut Import,
) -> bool {
    let partition = data.peek("partition").unwrap_or("aws").to_owned();
    let Some(mut block) = data.block("verify_organization") else {
        return false;
    };
    let half = |key| block.peek(key).map(ToOwned::to_owned);
    let (account, role) = (half("management_account_id"), half("assume_org_role"));
    let to = "assumeOrgRoleArns";
    let mut is_there = false;
    if let (Some(account), Some(role)) = (account, role) {
        block.take("management_account_id", to, import);
        block.take("assume_org_role", to, import);
        let arn = format!("arn:{partition}:iam::{account}:role/{role}");
        config.put(&[to], Node::texts([arn]));
        is_there = true;
    }
    let file = ["clouds", "aws", "accountListFile"];
    if block.has("account_list_file") {
        block.carry("account_list_file", &file, service, import);
        config.put(&["useAccountList"], Node::Plain("true".to_owned()));
        is_there = true;
    }
    if block.has("org_account_map_ttl") {
        let to = ["clouds", "aws", "cacheTtl"];
        let why = "an account that has left is let in for as long";
        spans::carry(
            &mut block,
            "org_account_map_ttl",
            &to,
            (KEPT, why),
            service,
            import,
        );
    }
    block.finish(import);
    is_there
}

/// Whom the service is to AWS. A secret stands in a file of its own, unless it is the environment's anyway.
fn credentials(data: &mut Settings, service: &mut Node, import: &mut Import) {
    const PATH: [&str; 3] = ["clouds", "aws", "credentials"];
    let [clouds, aws, credentials] = PATH;
    let (id, secret) = (data.peek("access_key_id"), data.peek("secret_access_key"));
    let (Some(id), Some(secret)) = (id, secret) else {
        return;
    };
    if id == "${AWS_ACCESS_KEY_ID}" && secret == "${AWS_SECRET_ACCESS_KEY}" {
        let to = "clouds.aws.credentials.environment";
        data.take("access_key_id", to, import);
        data.take("secret_access_key", to, import);
        service.put(&[clouds, aws, credentials, "environment"], Node::map());
        return;
    }
    let id = Node::Text(id.to_owned());
    data.take(
        "access_key_id",
        "clouds.aws.credentials.accessKey.id",
        import,
    );
    let key = |own| [clouds, aws, credentials, "accessKey", own];
    service.put(&key("id"), id);
    service.put(&key("secretFile"), Node::Text("aws-secret".to_owned()));
    let reason = "a secret stands in a file of its own";
    let instead = "write it into the file that clouds.aws.credentials.accessKey.secretFile names";
    data.leave("secret_access_key", reason, instead, import);
}
