//! `assay config check`: documents that people have, and mistakes that people make.
//!
//! `data/seeds` has the examples of the published pages on agent attestation, each with a note of which; `data/wrong`
//! one mistake per file, with what is said about it beside it. `ASSAY_OVERWRITE=1` writes those texts anew: look at the
//! difference before you commit it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Run;

fn data(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/judge/data")
        .join(folder)
}

/// The names of a folder's files with this ending, sorted.
fn names(dir: &Path, ending: &str) -> Vec<String> {
    let files = std::fs::read_dir(dir).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(ending)).collect();
    names.sort();
    names
}

fn check(dir: &Path, args: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_assay"))
        .args(["config", "check"])
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    Run {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Checks a text in a file of its own.
fn check_text(text: impl AsRef<[u8]>, args: &[&str]) -> Run {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("d.yaml"), text).unwrap();
    check(dir.path(), &[&["d.yaml"], args].concat())
}

#[test]
fn every_mistake_is_told_as_it_should_be() {
    let dir = data("wrong");
    let documents = names(&dir, ".yaml");
    assert!(documents.len() >= 50, "{}", documents.len());
    let overwrite = std::env::var_os("ASSAY_OVERWRITE").is_some();
    for document in &documents {
        let run = check(&dir, &[document]);
        assert_eq!(
            (run.status, run.stdout.as_str()),
            (2, ""),
            "{document}: {}",
            run.stderr
        );
        let golden = dir.join(document).with_extension("txt");
        if overwrite {
            std::fs::write(&golden, &run.stderr).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(run.stderr, expected, "{document}");
    }
    let texts = names(&dir, ".txt");
    assert_eq!(texts.len(), documents.len(), "a text without a document");
}

#[test]
fn every_mistake_has_a_place_and_a_hint_in_json_too() {
    let dir = data("wrong");
    let documents = names(&dir, ".yaml");
    let mut args: Vec<_> = documents.iter().map(String::as_str).collect();
    args.extend(["--output", "json"]);
    let run = check(&dir, &args);
    assert_eq!(run.status, 2);
    let answer = run.json();
    assert_eq!(answer["accepted"], false);
    let files = answer["files"].as_array().unwrap();
    assert_eq!(files.len(), documents.len());
    for file in files {
        assert_eq!(file["accepted"], false, "{file:#}");
        let error = &file["errors"][0];
        let line = error["line"].as_u64().unwrap();
        assert!(
            line > 0 && error["column"].as_u64().unwrap() > 0,
            "{file:#}"
        );
        let text = std::fs::read_to_string(dir.join(file["file"].as_str().unwrap())).unwrap();
        assert!(line <= text.lines().count() as u64 + 1, "{file:#}");
        assert!(!error["hint"].as_str().unwrap().is_empty(), "{file:#}");
        let message = error["message"].as_str().unwrap();
        assert!(
            !message.is_empty() && !message.contains(['\n', '\u{1b}']),
            "{file:#}"
        );
    }
}

#[test]
fn every_published_example_is_accepted() {
    let dir = data("seeds");
    let documents = names(&dir, ".yaml");
    assert_eq!(documents.len(), 13);
    for document in &documents {
        let run = check(&dir, &[document]);
        assert_eq!(run.status, 0, "{document}: {}", run.stderr);
        assert!(run.stdout.contains("ok: "), "{document}: {}", run.stdout);
        assert!(!run.stderr.contains("error:"), "{document}: {}", run.stderr);
        let json = check(&dir, &[document, "--json"]).json();
        assert_eq!(json["accepted"], true);
        assert_eq!(json["files"][0]["errors"], serde_json::json!([]));
    }
}

#[test]
fn one_wrong_file_does_not_hide_the_others() {
    let good = data("seeds").join("aws_simplest.yaml");
    let run = check(
        &data("wrong"),
        &["schema_missing.yaml", good.to_str().unwrap(), "empty.yaml"],
    );
    assert_eq!(run.status, 2);
    assert!(
        run.stdout
            .contains("aws_simplest.yaml: ok: AgentAttestation v1"),
        "{}",
        run.stdout
    );
    for name in ["schema_missing.yaml:", "empty.yaml:"] {
        assert!(run.stderr.contains(name), "{}", run.stderr);
    }
}

#[test]
fn files_that_are_no_text_or_too_long_or_not_there_are_told_with_a_hint() {
    let limit = 256 * 1024;
    let long = format!("section: AgentAttestation\n{}\n", "# x\n".repeat(limit / 4));
    let run = check_text(long, &[]);
    assert_eq!(run.status, 2);
    assert!(
        run.stderr
            .contains("d.yaml:65531:3: longer than 262144 bytes\nhint: "),
        "{}",
        run.stderr
    );

    let run = check_text(b"section: x\n  \xff\n", &[]);
    assert_eq!(
        run.stderr,
        "error: d.yaml:2:3: not UTF-8\nhint: save the file as UTF-8\n"
    );

    let run = check(&data("wrong"), &["no-such-file.yaml"]);
    assert_eq!(run.status, 2);
    assert!(
        run.stderr.contains("no-such-file.yaml: No such file"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("hint: write it, or correct the path"),
        "{}",
        run.stderr
    );

    let run = check(&data("wrong"), &[]);
    assert_eq!(run.status, 2, "no file at all");
}

#[test]
fn an_issuance_policy_says_what_it_checked_and_what_it_needs() {
    let run = check_text(
        "section: SVIDIssuancePolicy\nschema: v1\nspec:\n  policy:\n    pathTemplate: /aws/{{aws_iid.account.id}}/{{aws_iid.ec2.instance.region}}\n  \
         policyOverrides:\n    - when: {tpm_ek.manufacturer: [STM, IFX]}\n      policy: {pathTemplate: \"/n/{{tpm_ek.public_hash}}\"}\n    \
         - when: {linux.user.name: build}\n      policy: {pathTemplate: /builders}\n",
        &[],
    );
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(
        run.stdout,
        "d.yaml: ok: SVIDIssuancePolicy v1\n  \
         pathTemplate /aws/{{aws_iid.account.id}}/{{aws_iid.ec2.instance.region}}: needs aws_iid.account.id, aws_iid.ec2.instance.region\n  \
         when tpm_ek.manufacturer is IFX or STM: pathTemplate /n/{{tpm_ek.public_hash}}: needs tpm_ek.public_hash\n  \
         when linux.user.name is build: pathTemplate /builders: needs no attribute\n"
    );
    let warning = "d.yaml:10:30: /builders names no attribute\nhint: every node gets the same ID";
    assert!(run.stderr.contains(warning), "{warning}\n{}", run.stderr);
}

#[test]
fn a_service_is_told_which_policies_its_template_denies() {
    let hash = "ab".repeat(32);
    let text = format!(
        "trustDomain: example.org\ndataDir: data\nlisteners:\n  unix: [{{path: a.sock}}]\nclusters:\n  lab:\n    section: AgentAttestation\n    \
         schema: v1\n    spec:\n      policies:\n        - name: rack\n          requiredAttestors:\n            \
         - {{type: tpm_ek, config: {{allowedHashes: [\"{hash}\"]}}}}\n        - name: quoted\n          requiredAttestors:\n            \
         - {{type: tpm_ek, config: {{allowedHashes: [\"{hash}\"]}}}}\n            - {{type: tpm_quote, config: {{anyValue: [7]}}}}\n\
         session:\n  pathTemplate: \"/n/{{{{tpm_quote.pcr.sha256.7}}}}\"\n"
    );
    let run = check_text(text, &[]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let told = "warning: d.yaml:19:17: cluster `lab`: pathTemplate: policy `rack` never gives `tpm_quote.pcr.sha256.7`\nhint: ";
    assert!(run.stderr.contains(told), "{}", run.stderr);
    assert!(!run.stderr.contains("`quoted`"), "{}", run.stderr);
}

/// Whoever evicts one of several instances that are one node unbinds all of them.
#[test]
fn a_service_is_told_of_instances_that_share_a_name() {
    let text = |tofu: bool, path: &str| {
        format!(
            "trustDomain: example.org\ndataDir: data\nlisteners:\n  unix: [{{path: a.sock}}]\nclusters:\n  lab:\n    \
             section: AgentAttestation\n    schema: v1\n    spec:\n      policies:\n        - name: gcp\n          requiredAttestors:\n            \
             - {{type: gcp_iit, config: {{allowedProjectIDs: [prod], tofu: {tofu}}}}}\nsession:\n  pathTemplate: \"/n/{{{{gcp_iit.{path}}}}}\"\n"
        )
    };
    let told = "warning: d.yaml:15:17: cluster `lab`: pathTemplate: policy `gcp` binds each instance of gcp_iit to its key (tofu), and several instances can have one SPIFFE ID\nhint: evicting one of them unbinds all: have `gcp_iit.instance_id` in the path";
    for (tofu, path, warned) in [
        (true, "instance_name", true),
        (true, "instance_id", false),
        (false, "instance_name", false),
    ] {
        let run = check_text(text(tofu, path), &[]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        assert_eq!(run.stderr.contains(told), warned, "{}", run.stderr);
    }
}

/// What is filled in is never escaped: a value that is not legal in a path denies the login.
#[test]
fn a_template_is_told_of_attributes_that_are_not_good_for_a_path() {
    let cases = [
        (
            "aws_token.principal_arn",
            Some("no value of it may stand in a SPIFFE path"),
        ),
        (
            "gcp_iit.service_account.email",
            Some("no value of it may stand"),
        ),
        (
            "aws_token.request_tags.rack",
            Some("whoever logs in chooses it"),
        ),
        ("k8s_psat.agent_pod_uid", Some("it does not stay the same")),
        ("aws_token.ec2.instance.id", None),
        ("tpm_ek.public_hash", None),
    ];
    for (name, told) in cases {
        let issuance = format!(
            "section: SVIDIssuancePolicy\nschema: v1\nspec:\n  policy: {{pathTemplate: \"/n/{{{{{name}}}}}\"}}\n"
        );
        let run = check_text(issuance, &[]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        match told {
            None => assert_eq!(run.stderr, "", "{name}"),
            Some(told) => {
                let told = format!("warning: d.yaml:4:26: pathTemplate: `{name}`: {told}");
                assert!(run.stderr.contains(&told), "{name}: {}", run.stderr);
                assert!(run.stderr.contains("hint: "), "{}", run.stderr);
            }
        }
    }
    let service = "trustDomain: example.org\ndataDir: data\nlisteners:\n  unix: [{path: a.sock}]\nclusters:\n  lab:\n    \
         section: AgentAttestation\n    schema: v1\n    spec:\n      policies:\n        - name: gcp\n          requiredAttestors:\n            \
         - {type: gcp_iit, config: {allowedProjectIDs: [prod]}}\nsession:\n  pathTemplate: \"/n/{{gcp_iit.service_account.email}}\"\n";
    let run = check_text(service, &[]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let told = "cluster `lab`: pathTemplate: `gcp_iit.service_account.email`: no value";
    assert!(run.stderr.contains(told), "{}", run.stderr);
}

/// The service is behind the policy here, so what its operator lists is known.
#[test]
fn a_service_is_told_of_issuers_that_its_operator_does_not_list() {
    let text = |listed: &str| {
        format!(
            "trustDomain: example.org\ndataDir: data\nlisteners:\n  unix: [{{path: a.sock}}]\n{listed}clusters:\n  lab:\n    \
             section: AgentAttestation\n    schema: v1\n    spec:\n      policies:\n        - name: aws\n          requiredAttestors:\n            \
             - {{type: aws_token, config: {{issuerURLs: \"https://a.example\"}}}}\nsession:\n  pathTemplate: \"/n/{{{{aws_token.account.id}}}}\"\n"
        )
    };
    let run = check_text(text(""), &[]);
    assert_eq!(run.status, 2, "{}", run.stdout);
    assert!(
        run.stderr.contains("clouds.aws.tokenIssuers"),
        "{}",
        run.stderr
    );
    let listed = "clouds: {aws: {tokenIssuers: [\"https://a.example\"]}}\n";
    let run = check_text(text(listed), &[]);
    assert_eq!(run.status, 0, "{}", run.stderr);
}

#[test]
fn overrides_that_decide_nothing_are_refused() {
    let head = "section: SVIDIssuancePolicy\nschema: v1\nspec:\n  policy: {pathTemplate: \"/n/{{tpm_ek.public_hash}}\"}\n  policyOverrides:";
    let one = "\n    - when: {tpm_ek.manufacturer: [A, B]}\n      policy: {pathTemplate: /a}";
    let other = "\n    - when: {tpm_ek.manufacturer: [B, A]}\n      policy: {pathTemplate: /b}";
    for (overrides, message) in [
        (" []".to_owned(), "5:20: `policyOverrides` is empty"),
        (
            format!("{one}{other}"),
            "8:13: `when` is the same as in an override before",
        ),
        (one.repeat(65), "more than 64 overrides"),
        (one.replace("[A, B]", "[]"), "the list of values is empty"),
        (
            one.replace("tpm_ek.manufacturer", "\"tpm ek\""),
            "`tpm ek` is no attribute name",
        ),
        (one.replace("/a}", "a}"), "a path template begins with `/`"),
    ] {
        let run = check_text(format!("{head}{overrides}\n"), &[]);
        assert_eq!(run.status, 2, "{}", run.stdout);
        assert!(run.stderr.contains(message), "{message}\n{}", run.stderr);
        assert!(run.stderr.contains("hint: "), "{}", run.stderr);
    }
}

#[test]
fn an_agents_settings_name_one_cluster_and_each_method_once() {
    let text = "agent:\n  auth:\n    clusterName: lab\n    attestors:\n      - type: tpm_ek\n      - type: tpm_quote\n";
    let run = check_text(text, &[]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(
        (run.stdout.as_str(), run.stderr.as_str()),
        (
            "d.yaml: ok: agent settings\n  cluster lab: offers tpm_ek, tpm_quote\n",
            ""
        )
    );
    for (from, to, message) in [
        ("tpm_quote", "tpm_ek", "6:15: `tpm_ek` is offered twice"),
        (
            "attestors",
            "clusterId: lab\n    attestors",
            "both `clusterId` and `clusterName` are given",
        ),
    ] {
        let run = check_text(text.replacen(from, to, 1), &[]);
        assert_eq!(run.status, 2);
        assert!(run.stderr.contains(message), "{}", run.stderr);
    }
}

/// The values are the agent's to read; the names are in the documents of the methods, which the agent's tests hold it against.
#[test]
fn an_agents_method_has_the_settings_of_its_document_and_no_others() {
    let offer = |offer: &str| {
        let text =
            format!("agent:\n  auth:\n    clusterId: lab\n    attestors:\n      - {offer}\n");
        check_text(text, &[])
    };
    for good in [
        "{type: aws_iid, config: {maxRetries: 3, retryDelay: 1s}}",
        "{config: {cluster: east}, type: k8s_psat}",
        "{type: aws_iid, config: {}}",
        "{type: aws_iid, config: }",
        "{type: aws_iid}",
        "{type: tpm_ek, config: {}}",
    ] {
        let run = offer(good);
        assert_eq!(run.status, 0, "{good}: {}", run.stderr);
    }
    for (wrong, message, hint) in [
        (
            "{type: aws_iid, config: {maxRetrys: 3}}",
            "5:34: unknown field `maxRetrys` in the settings of aws_iid",
            "did you mean `maxRetries`?",
        ),
        (
            "{config: {issuerURL: a}, type: azure_msi}",
            "unknown field `issuerURL` in the settings of azure_msi",
            "known here: `audience`, `tenantId`",
        ),
        (
            "{type: tpm_quote, config: {pcrs: [0]}}",
            "unknown field `pcrs` in the settings of tpm_quote",
            "agent.tpm",
        ),
        (
            "{type: x509pop, config: {privateKeyPath: a}}",
            "x509pop needs `certificatePath` in its `config`",
            "docs/methods/x509pop.md",
        ),
        (
            "{type: k8s_psat}",
            "k8s_psat needs `cluster` in its `config`",
            "docs/methods/k8s_psat.md",
        ),
    ] {
        let run = offer(wrong);
        assert_eq!(run.status, 2, "{wrong}: {}", run.stdout);
        assert!(run.stderr.contains(message), "{wrong}: {}", run.stderr);
        assert!(run.stderr.contains(hint), "{wrong}: {}", run.stderr);
    }
}

/// A message has room for so many, and the agent refuses more.
#[test]
fn an_agent_offers_eight_methods_at_most() {
    let eight = "aws_iid, gcp_iit, azure_imds, http_dns, ssh_pop, tpm_ek, tpm_quote, aws_token";
    let check = |names: &str| {
        let offers: Vec<_> = names
            .split(", ")
            .map(|name| format!("{{type: {name}}}"))
            .collect();
        let offers = offers.join(", ");
        check_text(
            format!("agent: {{auth: {{clusterId: lab, attestors: [{offers}]}}}}\n"),
            &[],
        )
    };
    let run = check(eight);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let run = check(&format!("{eight}, azure_msi"));
    assert_eq!(run.status, 2, "{}", run.stdout);
    assert!(run.stderr.contains("more than 8 methods"), "{}", run.stderr);
}

#[test]
fn policies_are_described_by_their_rules() {
    let run = check_text(
        "section: AgentAttestation\nschema: v1\nspec:\n  environment: production\n  policies:\n    - name: hybrid\n      \
         environment: [staging, production]\n      requiredAttestors: [{type: azure_imds, config: {tenants: [{tenantID: 0c7d2b1a-0000-4abc-8def-0123456789ab, subscriptionIDs: [0c7d2b1a-0000-4abc-8def-0123456789ac]}]}}]\n      \
         anyOf: [{type: aws_iid}, {type: azure_msi, config: {tenants: [{tenantID: 0c7d2b1a-0000-4abc-8def-0123456789ab, principalID: 0c7d2b1a-0000-4abc-8def-0123456789ac}]}}, {type: gcp_iit, config: {allowedProjectIDs: rack-1a}}]\n      minAttestors: 2\n      \
         requiredAttestorCombinations: [[aws_iid, azure_msi], [gcp_iit, azure_msi]]\n",
        &[],
    );
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(
        run.stdout,
        "d.yaml: ok: AgentAttestation v1\n  environment production\n  \
         hybrid: azure_imds, and 2 of (aws_iid, azure_msi, gcp_iit), and all of (aws_iid and azure_msi) or (gcp_iit and azure_msi) (in staging and production only)\n"
    );
}

#[test]
fn what_a_document_says_cannot_write_to_the_terminal() {
    let name = r#""rack\e[2J\nerror: no""#;
    let text = format!(
        "section: AgentAttestation\nschema: v1\nspec:\n  policies:\n    - name: {name}\n      requiredAttestors: [{{type: join_token}}]\n"
    );
    let run = check_text(&text, &[]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let policy = r"  rack\u{1b}[2J\nerror: no: join_token";
    assert_eq!(
        run.stdout,
        format!("d.yaml: ok: AgentAttestation v1\n{policy}\n")
    );
    for wrong in [
        text.replace("[{type: join_token}]", "[]"),
        text.replace("requiredAttestors", name),
        text.replace("schema: v1", &format!("schema: v1\n{name}: 1\n{name}: 1")),
        text.replace("section", name),
        text.replace("AgentAttestation", name),
        text.replace("join_token", name),
        text.replace("v1", name),
    ] {
        let run = check_text(&wrong, &[]);
        assert_eq!(run.status, 2, "{wrong}");
        assert!(!run.stderr.contains('\u{1b}'), "{wrong}\n{}", run.stderr);
        let mut lines = run.stderr.lines();
        assert!(
            lines.next().unwrap().starts_with("error: d.yaml:"),
            "{}",
            run.stderr
        );
        assert!(
            lines.next().unwrap().starts_with("hint: "),
            "{}",
            run.stderr
        );
        assert_eq!(lines.next(), None, "{}", run.stderr);
    }
}

#[test]
fn the_example_of_the_service_is_accepted() {
    let run = check(
        Path::new(env!("CARGO_MANIFEST_DIR")),
        &["config.example.yaml", "--no-files"],
    );
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(
        run.stdout
            .starts_with("config.example.yaml: ok: assayd configuration\n"),
        "{}",
        run.stdout
    );
}
