//! A login with a TPM that is not ours: swtpm, driven by tpm2-tools. Credential and quote are made and judged by
//! code of different hands.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use assay_common::login::{LoginKeys, quote_nonce};
use assay_common::method::tpm_ek::{EkChallenge, EkResponse};
use assay_common::method::tpm_quote::QuotePayload;
use assay_common::protocol::decode;
use tempfile::TempDir;

use crate::agent::{EK, QUOTE, banks, ek_payload_of, encode};
use crate::desk::{Desk, asked_of, granted, tell};

struct Swtpm {
    dir: TempDir,
    process: Child,
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Swtpm {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("state")).unwrap();
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--tpmstate", "dir=state"])
            .args([
                "--server",
                "type=unixio,path=tpm",
                "--ctrl",
                "type=unixio,path=tpm.ctrl",
            ])
            .args(["--flags", "not-need-init,startup-clear"])
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("swtpm: {error} (install the package swtpm)"));
        let tpm = Self { dir, process };
        let began = Instant::now();
        while !tpm.path("tpm").exists() || !tpm.path("tpm.ctrl").exists() {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "swtpm does not come up"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        tpm
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn tool(&self, command: &str) {
        let mut words = command.split_whitespace();
        let output = Command::new(words.next().unwrap())
            .args(words)
            .env(
                "TPM2TOOLS_TCTI",
                format!("swtpm:path={}", self.path("tpm").display()),
            )
            .current_dir(self.dir.path())
            .output()
            .unwrap_or_else(|error| panic!("{command}: {error} (install the package tpm2-tools)"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {stderr}");
    }

    /// EK and AK of the given algorithms; their public areas (TPMT_PUBLIC).
    fn keys(&self, ek: &str, ak: &str) -> (Vec<u8>, Vec<u8>) {
        self.tool(&format!("tpm2_createek -Q -c ek.ctx -G {ek} -u ek.pub"));
        self.tool("tpm2_flushcontext -Q -t");
        // A primary, as the firmware makes it: the counters in its quotes are not disguised.
        let attributes =
            "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign|noda";
        self.tool(&format!(
            "tpm2_createprimary -Q -C e -g sha256 -G {ak} -a {attributes} -c ak.ctx"
        ));
        self.tool("tpm2_readpublic -Q -c ak.ctx -f tss -o ak.pub");
        self.tool("tpm2_flushcontext -Q -t");
        (
            self.read("ek.pub").split_off(2),
            self.read("ak.pub").split_off(2),
        )
    }

    fn activate(&self, challenge: &EkChallenge<'_>) -> [u8; 32] {
        // tpm2-tools' own file: magic, version, then both structures with their lengths.
        let mut file = vec![0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1];
        crate::fake_tpm::put_2b(&mut file, challenge.credential_blob);
        crate::fake_tpm::put_2b(&mut file, challenge.encrypted_secret);
        std::fs::write(self.path("credential"), file).unwrap();
        self.tool("tpm2_startauthsession -Q --policy-session -S session");
        self.tool("tpm2_policysecret -Q -S session -c e");
        self.tool("tpm2_activatecredential -Q -c ak.ctx -C ek.ctx -i credential -o secret -P session:session");
        self.tool("tpm2_flushcontext -Q session");
        self.tool("tpm2_flushcontext -Q -t");
        self.read("secret").try_into().unwrap()
    }
}

async fn login(ek_algorithm: &str, ak_algorithm: &str) {
    let tpm = Swtpm::start();
    let (ek, ak) = tpm.keys(ek_algorithm, ak_algorithm);
    tpm.tool("tpm2_readpublic -Q -c ek.ctx -f der -o ek.der");
    tpm.tool("tpm2_flushcontext -Q -t");
    let hash = hex::encode(crate::fake_tpm::sha256(&[&tpm.read("ek.der")]));
    tpm.tool(
        "tpm2_pcrextend 7:sha256=1111111111111111111111111111111111111111111111111111111111111111",
    );
    tpm.tool("tpm2_pcrread -Q sha256:7 -o pcr7");
    let value = hex::encode(tpm.read("pcr7"));
    let zero = "00".repeat(32);
    let desk = Desk::new(&format!(
        "- name: rack\n  requiredAttestors:\n  - type: tpm_ek\n    config: {{allowedHashes: [\"{hash}\"]}}\n  - type: tpm_quote\n    config: {{pcrs: {{0: \"{zero}\", 7: \"{value}\"}}}}\n"
    ));
    let (mut link, mut agent, asked) = desk.at_round_0().await;
    let message = agent.proofs(&asked, &[(EK, ek_payload_of(&ek, &ak))]);
    let asked = asked_of(tell(&mut link, &mut agent, &message).await);

    let keys = LoginKeys::new(tpm.activate(&decode(asked.item(EK)).unwrap()));
    let response = encode(&EkResponse {
        mac: keys.proof(&agent.transcript),
    });
    agent.keys = Some(keys);

    assert_eq!(banks(asked.item(QUOTE)), [(0x000b, 1 | 1 << 7)]);
    let nonce = hex::encode(quote_nonce(&agent.transcript));
    tpm.tool(&format!("tpm2_quote -Q -c ak.ctx -l sha256:0,7 -q {nonce} -m attest -s signature -o values -F values"));
    let quote = encode(&QuotePayload {
        attest: &tpm.read("attest"),
        signature: &tpm.read("signature"),
        pcr_values: &tpm.read("values"),
    });
    let message = agent.proofs(&asked, &[(EK, response), (QUOTE, quote)]);
    let opened = granted(tell(&mut link, &mut agent, &message).await);
    assert_eq!(
        opened.spiffe_id,
        format!("spiffe://example.org/node/{hash}")
    );
}

#[tokio::test]
async fn a_login_with_a_software_tpm_and_an_rsa_ek() {
    login("rsa", "rsa2048:rsassa-sha256:null").await;
}

#[tokio::test]
async fn a_login_with_a_software_tpm_and_an_ecc_ek() {
    login("ecc", "ecc256:ecdsa-sha256:null").await;
}
