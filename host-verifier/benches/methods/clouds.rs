//! Methods of clouds: tokens over the recorded answer with the key, documents in CMS under pinned certificates.

use std::sync::Arc;

use assay_common::policy::AttestorKind;
use assay_host_verifier::attestor::azure_imds;
use assay_host_verifier::cloud::Clouds;
use assay_host_verifier::document::Provided;
use assay_host_verifier::x509::Certificate;
use assay_host_verifier::x509::files::CertificateSource;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use serde_json::{Value, json};

use crate::case::{Case, Login};
use crate::keys::{Bare, Form, Key, Kind};
use crate::message::Message;
use crate::tokens::{jwk, token};
use crate::x509::signature;

const TENANT: &str = "0c7d2b1a-0000-4abc-8def-0123456789ab";
const PRINCIPAL: &str = "0c7d2b1a-0000-4abc-8def-0123456789ac";
const SUBSCRIPTION: &str = "87654321-4321-4321-4321-210987654321";

/// A token of this kind of AWS account's issuer.
pub(crate) fn aws_token() -> Case {
    const ISSUER: &str = "https://4f3c2b1a-0000-4000-8000-000000000001.tokens.sts.global.api.aws";
    const ROLE: &str = "arn:aws:iam::123456789012:role/nodes";
    let login = Login::new(AttestorKind::AWS_TOKEN);
    let claims = json!({
        "iss": ISSUER, "aud": "assay-bench", "sub": ROLE,
        "iat": login.now() - 10, "exp": login.now() + 290,
        "jti": "4f3c2b1a-0000-4000-8000-000000000002",
        "https://sts.amazonaws.com/": {
            "aws_account": "123456789012",
            "source_region": "eu-west-1",
            "org_id": "o-a1b2c3d4e5",
            "ou_path": ["o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/"],
            "principal_id": ROLE,
            "principal_tags": {"Environment": "production", "Team": "platform"},
            "ec2_source_instance_arn": "arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0",
            "ec2_role_delivery": "2.0",
        },
    });
    let config = json!({"issuerURLs": [ISSUER], "allowedAudiences": ["assay-bench"]});
    of_token(login, config, &claims, ISSUER, |token| token)
}

/// An identity token of Google's.
pub(crate) fn gcp_iit() -> Case {
    const KEYS: &str = "https://www.googleapis.com/oauth2/v3/certs";
    let login = Login::new(AttestorKind::GCP_IIT);
    let claims = json!({
        "iss": "https://accounts.google.com", "aud": "assay-bench",
        "azp": "107517467455664443766", "sub": "107517467455664443766",
        "email": "node@my-project-prod.iam.gserviceaccount.com", "email_verified": true,
        "iat": login.now() - 10, "exp": login.now() + 3590,
        "google": {"compute_engine": {
            "project_id": "my-project-prod", "project_number": 739_419_398_126_u64,
            "zone": "us-central1-a", "instance_id": "2589221140676718026",
            "instance_name": "node-7", "instance_creation_timestamp": 1_616_000_000,
        }},
    });
    let config = json!({"allowedProjectIDs": ["my-project-prod"], "audience": "assay-bench"});
    of_token(login, config, &claims, KEYS, in_json)
}

/// An access token of Entra's, version 1.
pub(crate) fn azure_msi() -> Case {
    let login = Login::new(AttestorKind::AZURE_MSI);
    let issuer = format!("https://sts.windows.net/{TENANT}/");
    let claims = json!({
        "aud": "assay-bench", "iss": issuer, "idp": issuer,
        "iat": login.now() - 10, "nbf": login.now() - 10, "exp": login.now() + 86_390,
        "aio": "k2BgYPjPf2u1mm3OQxsOAwA=", "appid": "7d5a0f0a-2b7e-4f4b-a3e0-0d6a0d8f6f11",
        "appidacr": "2", "idtyp": "app", "oid": PRINCIPAL, "sub": PRINCIPAL, "tid": TENANT,
        "uti": "Yg1v6kX0Zk6nVb1kqB8AAA", "ver": "1.0",
        "xms_mirid": format!("/subscriptions/{SUBSCRIPTION}/resourcegroups/rg/providers/Microsoft.Compute/virtualMachines/node-7"),
    });
    let tenant = json!({"tenantID": TENANT, "principalID": PRINCIPAL, "audience": "assay-bench"});
    let source =
        format!("https://login.microsoftonline.com/{TENANT}/.well-known/openid-configuration");
    let case = of_token(
        login,
        json!({"tenants": [tenant]}),
        &claims,
        &source,
        in_json,
    );
    case.wrapped(|answer| json!({"key": answer}))
}

fn in_json(token: String) -> String {
    json!({"token": token}).to_string()
}

fn of_token(
    login: Login,
    config: Value,
    claims: &Value,
    source: &str,
    payload: impl Fn(String) -> String,
) -> Case {
    let key = Key::new(Kind::Rsa2048);
    let (token, signed) = token(&key, claims);
    let answer = json!({"source": source, "jwk": jwk(&key).to_string()});
    Case::new(login, config, payload(token))
        .then(answer.to_string())
        .fresh([signed])
}

