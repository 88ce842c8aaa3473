//! An instance of Compute Engine that logs in by its identity token.

use assay_cloud_standins::google::{Google, Instance};
use assay_cloud_standins::issuer::Issuer;
use serde_json::{Value, json};

use super::super::site::Site;
use super::{attestor, attributes, logs_in, more, policy, refused, told};

const ID: &str = "spiffe://example.org/gcp/assay-lab/europe-west4-a/node-7";

/// A verifier that takes the tokens of this server's key.
fn site(google: &Google, config: &Value) -> (Site, Issuer) {
    let issuer = Issuer::start(vec![google.signer().jwk()]).unwrap();
    let clouds = json!({"gcp": {"keysURL": issuer.keys_url(), "caCerts": issuer.authority()}});
    let template = "/gcp/{{gcp_iit.project_id}}/{{gcp_iit.zone}}/{{gcp_iit.instance_name}}";
    let site = Site::set_up_with(&policy("gcp_iit", config), &more(template, &clouds));
    (site, issuer)
}

fn offers(google: &Google, more: &Value) -> String {
    attestor("gcp_iit", &google.server().url(), more)
}

#[test]
fn an_instance_logs_in_by_its_identity_token() {
    let google = Google::start(Instance::default()).unwrap();
    let (site, _issuer) = site(&google, &json!({"allowedProjectIDs": ["assay-lab"]}));
    let assayd = site.start(&[]);
    logs_in(&site, &assayd, &offers(&google, &json!({})), "gcp_iit", ID);
    attributes(
        &assayd,
        &[
            "gcp_iit.project_id",
            "assay-lab",
            "gcp_iit.instance_id",
            "2589221140676718026",
        ],
    );
    let other = json!({"audience": "spire-gcp-node-attestor"});
    refused(&site, &assayd, &offers(&google, &other), "token-audience");
    // Another key than Google's.
    let stranger = Google::start(Instance::default()).unwrap();
    refused(
        &site,
        &assayd,
        &offers(&stranger, &json!({})),
        "token-signature",
    );
    let elsewhere = Instance {
        account: None,
        ..Instance::default()
    };
    let elsewhere = Google::start(elsewhere).unwrap();
    told(
        &site,
        &offers(&elsewhere, &json!({})),
        "has no service account",
        "attach one",
    );
}

#[test]
fn a_project_that_is_not_listed_lets_nobody_in() {
    let google = Google::start(Instance::default()).unwrap();
    let (site, _issuer) = site(&google, &json!({"allowedProjectIDs": ["another-project"]}));
    let assayd = site.start(&[]);
    refused(
        &site,
        &assayd,
        &offers(&google, &json!({})),
        "project-not-allowed",
    );
}

#[test]
fn a_token_is_made_for_the_login_where_the_policy_wants_it() {
    let google = Google::start(Instance::default()).unwrap();
    let config = json!({"allowedProjectIDs": ["assay-lab"], "nonceInAudience": true});
    let (site, _issuer) = site(&google, &config);
    let assayd = site.start(&[]);
    for _ in 0..2 {
        logs_in(&site, &assayd, &offers(&google, &json!({})), "gcp_iit", ID);
    }
}
