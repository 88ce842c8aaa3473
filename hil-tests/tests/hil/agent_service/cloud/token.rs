//! An instance of EC2 with a role that logs in by a token of STS, which is its account's issuer too.

use std::fs;

use assay_cloud_standins::ec2::{Authority, Ec2, Instance, Mode, Role};
use assay_cloud_standins::sts::{Account, Sts};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::site::{Process, Site};
use super::{attestor, attributes, logs_in, more, policy, refused, told};

const ID: &str = "spiffe://example.org/aws/123456789012/eu-west-1";

struct Aws {
    site: Site,
    ec2: Ec2,
    sts: Sts,
    folder: TempDir,
}

impl Aws {
    /// A verifier that believes the issuer of `issuer`, and instances of the account whose STS that is.
    fn new(issuer: Option<&Sts>, config: Value) -> Self {
        let sts = Sts::start(Account::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let believed = issuer.unwrap_or(&sts);
        fs::write(folder.path().join("issuer.pem"), believed.authority()).unwrap();
        fs::write(folder.path().join("sts.pem"), sts.authority()).unwrap();
        let mut config = config;
        let issuers = json!([believed.server().url()]);
        config["issuerURLs"] = issuers.clone();
        let clouds = json!({"aws": {
            "tokenIssuers": issuers,
            "caCerts": folder.path().join("issuer.pem"),
        }});
        let template = "/aws/{{aws_token.account.id}}/{{aws_token.source_region}}";
        let authority = Authority::new().unwrap();
        Self {
            site: Site::set_up_with(&policy("aws_token", &config), &more(template, &clouds)),
            ec2: Ec2::start(Mode::V2, Instance::default(), &authority).unwrap(),
            sts,
            folder,
        }
    }

    fn offers(&self, more: &Value) -> String {
        let mut config = json!({
            "credentials": "instance",
            "stsEndpoint": self.sts.server().url(),
            "stsCa": self.folder.path().join("sts.pem"),
        });
        for (name, value) in more.as_object().unwrap() {
            config[name] = value.clone();
        }
        attestor("aws_token", &self.ec2.server().url(), &config)
    }

    fn logs_in(&self, assayd: &Process, more: &Value) {
        logs_in(&self.site, assayd, &self.offers(more), "aws_token", ID);
    }

    fn refused(&self, assayd: &Process, more: &Value, check: &str) {
        refused(&self.site, assayd, &self.offers(more), check);
    }
}

#[test]
fn a_role_logs_in_by_its_token_and_the_token_says_whose_it_is() {
    let aws = Aws::new(None, json!({"requireEc2SourceInstance": true}));
    let assayd = aws.site.start(&[]);
    aws.logs_in(&assayd, &json!({}));
    attributes(
        &assayd,
        &[
            "aws_token.account.id",
            "123456789012",
            "aws_token.org.id",
            "aws_token.principal_tags.Environment",
        ],
    );
    aws.logs_in(
        &assayd,
        &json!({"signingAlgorithm": "ES384", "tags": {"rack": "7"}}),
    );
    let Role {
        secret_access_key,
        session_token,
        ..
    } = Role::default();
    assert!(!assayd.log().contains(&secret_access_key) && !assayd.log().contains(&session_token));
    aws.refused(
        &assayd,
        &json!({"audience": "urn:assay:other:server"}),
        "token-audience",
    );
    aws.sts.change(|account| account.instance = None);
    aws.refused(&assayd, &json!({}), "no-source-instance");
}

#[test]
fn a_token_is_made_for_the_login_where_the_policy_wants_it() {
    let aws = Aws::new(None, json!({"nonceInAudience": true}));
    let assayd = aws.site.start(&[]);
    aws.logs_in(&assayd, &json!({}));
    aws.logs_in(&assayd, &json!({}));
}

#[test]
fn another_accounts_issuer_lets_nobody_in() {
    let other = Sts::start(Account::default()).unwrap();
    let aws = Aws::new(Some(&other), json!({}));
    let assayd = aws.site.start(&[]);
    aws.refused(&assayd, &json!({}), "token-issuer");
}

#[test]
fn a_role_that_cannot_have_a_token_says_why() {
    let aws = Aws::new(None, json!({}));
    let _assayd = aws.site.start(&[]);
    let offers = aws.offers(&json!({}));
    aws.sts.change(|account| account.federates = false);
    told(
        &aws.site,
        &offers,
        "OutboundWebIdentityFederationDisabledException",
        "enable-outbound-web-identity-federation",
    );
    aws.sts.change(|account| {
        account.federates = true;
        account.allows = false;
    });
    told(
        &aws.site,
        &offers,
        "AccessDenied",
        "sts:GetWebIdentityToken",
    );
    aws.ec2.become_like(Mode::OneHopTooFar);
    told(
        &aws.site,
        &aws.offers(&json!({"timeout": "300ms"})),
        "lost on the way",
        "hop-limit 2",
    );
}
