//! Every way in which a metadata service can misbehave, by the one method that asks it least.

use assay_cloud_standins::google::{Google, Instance};
use assay_cloud_standins::server::Reply;
use assay_common::policy::AttestorKind;
use serde_json::{Value, json};

use super::{fails, method, prove};
use assay_host_agent::method::Method;

fn iit(google: &Google, mut config: Value) -> Box<dyn Method> {
    config["metadataEndpoint"] = google.server().url().into();
    method(AttestorKind::GCP_IIT, config)
}

fn start() -> Google {
    Google::start(Instance::default()).unwrap()
}

#[test]
fn overload_and_errors_are_asked_again_as_often_as_the_settings_say() {
    let google = start();
    let busy = |status| Reply::of(status, "").with("metadata-flavor", "Google");
    let statuses = [429, 500, 502, 503, 504];
    for status in statuses {
        google
            .server()
            .next([busy(status), busy(status), busy(status)]);
        assert!(
            prove(&mut *iit(&google, json!({})), b"").is_ok(),
            "{status}"
        );
    }
    assert_eq!(google.server().seen().len(), 4 * statuses.len());
    google.server().next([busy(503), busy(503)]);
    fails(
        &mut *iit(&google, json!({"maxRetries": 1})),
        "HTTP 503",
        "asks again by itself",
    );
    // What will not be better the next time is asked once.
    let before = google.server().seen().len();
    for status in [400, 401, 403, 410] {
        google.server().next([busy(status)]);
        fails(&mut *iit(&google, json!({})), &format!("HTTP {status}"), "");
    }
    assert_eq!(google.server().seen().len(), before + 4);
}

#[test]
fn what_a_service_asks_for_is_waited_for_but_not_longer_than_the_settings_say() {
    let google = start();
    let later = Reply::of(429, "")
        .with("metadata-flavor", "Google")
        .with("retry-after", "3600");
    google.server().next([later]);
    // The answer is there at once: an hour is longer than the whole time-out.
    fails(&mut *iit(&google, json!({})), "HTTP 429", "");
    assert_eq!(google.server().seen().len(), 1);
}

#[test]
fn silence_ends() {
    let google = start();
    let quick = json!({"timeout": "400ms", "maxRetries": 0});
    google.server().next([Reply::Silence]);
    fails(
        &mut *iit(&google, quick.clone()),
        "takes the connection and does not answer",
        "Google Cloud",
    );
    // Half an answer is none.
    let half = b"HTTP/1.1 200 OK\r\nmetadata-flavor: Google\r\ncontent-length: 100\r\n\r\neyJ";
    google.server().next([Reply::Raw(half.to_vec())]);
    fails(
        &mut *iit(&google, quick),
        "http://127.0.0.1",
        "no metadata service",
    );
}

#[test]
fn what_is_no_answer_is_none() {
    let google = start();
    let none = json!({"maxRetries": 0});
    for bytes in [
        &b"SSH-2.0-OpenSSH\r\n"[..],
        b"",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
    ] {
        google.server().next([Reply::Raw(bytes.to_vec())]);
        fails(
            &mut *iit(&google, none.clone()),
            "http://127.0.0.1",
            "no metadata service",
        );
    }
    let flavored = |body: Vec<u8>| Reply::of(200, body).with("metadata-flavor", "Google");
    google.server().next([flavored(vec![b'a'; 300 * 1024])]);
    fails(
        &mut *iit(&google, none.clone()),
        "more than 262144 bytes",
        "no metadata service",
    );
    for body in ["", "token", "a.b", "a.b.c d", "a.b.c.d", &"a.".repeat(9000)] {
        google.server().next([flavored(body.into())]);
        fails(
            &mut *iit(&google, none.clone()),
            "is no token",
            "in the service's place",
        );
    }
}

#[test]
fn nobody_follows_a_redirect() {
    let (google, other) = (start(), start());
    let away = Reply::of(302, "").with("metadata-flavor", "Google").with(
        "location",
        format!("{}/computeMetadata/v1/", other.server().url()),
    );
    google.server().next([away]);
    fails(&mut *iit(&google, json!({})), "HTTP 302", "redirects");
    assert!(other.server().seen().is_empty());
}

#[test]
fn somebody_in_the_services_place_is_found_out() {
    let google = start();
    google.server().next([Reply::of(200, "a.b.c")]);
    // The stand-in's handler is not asked, so its headers are not there.
    fails(
        &mut *iit(&google, json!({})),
        "without the header `Metadata-Flavor: Google`",
        "in its place",
    );
}

#[test]
fn where_nobody_is_the_address_is_told() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let config = json!({"metadataEndpoint": format!("http://127.0.0.1:{port}")});
    let told = format!("http://127.0.0.1:{port}: ");
    for (kind, cloud) in [
        (AttestorKind::AWS_IID, "AWS"),
        (AttestorKind::AZURE_IMDS, "Azure"),
        (AttestorKind::GCP_IIT, "Google Cloud"),
    ] {
        let mut nobody = method(kind, config.clone());
        fails(
            &mut *nobody,
            &told,
            &format!("a virtual machine of {cloud}"),
        );
    }
}
