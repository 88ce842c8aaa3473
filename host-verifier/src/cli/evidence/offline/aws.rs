//! `aws_iid`: the certificates of the regions stand in a file, and so does what AWS's API said.

use assay_common::policy::AttestorKind;

use super::answers::Answers;
use super::{Case, Failure, Nonce, Offline, without_login};
use crate::attestor::aws_iid::answer::Answer;
use crate::attestor::aws_iid::{Certificates, Config};
use crate::attestor::{Claims, MethodConfig as _};
use crate::cli::report::Unreadable;
use crate::document::Files;

/// `assay evidence verify aws_iid`.
pub(in super::super) struct AwsIid;

impl Offline for AwsIid {
    const KIND: AttestorKind = AttestorKind::AWS_IID;
    const TAKES_KEYS: bool = true;
    const TAKES_CLOUD_ANSWERS: bool = true;
    const NONCE: Nonce = Nonce::None;
    const SKIPPED: &'static [(&'static str, &'static str)] = &[(
        "now",
        "that AWS's answer is of the time of judgement, no file can prove",
    )];
    type Config = Config;

    fn judge(config: &Config, files: Files<'_>, case: Case) -> Result<Claims, Failure> {
        // The settings are checked as a login's are, before the certificates are read.
        config.build_in(files)?;
        let answers: Answers<Answer> = Answers::read(Self::KIND, &case)?;
        let Some(keys) = &case.keys else {
            let unreadable =
                Unreadable::new("--keys", "the certificates of the regions are needed");
            return Err(unreadable
                .with_hint("save https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/regions-certs.md and name the file")
                .into());
        };
        let text = core::str::from_utf8(keys).map_err(|error| Unreadable::new("--keys", error))?;
        let pinned = Certificates::parse(text).map_err(|error| Unreadable::new("--keys", error))?;
        let attestor = config.attestor_with(pinned)?;
        without_login(&attestor, &case.payload, case.at, || {
            // Nobody has answered anything: what is needed first is told by the judgement.
            let nothing = || attestor.nothing_asked(&case.payload);
            let answer = match &answers.api {
                Some(answer) => answer.clone(),
                None => nothing().map_err(Failure::Refused)?,
            };
            Ok(serde_json::json!(answer).to_string().into_bytes())
        })
    }
}
