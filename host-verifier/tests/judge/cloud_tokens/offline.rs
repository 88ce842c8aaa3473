//! `assay evidence verify aws_token` and `gcp_iit`: recorded tokens, judged with nobody asked.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::aws::Aws;
use super::gcp::{Gcp, instance};
use super::signer::Key;
use super::{Bench, but};
use crate::cli::{Run, assay};
use crate::jwt::signer::now;

struct Files(tempfile::TempDir);

impl Files {
    /// The payload, the settings and the cloud's keys.
    fn of<B: Bench>(more: &Value, claims: &Value) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        let mut config = B::config();
        let more = more.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(more);
        files.write("config.yaml", config.to_string());
        files.write("payload", B::payload(&Key::rsa().token("k1", claims)));
        let set = json!({"keys": [Key::rsa().jwk("k1"), Key::other().jwk("k0")]});
        files.write("keys.json", set.to_string());
        files
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        let root: &Path = self.0.path();
        root.join(name)
    }

    fn verify<B: Bench>(&self, more: &[&str]) -> Run {
        let file = |name: &str| self.path(name).display().to_string();
        let mut args = vec![
            "evidence".to_owned(),
            "verify".to_owned(),
            B::KIND.to_string(),
            "--payload".to_owned(),
            file("payload"),
            "--config".to_owned(),
            file("config.yaml"),
            "--at".to_owned(),
            now().to_string(),
        ];
        for one in more {
            args.push(match one.starts_with('@') {
                true => file(&one[1..]),
                false => (*one).to_owned(),
            });
        }
        assay(&args)
    }
}

const AUDIENCE: &str = "urn:assay:example.org:server";

#[test]
fn a_recorded_token_of_sts_is_judged_by_the_keys_in_a_file() {
    let settings = json!({"allowedAudiences": AUDIENCE});
    let files = Files::of::<Aws>(&settings, &Aws::claims());
    let run = files.verify::<Aws>(&["--keys", "@keys.json"]);
    assert_eq!(run.status, 0, "{}{}", run.stdout, run.stderr);
    assert!(
        run.stdout.contains("aws_token.account.id=\"123456789012\""),
        "{}",
        run.stdout
    );
    let run = files.verify::<Aws>(&[]);
    assert_eq!(run.status, 2, "nobody is asked");
    let other = but::<Aws>("aud", "urn:other".into());
    let run =
        Files::of::<Aws>(&settings, &other).verify::<Aws>(&["--keys", "@keys.json", "--json"]);
    assert_eq!(run.status, 1, "{}", run.stderr);
    assert!(run.stdout.contains("token-audience"), "{}", run.stdout);
}

#[test]
fn a_recorded_token_of_a_login_is_judged_by_its_nonce() {
    let settings = json!({"allowedAudiences": AUDIENCE, "nonceInAudience": true});
    let nonce = "00112233445566778899aabbccddeeff";
    let aud = json!([AUDIENCE, format!("urn:assay:nonce:{nonce}")]);
    let files = Files::of::<Aws>(&settings, &but::<Aws>("aud", aud));
    let keys = ["--keys", "@keys.json"];
    let status = |more: &[&str]| files.verify::<Aws>(&[&keys, more].concat()).status;
    assert_eq!(status(&["--nonce", nonce]), 0);
    assert_eq!(status(&["--nonce", "ff112233445566778899aabbccddeeff"]), 1);
    assert_eq!(status(&[]), 2);
}

#[test]
fn a_recorded_token_of_google_is_judged_with_what_the_api_said() {
    let plain = json!({"audience": AUDIENCE});
    let files = Files::of::<Gcp>(&plain, &Gcp::claims());
    let run = files.verify::<Gcp>(&["--keys", "@keys.json"]);
    assert_eq!(run.status, 0, "{}{}", run.stdout, run.stderr);
    assert!(
        run.stdout.contains("gcp_iit.instance_name=\"node-7\""),
        "{}",
        run.stdout
    );
    let asking = json!({"audience": AUDIENCE, "useInstanceMetadata": true, "machineTypeWhitelist": ["e2-standard-2"]});
    let files = Files::of::<Gcp>(&asking, &Gcp::claims());
    assert_eq!(files.verify::<Gcp>(&["--keys", "@keys.json"]).status, 2);
    let answer = |machine: &str| {
        let mut instance = instance();
        instance["machineType"] = machine.into();
        json!({
            "method": "gcp_iit",
            "key": {"source": Gcp::source(), "jwk": Key::rsa().jwk("k1")},
            "api": {
                "endpoint": "https://compute.googleapis.com",
                "place": {"project": "my-project-prod", "zone": "us-central1-a", "name": "node-7"},
                "found": {"instance": instance},
            },
        })
        .to_string()
    };
    files.write("answers.json", answer("e2-standard-2"));
    let run = files.verify::<Gcp>(&["--cloud-answers", "@answers.json"]);
    assert_eq!(run.status, 0, "{}{}", run.stdout, run.stderr);
    files.write("answers.json", answer("n1-standard-2"));
    let run = files.verify::<Gcp>(&["--cloud-answers", "@answers.json"]);
    assert_eq!(run.status, 1, "{}{}", run.stdout, run.stderr);
}

#[test]
fn an_audience_that_only_a_verifier_knows_is_asked_for_by_its_setting() {
    let of_aws = Files::of::<Aws>(&json!({}), &Aws::claims());
    let of_google = Files::of::<Gcp>(&json!({}), &Gcp::claims());
    for (run, field) in [
        (
            of_aws.verify::<Aws>(&["--keys", "@keys.json"]),
            "allowedAudiences",
        ),
        (
            of_google.verify::<Gcp>(&["--keys", "@keys.json"]),
            "audience",
        ),
    ] {
        assert_eq!(run.status, 2, "{}{}", run.stdout, run.stderr);
        let hint = format!("hint: give `{field}` in the settings");
        assert!(run.stderr.contains(&hint), "{}", run.stderr);
        assert!(!run.stderr.contains('{'), "no placeholder: {}", run.stderr);
    }
}
