//! Names.

use assay_common::tpm::alg::AlgId;
use assay_common::tpm::codec::DecodeError;
use assay_common::tpm::handle::Handle;
use assay_common::tpm::name::{Name, NameError, qualified_name_of_primary};
use assay_common::tpm::public::{Public, templates};

use crate::fixtures::{assert_exact, fixture, sized_fixture};
use crate::public::KEYS;

#[test]
fn computes_the_names_that_the_tpm_and_its_tools_give() {
    for key in KEYS {
        let public = sized_fixture(&format!("{key}.public"));
        let name = Name::of(&Public::parse(&public).unwrap()).unwrap();
        assert_eq!(name.as_bytes(), fixture(&format!("{key}.name")), "{key}");
        let qualified = qualified_name_of_primary(Handle::ENDORSEMENT, &name).unwrap();
        assert_eq!(
            qualified.as_bytes(),
            fixture(&format!("{key}.qualified")),
            "{key}"
        );
        let other = qualified_name_of_primary(Handle::OWNER, &name).unwrap();
        assert_ne!(
            other, qualified,
            "the hierarchy is part of a qualified name"
        );
    }
}

#[test]
fn one_changed_bit_of_the_public_area_gives_another_name() {
    let mut bytes = sized_fixture("ak_p256.public");
    let name = Name::of(&Public::parse(&bytes).unwrap()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let other = Name::of(&Public::parse(&bytes).unwrap()).unwrap();
    assert_ne!(name, other);
}

#[test]
fn a_name_read_from_the_wire_equals_the_computed_one() {
    for key in ["ak_p256", "ak_p384"] {
        let bytes = fixture(&format!("{key}.name"));
        let public = sized_fixture(&format!("{key}.public"));
        let computed = Name::of(&Public::parse(&public).unwrap()).unwrap();
        let read = Name::parse(&bytes).unwrap();
        assert_eq!(read, computed);
        assert_eq!(read.digest(), &bytes[2..]);
        assert_eq!(read.alg().digest_len(), Some(read.digest().len()));
        let digits: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(read.to_string(), digits);
        assert_exact(key, &bytes, Name::parse);
    }
}

#[test]
fn refuses_to_name_objects_by_hashes_it_does_not_have() {
    let mut bytes = templates::AK_P256;
    for alg in [AlgId::SHA1, AlgId::NULL, AlgId::SM3_256, AlgId(0x7777)] {
        bytes[2..4].copy_from_slice(&alg.0.to_be_bytes());
        let public = Public::parse(&bytes).unwrap();
        assert_eq!(Name::of(&public), Err(NameError::Unsupported(alg)));
    }
}

#[test]
fn a_digest_must_have_the_size_of_its_algorithm() {
    let truncated = Err(NameError::Decode(DecodeError::Truncated));
    let trailing = Err(NameError::Decode(DecodeError::Trailing));
    assert!(Name::from_digest(AlgId::SHA512, &[1; 64]).is_ok());
    assert_eq!(Name::from_digest(AlgId::SHA512, &[1; 63]), truncated);
    assert_eq!(Name::from_digest(AlgId::SHA256, &[1; 33]), trailing);
    assert_eq!(Name::from_digest(AlgId::SHA256, &[]), truncated);
    assert_eq!(
        Name::from_digest(AlgId(0x7777), &[1; 32]),
        Err(NameError::Unsupported(AlgId(0x7777)))
    );
    // A handle, the "name" of a hierarchy, is none.
    assert!(Name::parse(&Handle::ENDORSEMENT.0.to_be_bytes()).is_err());
}

#[test]
fn the_qualified_name_of_a_child_depends_on_its_parent() {
    let child = Name::from_digest(AlgId::SHA256, &[1; 32]).unwrap();
    let parent = Name::from_digest(AlgId::SHA384, &[2; 48]).unwrap();
    let other = Name::from_digest(AlgId::SHA384, &[3; 48]).unwrap();
    let qualified = Name::qualified_of_child(&parent, &child).unwrap();
    assert_eq!(qualified.alg(), AlgId::SHA256);
    assert_ne!(qualified, Name::qualified_of_child(&other, &child).unwrap());
}
