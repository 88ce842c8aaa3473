//! Documents as people write them, and as they get them wrong.

use std::path::Path;

use assay_common::identity::Provisioning;
use assay_common::identity::provisioning::{MAX_RECORD, Pins};
use assay_common::policy::AttestorKind;
use assay_host::http::Roots;

use super::{Config, Mode, Overrides, Selector};

/// The uncompressed generator of P-256.
const KEY: &str = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

fn parse(text: &str) -> Result<Config, String> {
    let config = Config::parse(
        Path::new("/etc/assay/agent.yaml"),
        text,
        &Overrides::default(),
    );
    config.map_err(|error| format!("{error}\nhint: {}", error.hint.clone().unwrap_or_default()))
}

fn whole() -> String {
    format!(
        "agent:
  trustDomain: example.org
  auth:
    clusterId: lab
    attestors:
      - type: tpm_ek
      - type: tpm_quote
        config: {{}}
  server:
    addresses: [https://a.example.org:8443, 'https://b.example.org/']
    ca: ca.pem
    verifierKey: {KEY}
  tpm:
    tcti: swtpm:path=/run/swtpm.sock
  output:
    directory: svid
    keyMode: '0640'
  workloadApi:
    socket: /run/assay-agent/api.sock
    workloads:
      - name: web
        selectors: {{uid: 33, path: /usr/sbin/nginx}}
  health:
    address: 127.0.0.1:8086
  metrics:
    address: '[::1]:9989'
"
    )
}

#[test]
fn everything_that_can_be_set_is_read() {
    let config = parse(&whole()).unwrap();
    assert_eq!(config.cluster, "lab");
    assert_eq!(config.metrics, "[::1]:9989".parse().ok());
    assert_eq!(config.trust_domain, "example.org");
    assert_eq!(
        config.servers,
        ["https://a.example.org:8443", "https://b.example.org"]
    );
    assert_eq!(config.roots, Roots::File("/etc/assay/ca.pem".into()));
    let kinds: Vec<_> = config.attestors.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [AttestorKind::TPM_EK, AttestorKind::TPM_QUOTE]);
    assert!(config.uses_tpm());
    let outputs = config.outputs.as_ref().unwrap();
    assert_eq!(outputs.directory, Path::new("/etc/assay/svid"));
    assert_eq!(outputs.key_mode, Mode(0o640));
    assert_eq!(outputs.public_mode, Mode(0o644));
    let api = config.workload_api.as_ref().unwrap();
    assert_eq!(
        api.workloads[0].selectors,
        [Selector::Uid(33), Selector::Path("/usr/sbin/nginx".into())]
    );
    let record = config.record();
    let record = Provisioning::read(&record).unwrap();
    assert_eq!(record.cluster, "lab");
    assert_eq!(hex::encode(record.verifier_key), KEY);
}

/// A pin that nobody looks at would be a promise that is not kept.
#[test]
fn a_record_that_is_tied_to_a_board_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("provisioning.bin");
    let (ek_name, secret) = ([&[0, 0x0B][..], &[7; 32]].concat(), [9; 32]);
    for (ek_name, secret) in [(&ek_name[..], &secret[..]), (&ek_name, &[]), (&[], &secret)] {
        let mut bytes = [0; MAX_RECORD];
        let record = Provisioning {
            cluster: "lab",
            trust_domain: "example.org",
            verifier_key: &hex::decode(KEY).unwrap(),
        };
        let len = record.write_pinned(&Pins { ek_name, secret }, &mut bytes);
        std::fs::write(&path, &bytes[..len.unwrap()]).unwrap();
        let overrides = Overrides {
            servers: vec!["https://assay.example.org:8443".to_owned()],
            record: Some(path.clone()),
            ..Overrides::default()
        };
        let text = "agent: {auth: {attestors: [{type: tpm_ek}]}}";
        let error = Config::parse(Path::new("agent.yaml"), text, &overrides).unwrap_err();
        assert!(
            error.to_string().contains("pins a TPM or has a secret"),
            "{error}"
        );
        let hint = error.hint.unwrap();
        assert!(hint.contains("without `--ek-name`"), "{hint}");
    }
}

/// The Helm values of a cluster as they stand: the rest comes from a record and from the command line.
#[test]
fn helm_values_are_enough_beside_a_provisioning_record() {
    let dir = tempfile::tempdir().unwrap();
    let record = dir.path().join("provisioning.bin");
    let mut bytes = [0; MAX_RECORD];
    let len = Provisioning {
        cluster: "c-xxxxxx",
        trust_domain: "example.org",
        verifier_key: &hex::decode(KEY).unwrap(),
    }
    .write(&mut bytes)
    .unwrap();
    std::fs::write(&record, &bytes[..len]).unwrap();
    let overrides = Overrides {
        servers: vec!["https://assay.example.org:8443".to_owned()],
        record: Some(record),
        ca: None,
    };
    let text = "agent:\n  auth:\n    clusterId: c-xxxxxx\n    attestors:\n      - type: tpm_ek\n";
    let load = |text: &str| Config::parse(Path::new("values.yaml"), text, &overrides);
    let config = load(text).unwrap();
    assert_eq!(config.trust_domain, "example.org");
    assert_eq!(config.roots, Roots::System);
    let other = load(&text.replace("c-xxxxxx", "c-other")).unwrap_err();
    assert_eq!(
        other.to_string(),
        "values.yaml:3:16: `clusterId` is not that of the provisioning record"
    );
}

