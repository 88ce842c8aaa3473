//! The chain of the one who signed, and the intermediate that Microsoft publishes.

use assay_host_verifier::attestor::Fault;
use assay_host_verifier::outside::{ErrorKind, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::json;

use super::super::world::AzureWorld;
use super::{Azure, Case, FETCHED, document, login, payload, signed_by, stamp};
use crate::cms::build::Message;

#[test]
fn chains_lead_to_a_root_through_authorities() {
    let case = |intermediates| Case {
        intermediates,
        fetch: false,
        ..Case::default()
    };
    case(&["issuing"]).refused(&payload(&signed_by("strange"), json!({})), "unknown-issuer");
    let below = payload(&signed_by("below-plain"), json!({}));
    let error = case(&["plain"]).judge(&below).unwrap_err();
    assert_eq!(error.fault, Fault::Refused, "{error}");
    assert!(!error.check.contains("unknown"), "{error}");
    let error = case(&["issuing"])
        .judge(&payload(&signed_by("client"), json!({})))
        .unwrap_err();
    assert!(error.check.contains("usage"), "{error}");
    // An agent's own certificates are as good as any, and no better.
    let sent = |name: &str| json!({"certificates": [STANDARD.encode(Azure::own().certificate(name).der())]});
    case(&[])
        .judge(&payload(&signed_by("leaf"), sent("issuing")))
        .unwrap();
    case(&[]).refused(
        &payload(&signed_by("strange"), sent("stranger")),
        "unknown-issuer",
    );
}

/// A certificate that was judged good is not read again. Its time, its chain and its signatures are judged as ever.
#[test]
fn a_signer_that_is_known_is_judged_each_time() {
    let azure = Azure::own();
    let leaf = azure.certificate("leaf");
    let today = Case::default();
    let attestor = today.attestor();
    for _ in 0..2 {
        let good = payload(&signed_by("leaf"), json!({}));
        today.judge_by(&*attestor, &good).unwrap();
    }
    let content = document(&login()).to_string();
    let message = Message::azure(content.as_bytes(), &leaf);
    let forged = message.sign(&azure.pki("strange"), "strange", &leaf);
    let told = today.judge_by(&*attestor, &payload(&forged, json!({})));
    assert_eq!(told.unwrap_err().check, "cms-signature");

    let before = Timestamp::from_second(leaf.not_before().0 - 1).unwrap();
    let mut content = document(&login());
    content["timeStamp"] = json!({"createdOn": stamp(before), "expiresOn": stamp(before)});
    let signed = azure.sign("leaf", content.to_string().as_bytes(), "sha256");
    let early = Case {
        at: before,
        ..Case::default()
    };
    let told = early.judge_by(&*attestor, &payload(&signed, json!({})));
    assert_eq!(told.unwrap_err().check, "not-yet-valid");
}

fn published(name: &'static str, pem: bool) -> AzureWorld {
    AzureWorld::default().page(move |request| {
        let azure = Azure::own();
        let body = match pem {
            true => azure.pem(name).into_bytes(),
            false => azure.certificate(name).der().to_vec(),
        };
        (request.url == FETCHED).then(|| Ok(Response::new(200, body)))
    })
}

#[test]
fn a_missing_intermediate_is_fetched_from_microsoft_and_nobody_else() {
    let leaf = payload(&signed_by("leaf"), json!({}));
    for pem in [false, true] {
        let case = Case {
            intermediates: &[],
            world: published("issuing", pem),
            ..Case::default()
        };
        case.judge(&leaf).unwrap();
        assert_eq!(case.world.asked(), [FETCHED]);
    }
    let case = Case {
        intermediates: &[],
        world: published("issuing", false),
        ..Case::default()
    };
    case.refused(
        &payload(&signed_by("elsewhere"), json!({})),
        "unknown-issuer",
    );
    assert!(case.world.asked().is_empty());
    let case = Case {
        intermediates: &[],
        world: published("issuing", false),
        fetch: false,
        ..Case::default()
    };
    case.refused(&leaf, "unknown-issuer");
    assert!(case.world.asked().is_empty());
}

#[test]
fn what_is_fetched_instead_of_the_intermediate_vouches_for_nobody() {
    let leaf = payload(&signed_by("leaf"), json!({}));
    let case = Case {
        intermediates: &[],
        world: published("stranger", false),
        ..Case::default()
    };
    case.refused(&leaf, "unknown-issuer");
    type Answer = fn() -> Result<Response, ErrorKind>;
    let answers: [(Answer, Fault); 7] = [
        (|| Ok(Response::new(302, Vec::new())), Fault::Unavailable),
        (|| Ok(Response::new(404, Vec::new())), Fault::Unavailable),
        (|| Ok(Response::new(500, Vec::new())), Fault::Unavailable),
        (
            || Ok(Response::new(200, b"<html>".to_vec())),
            Fault::Unavailable,
        ),
        (
            || Ok(Response::new(200, vec![0x30; 100_000])),
            Fault::Unavailable,
        ),
        (|| Err(ErrorKind::Deadline), Fault::Unavailable),
        (|| Err(ErrorKind::Malformed), Fault::Unavailable),
    ];
    for (answer, fault) in answers {
        let world = AzureWorld::default().page(move |_| Some(answer()));
        let case = Case {
            intermediates: &[],
            world,
            ..Case::default()
        };
        let error = case.refused(&leaf, "intermediate");
        assert_eq!(error.fault, fault, "{error}");
    }
}
