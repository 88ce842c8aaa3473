//! What `assay config import-spire` makes of a SPIRE agent's configuration is read by this agent. The verifier's tests hold the
//! files against what is made.

use std::path::Path;

use assay_common::identity::Provisioning;
use assay_common::identity::provisioning::MAX_RECORD;

use super::{Config, Overrides};
use crate::setup::Setup;

const CLOUDS: &str = include_str!("../../testdata/imported-from-spire/clouds.yaml");
const KEYS: &str = include_str!("../../testdata/imported-from-spire/keys.yaml");
/// The uncompressed generator of P-256.
const KEY: &str = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

#[test]
fn what_is_imported_is_read_once_its_record_is_there_and_every_method_is_built() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.yaml");
    let read = |text: &str| Config::parse(&path, text, &Overrides::default());
    let without = read(CLOUDS).unwrap_err().to_string();
    assert!(without.contains("record.bin"), "{without}");
    let mut bytes = [0; MAX_RECORD];
    let len = Provisioning {
        cluster: "default",
        trust_domain: "example.org",
        verifier_key: &hex::decode(KEY).unwrap(),
    }
    .write(&mut bytes)
    .unwrap();
    std::fs::write(dir.path().join("record.bin"), &bytes[..len]).unwrap();
    // Those of the TPM are no methods of their own: tpm_devid, tpm_ek, tpm_quote.
    for (text, methods, of_tpm) in [(CLOUDS, 5, None), (KEYS, 4, Some(3))] {
        let mut config = read(text).unwrap();
        let key = config.key_file.as_deref();
        assert_eq!(key, Some(Path::new("/var/keys/svid.key")));
        let setup = Setup::of(&mut config).unwrap();
        assert_eq!(setup.methods.len(), methods);
        let offered = setup.tpm.map(|tpm| tpm.offered.iter().count());
        assert_eq!(offered, of_tpm);
    }
    // A setting that the method does not have is refused where it stands, with those that it has.
    let unknown = read(&CLOUDS.replace("maxRetries", "maxAttempts")).unwrap_err();
    let told = format!("{unknown} {:?}", unknown.hint);
    assert!(
        told.contains(":12:") && told.contains("maxAttempts"),
        "{told}"
    );
    assert!(told.contains("maxRetries"), "{told}");
}
