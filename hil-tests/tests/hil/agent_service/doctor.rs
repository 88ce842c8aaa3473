//! `assay agent doctor` on a machine with nothing set up, with half of it, with all.

use serde_json::Value;

use super::login::{tcti, with_tpm};
use super::site::agent_json;

fn level<'a>(answer: &'a Value, subject: &str) -> Option<&'a str> {
    let findings = answer["findings"].as_array().unwrap();
    let found = findings
        .iter()
        .find(|finding| finding["subject"] == subject);
    found.map(|finding| finding["level"].as_str().unwrap())
}

/// Everything that is wrong says how it is mended.
fn check(answer: &Value) {
    for finding in answer["findings"].as_array().unwrap() {
        let wrong = finding["level"] != "ok";
        assert_eq!(wrong, finding["mend"].is_string(), "{finding}");
    }
}

#[test]
fn doctor_finds_what_is_missing_until_nothing_is() {
    let node = with_tpm();
    let nothing = node.site.folder().join("nothing.yaml");
    let (status, answer, _) = agent_json(&["doctor"], &nothing);
    check(&answer);
    assert_eq!((status, &answer["healthy"]), (1, &Value::Bool(false)));
    assert_eq!(level(&answer, "configuration"), Some("fail"));

    // Half: a TPM that is elsewhere, no verifier yet, files where no files can be.
    let blocked = node.site.folder().join("blocked");
    std::fs::write(&blocked, "").unwrap();
    let more = format!(
        "  tpm: {{tcti: 'swtpm:path=/nowhere/tpm'}}\n  output: {{directory: {}/svid}}\n",
        blocked.display()
    );
    let config = node.site.agent("[{type: tpm_ek}]", &more);
    let (status, answer, _) = agent_json(&["doctor"], &config);
    check(&answer);
    assert_eq!(status, 1);
    for (subject, wanted) in [
        ("configuration", "ok"),
        ("tpm", "fail"),
        ("output", "fail"),
        ("server name", "ok"),
        ("server", "fail"),
    ] {
        assert_eq!(
            level(&answer, subject),
            Some(wanted),
            "{subject}: {answer:#}"
        );
    }

    let more = format!("{}  output: {{directory: svid}}\n", tcti(&node));
    let config = node.site.agent("[{type: tpm_ek}]", &more);
    let _assayd = node.site.start(&[]);
    let (status, answer, _) = agent_json(&["doctor"], &config);
    check(&answer);
    assert_eq!(
        (status, &answer["healthy"]),
        (0, &Value::Bool(true)),
        "{answer:#}"
    );
    for subject in [
        "tpm",
        "output",
        "server",
        "clock",
        "trust domain",
        "pinned key",
    ] {
        assert_eq!(level(&answer, subject), Some("ok"), "{subject}: {answer:#}");
    }
}

#[test]
fn doctor_tells_another_verifier_from_the_pinned_one() {
    let node = with_tpm();
    let config = node.site.agent("[{type: tpm_ek}]", &tcti(&node));
    let other = with_tpm();
    let _assayd = node.site.start(&[]);
    let record = other.site.record().display().to_string();
    let (status, answer, _) = agent_json(&["doctor", "--record", &record], &config);
    assert_eq!(status, 1);
    assert_eq!(level(&answer, "pinned key"), Some("fail"), "{answer:#}");
    assert_eq!(level(&answer, "trust domain"), Some("ok"));
    let ca = other.site.ca().display().to_string();
    let (status, answer, _) = agent_json(&["doctor", "--ca", &ca], &config);
    assert_eq!(status, 1);
    assert_eq!(level(&answer, "server"), Some("fail"), "{answer:#}");
    assert!(
        answer.to_string().contains("`ca` below `server`"),
        "{answer:#}"
    );
}

#[test]
fn doctor_tells_of_a_token_in_a_configuration_that_others_may_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let node = with_tpm();
    let token = format!("join_{}", "a".repeat(43));
    let entry = format!("[{{type: join_token, config: {{joinToken: {token}}}}}]");
    let config = node.site.agent(&entry, "");
    let (_, answer, _) = agent_json(&["doctor"], &config);
    assert_eq!(level(&answer, "configuration"), Some("ok"), "{answer:#}");
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (status, answer, errors) = agent_json(&["doctor"], &config);
    check(&answer);
    assert_eq!(status, 1);
    assert_eq!(level(&answer, "configuration"), Some("fail"), "{answer:#}");
    assert_eq!(level(&answer, "join_token"), Some("ok"), "{answer:#}");
    let (status, refused, more) = agent_json(&["login"], &config);
    assert_eq!(status, 2, "{refused}");
    assert!(more.contains("hint: chmod 0640"), "{more}");
    assert!(!format!("{answer}{errors}{refused}{more}").contains(&token));
}

#[test]
fn doctor_looks_at_all_else_where_the_record_is_missing() {
    let node = with_tpm();
    let _assayd = node.site.start(&[]);
    let entries = "[{type: tpm_ek}, {type: k8s_token, config: {tokenPath: /nowhere/token}}, \
        {type: join_token, config: {}}]";
    let config = node.site.agent(entries, "  tpm: {tcti: nonsense}\n");
    let (status, answer, _) = agent_json(&["doctor", "--record", "/nowhere/record"], &config);
    check(&answer);
    assert_eq!(status, 1);
    let told = answer.to_string();
    for wrong in ["/nowhere/record", "tcti: ", "join_token: "] {
        assert!(told.contains(wrong), "{wrong}: {answer:#}");
    }
    assert_eq!(level(&answer, "k8s_token"), Some("fail"), "{answer:#}");
    assert_eq!(level(&answer, "server"), Some("ok"), "{answer:#}");
    // Nothing is compared with what is not known.
    assert_eq!(level(&answer, "pinned key"), None, "{answer:#}");
    assert_eq!(level(&answer, "trust domain"), None, "{answer:#}");
    let (status, _, errors) = agent_json(&["login", "--record", "/nowhere/record"], &config);
    assert_eq!(status, 2, "{errors}");
}
