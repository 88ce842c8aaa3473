//! CMS messages put together from parts: the forms that `openssl cms` does not write, and wrong ones.

use assay_host_verifier::crypto::HashAlgorithm;
use assay_host_verifier::x509::{Certificate, Oid};

/// One element.
pub(crate) fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let len = contents.len();
    let head = match len {
        0..0x80 => vec![tag, len as u8],
        0x80..0x100 => vec![tag, 0x81, len as u8],
        _ => vec![tag, 0x82, (len >> 8) as u8, len as u8],
    };
    [&head[..], contents].concat()
}

/// One element of indefinite length.
fn endless(tag: u8, contents: &[u8]) -> Vec<u8> {
    [&[tag, 0x80][..], contents, &[0, 0]].concat()
}

pub(crate) fn oid(oid: Oid) -> Vec<u8> {
    element(0x06, oid.contents())
}

/// An algorithm with parameters, if any, in DER.
pub(crate) fn algorithm(kind: Oid, parameters: &[u8]) -> Vec<u8> {
    element(0x30, &[&oid(kind)[..], parameters].concat())
}

pub(crate) const NULL: &[u8] = &[0x05, 0x00];

/// An attribute with these values.
pub(crate) fn attribute(kind: Oid, values: &[&[u8]]) -> Vec<u8> {
    let values = element(0x31, &values.concat());
    element(0x30, &[oid(kind), values].concat())
}

/// The parts of a message. [`Message::aws`] and [`Message::azure`] are as the clouds write theirs.
#[derive(Clone)]
pub(crate) struct Message {
    pub kind: Oid,
    pub version: u8,
    pub listed: Vec<Vec<u8>>,
    pub content_type: Oid,
    pub content: Option<Vec<u8>>,
    pub certificates: Vec<Vec<u8>>,
    pub signer_version: u8,
    pub digest: Vec<u8>,
    pub attributes: Option<Vec<Vec<u8>>>,
    pub algorithm: Vec<u8>,
    /// Which hash openssl signs with.
    pub hash: &'static str,
    pub ber: bool,
    pub signers: usize,
}

impl Message {
    /// As AWS has written `rsa2048` since 2021.
    pub(crate) fn aws(content: &[u8]) -> Self {
        let digest = algorithm(Oid::SHA256, &[]);
        let signature = algorithm(Oid::SHA256_WITH_RSA, NULL);
        let mut message = Self {
            kind: Oid::SIGNED_DATA,
            version: 1,
            listed: vec![digest.clone()],
            content_type: Oid::DATA,
            content: Some(content.to_vec()),
            certificates: Vec::new(),
            signer_version: 1,
            digest,
            attributes: None,
            algorithm: signature,
            hash: "sha256",
            ber: true,
            signers: 1,
        };
        message.attributes = Some(message.usual_attributes());
        message
    }

    /// As Azure writes attested documents.
    pub(crate) fn azure(content: &[u8], leaf: &Certificate) -> Self {
        let digest = algorithm(Oid::SHA256_WITH_RSA, NULL);
        Self {
            listed: vec![digest.clone()],
            certificates: vec![leaf.der().to_vec()],
            digest,
            attributes: None,
            algorithm: algorithm(Oid::RSA_ENCRYPTION, NULL),
            ber: false,
            ..Self::aws(content)
        }
    }

    /// contentType, signingTime, cmsAlgorithmProtection, messageDigest.
    pub(crate) fn usual_attributes(&self) -> Vec<Vec<u8>> {
        let content = self.content.as_deref().unwrap_or_default();
        let digest = HashAlgorithm::Sha256.hash(&[content]);
        let mut inner = self.algorithm.clone();
        inner[0] = 0xa1;
        let protection = element(0x30, &[&self.digest[..], &inner].concat());
        let time = element(0x17, b"260216003830Z");
        vec![
            attribute(Oid::CONTENT_TYPE, &[&oid(Oid::DATA)]),
            attribute(Oid::SIGNING_TIME, &[&time]),
            attribute(Oid::CMS_ALGORITHM_PROTECTION, &[&protection]),
            attribute(Oid::MESSAGE_DIGEST, &[&element(0x04, digest.as_ref())]),
        ]
    }

    /// What is signed: the attributes as a SET, or the content.
    pub(crate) fn signed(&self) -> Vec<u8> {
        match &self.attributes {
            Some(attributes) => element(0x31, &attributes.concat()),
            None => self.content.clone().unwrap_or_default(),
        }
    }

    pub(crate) fn with_signature(&self, signature: &[u8], certificate: &Certificate) -> Vec<u8> {
        let serial = certificate.serial();
        let sign: &[u8] = if serial[0] & 0x80 == 0 { &[] } else { &[0] };
        let serial = element(0x02, &[sign, serial].concat());
        let sid = element(0x30, &[certificate.issuer().raw(), &serial].concat());
        let attributes = match &self.attributes {
            Some(attributes) => element(0xa0, &attributes.concat()),
            None => Vec::new(),
        };
        let signer = [
            &[0x02, 0x01, self.signer_version][..],
            &sid,
            &self.digest,
            &attributes,
            &self.algorithm,
            &element(0x04, signature),
        ];
        self.wrap(&element(0x30, &signer.concat()).repeat(self.signers))
    }

    fn wrap(&self, signers: &[u8]) -> Vec<u8> {
        let frame = if self.ber { endless } else { element };
        let content = match &self.content {
            Some(content) if self.ber => frame(0xa0, &endless(0x24, &element(0x04, content))),
            Some(content) => frame(0xa0, &element(0x04, content)),
            None => Vec::new(),
        };
        let certificates = match self.certificates.as_slice() {
            [] => Vec::new(),
            some => element(0xa0, &some.concat()),
        };
        let data = [
            &[0x02, 0x01, self.version][..],
            &element(0x31, &self.listed.concat()),
            &frame(0x30, &[oid(self.content_type), content].concat()),
            &certificates,
            &element(0x31, signers),
        ];
        let data = frame(0x30, &data.concat());
        frame(0x30, &[oid(self.kind), frame(0xa0, &data)].concat())
    }
}
