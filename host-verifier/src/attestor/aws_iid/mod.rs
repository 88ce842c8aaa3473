#![doc = include_str!("../../../../docs/methods/aws_iid.md")]

pub mod answer;
pub mod certificates;
pub mod config;
pub mod document;
pub mod error;
mod names;
pub mod payload;
pub mod rules;
pub mod verify;

use std::borrow::Cow;
use std::sync::Arc;

use assay_common::policy::AttestorKind;

pub use certificates::Certificates;
pub use config::Config;
pub use rules::Rules;

use self::answer::Known;
use self::certificates::Kind;
use self::document::Document;
use self::rules::Asks;
use super::{
    AttestError, Attestor, Attribute, Claims, Errand, ErrandContext, Facts, Judged, LoginContext,
    Running,
};
use crate::attestor::source::{self, SourceRule};
use crate::cloud::TokenIssuers;
use crate::cloud::aws::Aws;
use crate::outside::Outside;

/// What every proof gives.
const ALWAYS: [&str; 6] = [
    "aws_iid.account.id",
    "aws_iid.ec2.instance.id",
    "aws_iid.ec2.instance.region",
    "aws_iid.ec2.instance.availability_zone",
    "aws_iid.ec2.instance.image_id",
    "aws_iid.ec2.instance.type",
];
/// What AWS says of an instance.
const ANSWERED: [&str; 4] = [
    "aws_iid.ec2.security_group.id",
    "aws_iid.ec2.security_group.name",
    "aws_iid.ec2.vpc.id",
    "aws_iid.ec2.subnet.id",
];
const TAG: &str = "aws_iid.ec2.instance.tag.";
const ROLE: &str = "aws_iid.iam.role";
const ENCRYPTED: &str = "aws_iid.ec2.instance.storage_encrypted";
const IMAGE_CREATED: &str = "aws_iid.ec2.image.created_time";

/// Whether a proof by this method can have this attribute, whatever the settings.
pub(super) fn may_give(attribute: &str) -> bool {
    let tag = attribute.strip_prefix(TAG);
    ALWAYS.contains(&attribute)
        || ANSWERED.contains(&attribute)
        || matches!(attribute, ROLE | ENCRYPTED | IMAGE_CREATED)
        || tag.is_some_and(|name| !name.is_empty())
}

/// The attestor of an `aws_iid` entry.
#[derive(Clone, Debug)]
pub struct AwsIid(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    rules: Rules,
    pinned: Certificates,
    aws: Aws,
}

impl AwsIid {
    /// An attestor that decides by `rules`, trusts the certificates in `pinned`, and asks `aws`.
    #[must_use]
    pub fn new(rules: Rules, pinned: Certificates, aws: Aws) -> Self {
        Self(Arc::new(Parts { rules, pinned, aws }))
    }

    /// The answer to a payload's document before AWS is asked anything: which instance, and nothing of it.
    ///
    /// # Errors
    ///
    /// Any failed check of the document's own.
    pub fn nothing_asked(&self, payload: &[u8]) -> Result<answer::Answer, AttestError> {
        let Parts { rules, pinned, .. } = &*self.0;
        let untrusted = payload::parse(payload)?;
        let document = verify::verify(&untrusted, pinned, rules.legacy)?;
        Ok(answer::Answer::new(&document))
    }
}

impl Attestor for AwsIid {
    fn kind(&self) -> AttestorKind {
        AttestorKind::AWS_IID
    }

    fn binds_first_use(&self) -> bool {
        self.0.rules.tofu
    }

    fn source_rule(&self) -> SourceRule {
        self.0.rules.source
    }

    fn weaknesses(&self) -> Vec<(&'static str, &'static str)> {
        let Parts { rules, pinned, aws } = &*self.0;
        // Without a service, what its operator named is not known.
        let known = !matches!(aws.settings().token_issuers, TokenIssuers::Unknown);
        let all = [
            (
                pinned.is_empty() && known,
                "no certificate of AWS's is known (`clouds.aws.certificates` of assayd.yaml), so no identity document verifies and nobody is let in by `aws_iid`",
                "save https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/regions-certs.md and name it there",
            ),
            (
                pinned.is_empty() && !known,
                "whether `clouds.aws.certificates` of assayd.yaml names certificates of AWS's is not known here; without any, nobody is let in by `aws_iid`",
                "check the document with the verifier's configuration: `assay policy check FILE --config assayd.yaml`",
            ),
            (
                rules.legacy,
                "`legacySignatures` lets in signatures of an RSA key of 1024 bits, which can be forged with enough means",
                "have agents send `rsa2048`, and remove `legacySignatures`",
            ),
            (
                rules.local_only && rules.max_age.is_none(),
                "with `localOnly` AWS is asked nothing, so an instance that was ended long ago is let in",
                "remove `localOnly`, or say `maxInstanceAge`",
            ),
            (
                !rules.local_only && !rules.local.is_empty() && rules.max_age.is_none(),
                "AWS is asked nothing about the accounts of `accountIdsForLocalValidation`, so an instance of theirs that was ended long ago is let in",
                "remove the accounts there, or say `maxInstanceAge`",
            ),
        ];
        let holding = all.into_iter().filter(|(holds, ..)| *holds);
        holding.map(|(_, wrong, hint)| (wrong, hint)).collect()
    }

