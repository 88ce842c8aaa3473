//! Whether the OpenAPI document is true: real answers of every route, held against it by another implementation (Debian:
//! python3-jsonschema).

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use assay_common::policy::AttestorKind;
use assay_host_verifier::audit::{self, AuditLog};
use assay_host_verifier::store::{Commit, FirstUse, Role, Store as _, first_use_hash};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Api, bearer, peer};
use crate::desk::{Desk, ek_and_quote, granted};
use crate::fake_tpm::FakeTpm;

/// Reads `{"document": …, "answers": [{"path", "method", "status", "type", "body"}]}`; says what is not as documented.
const JUDGE: &str = r#"
import json, sys
try:
    import jsonschema
except ImportError as missing:
    sys.exit(f'{missing}: install the package python3-jsonschema')
asked = json.load(sys.stdin)
document = asked['document']

def at(schema):
    while '$ref' in schema:
        place = document
        for name in schema['$ref'][2:].split('/'):
            place = place[name.replace('~1', '/').replace('~0', '~')]
        schema = place
    return schema

def known(schema, names):
    """The members that are documented, each with its schema; None where any may be there."""
    schema = at(schema)
    for part in schema.get('allOf', []) + schema.get('oneOf', []) + schema.get('anyOf', []):
        if known(part, names) is None:
            return None
    names.update(schema.get('properties', {}))
    typed = schema.get('type') in ('object', ['object', 'null'])
    if typed and 'properties' not in schema or not schema:
        return None
    return names

def stray(schema, value, where):
    schema = at(schema)
    if isinstance(value, dict):
        names = known(schema, {})
        if names is None or 'additionalProperties' in schema:
            return
        for name, inner in value.items():
            if name not in names:
                yield f'{where}.{name} is not documented'
            else:
                yield from stray(names[name], inner, f'{where}.{name}')
    elif isinstance(value, list):
        items = schema.get('items')
        for part in schema.get('oneOf', []):
            items = items or at(part).get('items')
        for inner in value:
            yield from stray(items or {}, inner, where + '[]')

found = []
for answer in asked['answers']:
    what = f"{answer['method']} {answer['path']} {answer['status']} {answer['type']}"
    operation = document['paths'].get(answer['path'], {}).get(answer['method'].lower())
    response = operation and operation['responses'].get(str(answer['status']))
    if response is None:
        found.append(f'{what}: the status is not documented')
        continue
    content = response.get('content', {})
    if answer['type'] is None:
        if content and answer['status'] != 304:
            found.append(f'{what}: an empty answer where one is documented')
        continue
    if answer['type'] not in content:
        found.append(f'{what}: the media type is not documented')
        continue
    schema = content[answer['type']]['schema']
    if answer['type'] == 'application/postcard':
        if at(schema).get('format') != 'binary':
            found.append(f'{what}: bytes that are not documented as such')
        continue
    judge = jsonschema.Draft202012Validator({**schema, 'components': document['components']})
    for error in judge.iter_errors(answer['body']):
        found.append(f'{what}: {error.json_path}: {error.message[:300]}')
    found.extend(f'{what}: {said}' for said in stray(schema, answer['body'], '$'))
print('\n'.join(found))
"#;

struct Office {
    router: Router,
    answers: Vec<Value>,
    /// `GET /v1/…` of all that was asked with success.
    done: BTreeSet<String>,
}

impl Office {
    /// Asks `path`, which is documented as `at`; returns the body.
    async fn ask(
        &mut self,
        (method, at, path): (&str, &str, &str),
        authorization: Option<&str>,
        (media_type, body): (&str, Vec<u8>),
    ) -> Value {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .extension(peer("192.0.2.1:1"));
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        if !media_type.is_empty() {
            request = request.header("content-type", media_type);
        }
        let request = request.body(Body::from(body)).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let kind = answer.headers().get("content-type").cloned();
        let kind = kind.map(|kind| kind.to_str().unwrap().to_owned());
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 24)
            .await
            .unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if (200..300).contains(&status) {
            self.done.insert(format!("{method} {at}"));
        }
        self.answers.push(json!({
            "method": method, "path": at, "status": status, "type": kind, "body": body,
        }));
        body
    }

    async fn get(&mut self, at: &str, path: &str, authorization: Option<&str>) -> Value {
        self.ask(("GET", at, path), authorization, ("", vec![]))
            .await
    }

    async fn post(
        &mut self,
        (at, path): (&str, &str),
        authorization: Option<&str>,
        body: Value,
    ) -> Value {
        let body = ("application/json", body.to_string().into_bytes());
        self.ask(("POST", at, path), authorization, body).await
    }
}

