//! Quotes made by a TPM that is not ours: accepted by us and by tpm2_checkquote, and refused by us
//! for each thing that is altered.

use assay_common::tpm::{
    attest::{Attested, CertifyInfo},
    pcr::PcrSelection,
    public::Public,
};
use assay_host_verifier::{
    attestor::tpm_quote::verify::{CHECKS, QuoteError, Untrusted, VerifiedQuote, verify},
    tpm::{AkError, AttestationKey},
};

use crate::{
    soft::{NONCE, SoftKey, Statement, ecdsa_signature},
    swtpm::Swtpm,
};

const HEX_NONCE: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// The hash in the middle of `ecc256:ecdsa-sha256:null`.
fn hash_of(alg: &str) -> &str {
    alg.split(['-', ':'])
        .find(|part| part.starts_with("sha"))
        .unwrap()
}

struct Quote {
    ak: Vec<u8>,
    attest: Vec<u8>,
    signature: Vec<u8>,
    values: Vec<u8>,
    selection: PcrSelection,
}

impl Quote {
    /// Has a TPM quote, and tpm2_checkquote agree.
    fn take(alg: &str, selection: &str) -> Self {
        let tpm = Swtpm::start();
        let quote = Self::take_from(&tpm, alg, selection);
        let hash = hash_of(alg);
        tpm.tool(&format!(
            "tpm2_checkquote -Q -u ak.pem -g {hash} -m attest -s signature -f pcrs -F values -l {selection} -q {HEX_NONCE}"
        ));
        quote
    }

    /// Has a TPM quote.
    fn take_from(tpm: &Swtpm, alg: &str, selection: &str) -> Self {
        let measurement = "11".repeat(32);
        tpm.tool(&format!("tpm2_pcrextend 7:sha256={measurement}"));
        let hash = hash_of(alg);
        tpm.ak("ak", hash, alg);
        let scheme = if alg.contains("rsapss") {
            "--scheme rsapss"
        } else {
            ""
        };
        tpm.quote("ak", selection, HEX_NONCE, &format!("-g {hash} {scheme}"));
        Self {
            ak: tpm.public("ak"),
            attest: tpm.read("attest"),
            signature: tpm.read("signature"),
            values: tpm.read("pcrs"),
            selection: selection.parse().unwrap(),
        }
    }

    fn judge(&self) -> Result<VerifiedQuote, QuoteError> {
        self.judge_for(&hex::decode(HEX_NONCE).unwrap(), &[self.selection])
    }

    fn judge_for(
        &self,
        nonce: &[u8],
        selection: &[PcrSelection],
    ) -> Result<VerifiedQuote, QuoteError> {
        let key = AttestationKey::from_public(&Public::parse(&self.ak).unwrap()).unwrap();
        let untrusted = Untrusted::parse(&self.attest, &self.signature)?;
        verify(&untrusted, &key, nonce, selection, &self.values)
    }

    #[track_caller]
    fn accepted(&self) {
        let quote = self.judge().unwrap();
        let boot = quote.boot().expect("the key is an endorsement primary");
        assert!(boot.clock > 0);
        let values: Vec<u8> = quote
            .values()
            .iter()
            .flat_map(|v| v.value.clone())
            .collect();
        assert_eq!(values, self.values);
    }

