//! `assayd init`: a directory with everything that a first `assayd serve` needs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use assay_common::identity::TrustDomain;
use assay_host_verifier::api::auth::ApiToken;
use assay_host_verifier::audit::{Act, Change};
use assay_host_verifier::cli::service::operator;
use assay_host_verifier::config::Config;
use assay_host_verifier::random::SystemRandom;
use assay_host_verifier::server::start;
use assay_host_verifier::store::Role;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use crate::Failure;

/// The configuration, with `{trustDomain}` to be filled in.
const TEMPLATE: &str = include_str!("init.yaml");
const CONFIG: &str = "assayd.yaml";
const TOKEN: &str = "admin.token";
const TLS: &str = "tls";
/// How long the server's certificate lasts. `/ready` and the metrics tell when it comes to its end.
const VALID: SignedDuration = SignedDuration::from_hours(397 * 24);
/// How long the first token lasts: long enough to give everybody one of their own, or a client certificate.
const TOKEN_LASTS: Duration = Duration::from_secs(TOKEN_DAYS * 24 * 3600);
const TOKEN_DAYS: u64 = 90;
/// Clocks of others may be behind.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);

/// The options of `assayd init`.
#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// The directory, which is made, or is empty
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The trust domain of the identities that are issued, for instance example.org
    #[arg(long, value_name = "NAME")]
    trust_domain: String,
}

pub(crate) async fn run(arguments: InitArguments) -> Result<(), Failure> {
    TrustDomain::parse(&arguments.trust_domain).map_err(|error| {
        Failure::usage(format!("--trust-domain: {error}"))
            .hint("a name like `example.org`, without a scheme")
    })?;
    let dir = &arguments.dir;
    claim(dir)?;
    let made = make(dir, &arguments.trust_domain).await;
    if made.is_err() {
        // It was empty: what is in it now is ours, and half of it would keep the next try from starting.
        let _ = fs::remove_file(dir.join(CONFIG));
        let _ = fs::remove_file(dir.join(TOKEN));
        let _ = fs::remove_dir_all(dir.join(TLS));
        let _ = fs::remove_dir_all(dir.join("data"));
    }
    let names = made?;
    let shown = dir.display();
    println!(
        "{shown}: trust domain {}\n\
         \n  {CONFIG}    the configuration\
         \n  data/          keys, database, audit trail: back it up\
         \n  {TLS}/           ca.crt for clients, server.crt for {}\
         \n  {TOKEN}    a token of role admin for {TOKEN_DAYS} days: keep it, it is shown nowhere else\n\
         \nnext:\
         \n  assayd serve --config {shown}/{CONFIG}\
         \n  assay token create --config {shown}/{CONFIG} --role admin --name second --ttl 90d    # before the first ends\
         \n  curl --cacert {shown}/{TLS}/ca.crt -H \"Authorization: Bearer $(cat {shown}/{TOKEN})\" https://localhost:8443/v1/nodes",
        arguments.trust_domain,
        names.join(", ")
    );
    Ok(())
}

/// Makes the directory for its owner alone, or takes an empty one.
fn claim(dir: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        Failure::failed(format!("{}: {error}", dir.display()))
            .hint("choose a directory that can be made here")
    };
    match fs::read_dir(dir) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(
                    Failure::failed(format!("{} is not empty", dir.display())).hint(
                        "nothing is overwritten: choose another directory, or serve what is there",
                    ),
                );
            }
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_dir(dir).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

/// Everything in the directory; the names in the server's certificate.
async fn make(dir: &Path, trust_domain: &str) -> Result<Vec<String>, Failure> {
    let failed = |error: io::Error| Failure::failed(format!("{}: {error}", dir.display()));
    let names = server_names();
    let tls = dir.join(TLS);
    make_dir(&tls).map_err(failed)?;
    let certificates = certificates(trust_domain, &names)
        .map_err(|error| Failure::failed(format!("the server's certificate: {error}")))?;
    write(&tls.join("ca.crt"), &certificates.authority).map_err(failed)?;
    write(&tls.join("server.crt"), &certificates.server).map_err(failed)?;
    write(&tls.join("server.key"), &certificates.key).map_err(failed)?;
    let path = dir.join(CONFIG);
    let text = TEMPLATE.replace("{trustDomain}", trust_domain);
    write(&path, &text).map_err(failed)?;
    // From here on as the service itself would: what it could not start with is found now.
    let config = Config::load(&path)?;
    let verifier = start::verifier(&config)?;
    drop(verifier);
    let store = start::store(&config).await?;
    let issued = ApiToken::issue(
        &SystemRandom,
        Timestamp::now(),
        "first admin",
        Role::Admin,
        Some(TOKEN_LASTS),
        "assayd init",
    );
    let (token, record) = issued.map_err(|error| Failure::failed(error.to_string()))?;
    let stored = store.add_api_token(&record).await;
    store.close().await;
    match stored {
        Ok(true) => {}
        Ok(false) => return Err(Failure::failed("the token is there already")),
        Err(error) => return Err(Failure::failed(error.to_string())),
    }
    let change = Change::new("token.create", "token", &record.id);
    let change = change.detail(format!("{}: {}", record.name, record.role));
    let now = Timestamp::now();
    let act = Act::done(&SystemRandom, now, "cli", operator(), change)
        .map_err(|error| Failure::failed(error.to_string()))?;
    // Nobody writes this trail yet.
    let trail = start::audit(&config.data_dir, config.audit.into())?;
    let recorded = trail.append(&act).await;
    recorded.map_err(|error| Failure::failed(error.to_string()))?;
    write(&dir.join(TOKEN), &format!("{}\n", token.expose())).map_err(failed)?;
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(failed)?;
    Ok(names)
}

fn make_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// A new file for its owner alone, which outlives a power failure.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// By what names this machine is reached from itself, and by its own name.
fn server_names() -> Vec<String> {
    let mut names: Vec<_> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    let own = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let own = own.trim().to_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if own.split('.').all(label) && !names.contains(&own) {
        names.push(own);
    }
    names
}

struct Certificates {
    authority: String,
    server: String,
    key: String,
}

/// An authority with one certificate. Its key is never written: nobody can make a second one with it, and clients that
/// trust it trust this server alone.
fn certificates(trust_domain: &str, names: &[String]) -> Result<Certificates, rcgen::Error> {
    let named = |name: String| {
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, name);
        subject
    };
    // From the beginning of a day to the beginning of a day, which is as exact as it needs to be.
    let date = |at: Timestamp| {
        let day = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        let part = |number: i8| u8::try_from(number).unwrap_or(1);
        rcgen::date_time_ymd(i32::from(day.year()), part(day.month()), part(day.day()))
    };
    let now = Timestamp::now();
    let (from, until) = (date(now - BACKDATED), date(now + VALID));
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::default();
    authority.distinguished_name = named(format!("Assay verifier of {trust_domain}"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (authority.not_before, authority.not_after) = (from, until);
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate()?;
    let mut server = CertificateParams::new(names.to_vec())?;
    server.distinguished_name = named("assayd".to_owned());
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    (server.not_before, server.not_after) = (from, until);
    Ok(Certificates {
        authority: authority_certificate.pem(),
        server: server.signed_by(&key, &issuer)?.pem(),
        key: key.serialize_pem(),
    })
}