#[test]
fn what_is_wrong_is_named_at_its_place_with_what_to_do() {
    let whole = whole();
    for (from, to, wrong) in [
        (
            "trustDomain",
            "trustdomain",
            "2:3: unknown field `trustdomain`|did you mean `trustDomain`?",
        ),
        (
            "type: tpm_quote",
            "type: tpm_qoute",
            "7:15: unknown attestor type `tpm_qoute`|did you mean `tpm_quote`?",
        ),
        (
            "type: tpm_quote",
            "type: tpm_ek",
            "7:15: `tpm_ek` is offered twice|remove one of them",
        ),
        (
            "type: tpm_quote",
            "type: aws_iid\n        config: {use_imdsv2: true}",
            "`use_imdsv2` is no setting of this agent|`imdsv1: true`",
        ),
        (
            "config: {}",
            "config: {path: /dev/tpm0}",
            "`path`: this method has no settings|agent.tpm",
        ),
        (
            "'[::1]:9989'",
            "192.0.2.1:9989",
            "`metrics.address` is not on the loopback|127.0.0.1:9989",
        ),
        (
            "clusterId: lab",
            "clusterId: 'a b'",
            "4:16: \"a b\"|use the name",
        ),
        ("    clusterId: lab\n", "", "no cluster is named|clusterId"),
        (
            "  trustDomain: example.org\n",
            "",
            "no trust domain is named|provisioningRecord",
        ),
        (
            "example.org\n  auth",
            "spiffe://x\n  auth",
            "2:16: \"spiffe://x\"|without `spiffe://`",
        ),
        (KEY, "04ab", "130 hex digits|assay provision record"),
        (
            &format!("    verifierKey: {KEY}\n"),
            "",
            "no key of the verifier is pinned|/v1/bundle",
        ),
        (
            "https://a.example",
            "http://a.example",
            "10:17: the URL begins with https://|e.g.",
        ),
        (
            "https://a.example",
            "https://me:pw@a.example",
            "a host and a port, and nothing else|e.g.",
        ),
        (
            "[https://a.example.org:8443, 'https://b.example.org/']",
            "[]",
            "no verifier is named|--server",
        ),
        (
            "'0640'",
            "'0644'",
            "a private key that everybody may read|keyMode",
        ),
        ("'0640'", "0640", "octal digits in quotes|"),
        ("'0640'", "'+640'", "octal digits in quotes|"),
        ("{uid: 33, path: /usr/sbin/nginx}", "{}", "no selectors|uid"),
        (
            "path: /usr/sbin/nginx",
            "path: usr/../nginx",
            "the kernel knows no such path|readlink",
        ),
        (
            "path: /usr/sbin/nginx",
            "sha256: abc",
            "sha256 has 64 hex digits|sha256sum",
        ),
        (
            "{uid: 33, path: /usr/sbin/nginx}",
            "{path: /usr/sbin/nginx}",
            "nothing of who runs it|add `uid` or `gid`",
        ),
        (
            "{uid: 33, path: /usr/sbin/nginx}",
            &format!("{{sha256: '{}'}}", "0f".repeat(32)),
            "nothing of who runs it|add `uid` or `gid`",
        ),
        ("uid: 33", "user: 33", "unknown field `user`|"),
        (
            "tcti: swtpm:path=/run/swtpm.sock",
            "tcti: ''",
            "`tcti` is empty|device:",
        ),
    ] {
        let text = whole.replacen(from, to, 1);
        assert_ne!(text, whole, "{from}");
        let told = parse(&text).unwrap_err();
        let (what, hint) = wrong.split_once('|').unwrap();
        let (first, second) = told.split_once("\nhint: ").unwrap();
        assert!(first.starts_with("/etc/assay/agent.yaml:"), "{told}");
        assert!(first.contains(what), "{told}\nwanted: {what}");
        assert!(second.contains(hint), "{told}\nwanted: {hint}");
    }
}

#[test]
fn a_quote_needs_the_key_that_it_is_made_with() {
    let text = whole().replace("      - type: tpm_ek\n", "");
    let told = parse(&text).unwrap_err();
    assert!(told.contains("`tpm_quote` without the key"), "{told}");
}

#[test]
fn an_empty_file_says_how_it_begins() {
    let told = parse("# nothing\n").unwrap_err();
    assert!(told.contains("begin with `agent:`"), "{told}");
}

/// What stands in the file itself is as secret as a file of its own.
#[test]
fn a_secret_in_a_file_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.yaml");
    let token = format!("join_{}", "a".repeat(43));
    let load = |entry: &str, mode: u32| {
        std::fs::write(&path, whole().replacen("type: tpm_ek", entry, 1)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        Config::load(&path, &Overrides::default()).map(drop)
    };
    let quoted = "type: tpm_ek\n      - type: ";
    let inline = format!("{quoted}join_token\n        config: {{joinToken: {token}}}");
    let file = format!("{quoted}join_token\n        config: {{joinTokenFile: token}}");
    let extension = format!("{quoted}extension\n        config: {{command: [/bin/true]}}");
    let environment = extension.replace("true]", "true], environment: {PIN: \"1234\"}");
    for (entry, field) in [(&inline, "joinToken"), (&environment, "environment")] {
        for mode in [0o600, 0o640] {
            load(entry, mode).unwrap();
        }
        for mode in [0o644, 0o660, 0o602] {
            let error = load(entry, mode).unwrap_err();
            let (told, hint) = (error.to_string(), error.hint.unwrap_or_default());
            assert!(told.contains(&format!("`{field}`")), "{told}");
            assert!(told.contains(&format!("{mode:04o}")), "{told}");
            assert!(hint.starts_with("chmod 0640 "), "{hint}");
            for secret in [token.as_str(), "1234"] {
                assert!(!told.contains(secret) && !hint.contains(secret), "{told}");
            }
        }
    }
    load(&file, 0o644).unwrap();
    load(&extension, 0o644).unwrap();
}