    /// Alters one thing after another; each is refused by its own name.
    fn altered(self) {
        let original = self.judge_for(&hex::decode(HEX_NONCE).unwrap(), &[self.selection]);
        assert!(original.is_ok());
        let check = |quote: &Quote| quote.judge().map(drop).map_err(|e| e.check());
        let with = |alter: &dyn Fn(&mut Quote)| {
            let mut altered = Quote {
                ak: self.ak.clone(),
                attest: self.attest.clone(),
                signature: self.signature.clone(),
                values: self.values.clone(),
                selection: self.selection,
            };
            alter(&mut altered);
            check(&altered)
        };
        assert_eq!(with(&|q| q.attest[0] ^= 1), Err("magic"));
        assert_eq!(with(&|q| q.attest[5] = 0x17), Err("attest-type"));
        assert_eq!(
            with(&|q| *q.attest.last_mut().unwrap() ^= 1),
            Err("signature")
        );
        assert_eq!(
            with(&|q| *q.signature.last_mut().unwrap() ^= 1),
            Err("signature")
        );
        assert_eq!(with(&|q| q.values[0] ^= 1), Err("pcr-digest"));
        assert_eq!(
            with(&|q| {
                q.values.pop();
            }),
            Err("pcr-values")
        );
        assert_eq!(with(&|q| q.values.push(0)), Err("pcr-values"));
        assert_eq!(with(&|q| q.attest.push(0)), Err("attest-malformed"));
        assert_eq!(with(&|q| q.signature.push(0)), Err("signature-malformed"));

        let nonce = hex::decode(HEX_NONCE).unwrap();
        let selections = |text: &str| vec![text.parse::<PcrSelection>().unwrap()];
        let judged = |nonce: &[u8], selection: &[PcrSelection]| {
            self.judge_for(nonce, selection)
                .map(drop)
                .map_err(|e| e.check())
        };
        assert_eq!(judged(&nonce[1..], &[self.selection]), Err("nonce"));
        let longer = [&nonce[..], &[0]].concat();
        assert_eq!(judged(&longer, &[self.selection]), Err("nonce"));
        assert_eq!(judged(&nonce, &[]), Err("pcr-selection"));
        let other_bank = match self.selection.bank.name() {
            Some("sha256") => "sha384:0,1,7",
            _ => "sha256:0,1,7",
        };
        assert_eq!(
            judged(&nonce, &selections(other_bank)),
            Err("pcr-selection")
        );
        let fewer = format!("{}:0,1", self.selection.bank);
        assert_eq!(judged(&nonce, &selections(&fewer)), Err("pcr-selection"));
        let more = format!("{}:0,1,2,7", self.selection.bank);
        assert_eq!(judged(&nonce, &selections(&more)), Err("pcr-selection"));

        for n in 0..self.attest.len() {
            assert!(with(&|q| q.attest.truncate(n)).is_err(), "attest, {n}");
        }
        for n in 0..self.signature.len() {
            assert!(
                with(&|q| q.signature.truncate(n)).is_err(),
                "signature, {n}"
            );
        }
    }
}

#[test]
fn accepts_a_p256_quote_and_refuses_it_altered() {
    let quote = Quote::take("ecc256:ecdsa-sha256:null", "sha256:0,1,7");
    quote.accepted();
    quote.altered();
}

#[test]
fn accepts_an_rsassa_quote_and_refuses_it_altered() {
    let quote = Quote::take("rsa2048:rsassa-sha256:null", "sha256:0,1,7");
    quote.accepted();
    quote.altered();
}

#[test]
fn accepts_an_rsapss_quote_and_refuses_it_altered() {
    // tpm2_checkquote of this age reads every RSA signature as PKCS#1, so openssl gives the second
    // opinion.
    let tpm = Swtpm::start();
    let quote = Quote::take_from(&tpm, "rsa2048:rsapss-sha256:null", "sha256:0,1,7");
    tpm.write("raw", &quote.signature[6..]);
    tpm.bare_tool(
        "openssl dgst -sha256 -verify ak.pem -sigopt rsa_padding_mode:pss \
         -sigopt rsa_pss_saltlen:auto -signature raw attest",
    );
    quote.accepted();
    quote.altered();
}

#[test]
fn accepts_a_p384_quote_over_the_sha_384_bank_and_refuses_it_altered() {
    let quote = Quote::take("ecc384:ecdsa-sha384:null", "sha384:0,1,7");
    quote.accepted();
    quote.altered();
}

#[test]
fn the_composite_digest_uses_the_hash_of_the_signature_not_of_the_bank() {
    let quote = Quote::take("rsa2048:rsassa-sha384:null", "sha256:0,1,7");
    quote.accepted();
}

#[test]
fn accepts_all_twenty_four_pcrs() {
    let all: Vec<String> = (0..24).map(|i| i.to_string()).collect();
    let selection = format!("sha256:{}", all.join(","));
    // tpm2_checkquote of this age cannot read more than eight values.
    Quote::take_from(&Swtpm::start(), "ecc256:ecdsa-sha256:null", &selection).accepted();
}

#[test]
fn counters_of_a_key_outside_the_endorsement_hierarchy_are_not_taken_for_true() {
    let tpm = Swtpm::start();
    tpm.primary(
        "ak",
        "o",
        "sha256",
        "ecc256:ecdsa-sha256:null",
        crate::swtpm::AK_ATTRIBUTES,
    );
    tpm.quote("ak", "sha256:0", HEX_NONCE, "");
    let quote = Quote {
        ak: tpm.public("ak"),
        attest: tpm.read("attest"),
        signature: tpm.read("signature"),
        values: tpm.read("pcrs"),
        selection: "sha256:0".parse().unwrap(),
    };
    let verified = quote.judge().unwrap();
    assert!(verified.boot().is_none());
}

