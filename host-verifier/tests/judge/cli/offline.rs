//! `assay evidence verify METHOD`: recorded evidence of one method.

use serde_json::{Value, json};

use super::{Run, assay};
use crate::jwt::signer::{self, Signer};
use crate::pki::{CA, Pki};
use crate::possession::{self, x509pop};

const AT: &str = "2027-06-01T00:00:00Z";

fn world() -> (Pki, Value) {
    let pki = Pki::new();
    pki.root("root", "p256", CA);
    pki.issue("leaf", "root", x509pop::LEAF);
    let payload = x509pop::payload(&pki, &["leaf"], "p256");
    pki.write("config.yaml", "caBundle: [root.crt]\n");
    (pki, payload)
}

fn run(pki: &Pki, method: &str, file: &Value, more: &[&str]) -> Run {
    pki.write("payload.json", file.to_string());
    let payload = pki.path("payload.json").display().to_string();
    let config = pki.path("config.yaml").display().to_string();
    let mut args = vec![
        "evidence",
        "verify",
        method,
        "--payload",
        &payload,
        "--config",
        &config,
        "--at",
        AT,
    ];
    args.extend(more);
    assay(&args)
}

/// The three messages as SPIRE sends them.
fn three(payload: &Value) -> Value {
    let nonce = possession::text(&possession::server());
    json!({
        "payload": {"certificates": payload["certificates"]},
        "challenge": {"rsa_signature": null, "ecdsa_signature": {"nonce": nonce}},
        "response": payload["response"],
    })
}

#[test]
fn evidence_is_proven_in_either_form_and_by_either_form_of_settings() {
    let (pki, payload) = world();
    let nonce = hex::encode(possession::server());
    let plain = run(&pki, "x509pop", &payload, &["--nonce", &nonce, "--json"]);
    assert_eq!(plain.status, 0, "{}", plain.stderr);
    let shown = plain.json();
    assert_eq!(shown["accepted"], true);
    assert_eq!(
        shown["attributes"]["x509_pop.subject.common_name"],
        json!(["leaf"])
    );
    assert_eq!(shown["identity"].as_str().unwrap().len(), 64);
    for entry in [
        "type: x509pop\nconfig:\n  caBundle: [root.crt]\n",
        "  # as it is indented in a policy\n  type: x509pop\n  config: {caBundle: [root.crt]}\n",
        "{type: x509pop, config: {caBundle: [root.crt]}}\n",
        "{\"config\": {\"caBundle\": [\"root.crt\"]}, \"type\": \"x509pop\"}",
    ] {
        pki.write("config.yaml", entry);
        let three = run(&pki, "x509pop", &three(&payload), &["--json"]);
        assert_eq!(three.status, 0, "{entry}: {}", three.stderr);
        assert_eq!(three.json()["attributes"], shown["attributes"]);
    }
}

#[test]
fn a_failed_check_is_told_by_its_name() {
    let (pki, payload) = world();
    let other = run(
        &pki,
        "x509pop",
        &payload,
        &["--nonce", &"00".repeat(32), "--json"],
    );
    assert_eq!(other.status, 1);
    assert_eq!(other.json()["check"], "x509pop-signature");
    let mut early = three(&payload);
    early["payload"]["more"] = json!(1);
    assert_eq!(
        run(&pki, "x509pop", &early, &["--json"]).json()["check"],
        "x509pop-payload"
    );
}

