#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use crate::cloud::aws::{CredentialSource, Partition, Service, Settings};
use crate::config::Config;

fn read(aws: &str) -> Result<Settings, String> {
    let indented: String = aws.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!("trustDomain: example.org\ndataDir: data\nclouds:\n  aws:\n{indented}");
    let config = Config::parse("assayd.yaml", &text, Path::new("/etc/assay"));
    config
        .map(|config| config.clouds.aws.clone())
        .map_err(|error| format!("{error:#} {error:?}"))
}

#[test]
fn all_of_it_is_read() {
    let settings = read(
        "region: cn-north-1
credentials: {accessKey: {id: AKIDEXAMPLE00000000, secretFile: aws.secret}}
assumeRole: arn:aws-cn:iam::111122223333:role/Verifier
role: Reader
externalId: a:b/c
sessionName: verifier-1
assumeInOwnAccount: false
endpoints: {ec2: \"https://ec2.{region}.vpce.example.org/\", sts: \"https://10.0.0.1:8443\"}
certificates: [regions.md, /srv/more.pem]
accountListFile: accounts.json
cacheTtl: 5m",
    )
    .unwrap();
    assert_eq!(settings.region.unwrap().partition(), Partition::China);
    assert_eq!(
        settings.credentials,
        CredentialSource::Static {
            access_key_id: "AKIDEXAMPLE00000000".into(),
            secret_access_key_file: "/etc/assay/aws.secret".into(),
        }
    );
    assert_eq!(settings.assume_role.unwrap().name(), "Verifier");
    assert_eq!(
        (&*settings.role, &*settings.session_name),
        ("Reader", "verifier-1")
    );
    assert_eq!(settings.external_id.as_deref(), Some("a:b/c"));
    assert!(!settings.assume_in_own_account);
    assert_eq!(
        settings.endpoints[&Service::Ec2],
        "https://ec2.{region}.vpce.example.org"
    );
    assert_eq!(settings.endpoints[&Service::Sts], "https://10.0.0.1:8443");
    let certificates: Vec<_> = settings
        .certificates
        .iter()
        .map(|p| p.to_str().unwrap())
        .collect();
    assert_eq!(certificates, ["/etc/assay/regions.md", "/srv/more.pem"]);
    assert_eq!(
        settings.account_list_file.unwrap().to_str(),
        Some("/etc/assay/accounts.json")
    );
    assert_eq!(settings.cache_ttl, Duration::from_secs(300));
}

#[test]
fn left_out_it_is_what_the_documents_say() {
    assert_eq!(read("{}").unwrap(), Settings::default());
    assert_eq!(Settings::default().role, "DefaktoServer");
    assert_eq!(Settings::default().cache_ttl, Duration::from_secs(180));
    let instance = read("credentials: {instance: {}}").unwrap().credentials;
    let metadata = "http://169.254.169.254".to_owned();
    assert_eq!(instance, CredentialSource::Instance { metadata });
    let environment = read("credentials: {environment: {}}").unwrap().credentials;
    assert_eq!(environment, CredentialSource::Environment);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (wrong, told) in [
        ("region: us-iso-east-1", "clouds.aws.region"),
        ("credentials: {}", "has none of its fields, or several"),
        (
            "credentials: {environment: {}, instance: {}}",
            "has none of its fields, or several",
        ),
        (
            "credentials: {accessKey: {id: short, secretFile: a}}",
            "accessKey.id",
        ),
        (
            "credentials: {accessKey: {id: AKIDEXAMPLE00000000, secretFile: \"\"}}",
            "secretFile is empty",
        ),
        (
            "credentials: {accessKey: {id: AKIDEXAMPLE00000000, secretKey: s3cret}}",
            "secretKey",
        ),
        (
            "credentials: {instance: {metadataEndpoint: \"https://169.254.169.254\"}}",
            "no http origin",
        ),
        (
            "credentials: {webIdentity: {roleArn: Reader, tokenFile: t}}",
            "webIdentity.roleArn",
        ),
        ("assumeRole: Reader", "clouds.aws.assumeRole"),
        (
            "role: arn:aws:iam::111122223333:role/Reader",
            "its name alone",
        ),
        ("externalId: \"a b\"", "externalId"),
        ("sessionName: x", "sessionName"),
        (
            "endpoints: {s3: \"https://s3.example.org\"}",
            "is no service that is asked",
        ),
        (
            "endpoints: {ec2: \"http://ec2.example.org\"}",
            "no https origin",
        ),
        (
            "endpoints: {ec2: \"https://ec2.example.org/path\"}",
            "no https origin",
        ),
        (
            "endpoints: {ec2: \"https://ec2.example.org?a=b\"}",
            "no https origin",
        ),
        (
            "endpoints: {ec2: \"https://u@ec2.example.org\"}",
            "no https origin",
        ),
        ("caCerts: /nowhere/ca.pem", "/nowhere/ca.pem"),
        ("caCerts: /dev/null", "no certificates"),
        ("certificates: [\"\"]", "certificates is empty"),
        ("cacheTtl: 1h", "out of range"),
        ("concurrency: 5", "concurrency"),
    ] {
        let error = read(wrong).unwrap_err();
        assert!(error.contains(told), "{wrong}: {error}");
        assert!(error.contains("assayd.yaml:5:"), "{wrong}: {error}");
    }
}

/// `--config assayd.yaml` is a relative name, and policies are built with another folder at hand.
#[test]
fn files_beside_a_configuration_that_is_named_relatively_are_found_from_anywhere() {
    let text = "trustDomain: a.example\ndataDir: d\nclouds: {aws: {certificates: [regions.md]}}\n";
    for folder in ["", "conf"] {
        let config = Config::parse("assayd.yaml", text, Path::new(folder)).unwrap();
        let here = std::env::current_dir().unwrap().join(folder);
        let expected = [here.join("regions.md")];
        assert_eq!(config.clouds.aws.certificates, expected, "{folder:?}");
    }
}

/// What the example has commented out is right all the same, its alternatives too.
#[test]
fn the_example_is_right_without_its_number_signs() {
    let example = include_str!("../../../config.example.yaml");
    let section = example.lines().skip_while(|line| *line != "# clouds:");
    let section = section.take_while(|line| line.starts_with("# "));
    let lines: Vec<_> = section.map(|line| &line[2..]).collect();
    let parse = |lines: &[&str]| {
        let text = format!("trustDomain: a.example\ndataDir: d\n{}\n", lines.join("\n"));
        let config = Config::parse("assayd.yaml", &text, Path::new("/etc/assay"));
        config.map(|config| config.clouds.aws.clone()).unwrap()
    };
    let aws = parse(&lines);
    assert!(matches!(aws.credentials, CredentialSource::Instance { .. }));
    let certificates: Vec<_> = aws
        .certificates
        .iter()
        .map(|p| p.to_str().unwrap())
        .collect();
    assert_eq!(certificates, ["/etc/assay/aws-regions.md"]);
    for (alternative, place) in [
        ("environment: {}", "instance: {}"),
        ("accessKey: {", "instance: {}"),
        ("webIdentity: {", "instance: {}"),
        ("assumeRole: ", ""),
        ("externalId: ", ""),
        ("endpoints: {", ""),
        ("accountListFile: ", ""),
    ] {
        let at = |text: &str| lines.iter().position(|line| line.contains(text)).unwrap();
        let from = at(&format!("# {alternative}"));
        let bare = lines[from].replacen("# ", "", 1);
        let mut other = lines.clone();
        other[from] = &bare;
        if !place.is_empty() {
            other[at(place)] = "";
        }
        assert_ne!(parse(&other), aws, "{alternative}");
    }
}