#[test]
fn refuses_a_certification_by_the_same_key() {
    let tpm = Swtpm::start();
    let quote = Quote::take_from(&tpm, "ecc256:ecdsa-sha256:null", "sha256:0,1,7");
    tpm.bare_tool("tpm2_certify -Q -c ak.ctx -C ak.ctx -g sha256 -o attest2 -s signature2");
    let certified = Quote {
        attest: tpm.read("attest2"),
        signature: tpm.read("signature2"),
        ..quote
    };
    assert_eq!(certified.judge().unwrap_err().check(), "attest-type");
}

#[test]
fn refuses_keys_that_are_no_attestation_keys() {
    let tpm = Swtpm::start();
    for (i, (attributes, alg)) in [
        // Not restricted: signs anything.
        (
            "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign",
            "ecc256:ecdsa-sha256:null",
        ),
        // Not fixed to this TPM: can be duplicated.
        (
            "sensitivedataorigin|userwithauth|restricted|sign",
            "ecc256:ecdsa-sha256:null",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("key{i}");
        tpm.primary(&name, "e", "sha256", alg, attributes);
        let public = tpm.public(&name);
        let error = AttestationKey::from_public(&Public::parse(&public).unwrap()).unwrap_err();
        assert!(matches!(error, AkError::Attributes { .. }), "{attributes}");
    }
}

/// With a key in software everything can be signed, so that only the named check stands between.
fn judge_statement(
    key: &SoftKey,
    attest: &[u8],
    signature: &[u8],
    statement: &Statement,
) -> Result<VerifiedQuote, &'static str> {
    let untrusted = Untrusted::parse(attest, signature).map_err(|e| e.check())?;
    verify(
        &untrusted,
        &key.key(),
        &NONCE,
        &statement.selection,
        &statement.values,
    )
    .map_err(|e| e.check())
}

#[test]
fn a_well_signed_structure_that_is_no_quote_is_refused_by_its_type() {
    let key = SoftKey::new();
    let statement = Statement::proper(&key);
    let attest = statement.attest();
    assert!(judge_statement(&key, &attest, &key.sign(&attest), &statement).is_ok());

    let certify = statement.with(&Attested::Certify(CertifyInfo {
        name: &[0, 11],
        qualified_name: &[0, 11],
    }));
    let judged = judge_statement(&key, &certify, &key.sign(&certify), &statement);
    assert_eq!(judged.err(), Some("attest-type"));
}

#[test]
fn a_well_signed_quote_over_no_pcr_is_refused() {
    let key = SoftKey::new();
    for selection in [vec![], vec!["sha256:0".parse::<PcrSelection>().unwrap()]] {
        let mut statement = Statement::proper(&key);
        statement.selection = selection;
        for bank in &mut statement.selection {
            bank.mask = assay_common::tpm::pcr::PcrMask::NONE;
        }
        statement.values = Vec::new();
        let attest = statement.attest();
        let judged = judge_statement(&key, &attest, &key.sign(&attest), &statement);
        assert_eq!(judged.err(), Some("pcr-selection"));
    }
}

#[test]
fn scalars_are_padded_on_the_left_and_never_out_of_range() {
    let key = SoftKey::new();
    let statement = Statement::proper(&key);
    let attest = statement.attest();
    // About one signature in 128 has a leading zero in r or s; a chip may leave it out.
    let short = (0..10_000).find_map(|_| {
        let signature = key.sign(&attest);
        (signature[6] == 0)
            .then(|| signature[7..38].to_vec())
            .map(|r| (r, signature[40..].to_vec()))
    });
    let (r, s) = short.unwrap();
    let hash = assay_common::tpm::alg::AlgId::SHA256;
    let signature = ecdsa_signature(hash, &r, &s);
    assert!(judge_statement(&key, &attest, &signature, &statement).is_ok());

    let order =
        hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap();
    let longer = [&[1][..], &s].concat();
    for (r, s) in [
        (&[][..], &s[..]),
        (&[0; 32], &s),
        (&r, &[]),
        (&r, &[0; 32]),
        (&order, &s),
        (&r, &order),
        (&r, &longer),
    ] {
        let signature = ecdsa_signature(hash, r, s);
        let judged = judge_statement(&key, &attest, &signature, &statement);
        assert_eq!(judged.err(), Some("signature"));
    }
}

#[test]
fn every_check_of_the_list_has_a_place() {
    for check in CHECKS {
        assert_eq!(CHECKS.iter().filter(|c| **c == check).count(), 1);
    }
    let error = QuoteError::SelectsNothing;
    assert_eq!(error.position(), Some(5));
}
