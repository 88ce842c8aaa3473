//! `assay evidence verify tpm_quote`.

use std::path::{Path, PathBuf};

use assay_host_verifier::crypto::{PublicKey, RsaPublicKey};

use super::{Run, assay};
use crate::{
    pki::{CA, Pki},
    swtpm::Swtpm,
};

const NONCE: &str = "deadbeef00112233445566778899aabbccddeeff00112233445566778899aabb";

struct Evidence {
    tpm: Swtpm,
}

impl Evidence {
    fn new() -> Self {
        let tpm = Swtpm::start();
        tpm.ak("ak", "sha256", "ecc256:ecdsa-sha256:null");
        tpm.tool(&format!("tpm2_pcrextend 7:sha256={}", "22".repeat(32)));
        tpm.quote("ak", "sha256:0,1,7", NONCE, "");
        let lines = tpm.pcr_lines("sha256:0,1,7");
        tpm.write("lines", format!("# PCRs\n\n{lines}").as_bytes());
        tpm.write("ak.tpmt", &tpm.public("ak"));
        tpm.bare_tool("openssl pkey -pubin -in ak.pem -outform DER -out ak.der");
        let attest = tpm.read("attest");
        let sized = [&(attest.len() as u16).to_be_bytes()[..], &attest].concat();
        tpm.write("attest.tpm2b", &sized);
        Self { tpm }
    }

    fn run(&self, changes: &[(&str, &str)], more: &[&str]) -> Run {
        let mut options = vec![
            ("--attest", "attest"),
            ("--signature", "signature"),
            ("--ak", "ak.tpm2b"),
            ("--pcrs", "lines"),
        ];
        let mut nonce = NONCE;
        for (option, value) in changes {
            if *option == "--nonce" {
                nonce = value;
            } else {
                options.retain(|(o, _)| o != option);
                options.push((option, value));
            }
        }
        let mut args: Vec<PathBuf> = ["evidence", "verify", "tpm_quote", "--nonce", nonce]
            .iter()
            .map(PathBuf::from)
            .collect();
        for (option, file) in options {
            args.push(option.into());
            args.push(self.tpm.path(file));
        }
        args.extend(more.iter().map(Path::new).map(Path::to_path_buf));
        assay(&args)
    }

    #[track_caller]
    fn refused(&self, changes: &[(&str, &str)], more: &[&str], check: &str) {
        let run = self.run(changes, &[more, &["--json"]].concat());
        assert_eq!(run.status, 1, "{}{}", run.stdout, run.stderr);
        assert_eq!(run.json()["check"], check);
        let text = self.run(changes, more);
        assert_eq!(text.status, 1);
        assert!(
            text.stdout.contains(&format!("FAIL  {check}")),
            "{}",
            text.stdout
        );
        assert!(
            text.stderr.contains(&format!("error: {check}: ")),
            "{}",
            text.stderr
        );
    }
}

#[test]
fn evidence_verify_accepts_every_form_of_attest_and_key() {
    let evidence = Evidence::new();
    for ak in ["ak.tpm2b", "ak.tpmt", "ak.pem", "ak.der"] {
        for attest in ["attest", "attest.tpm2b"] {
            for selection in [&[][..], &["--selection", "sha256:0,1,7"]] {
                let run = evidence.run(&[("--ak", ak), ("--attest", attest)], selection);
                assert_eq!(run.status, 0, "{ak} {attest}: {}{}", run.stdout, run.stderr);
                let bare = !ak.contains("tpm");
                assert_eq!(
                    run.stdout.contains("skip  ak-attributes"),
                    bare,
                    "{}",
                    run.stdout
                );
                assert!(run.stdout.contains("skip  ak-in-tpm"), "{}", run.stdout);
            }
        }
    }
    let json = evidence.run(&[], &["--json"]).json();
    assert_eq!(json["accepted"], true);
    assert_eq!(json["selection"], "sha256:0,1,7");
    assert_eq!(json["ak_in_tpm"], "not proven");
    assert_eq!(json["qualified_signer_is_endorsement_primary"], true);
    assert_eq!(json["pcrs"]["sha256:0"], "00".repeat(32));
    assert_eq!(json["firmware_version"].as_str().unwrap().len(), 16);
    let bare = evidence.run(&[("--ak", "ak.pem")], &["--json"]).json();
    assert_eq!(bare["checks"][0]["outcome"], "skipped");
    assert_eq!(bare["ak_in_tpm"], "not proven");
    assert_eq!(bare["qualified_signer_is_endorsement_primary"], false);
}

