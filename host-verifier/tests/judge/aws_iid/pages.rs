//! Certificates by region, as AWS's page has them and as an operator writes them down.

use assay_host_verifier::attestor::ConfigError;
use assay_host_verifier::attestor::aws_iid::Certificates;
use assay_host_verifier::attestor::aws_iid::certificates::{Kind, PageError};
use assay_host_verifier::document::Files;
use assay_host_verifier::x509::UnixTime;

use super::{REGION, aws, certificate, page};

fn pem(name: &str) -> String {
    String::from_utf8(aws().pem(name)).unwrap()
}

fn names(certificates: &Certificates, region: &str, kind: Kind) -> Vec<Vec<u8>> {
    let of = certificates.of(region, kind).iter();
    of.map(|one| one.der().to_vec()).collect()
}

fn der(name: &str) -> Vec<u8> {
    certificate(name).der().to_vec()
}

#[test]
fn the_page_gives_each_region_its_own() {
    let read = Certificates::parse(&page()).unwrap();
    assert_eq!(names(&read, REGION, Kind::Rsa2048), [der("ireland")]);
    assert_eq!(names(&read, "us-east-1", Kind::Rsa2048), [der("virginia")]);
    assert_eq!(names(&read, REGION, Kind::Rsa1024), [der("old")]);
    assert_eq!(names(&read, "eu-west-2", Kind::Rsa2048), [[0; 0]; 0]);
    assert_eq!(
        (read.regions(Kind::Rsa2048), read.regions(Kind::Rsa1024)),
        (2, 2)
    );
}

#[test]
fn a_list_of_ones_own_has_headings_and_pem() {
    let text = format!(
        "# eu-west-1\n{}\n# Ireland (`eu-west-1`)\n{}{}# us-east-1:\r\n{}",
        pem("ireland"),
        pem("ireland"),
        pem("virginia"),
        pem("old").replace('\n', "\r\n"),
    );
    let read = Certificates::parse(&text).unwrap();
    let both = [der("ireland"), der("virginia")];
    assert_eq!(names(&read, REGION, Kind::Rsa2048), both, "each once");
    assert_eq!(names(&read, "us-east-1", Kind::Rsa1024), [der("old")]);
}

/// In China the certificate for DSA has an RSA key of 2048 bits.
#[test]
fn a_certificate_counts_for_what_its_heading_says() {
    let under = |label: &str, name: &str| {
        let text = format!("## X \u{2014} cn-north-1\n#### [ {label} ]\n{}", pem(name));
        Certificates::parse(&text)
    };
    assert_eq!(under("DSA", "ireland").unwrap_err(), PageError::Empty);
    assert_eq!(under("RSA", "ireland").unwrap_err(), PageError::Key(3));
    assert_eq!(under("RSA-2048", "old").unwrap_err(), PageError::Key(3));
    assert_eq!(under("ECDSA", "ireland").unwrap_err(), PageError::Label(2));
    assert!(under("RSA-2048", "ireland").is_ok());
}

#[test]
fn a_page_that_cannot_be_read_whole_is_none() {
    let ireland = pem("ireland");
    let cut = ireland.replace("-----END CERTIFICATE-----\n", "");
    let changed = ireland.replacen("MII", "MIX", 1);
    for (text, line) in [
        (ireland.clone(), 1),
        (format!("# Certificates\n{ireland}"), 2),
        (format!("# eu-west-1\n{ireland}# Others\n{ireland}"), 21),
    ] {
        let at = text
            .lines()
            .zip(1..)
            .filter(|(line, _)| *line == "-----BEGIN CERTIFICATE-----");
        let last = at.last().unwrap().1;
        let error = Certificates::parse(&text).unwrap_err();
        assert_eq!(error, PageError::NoRegion(last), "{line}");
    }
    for text in [
        format!("# eu-west-1\n{cut}"),
        format!("# eu-west-1\n{changed}"),
    ] {
        let error = Certificates::parse(&text).unwrap_err();
        assert!(
            matches!(error, PageError::Certificate { line: 2, .. }),
            "{error}"
        );
    }
    for text in ["", "# eu-west-1\n", "nothing at all"] {
        assert_eq!(Certificates::parse(text).unwrap_err(), PageError::Empty);
    }
}

#[test]
fn certificates_that_end_are_told_and_count_none_the_less() {
    let read = Certificates::parse(&page()).unwrap();
    let today = UnixTime(super::now().as_second());
    assert_eq!(read.ending_before(Kind::Rsa2048, today), []);
    let end = certificate("ireland").not_after();
    let ending = read.ending_before(Kind::Rsa2048, UnixTime(end.0 + 86_400));
    assert_eq!(ending.len(), 2);
    assert!(
        ending
            .iter()
            .any(|(region, at)| *region == REGION && *at == end)
    );
}

#[test]
fn files_are_read_together_and_watched() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let paths = [
        write("page.md", page()),
        write("own.pem", format!("# us-gov-west-1\n{}", pem("virginia"))),
    ];
    let watched = assay_host_verifier::document::Watched::default();
    // A document that was set for a cluster may name no file; these are the operator's.
    let files = Files::below(None).watched_by(&watched);
    let read = Certificates::read(&paths, files).unwrap();
    assert_eq!(read.regions(Kind::Rsa2048), 3);
    assert!(!watched.has_changed());
    write("own.pem", format!("# us-gov-west-1\n{}", pem("ireland")));
    assert!(watched.has_changed());

    let wrong = [write("wrong.pem", pem("virginia"))];
    let ConfigError {
        field,
        message,
        hint,
    } = Certificates::read(&wrong, files).unwrap_err();
    assert_eq!(field, "clouds.aws.certificates");
    assert!(message.contains("wrong.pem: line 1:"), "{message}");
    assert!(hint.unwrap().contains("regions-certs.md"));
    assert!(Certificates::read(&[dir.path().join("none")], files).is_err());
}