#[tokio::test]
async fn every_answer_is_as_the_document_says() {
    let tpm = FakeTpm::new();
    let mut api = Api::with("", "", &[]);
    api.desk = Desk::new(&ek_and_quote(&[&tpm]));
    let trail = api.path("data").join(audit::FILE);
    api.desk.server.audit = AuditLog::open(&trail).unwrap().0;
    let opened = granted(api.desk.login(&tpm).await);
    let _ = api.desk.login(&FakeTpm::new()).await;
    let admin = bearer(&api.token(Role::Admin).await);
    let viewer = bearer(&api.token(Role::Viewer).await);
    let session = hex::encode(opened.session_id);
    let credential = format!("Assay {session}.{}", STANDARD.encode(opened.secret));
    let text = std::fs::read_to_string(&trail).unwrap();
    let record: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let login = record["login_id"].as_str().unwrap().to_owned();
    let (ek, nobody) = (tpm.ek_hash(), "0".repeat(64));
    let instance = "aws:aws:123456789012:eu-west-1:i-0123456789abcdef0";
    let mut bound = crate::stores::login(200, &"ab".repeat(32));
    bound.first_uses.push(FirstUse {
        method: AttestorKind::AWS_IID,
        identity: first_use_hash(instance),
        key: [7; 32],
        held: true,
        binds: true,
    });
    let stored = api.desk.store.commit_login(&bound).await.unwrap();
    assert_eq!(stored, Commit::Stored);
    let mut office = Office {
        router: api.router(),
        answers: Vec::new(),
        done: BTreeSet::new(),
    };
    let all = Some(admin.as_str());

    // A bogus renewal, a replay: their records have members of their own.
    let renew = json!({"message": {"renew": {"sessionId": session, "agentNonce": STANDARD.encode([1; 32]),
                                             "quote": STANDARD.encode([2; 300])}}});
    office.post(("/v1/login", "/v1/login"), None, renew).await;
    let hello = json!({"message": {"hello": {"versions": {"min": 1, "max": 2}, "cluster": "lab",
        "methods": ["tpm_ek", "tpm_quote"], "agentNonce": STANDARD.encode([3; 32])}}});
    let asked = office
        .post(("/v1/login", "/v1/login"), None, hello.clone())
        .await;
    let id = asked["message"]["challenge"]["loginId"].clone();
    let proofs = json!({"state": asked["state"], "message": {"proofs": {"loginId": id, "round": 0,
        "items": [{"method": "tpm_ek", "payload": "eA=="}]}}});
    for _ in 0..2 {
        office
            .post(("/v1/login", "/v1/login"), None, proofs.clone())
            .await;
    }
    let mut elsewhere = hello;
    elsewhere["message"]["hello"]["cluster"] = "nowhere".into();
    office
        .post(("/v1/login", "/v1/login"), None, elsewhere)
        .await;
    for (media_type, body) in [
        ("application/json", b"[]".to_vec()),
        ("application/json", vec![b' '; (1 << 20) + 1]),
        ("application/postcard", vec![]),
        ("application/postcard", vec![0, 0, 1, 255]),
        ("text/plain", vec![]),
    ] {
        let login = ("POST", "/v1/login", "/v1/login");
        office.ask(login, None, (media_type, body)).await;
    }

    // Every list and every thing, and the refusals of each.
    for (at, path) in [
        ("/v1/bundle", "/v1/bundle".to_owned()),
        ("/v1/bundle/spiffe", "/v1/bundle/spiffe".to_owned()),
        ("/keys", "/keys".to_owned()),
        (
            "/.well-known/openid-configuration",
            "/.well-known/openid-configuration".to_owned(),
        ),
        ("/v1/sessions", "/v1/sessions".to_owned()),
        ("/v1/sessions/{id}", format!("/v1/sessions/{session}")),
        ("/v1/nodes", "/v1/nodes".to_owned()),
        ("/v1/nodes/{id}", format!("/v1/nodes/{ek}")),
        ("/v1/bans", "/v1/bans".to_owned()),
        (
            "/v1/identities",
            format!("/v1/identities?method=aws_iid&identity={instance}"),
        ),
        ("/v1/eks", "/v1/eks".to_owned()),
        ("/v1/eks/{id}", format!("/v1/eks/{ek}")),
        ("/v1/policies", "/v1/policies".to_owned()),
        ("/v1/clusters", "/v1/clusters".to_owned()),
        (
            "/v1/clusters/{id}/config",
            "/v1/clusters/lab/config".to_owned(),
        ),
        (
            "/v1/clusters/{id}/config/history",
            "/v1/clusters/lab/config/history".to_owned(),
        ),
        ("/v1/audit", "/v1/audit".to_owned()),
        ("/v1/audit/events", "/v1/audit/events".to_owned()),
        ("/v1/audit/{id}", format!("/v1/audit/{login}")),
        ("/v1/evidence/{id}", format!("/v1/evidence/{login}")),
        ("/v1/tokens", "/v1/tokens".to_owned()),
        ("/v1/join-tokens", "/v1/join-tokens".to_owned()),
    ] {
        office.get(at, &path, all).await;
        if path.starts_with("/v1/") && !path.starts_with("/v1/bundle") {
            office.get(at, &path, None).await;
            office.get(at, &path, Some(&viewer)).await;
            office
                .get(at, &format!("{path}?limit=0&strange=1"), all)
                .await;
        }
        if at.contains("{id}") {
            for other in [&nobody, &nobody[..32], "x"] {
                office.get(at, &at.replace("{id}", other), all).await;
            }
        }
    }
    let ban = ("/v1/nodes/{id}/ban", format!("/v1/nodes/{ek}/ban"));
    for authorization in [None, Some(viewer.as_str()), all, all] {
        let sent = json!({"reason": "stolen"});
        office.post((ban.0, &ban.1), authorization, sent).await;
    }
    office.get("/v1/bans", "/v1/bans", all).await;
    let delete = ("DELETE", ban.0, ban.1.as_str());
    for _ in 0..2 {
        office.ask(delete, all, ("", vec![])).await;
    }
    let unbind = format!("/v1/identities?method=aws_iid&identity={instance}");
    for path in [
        "/v1/identities?method=aws_iid",
        "/v1/identities?method=strange&identity=a",
        "/v1/identities?method=aws_iid&identity=",
        &unbind,
        &unbind,
    ] {
        let delete = ("DELETE", "/v1/identities", path);
        office.ask(delete, all, ("", vec![])).await;
    }
    office.get("/v1/identities", &unbind, all).await;
    let tokens = ("/v1/tokens", "/v1/tokens");
    for sent in [
        json!({"name": "ci", "role": "viewer", "ttlSeconds": 600}),
        json!({"name": "ci", "role": "viewer", "ttlSeconds": 1}),
        json!(["ci", "viewer", 600]),
        json!({"name": "x".repeat(1 << 20), "role": "viewer"}),
    ] {
        office.post(tokens, all, sent).await;
    }
    office
        .ask(("POST", tokens.0, tokens.1), all, ("text/plain", vec![]))
        .await;
    let refused = office.answers.iter().rev().nth(2).unwrap();
    assert_eq!(
        (&refused["status"], &refused["body"]["code"]),
        (&json!(400), &json!("bad-body")),
        "{refused}"
    );
    let jwt = ("/v1/svids/jwt", "/v1/svids/jwt");
    for authorization in [None, Some(credential.as_str())] {
        let sent = json!({"audience": ["reports"]});
        office.post(jwt, authorization, sent).await;
    }
    office.get("/v1/audit", "/v1/audit", all).await;
    office
        .get("/v1/audit/{id}", &format!("/v1/audit/{login}"), all)
        .await;
    let end = (
        "DELETE",
        "/v1/sessions/{id}",
        &*format!("/v1/sessions/{session}"),
    );
    for _ in 0..2 {
        office.ask(end, all, ("", vec![])).await;
    }

    let document = office.get("/openapi.json", "/openapi.json", None).await;
    office.answers.pop();
    let gets = document["paths"].as_object().unwrap().iter();
    let gets = gets.filter(|(_, item)| item.get("get").is_some());
    for (path, _) in gets {
        let known = office.done.contains(&format!("GET {path}"));
        // Without an issuer of JWT-SVIDs, and without a cluster in the store, there is none of these.
        let none = path.contains("well-known") || path.contains("/config");
        assert!(known || none, "GET {path} was not answered with success");
    }
    let asked = json!({"document": document, "answers": office.answers});
    let mut judge = Command::new("/usr/bin/python3")
        .args(["-c", JUDGE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("no /usr/bin/python3: install the package python3-jsonschema");
    let mut stdin = judge.stdin.take().unwrap();
    stdin.write_all(asked.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = judge.wait_with_output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.trim(), "");
}