    fn trust_ends(&self) -> Option<jiff::Timestamp> {
        let Parts { rules, pinned, .. } = &*self.0;
        let kinds = [Some(Kind::Rsa2048), rules.legacy.then_some(Kind::Rsa1024)];
        let ends = kinds.into_iter().flatten();
        let first = ends.filter_map(|kind| pinned.first_end(kind)).min()?;
        // Some end in the year 9999, and none that is worth a warning lies beyond the calendar.
        jiff::Timestamp::from_second(first.0).ok()
    }

    fn attributes(&self) -> Vec<String> {
        let rules = &self.0.rules;
        let mut names = ALWAYS.to_vec();
        if !rules.local_only {
            names.extend(ANSWERED);
            let asked = [
                (rules.profile, ROLE),
                (rules.volumes, ENCRYPTED),
                (rules.image, IMAGE_CREATED),
            ];
            names.extend(
                asked
                    .iter()
                    .filter(|(asked, _)| *asked)
                    .map(|(_, name)| name),
            );
        }
        let mut names: Vec<_> = names.into_iter().map(str::to_owned).collect();
        if !rules.local_only {
            match &rules.tag_keys {
                None => names.push(format!("{TAG}*")),
                Some(keys) => names.extend(keys.iter().map(|key| format!("{TAG}{key}"))),
            }
        }
        names
    }

    fn request(&self, _so_far: Option<&[u8]>) -> Result<Vec<u8>, AttestError> {
        Ok(Vec::new())
    }

    fn judge(&self, cx: &LoginContext<'_>, payload: &[u8]) -> Result<Judged, AttestError> {
        let Parts { rules, pinned, .. } = &*self.0;
        let untrusted = payload::parse(payload)?;
        let document = verify::verify(&untrusted, pinned, rules.legacy)?;
        match rules.check(&document, cx.now)? {
            Asks::Nothing => {
                rules.alone(&document)?;
                Ok(Judged::Proven(Box::new(claims(rules, document, None)?)))
            }
            asks => Ok(Judged::Errand(Box::new(AskAws {
                attestor: self.clone(),
                document,
                asks,
            }))),
        }
    }
}

/// A signed document that waits for AWS's word.
#[derive(Debug)]
struct AskAws {
    attestor: AwsIid,
    document: Document,
    asks: Asks,
}

impl Errand for AskAws {
    fn run<'a>(&'a self, outside: &'a dyn Outside, _: &'a ErrandContext) -> Running<'a> {
        Box::pin(async move {
            let Parts { rules, aws, .. } = &*self.attestor.0;
            let answer = answer::ask(rules, &self.document, self.asks, aws, outside).await?;
            serde_json::to_vec(&answer).map_err(answer::unreadable)
        })
    }

    fn judge(self: Box<Self>, _: &LoginContext<'_>, answer: &[u8]) -> Result<Claims, AttestError> {
        let answer = serde_json::from_slice(answer).map_err(answer::unreadable)?;
        let rules = &self.attestor.0.rules;
        let known = answer::decide(rules, &self.document, &answer)?;
        claims(rules, self.document, Some(&known))
    }
}

fn claims(
    rules: &Rules,
    document: Document,
    known: Option<&Known<'_>>,
) -> Result<Claims, AttestError> {
    let kind = AttestorKind::AWS_IID;
    let identity = [
        "aws",
        document.partition()?.name(),
        &document.account_id,
        &document.region,
        &document.instance_id,
    ];
    let identity = identity.join(":");
    let mut attributes = Vec::with_capacity(ALWAYS.len());
    let mut give = |name: Cow<'static, str>, value: String| {
        attributes.push(Attribute {
            origin: kind,
            name,
            value,
        });
    };
    // What the instance is now; the document has what it was when it was started.
    let instance = known.map(|known| known.instance);
    let instance_type = instance.map(|now| now.instance_type.clone());
    let values = [
        document.account_id,
        document.instance_id,
        document.region,
        document.availability_zone,
        document.image_id,
        instance_type.unwrap_or(document.instance_type),
    ];
    for (name, value) in ALWAYS.into_iter().zip(values) {
        give(name.into(), value);
    }
    if let Some(known) = known {
        let [group_id, group_name, vpc, subnet] = ANSWERED;
        for group in &known.instance.security_groups {
            give(group_id.into(), group.id.clone());
            give(group_name.into(), group.name.clone());
        }
        for (name, value) in [
            (vpc, &known.instance.vpc_id),
            (subnet, &known.instance.subnet_id),
        ] {
            if let Some(value) = value {
                give(name.into(), value.clone());
            }
        }
        // AWS has no tag without a name; an attribute without one would be the beginning of all others.
        let tags = known.instance.tags.iter();
        let gives = |name: &String| !name.is_empty() && rules.gives_tag(name);
        for (name, value) in tags.filter(|(name, _)| gives(name)) {
            give([TAG, name].concat().into(), value.clone());
        }
        for role in &known.roles {
            give(ROLE.into(), (*role).to_owned());
        }
        if let Some(encrypted) = known.encrypted {
            give(ENCRYPTED.into(), encrypted.to_string());
        }
        if let Some(created) = known.image_created {
            give(IMAGE_CREATED.into(), created.to_string());
        }
    }
    let ips = instance.map(|now| [&now.private_ip, &now.public_ip]);
    let ips = ips.into_iter().flatten().flatten();
    let ips = ips.chain(&document.private_ip).map(String::as_str);
    Ok(Claims {
        kind,
        attributes,
        facts: Facts {
            identity: Some(identity),
            addresses: source::addresses(ips),
            ..Facts::default()
        },
    })
}
