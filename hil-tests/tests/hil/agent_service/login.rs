//! One login with a TPM, and every way in which it goes wrong before a proof is judged.

use assay_hil_tests::manufacture::{EkKind, ManufacturedTpm, Recipe};
use assay_hil_tests::scenario::loopback::policy;
use assay_spi_tpm::swtpm::{Mode, Swtpm};
use tempfile::TempDir;

use super::site::{Site, agent, agent_json};
use crate::loopback::tpm;

/// A node with a TPM, and a verifier that takes its maker's chips with all PCRs as a reset leaves them.
pub(super) struct WithTpm {
    pub(super) site: Site,
    pub(super) swtpm: Swtpm,
    _tpm: ManufacturedTpm,
    _folder: TempDir,
}

pub(super) fn with_tpm() -> WithTpm {
    let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
    let swtpm = tpm
        .start(&folder.path().join("run"), Mode::Sockets)
        .unwrap();
    let site = Site::set_up(&policy(&[&tpm.root_ca(), &tpm.intermediate_ca()], true));
    WithTpm {
        site,
        swtpm,
        _tpm: tpm,
        _folder: folder,
    }
}

/// `agent.tpm` of this node.
pub(super) fn tcti(node: &WithTpm) -> String {
    format!(
        "  tpm: {{tcti: 'swtpm:path={}'}}\n",
        node.swtpm.data_path().display()
    )
}

const TPM: &str = "[{type: tpm_ek}, {type: tpm_quote}]";

#[test]
fn a_node_with_a_tpm_logs_in_over_https_and_its_key_stays_in_the_tpm() {
    let node = with_tpm();
    let config = node.site.agent(TPM, &tcti(&node));
    let assayd = node.site.start(&[]);
    let (status, answer, errors) = agent_json(&["login"], &config);
    assert_eq!(status, 0, "{errors}\n{}", assayd.log());
    let id = answer["spiffeId"].as_str().unwrap();
    assert!(id.starts_with("spiffe://example.org/node/"), "{id}");
    assert_eq!(answer["proven"], serde_json::json!(["tpm_ek", "tpm_quote"]));
    assert_eq!(answer["svidKey"], "tpm");
    assert_eq!(answer["leftOut"], serde_json::json!([]));
    // The hash that an operator would allow is shown beforehand.
    let (_, shown, _) = agent_json(&["show"], &config);
    let hash = id.rsplit('/').next().unwrap();
    assert!(shown.to_string().contains(hash), "{shown}");
    // And for people.
    let text = agent(&["login"], &config);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains(&format!("logged in: {id}")), "{text}");
    assert!(text.contains("proven:    tpm_ek, tpm_quote"), "{text}");
}

#[test]
fn what_is_offered_is_shown_without_a_verifier() {
    let node = with_tpm();
    let config = node.site.agent(TPM, &tcti(&node));
    let (status, answer, errors) = agent_json(&["show"], &config);
    assert_eq!(status, 0, "{errors}");
    let attestors = answer["attestors"].as_array().unwrap();
    assert_eq!(attestors.len(), 2);
    assert!(attestors.iter().all(|one| one["ready"] == true), "{answer}");
    let details = attestors[0]["details"].to_string();
    assert!(
        details.contains("\"ECC\"") && details.contains("SHA-256"),
        "{details}"
    );
}

/// Nothing listens at first; then everything is wrong, one thing after the other, and each is told with its mend.
#[test]
fn a_login_that_cannot_succeed_says_why_and_what_to_do() {
    let node = with_tpm();
    let config = node.site.agent(TPM, &tcti(&node));
    let refused = |config: &std::path::Path, arguments: &[&str], what: &str, hint: &str| {
        let arguments: Vec<_> = ["login"].iter().chain(arguments).copied().collect();
        let (status, answer, errors) = agent_json(&arguments, config);
        assert_eq!(status, 1, "{answer}");
        let said = answer["error"].as_str().unwrap();
        assert!(said.contains(what), "{said}\nwanted: {what}");
        let told = answer["hint"].as_str().unwrap();
        assert!(told.contains(hint), "{told}\nwanted: {hint}");
        assert!(errors.contains("hint: "), "{errors}");
    };
    refused(&config, &[], "no verifier is reached", "is assayd running");
    let assayd = node.site.start(&[]);
    let other = Site::set_up(
        "section: AgentAttestation\nschema: v1\nspec: {policies: [{name: a, requiredAttestors: [{type: tpm_ek, config: {allowedHashes: ['0000000000000000000000000000000000000000000000000000000000000000']}}]}]}\n",
    );
    let ca = other.ca().display().to_string();
    refused(&config, &["--ca", &ca], "TLS", "`ca` below `server`");
    let record = other.record().display().to_string();
    refused(
        &config,
        &["--record", &record],
        "not signed by the pinned key",
        "challengeKey.sec1",
    );
    let text = std::fs::read_to_string(&config).unwrap();
    let write = |name: &str, text: &str| {
        let path = node.site.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let strange = write(
        "strange.yaml",
        &text.replace("{type: tpm_ek}, {type: tpm_quote}", "{type: tpm_ek}"),
    );
    refused(&strange, &[], "no-policy", "assay agent show");
    let tpm = text.replace("swtpm:path=", "swtpm:path=/nowhere");
    refused(
        &write("no_tpm.yaml", &tpm),
        &[],
        "tpm",
        "is the device there",
    );
    assert!(
        assayd
            .said("Login started with multi-attestation support")
            .is_some()
    );
}
