//! A first login by a join token, against a whole service.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::site::{Site, agent_json};

const POLICY: &str = "section: AgentAttestation\nschema: v1\nspec:\n  policies:\n    - name: first-login\n      \
    requiredAttestors:\n        - type: join_token\n";

/// A token that names no SPIFFE ID gives its own name.
const SESSION: &str = "session: {pathTemplate: '/node/{{join_token.id}}'}\n";

const RACK7: &str = "spiffe://example.org/node/rack7";

/// Whether any file below `folder` has these bytes in it.
fn anywhere(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => anywhere(&path, bytes),
            false => {
                let content = fs::read(&path).unwrap_or_default();
                content.windows(bytes.len()).any(|part| part == bytes)
            }
        }
    })
}

#[test]
fn a_token_lets_its_node_in_once_and_is_nowhere_afterwards() {
    let site = Site::set_up_with(POLICY, SESSION);
    let config = site.agent("[{type: join_token, config: {joinTokenFile: token}}]", "");
    let assayd = site.start(&[]);
    let token = site.join_token(&["--spiffe-id", RACK7]);
    site.put_token(&token);
    let (status, answer, errors) = agent_json(&["login"], &config);
    assert_eq!(status, 0, "{errors}\n{}", assayd.log());
    assert_eq!(answer["spiffeId"], RACK7);
    assert_eq!(answer["proven"], serde_json::json!(["join_token"]));

    let refused = |check: &str| {
        let (status, answer, errors) = agent_json(&["login"], &config);
        assert_eq!(status, 1, "{answer}");
        assert!(assayd.log().contains(check), "{}", assayd.log());
        // The operator is told which; whoever tries tokens is not.
        assert!(
            !errors.contains(check) && !answer.to_string().contains(check),
            "{errors}"
        );
        // But for the login's own name.
        errors.split(" (login ").next().unwrap().to_owned()
    };
    let of_used = refused("join-token-used");
    site.put_token(&format!("join_{}", "A".repeat(43)));
    let of_unknown = refused("join-token-unknown");
    assert_eq!(of_used, of_unknown);

    // The same node again, by a new token.
    let again = site.join_token(&["--spiffe-id", RACK7]);
    site.put_token(&again);
    let (status, answer, errors) = agent_json(&["login"], &config);
    assert_eq!(
        (status, &answer["spiffeId"]),
        (0, &RACK7.into()),
        "{errors}"
    );

    // Neither the store nor the trail nor the log nor the agent's own files have it, but for the one that it was put into.
    fs::remove_file(site.folder().join("token")).unwrap();
    assert!(!anywhere(site.folder(), &token.as_bytes()[5..]));
}

#[test]
fn what_is_wrong_with_a_tokens_file_is_said_before_anybody_is_asked() {
    let site = Site::set_up_with(POLICY, SESSION);
    let config = site.agent("[{type: join_token, config: {joinTokenFile: token}}]", "");
    let told = |names: &str| {
        let (status, answer, errors) = agent_json(&["login"], &config);
        assert_eq!(status, 1, "{answer}");
        let all = format!("{answer}{errors}");
        assert!(all.contains(names), "{all}");
    };
    told("No such file");
    site.put_token("join_short");
    told("not a join token");
    site.put_token(&format!("join_{}", "A".repeat(43)));
    let path = site.folder().join("token");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    told("chmod 0400");
}

/// Two policies: one wants what the node has, the other what is broken. The challenge asks for both.
#[test]
fn a_broken_method_ends_no_login_that_another_policy_lets_in() {
    let either = format!(
        "{POLICY}    - name: dongle\n      requiredAttestors:\n        - type: extension\n          \
         config: {{webhookURL: 'https://localhost:1/'}}\n"
    );
    let site = Site::set_up_with(&either, SESSION);
    let broken = site.folder().join("dongle");
    fs::write(&broken, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).unwrap();
    let extension = format!(
        "{{type: extension, config: {{command: ['{}']}}}}",
        broken.display()
    );
    let token = "{type: join_token, config: {joinTokenFile: token}}";
    let config = site.agent(&format!("[{extension}, {token}]"), "");
    let assayd = site.start(&[]);
    site.write_token();
    let (status, answer, errors) = agent_json(&["login"], &config);
    assert_eq!(status, 0, "{errors}\n{}", assayd.log());
    assert_eq!(answer["proven"], serde_json::json!(["join_token"]));
    let left_out = answer["leftOut"].as_array().unwrap();
    assert_eq!(left_out.len(), 1, "{answer}");
    assert_eq!(left_out[0]["method"], "extension");
    let reason = left_out[0]["reason"].as_str().unwrap();
    assert!(reason.contains("ended without an answer"), "{reason}");

    // The token is used up by now: the verifier refuses, and the agent says beside it what it had left out.
    let (status, answer, errors) = agent_json(&["login"], &config);
    assert_eq!(status, 1, "{answer}");
    assert_eq!(answer["leftOut"][0]["method"], "extension", "{answer}");
    assert!(errors.contains("left out:  extension: "), "{errors}");
}