#[test]
fn evidence_verify_says_that_a_file_states_attributes_and_proves_no_tpm() {
    let evidence = Evidence::new();
    let json = evidence.run(&[], &["--json"]).json();
    let outcome = |name: &str| {
        let checks = json["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["check"] == name).unwrap();
        (
            check["outcome"].as_str().unwrap().to_owned(),
            check["detail"].as_str().unwrap().to_owned(),
        )
    };
    let (_, attributes) = outcome("ak-attributes");
    assert!(
        attributes.starts_with("the file states fixedtpm"),
        "{attributes}"
    );
    assert_eq!(outcome("ak-in-tpm").0, "skipped");
    let (_, signer) = outcome("qualified-signer");
    assert!(signer.contains("if a TPM holds the key"), "{signer}");
}

#[test]
fn evidence_verify_names_the_failed_check() {
    let evidence = Evidence::new();
    let tpm = &evidence.tpm;
    let alter = |name: &str, from: &str, at: usize| {
        let mut bytes = tpm.read(from);
        bytes[at] ^= 1;
        tpm.write(name, &bytes);
    };
    let attest = tpm.read("attest");
    alter("magic", "attest", 0);
    alter("type", "attest", 5);
    alter("digest", "attest", attest.len() - 1);
    alter("signed", "signature", 10);
    evidence.refused(&[("--attest", "magic")], &[], "magic");
    evidence.refused(&[("--attest", "type")], &[], "attest-type");
    evidence.refused(&[("--attest", "digest")], &[], "signature");
    evidence.refused(&[("--signature", "signed")], &[], "signature");
    evidence.refused(&[("--nonce", "00")], &[], "nonce");
    evidence.refused(&[("--nonce", &NONCE[2..])], &[], "nonce");

    let lines = tpm.pcr_lines("sha256:0,1,7");
    let mut wrong: Vec<String> = lines.lines().map(str::to_owned).collect();
    wrong[1] = format!("1 {}", "ab".repeat(32));
    tpm.write("wrong", wrong.join("\n").as_bytes());
    evidence.refused(&[("--pcrs", "wrong")], &[], "pcr-digest");
    tpm.write("moved", lines.replace("7 ", "8 ").as_bytes());
    evidence.refused(&[("--pcrs", "moved")], &[], "pcr-selection");
    evidence.refused(
        &[("--pcrs", "moved")],
        &["--selection", "sha256:0,1,7"],
        "pcr-selection",
    );
    evidence.refused(
        &[("--pcrs", "moved")],
        &["--selection", "sha256:0,1,8"],
        "pcr-selection",
    );
    tpm.write("fewer", wrong[..2].join("\n").as_bytes());
    evidence.refused(
        &[("--pcrs", "fewer")],
        &["--selection", "sha256:0,1,7"],
        "pcr-selection",
    );
    tpm.write("short", lines.replace("0 00", "0 ").as_bytes());
    evidence.refused(&[("--pcrs", "short")], &[], "pcr-values");
    for selection in ["sha256:0,1", "sha256:0,1,2,7", "sha384:0,1,7", "sha1:0,1,7"] {
        evidence.refused(&[], &["--selection", selection], "pcr-selection");
    }

    tpm.ak("other", "sha256", "ecc256:ecdsa-sha384:null");
    evidence.refused(&[("--ak", "other.tpm2b")], &[], "signature-scheme");
    evidence.refused(&[("--ak", "other.pem")], &[], "signature");
    tpm.primary(
        "free",
        "e",
        "sha256",
        "ecc256:ecdsa-sha256:null",
        "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign",
    );
    evidence.refused(&[("--ak", "free.tpm2b")], &[], "ak-attributes");
    let mut reserved = tpm.read("ak.tpmt");
    reserved[4] |= 0x80;
    tpm.write("reserved", &reserved);
    evidence.refused(&[("--ak", "reserved")], &[], "ak-reserved-attributes");
    tpm.tool("tpm2_createek -Q -G rsa -c rsa.ctx");
    tpm.describe("rsa");
    evidence.refused(&[("--ak", "rsa.pem")], &[], "signature-scheme");
    evidence.refused(&[("--ak", "rsa.tpm2b")], &[], "ak-attributes");
}

#[test]
fn evidence_verify_exits_with_2_on_input_it_cannot_read() {
    let evidence = Evidence::new();
    let tpm = &evidence.tpm;
    tpm.write("empty", b"");
    tpm.write("cut", &tpm.read("attest")[..40]);
    tpm.write("cut-signature", &tpm.read("signature")[..40]);
    tpm.write(
        "twice",
        format!("0 {0}\n0 {0}\n", "00".repeat(32)).as_bytes(),
    );
    tpm.write("range", format!("24 {}\n", "00".repeat(32)).as_bytes());
    tpm.write("words", b"zero one\n");
    for changes in [
        ("--attest", "missing"),
        ("--attest", "empty"),
        ("--attest", "cut"),
        ("--signature", "missing"),
        ("--signature", "empty"),
        ("--signature", "cut-signature"),
        ("--ak", "missing"),
        ("--ak", "empty"),
        ("--ak", "attest"),
        ("--ak", "lines"),
        ("--pcrs", "missing"),
        ("--pcrs", "empty"),
        ("--pcrs", "twice"),
        ("--pcrs", "range"),
        ("--pcrs", "words"),
        ("--nonce", "xyz"),
        ("--nonce", ""),
        ("--nonce", "123"),
    ] {
        let run = evidence.run(&[changes], &[]);
        assert_eq!(run.status, 2, "{changes:?}: {}{}", run.stdout, run.stderr);
        assert!(
            run.stderr.starts_with("error: "),
            "{changes:?}: {}",
            run.stderr
        );
    }
    for selection in ["sha256", "sha256:24", "sha256:0,0", "what:0", "sha256:"] {
        assert_eq!(
            evidence.run(&[], &["--selection", selection]).status,
            2,
            "{selection}"
        );
    }
}

#[test]
fn evidence_verify_answers_in_json_also_when_an_argument_is_wrong() {
    let evidence = Evidence::new();
    for format in [&["--json"][..], &["--output", "json"]] {
        assert_eq!(evidence.run(&[], format).json()["accepted"], true);
        for (changes, more, named) in [
            (&[("--nonce", "xyz")][..], &[][..], "--nonce"),
            (&[], &["--selection", "sha256:24"], "--selection"),
        ] {
            let run = evidence.run(changes, &[more, format].concat());
            assert_eq!(run.status, 2, "{named}");
            let json = run.json();
            assert_eq!(json["accepted"], false);
            let reason = json["reason"].as_str().unwrap();
            assert!(reason.contains(named), "{reason}");
        }
    }
}

#[test]
fn evidence_verify_takes_the_key_of_a_certificate_and_says_that_it_judged_no_more() {
    let evidence = Evidence::new();
    let pki = Pki::new();
    pki.root("ca", "p256", CA);
    let certificate = pki.certify("ak", &evidence.tpm.read("ak.pem"), "ca", CA);
    evidence.tpm.write("ak.crt.der", certificate.der());
    evidence.tpm.write("ak.crt", &pki.pem("ak"));
    for ak in ["ak.crt", "ak.crt.der"] {
        let run = evidence.run(&[("--ak", ak)], &[]);
        assert_eq!(run.status, 0, "{ak}: {}{}", run.stdout, run.stderr);
        assert!(
            run.stdout.contains("skip  ak-certificate"),
            "{}",
            run.stdout
        );
        assert!(run.stdout.contains("skip  ak-in-tpm"), "{}", run.stdout);
    }
    evidence.tpm.write("ca.crt", &pki.pem("ca"));
    evidence.refused(&[("--ak", "ca.crt")], &[], "signature");
}

/// CVE-2017-15361: whoever has the public key has the private one.
#[test]
fn evidence_verify_refuses_a_key_of_the_broken_generator() {
    let evidence = Evidence::new();
    let key = RsaPublicKey::new(&Pki::power_of_65537(129), 65_537).unwrap();
    let spki = PublicKey::Rsa(key).spki_der();
    evidence.tpm.write("roca.der", &spki);
    evidence.refused(&[("--ak", "roca.der")], &[], "ak-roca");
}
