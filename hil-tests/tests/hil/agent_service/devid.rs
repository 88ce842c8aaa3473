//! A login by a DevID, and a quote that stands on it, against a whole service.

use assay_hil_tests::manufacture::EkKind;

use super::site::{Site, agent_json};
use crate::devid::{Host, SIGNER};

const SESSION: &str = "session: {pathTemplate: '/node/{{tpm_devid.public_hash}}'}\n";

fn policy(host: &Host) -> String {
    let zero = "00".repeat(32);
    format!(
        "section: AgentAttestation\nschema: v1\nspec:\n  policies:\n    - name: provisioned\n      \
         requiredAttestors:\n        - type: tpm_devid\n          config:\n            devidCAs: ['{}']\n            \
         endorsementCAs: ['{}', '{}']\n        - type: tpm_quote\n          config:\n            pcrs: {{0: '{zero}'}}\n",
        host.path("owner.crt").display(),
        host.tpm.root_ca().display(),
        host.tpm.intermediate_ca().display(),
    )
}

#[test]
fn a_provisioned_node_logs_in_by_its_devid_and_its_key_stays_in_the_tpm() {
    for (ek, alg) in [
        (EkKind::Rsa2048, "rsa2048:rsassa-sha256:null"),
        (EkKind::P256, "ecc256"),
    ] {
        let host = Host::new(ek);
        host.parent("");
        host.devid(alg, SIGNER, "");
        let site = Site::set_up_with(&policy(&host), SESSION);
        let path = |name: &str| host.path(name).display().to_string();
        let attestors = format!(
            "[{{type: tpm_devid, config: {{devidCertPath: {}, devidPubPath: {}, devidPrivPath: {}}}}}, \
             {{type: tpm_quote}}]",
            path("devid.crt"),
            path("devid.pub"),
            path("devid.priv"),
        );
        let config = site.agent(
            &attestors,
            &format!("  tpm: {{tcti: '{}'}}\n", host.place()),
        );
        let assayd = site.start(&[]);
        let (status, answer, errors) = agent_json(&["login"], &config);
        assert_eq!(status, 0, "{errors}\n{}", assayd.log());
        assert_eq!(
            answer["proven"],
            serde_json::json!(["tpm_quote", "tpm_devid"])
        );
        assert_eq!(answer["svidKey"], "tpm");
        // The certificate of another key: nothing that a verifier is troubled with, and whoever runs the agent reads why.
        host.devid(alg, SIGNER, "");
        std::fs::copy(host.path("devid.crt"), host.path("other.crt")).unwrap();
        host.devid(alg, SIGNER, "");
        std::fs::copy(host.path("other.crt"), host.path("devid.crt")).unwrap();
        for command in ["login", "show", "doctor"] {
            let (_, answer, errors) = agent_json(&[command], &config);
            let told = format!("{answer}{errors}");
            assert!(told.contains("is not for the key in"), "{command}: {told}");
        }
        let (status, _, _) = agent_json(&["login"], &config);
        assert_eq!(status, 1);
    }
}
