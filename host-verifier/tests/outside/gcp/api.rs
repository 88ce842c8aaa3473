//! The stand-in. It gives tokens for assertions that are in order, and instances for tokens that it gave.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::upstream::{Piece, Upstream, answer, say};

/// What the stand-in gives, and takes.
const TOKEN: &str = "ya29.c.c4n4ry";

pub(crate) type Faults = Arc<Mutex<VecDeque<(&'static str, Vec<Piece>)>>>;

pub(crate) struct Api {
    pub(crate) upstream: Upstream,
    faults: Faults,
    key: RsaKeyPair,
    /// More that answers at a path.
    pub(crate) pages: Arc<Mutex<Vec<(String, String)>>>,
}

impl Api {
    pub(crate) async fn start() -> Self {
        let faults = Faults::default();
        let pages: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let (own, known) = (faults.clone(), pages.clone());
        let script = move |request: &str| {
            let mut faults = own.lock().unwrap();
            let at = faults.iter().position(|(to, _)| request.starts_with(to));
            if let Some((_, fault)) = at.and_then(|at| faults.remove(at)) {
                return fault;
            }
            let known = known.lock().unwrap();
            let page = known
                .iter()
                .find(|(path, _)| request.starts_with(path.as_str()));
            match page {
                Some((_, body)) => answer("application/json", body),
                None => serve(request),
            }
        };
        let names = ["127.0.0.1"];
        Self {
            upstream: Upstream::with(&names, false, Arc::new(script)).await,
            faults,
            key: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            pages,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.upstream.port)
    }

    /// What the next request that begins like this is answered.
    pub(crate) fn fault(&self, to: &'static str, pieces: Vec<Piece>) {
        self.faults.lock().unwrap().push_back((to, pieces));
    }

    pub(crate) fn calls(&self, to: &str) -> usize {
        let requests = self.upstream.requests();
        requests.iter().filter(|one| one.starts_with(to)).count()
    }

    pub(crate) fn key_file(&self) -> String {
        let der: Pkcs8V1Der<'_> = self.key.as_der().unwrap();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(der.as_ref())
        );
        json!({
            "type": "service_account",
            "project_id": "my-project-prod",
            "private_key_id": "0a1b2c",
            "private_key": pem,
            "client_email": "assay@my-project-prod.iam.gserviceaccount.com",
            "client_id": "1234567890",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": format!("{}/token", self.url()),
            "universe_domain": "googleapis.com",
        })
        .to_string()
    }

    pub(crate) fn public_pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = self.key.public_key().as_der().unwrap();
        let text = STANDARD.encode(der.as_ref());
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    }
}

pub(crate) fn status(code: u16, headers: &str, body: &str) -> Vec<Piece> {
    let len = body.len();
    say(&format!(
        "HTTP/1.1 {code} x\r\ncontent-type: application/json\r\n{headers}content-length: {len}\r\n\r\n{body}"
    ))
}

/// The form of the API's errors.
pub(crate) fn google_error(code: u16, reason: &str) -> Vec<Piece> {
    let body = json!({"error": {"code": code, "message": "c4n4ry", "status": "PERMISSION_DENIED",
        "errors": [{"message": "c4n4ry", "domain": "usageLimits", "reason": reason}]}});
    status(code, "", &body.to_string())
}

fn granted() -> Vec<Piece> {
    let body = json!({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"});
    answer("application/json", &body.to_string())
}

fn serve(request: &str) -> Vec<Piece> {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let line = head.lines().next().unwrap();
    if line == "POST /token HTTP/1.1" {
        let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
        let parts = body.strip_prefix(grant).map_or(0, |a| a.split('.').count());
        let form = head.contains("content-type: application/x-www-form-urlencoded");
        return match parts == 3 && form {
            true => granted(),
            false => status(
                400,
                "",
                r#"{"error":"invalid_grant","error_description":"c4n4ry"}"#,
            ),
        };
    }
    if !head.contains(&format!("authorization: Bearer {TOKEN}")) {
        return google_error(401, "authError");
    }
    let path = "GET /compute/v1/projects/my-project-prod/zones/us-central1-a/instances/";
    let name = line
        .strip_prefix(path)
        .and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
    match name {
        Some(name) if name.starts_with("node-") => answer(
            "application/json; charset=UTF-8",
            &instance(name).to_string(),
        ),
        _ => google_error(404, "notFound"),
    }
}

/// As the API has it, with more than is read.
pub(crate) fn instance(name: &str) -> Value {
    let project = "https://www.googleapis.com/compute/v1/projects/my-project-prod";
    let host = "https://www.googleapis.com/compute/v1/projects/host-project";
    json!({
        "kind": "compute#instance",
        "id": "2589221140676718026",
        "creationTimestamp": "2026-08-01T00:00:00.000-07:00",
        "name": name,
        "status": "RUNNING",
        "zone": format!("{project}/zones/us-central1-a"),
        "machineType": format!("{project}/zones/us-central1-a/machineTypes/e2-standard-2"),
        "labels": {"environment": "prod", "team": "platform"},
        "metadata": {"kind": "compute#metadata", "fingerprint": "x", "items": [
            {"key": "rack", "value": "7"},
            {"key": "startup-script", "value": "c4n4ry"},
        ]},
        "tags": {"items": ["spire"], "fingerprint": "x"},
        "networkInterfaces": [{
            "name": "nic0",
            "network": format!("{host}/global/networks/vpc-prod"),
            "subnetwork": format!("{host}/regions/us-central1/subnetworks/subnet-k8s"),
            "networkIP": "10.0.0.7",
        }],
        "serviceAccounts": [{"email": "agent@my-project-prod.iam.gserviceaccount.com", "scopes": []}],
    })
}

/// The metadata server.
pub(crate) fn metadata(request: &str) -> Vec<Piece> {
    match request
        .to_ascii_lowercase()
        .contains("metadata-flavor: google")
    {
        true => granted(),
        false => status(403, "", ""),
    }
}
