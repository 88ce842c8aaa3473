//! Whose signatures are Azure's: the roots that a signer's certificate must come from.

use std::path::Path;

use super::Settings;
use crate::document::Files;
use crate::x509::decode::{pem_blocks, pem_text};
use crate::x509::files::{CertificateSource, SourceError};
use crate::x509::{Certificate, TrustStore};

/// SHA-256 of the roots that Azure's own services come from, as Microsoft lists them ("Azure Certificate Authority details").
/// The certificates are taken from the system's store, which its vendor keeps up to date: one that is withdrawn there is gone
/// here.
///
/// The metadata service's newer signers come from Microsoft TLS RSA Root G2 (Microsoft's thumbprint, which is SHA-1:
/// 21734d95a2473be25cbfd12a84c6fbc5bc8e2414). Where a store does not have it yet, its certificate by DigiCert Global Root G2, which
/// is fetched as the signer's authority says, leads there until 2029.
const ROOTS: [(&str, &str); 6] = [
    (
        "DigiCert Global Root CA",
        "4348a0e9444c78cb265e058d5e8944b4d84f9662bd26db257f8934a443c70161",
    ),
    (
        "DigiCert Global Root G2",
        "cb3ccbb76031e5e0138f8dd39a23f9de47ffc35e43c1144cea27d46a5ab1cb5f",
    ),
    (
        "DigiCert Global Root G3",
        "31ad6648f8104138c738f39ea4320133393e3a18cc02296ef97c2ac9ef6731d0",
    ),
    (
        "Microsoft ECC Root Certificate Authority 2017",
        "358df39d764af9e1b766e9c972df352ee15cfac227af6ad1d70e8e4a6edcba02",
    ),
    (
        "Microsoft RSA Root Certificate Authority 2017",
        "c741f70f4b2a8d88bf2e71c14122ef53ef10eba0cfa5e64cfa20f418853073e0",
    ),
    (
        "Microsoft TLS RSA Root G2",
        "6a170583db584151e1c454eeca2a64cc5d8e484a5bd1156e720b4458654ee9e5",
    ),
];

/// Where systems keep the authorities that they trust. The first that is there counts.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

impl Settings {
    /// The roots and what may stand below them: Azure's roots out of the system's store, and the operator's files. Their
    /// names are noted with `files`, so that whoever built something of them notices when they change.
    ///
    /// A store without any root lets nothing pass.
    ///
    /// # Errors
    ///
    /// [`TrustError`] for one of the operator's files; what the system has or has not is no error.
    pub fn trust(&self, files: Files<'_>) -> Result<TrustStore, TrustError> {
        // The paths are absolute, whatever the document's own may be.
        let files = files.within(Path::new("/"));
        let mut roots = system(files);
        roots.extend(read("roots", &self.roots, files)?);
        let intermediates = read("intermediates", &self.intermediates, files)?;
        Ok(TrustStore::new(roots, intermediates))
    }
}

/// A file of the operator's that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {why}")]
pub struct TrustError {
    /// Its place in assayd.yaml, e.g. `clouds.azure.roots[0]`.
    pub field: String,
    /// Why.
    pub why: SourceError,
}

fn read(
    list: &str,
    sources: &[CertificateSource],
    files: Files<'_>,
) -> Result<Vec<Certificate>, TrustError> {
    let mut all = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        let read = source.read(files).map_err(|why| TrustError {
            field: format!("clouds.azure.{list}[{at}]"),
            why,
        });
        all.extend(read?);
    }
    Ok(all)
}

/// Azure's roots that the system has. A certificate of the store that cannot be read is none of them.
fn system(files: Files<'_>) -> Vec<Certificate> {
    let mut sources = SYSTEM
        .iter()
        .map(|path| CertificateSource((*path).to_owned()));
    let Some(blob) = sources.find_map(|source| source.bytes(files).ok()) else {
        return Vec::new();
    };
    let blocks = pem_text(&blob).and_then(|text| pem_blocks(text).ok());
    let read = blocks.into_iter().flatten();
    read.filter(|block| {
        let digest = hex::encode(crate::crypto::sha256(&[&block.contents]));
        ROOTS.iter().any(|(_, known)| *known == digest)
    })
    .filter_map(|block| Certificate::from_der(&block.contents).ok())
    .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;

    use super::{CertificateSource, ROOTS, Settings, system};
    use crate::document::Files;

    /// The names are of the certificates: a digest that was copied wrongly would be of nothing.
    #[test]
    fn the_systems_roots_are_found_by_their_digests() {
        let found = system(Files::beside(Path::new("/")));
        assert!(!found.is_empty(), "the package ca-certificates has them");
        for root in found {
            let digest = hex::encode(root.sha256());
            let (name, _) = ROOTS.iter().find(|(_, known)| *known == digest).unwrap();
            let subject = root.subject().to_string();
            assert!(subject.contains(name), "{subject}");
            assert!(root.is_self_signed());
        }
    }

    /// Systems' stores do not have all of them, so that the test above sees some only.
    #[test]
    fn every_root_has_one_digest_of_its_own() {
        let mut digests: Vec<_> = ROOTS.iter().map(|(_, digest)| *digest).collect();
        let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        assert!(
            digests
                .iter()
                .all(|d| d.len() == 64 && d.bytes().all(lower))
        );
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), ROOTS.len());
    }

    #[test]
    fn a_file_that_is_none_is_named_with_its_place() {
        let none = vec![CertificateSource("/nonexistent/azure.pem".to_owned())];
        let roots = Settings {
            roots: none.clone(),
            ..Settings::default()
        };
        let intermediates = Settings {
            intermediates: none,
            ..Settings::default()
        };
        for (settings, field) in [
            (roots, "clouds.azure.roots[0]"),
            (intermediates, "clouds.azure.intermediates[0]"),
        ] {
            let error = settings.trust(Files::beside(Path::new("/"))).unwrap_err();
            assert_eq!(error.field, field);
            let told = error.to_string();
            assert!(told.contains("/nonexistent/azure.pem"), "{told}");
        }
    }
}