/// An identity document of an instance that AWS need not be asked about.
pub(crate) fn aws_iid() -> Case {
    const REGION: &str = "eu-west-1";
    let login = Login::new(AttestorKind::AWS_IID);
    let key = Key::new(Kind::Rsa2048);
    let own = KeyPair::try_from(key.rcgen.serialize_der()).unwrap();
    let certificate = named("Bench").self_signed(&own).unwrap();
    let document = format!(
        "{{\n  \"accountId\" : \"123456789012\",\n  \"architecture\" : \"x86_64\",\n  \"availabilityZone\" : \"{REGION}a\",\n  \
         \"billingProducts\" : null,\n  \"devpayProductCodes\" : null,\n  \"marketplaceProductCodes\" : null,\n  \
         \"imageId\" : \"ami-0123456789abcdef0\",\n  \"instanceId\" : \"i-0123456789abcdef0\",\n  \"instanceType\" : \"m5.large\",\n  \
         \"kernelId\" : null,\n  \"pendingTime\" : \"2026-11-01T10:00:00Z\",\n  \"privateIp\" : \"10.0.0.1\",\n  \
         \"ramdiskId\" : null,\n  \"region\" : \"{REGION}\",\n  \"version\" : \"2017-09-30\"\n}}"
    );
    let (message, signed) = sign(&Message::aws(document.as_bytes()), &key, certificate.der());
    let dir = tempfile::tempdir().unwrap();
    let pinned = dir.path().join("regions.pem");
    std::fs::write(&pinned, format!("# {REGION}\n{}", certificate.pem())).unwrap();
    let mut clouds = Clouds::default();
    clouds.aws.certificates = vec![pinned];
    let payload = json!({"rsa2048": STANDARD.encode(message)}).to_string();
    let config = json!({"awsAccountsAllowed": ["123456789012"], "localOnly": true});
    Case::new(login, config, payload)
        .provided(provided(clouds), dir)
        .fresh([signed])
}

/// A document of a machine that Azure's resource manager need not be asked about, with the login's nonce. The signer's
/// certificate comes with it, and is every node's of a region.
pub(crate) fn azure_imds() -> Case {
    let login = Login::new(AttestorKind::AZURE_IMDS);
    let (top, issuing, key) = (
        Key::new(Kind::Rsa2048),
        Key::new(Kind::Rsa2048),
        Key::new(Kind::Rsa2048),
    );
    let copy = |key: &Key| KeyPair::try_from(key.rcgen.serialize_der()).unwrap();
    let root = CertifiedIssuer::self_signed(authority("Bench root"), copy(&top)).unwrap();
    let issuer =
        CertifiedIssuer::signed_by(authority("Bench issuer"), copy(&issuing), &root).unwrap();
    let names = ["eastus.metadata.azure.com", "metadata.azure.com"].map(str::to_owned);
    let mut params = CertificateParams::new(names).unwrap();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let leaf = params.signed_by(&key.rcgen, &issuer).unwrap();

    let now = Timestamp::from_second(login.now()).unwrap();
    let stamp = |at: Timestamp| at.strftime("%m/%d/%y %H:%M:%S -0000").to_string();
    let document = json!({
        "licenseType": "", "nonce": azure_imds::nonce(&login.nonce()),
        "plan": {"name": "", "product": "", "publisher": ""},
        "sku": "20_04-lts", "subscriptionId": SUBSCRIPTION,
        "timeStamp": {
            "createdOn": stamp(now - SignedDuration::from_secs(5)),
            "expiresOn": stamp(now + SignedDuration::from_hours(6)),
        },
        "vmId": "f904ece8-c6c1-4b5c-881f-309b50f25e56",
    });
    let certificate = Certificate::from_der(leaf.der()).unwrap();
    let message = Message::azure(document.to_string().as_bytes(), &certificate);
    let (message, signed) = sign(&message, &key, leaf.der());
    let mut clouds = Clouds::default();
    clouds.azure.roots = vec![CertificateSource(root.pem())];
    clouds.azure.intermediates = vec![CertificateSource(issuer.pem())];
    let payload = json!({"document": {"encoding": "pkcs7", "signature": STANDARD.encode(message)}});
    let config = json!({"tenants": [{"tenantID": TENANT, "subscriptionIDs": [SUBSCRIPTION]}]});
    let dir = tempfile::tempdir().unwrap();
    Case::new(login, config, payload.to_string())
        .provided(provided(clouds), dir)
        .fresh([signed])
        .lasting([
            signature(leaf.der(), &issuing),
            signature(issuer.der(), &top),
        ])
}

/// The message, and its signature.
fn sign(message: &Message, key: &Key, certificate: &[u8]) -> (Vec<u8>, Bare) {
    let signed = key.sign(Form::Certificate, &message.signed());
    let certificate = Certificate::from_der(certificate).unwrap();
    (
        message.with_signature(&signed.signature, &certificate),
        signed,
    )
}

fn provided(clouds: Clouds) -> Provided {
    Provided {
        clouds: Arc::new(clouds),
        ..Provided::default()
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}