#[test]
fn what_cannot_be_judged_is_exit_status_2() {
    let (pki, payload) = world();
    let nonce = hex::encode(possession::server());
    assert_eq!(run(&pki, "x509pop", &payload, &[]).status, 2, "no nonce");
    assert_eq!(run(&pki, "x509pop", &payload, &["--nonce", "00"]).status, 2);
    assert_eq!(
        run(&pki, "x509pop", &json!(7), &["--nonce", &nonce]).status,
        2
    );
    assert_eq!(
        run(
            &pki,
            "x509pop",
            &three(&payload),
            &["--nonce", &"00".repeat(32)]
        )
        .status,
        2
    );
    assert_eq!(
        run(
            &pki,
            "x509pop",
            &payload,
            &["--nonce", &nonce, "--keys", "x"]
        )
        .status,
        2
    );
    let answers = ["--nonce", &nonce, "--cloud-answers", "x"];
    let asked = run(&pki, "x509pop", &payload, &answers);
    assert_eq!(asked.status, 2, "nobody is asked");
    assert!(
        asked.stderr.contains("no question to a cloud"),
        "{}",
        asked.stderr
    );
    let other = run(&pki, "ssh_pop", &payload, &["--nonce", &nonce]);
    assert_eq!(other.status, 2, "settings of another method");
    for config in [
        "caBundle: []",
        "caBundle: [none.pem]",
        "type: ssh_pop\nconfig: {}\n",
        "{type: x509pop, config: {caBundle: [root.crt]}, more: 1}",
        "{section: AgentAttestation, schema: v1, spec: {policies: []}}",
        "more: 1",
    ] {
        pki.write("config.yaml", config);
        let run = run(&pki, "x509pop", &payload, &["--nonce", &nonce]);
        assert_eq!(run.status, 2, "{config}: {}", run.stderr);
        assert!(run.stderr.contains("config.yaml"), "{}", run.stderr);
    }
}

/// A document of AWS's, its page of certificates and its answer, in files.
fn aws_iid(config: &str, more: &[&str]) -> Run {
    use crate::aws_iid as aws;
    let pki = Pki::new();
    pki.write("payload.json", aws::honest().to_string());
    pki.write("config.yaml", config);
    pki.write("page.md", aws::page());
    let answer = json!({"method": "aws_iid", "api": {
        "account": aws::ACCOUNT, "region": aws::REGION, "instanceId": aws::INSTANCE, "asked": true,
        "instance": aws::described(), "profile": {"arn": aws::PROFILE, "roles": [aws::ROLE]},
    }});
    pki.write("answer.json", answer.to_string());
    let at = |name: &str| pki.path(name).display().to_string();
    let (payload, config) = (at("payload.json"), at("config.yaml"));
    let mut args = vec![
        "evidence",
        "verify",
        "aws_iid",
        "--payload",
        &payload,
        "--config",
        &config,
    ];
    args.extend(["--at", "2026-02-16T01:38:27Z", "--json"]);
    let more: Vec<String> = more.iter().map(|arg| arg.replace("./", &at(""))).collect();
    args.extend(more.iter().map(String::as_str));
    assay(&args)
}

#[test]
fn a_document_of_aws_is_judged_with_its_page_and_its_answer_from_files() {
    let settings = "awsAccountsAllowed: [\"111122223333\"]\n";
    let (keys, answers) = (
        ["--keys", "./page.md"],
        ["--cloud-answers", "./answer.json"],
    );
    let both = [keys, answers].concat();
    let proven = aws_iid(settings, &both);
    assert_eq!(proven.status, 0, "{}", proven.stderr);
    let shown = proven.json();
    assert_eq!(shown["accepted"], true);
    assert_eq!(
        shown["identity"],
        "aws:aws:111122223333:eu-west-1:i-0123456789abcdef0"
    );
    assert_eq!(
        shown["attributes"]["aws_iid.iam.role"],
        json!([crate::aws_iid::ROLE])
    );

    let alone = aws_iid(&format!("{settings}localOnly: true\n"), &keys);
    assert_eq!(alone.status, 0, "{}", alone.stderr);

    let stranger = aws_iid(
        "allowOwnAccount: false\nawsAccountsAllowed: [\"222222222222\"]\n",
        &both,
    );
    assert_eq!(stranger.status, 1, "{}", stranger.stderr);
    assert_eq!(stranger.json()["check"], "account-not-allowed");

    for (settings, more) in [
        (settings, &answers[..]),
        (settings, &keys[..]),
        (
            settings,
            &[
                "--keys",
                "./config.yaml",
                "--cloud-answers",
                "./answer.json",
            ][..],
        ),
        ("localOnly: true\n", &both[..]),
        ("region: eu-west-1\n", &both[..]),
    ] {
        let run = aws_iid(settings, more);
        assert_eq!(run.status, 2, "{settings} {more:?}: {}", run.stdout);
    }
    let named = aws_iid("  \nregion: eu-west-1\n", &both);
    assert!(
        named.stderr.contains("config.yaml:2:"),
        "where: {}",
        named.stderr
    );
    assert!(
        named.stderr.contains("clouds.aws.region"),
        "{}",
        named.stderr
    );
}

