//! Documents that AWS really signed, when `ASSAY_CLOUD_SAMPLES` names a folder of them. They are no part of this project: whoever
//! has instances has some. See the verifier's README.

/// `regions-certs.md` and files `*.rsa2048`, as the metadata service and AWS's site give them.
#[test]
#[cfg_attr(
    not(assay_cloud_samples),
    ignore = "ASSAY_CLOUD_SAMPLES is not set: no documents that AWS signed"
)]
fn documents_that_aws_signed_are_accepted_under_the_certificates_that_it_publishes() {
    use assay_host_verifier::attestor::aws_iid::Certificates;
    use assay_host_verifier::attestor::aws_iid::certificates::Kind;
    use assay_host_verifier::attestor::aws_iid::payload::parse;
    use assay_host_verifier::attestor::aws_iid::verify::verify;

    let folder =
        std::env::var_os("ASSAY_CLOUD_SAMPLES").expect("ASSAY_CLOUD_SAMPLES names a folder");
    let folder = std::path::PathBuf::from(folder);
    let page = std::fs::read_to_string(folder.join("regions-certs.md")).unwrap();
    let pinned = Certificates::parse(&page).unwrap();
    assert!(pinned.regions(Kind::Rsa2048) > 0);
    let mut verified = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_none_or(|extension| extension != "rsa2048")
        {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let payload = serde_json::json!({"rsa2048": text}).to_string();
        let untrusted = parse(payload.as_bytes()).unwrap();
        let document = verify(&untrusted, &pinned, false)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        eprintln!(
            "{}: {} in {}",
            path.display(),
            document.instance_id,
            document.region
        );
        // Under the certificates of every other region it is refused.
        let others = page.replace(&document.region, "eu-north-9");
        let others = Certificates::parse(&others).unwrap();
        verify(&untrusted, &others, false).unwrap_err();
        verified += 1;
    }
    assert!(verified > 0, "no file *.rsa2048 in {}", folder.display());
}