const ISSUER: &str = "https://issuer.example.org";

/// A token of a Kubernetes cluster, which an issuer of JWTs may have made as well.
fn token(signer: &Signer) -> String {
    let claims = json!({
        "iss": ISSUER, "aud": "assay",
        "sub": "system:serviceaccount:spirl-system:spirl-agent",
        "iat": signer::NOW, "nbf": signer::NOW, "exp": signer::NOW + 600,
    });
    signer.sign(r#"{"alg":"EdDSA","kid":"k1"}"#, &claims.to_string())
}

/// Judges a payload by a method of tokens, whose one key stands in the settings.
fn judged(method: &str, payload: &[u8], more: Value) -> Run {
    let mut key = Signer::new(1).jwk();
    key["kid"] = json!("k1");
    let jwks = json!({"keys": [key]}).to_string();
    let mut config = match method {
        "k8s_token" => json!({"issuerURL": ISSUER, "jwks": jwks}),
        _ => json!({"issuer": ISSUER, "jwks": jwks}),
    };
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let pki = Pki::new();
    pki.write("payload", payload);
    pki.write("config.yaml", config.to_string());
    let at = |name: &str| pki.path(name).display().to_string();
    let (payload, config, now) = (at("payload"), at("config.yaml"), signer::now().to_string());
    let mut args = vec!["evidence", "verify", method, "--payload", &payload];
    args.extend(["--config", &config, "--at", &now]);
    assay(&args)
}

#[test]
fn bytes_that_are_no_token_are_unreadable_and_a_wrong_token_is_refused() {
    let settings = json!({"audience": "assay"});
    let signer = Signer::new(1);
    for method in ["custom_jwt", "k8s_token"] {
        let whole = json!({"token": token(&signer)}).to_string();
        for form in [token(&signer) + "\n", whole] {
            let run = judged(method, form.as_bytes(), settings.clone());
            assert_eq!(run.status, 0, "{method}: {}{}", run.stdout, run.stderr);
        }
        let random: Vec<u8> = (0..200u8).map(|byte| byte.wrapping_mul(151)).collect();
        for none in [
            &b""[..],
            b"\n",
            b"garbage",
            b"{",
            b"{}",
            b"a.b",
            b"a.b.c.d",
            b"a.b!.c",
            &random,
        ] {
            let run = judged(method, none, settings.clone());
            assert_eq!(run.status, 2, "{method} {none:?}: {}", run.stdout);
            assert!(
                run.stderr.contains("hint: give the payload"),
                "{}",
                run.stderr
            );
        }
        let other = token(&Signer::new(2));
        for wrong in [other.as_bytes(), b"a.b.c"] {
            let run = judged(method, wrong, settings.clone());
            assert_eq!(run.status, 1, "{method} {wrong:?}: {}", run.stderr);
        }
    }
}

#[test]
fn the_audience_that_only_a_verifier_knows_is_asked_for() {
    for method in ["custom_jwt", "k8s_token"] {
        let run = judged(method, token(&Signer::new(1)).as_bytes(), json!({}));
        assert_eq!(run.status, 2, "{method}: {}{}", run.stdout, run.stderr);
        assert!(
            run.stderr.contains("hint: give `audience`"),
            "{}",
            run.stderr
        );
        assert!(!run.stderr.contains('{'), "no placeholder: {}", run.stderr);
    }
}

#[test]
fn what_to_give_instead_is_said() {
    let (pki, payload) = world();
    let nonce = hex::encode(possession::server());
    pki.write(
        "config.yaml",
        "section: AgentAttestation\nschema: v1\nspec:\n  policies: []\n",
    );
    let whole = run(&pki, "x509pop", &payload, &["--nonce", &nonce]);
    assert_eq!(whole.status, 2);
    assert!(whole.stderr.contains("whole document"), "{}", whole.stderr);
    assert!(
        whole.stderr.contains("`config:` of its x509pop entry"),
        "{}",
        whole.stderr
    );
    pki.write("config.yaml", "caBundle: [root.crt]\n");
    let payload = pki.path("text").display().to_string();
    let config = pki.path("config.yaml").display().to_string();
    let verify = |method: &str| {
        assay(&[
            "evidence",
            "verify",
            method,
            "--payload",
            &payload,
            "--config",
            &config,
            "--at",
            AT,
        ])
    };
    for method in ["x509pop", "tpm_devid"] {
        let none = verify(method);
        assert_eq!(none.status, 2);
        assert!(
            none.stderr.contains("hint: name a file that is there"),
            "{}",
            none.stderr
        );
    }
    pki.write("text", "no JSON");
    let text = verify("x509pop");
    assert_eq!(text.status, 2);
    assert!(text.stderr.contains("not JSON"), "{}", text.stderr);
    assert!(
        text.stderr.contains("hint: give the payload"),
        "{}",
        text.stderr
    );
}

#[test]
fn a_nonce_is_given_to_methods_that_have_one_in_their_own_length() {
    for method in ["aws_iid", "azure_msi", "custom_jwt", "k8s_token"] {
        let (pki, payload) = world();
        let run = run(&pki, method, &payload, &["--nonce", &"00".repeat(32)]);
        assert_eq!(run.status, 2);
        let what = format!("--nonce: {method} has no nonce");
        assert!(run.stderr.contains(&what), "{}", run.stderr);
        assert!(run.stderr.contains("hint: leave --nonce out"));
    }
    for (method, digits) in [("ssh_pop", 64), ("tpm_devid", 64), ("x509pop", 64)]
        .into_iter()
        .chain([("aws_token", 32), ("azure_imds", 32), ("gcp_iit", 32)])
    {
        for wrong in ["0".repeat(96 - digits), "x".repeat(digits), String::new()] {
            let (pki, payload) = world();
            let run = run(&pki, method, &payload, &["--nonce", &wrong]);
            let what = format!("--nonce: not {digits} hexadecimal digits");
            assert!(run.stderr.contains(&what), "{method}: {}", run.stderr);
            let hint = format!("--nonce \"$(cat {method}.nonce.hex)\"");
            assert!(run.stderr.contains(&hint), "{method}: {}", run.stderr);
            assert_eq!(run.status, 2);
        }
    }
}

#[test]
fn bytes_that_are_no_payload_decide_nothing() {
    let (pki, _) = world();
    for (method, config) in [
        ("x509pop", "caBundle: [root.crt]\n"),
        (
            "azure_msi",
            "tenants: [{tenantID: 11111111-2222-4333-8444-555555555555, principalID: 11111111-2222-4333-8444-555555555556}]\n",
        ),
        (
            "gcp_iit",
            "allowedProjectIDs: [my-project]\naudience: urn:a\n",
        ),
        (
            "aws_token",
            "issuerURLs: [https://11111111-2222-4333-8444-555555555555.tokens.sts.global.api.aws]\nallowedAudiences: [urn:a]\n",
        ),
    ] {
        pki.write("garbage", "\x07 no payload");
        pki.write("garbage.yaml", config);
        let (garbage, config) = (pki.path("garbage"), pki.path("garbage.yaml"));
        let run = assay(&[
            "evidence",
            "verify",
            method,
            "--payload",
            &garbage.display().to_string(),
            "--config",
            &config.display().to_string(),
            "--at",
            "2026-11-23T00:00:00Z",
        ]);
        assert_eq!(run.status, 2, "{method}: {}{}", run.stdout, run.stderr);
        assert!(
            run.stderr.starts_with("error: --payload: ") && run.stderr.contains("hint: "),
            "{method}: {}",
            run.stderr
        );
    }
}
