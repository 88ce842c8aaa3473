//! Certificates of any shape, right and wrong, made byte by byte and signed with P-256.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};

/// The time at which everything here is judged: 2024-01-01T00:00:00Z.
pub(super) const NOW: i64 = 1_704_067_200;

pub(super) fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    let len = contents.len();
    let mut out = match len {
        0..=0x7f => vec![tag, len as u8],
        0x80..=0xff => vec![tag, 0x81, len as u8],
        _ => vec![tag, 0x82, (len >> 8) as u8, len as u8],
    };
    out.extend_from_slice(contents);
    out
}

pub(super) fn seq(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

const ECDSA_SHA256: [u8; 10] = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

/// `/CN=name`; empty for no name at all.
pub(super) fn name(common: &str) -> Vec<u8> {
    if common.is_empty() {
        return seq(&[]);
    }
    let pair = seq(&[vec![6, 3, 0x55, 4, 3], tlv(0x0c, common.as_bytes())]);
    seq(&[tlv(0x31, &pair)])
}

/// `id-ce` and an extension's value.
pub(super) fn ext(id: u8, critical: bool, value: Vec<u8>) -> Vec<u8> {
    raw_ext(&[0x55, 0x1d, id], critical, value)
}

pub(super) fn raw_ext(oid: &[u8], critical: bool, value: Vec<u8>) -> Vec<u8> {
    let critical = if critical { vec![1, 1, 0xff] } else { vec![] };
    seq(&[tlv(6, oid), critical, tlv(4, &value)])
}

pub(super) fn basic(ca: bool, path_len: Option<u8>) -> Vec<u8> {
    let ca = if ca { vec![1, 1, 0xff] } else { vec![] };
    seq(&[ca, path_len.map_or(vec![], |n| vec![2, 1, n])])
}

/// Two bytes of keyUsage: digitalSignature is 0x8000, keyCertSign 0x0400, cRLSign 0x0200.
pub(super) fn usage(bits: u16) -> Vec<u8> {
    let [high, low] = bits.to_be_bytes();
    vec![3, 3, 0, high, low]
}

/// A GeneralName by its number: 1 mail, 2 DNS, 6 URI, 7 IP address.
pub(super) fn general(form: u8, value: &[u8]) -> Vec<u8> {
    tlv(0x80 | form, value)
}

pub(super) fn dns(value: &str) -> Vec<u8> {
    general(2, value.as_bytes())
}

pub(super) fn directory(common: &str) -> Vec<u8> {
    tlv(0xa4, &name(common))
}

pub(super) fn constraints(permitted: &[Vec<u8>], excluded: &[Vec<u8>]) -> Vec<u8> {
    let part = |tag: u8, names: &[Vec<u8>]| match names {
        [] => vec![],
        names => tlv(
            tag,
            &names
                .iter()
                .map(|n| tlv(0x30, n))
                .collect::<Vec<_>>()
                .concat(),
        ),
    };
    seq(&[part(0xa0, permitted), part(0xa1, excluded)])
}

pub(super) fn time(at: i64) -> Vec<u8> {
    let time = jiff::Timestamp::from_second(at).unwrap();
    let text = time.strftime("%Y%m%d%H%M%SZ").to_string();
    tlv(0x18, text.as_bytes())
}

/// A certificate to be, and its key.
pub(super) struct Forge {
    pub(super) key: std::rc::Rc<EcdsaKeyPair>,
    pub(super) subject: Vec<u8>,
    pub(super) serial: Vec<u8>,
    pub(super) version: Vec<u8>,
    pub(super) times: [Vec<u8>; 2],
    pub(super) spki: Option<Vec<u8>>,
    pub(super) inner_algorithm: Vec<u8>,
    pub(super) extensions: Vec<Vec<u8>>,
}

/// A certificate, and the key and name to sign others with.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) der: Vec<u8>,
    pub(super) key: std::rc::Rc<EcdsaKeyPair>,
    pub(super) subject: Vec<u8>,
}

fn pair() -> std::rc::Rc<EcdsaKeyPair> {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
        .unwrap()
        .into()
}

fn forge(common: &str, extensions: Vec<Vec<u8>>) -> Forge {
    let key = pair();
    let mut serial = vec![0x40];
    serial.extend_from_slice(&key.public_key().as_ref()[1..16]);
    Forge {
        key,
        subject: name(common),
        serial,
        version: vec![0xa0, 3, 2, 1, 2],
        times: [time(NOW - 1000), time(NOW + 1000)],
        spki: None,
        inner_algorithm: seq(&[ECDSA_SHA256.to_vec()]),
        extensions,
    }
}

/// An authority.
pub(super) fn ca(common: &str) -> Forge {
    forge(
        common,
        vec![
            ext(19, true, basic(true, None)),
            ext(15, true, usage(0x0600)),
        ],
    )
}

/// An end entity for `example.com`.
pub(super) fn leaf(common: &str) -> Forge {
    forge(
        common,
        vec![
            ext(19, true, basic(false, None)),
            ext(15, true, usage(0x8000)),
            ext(17, common.is_empty(), seq(&[dns("example.com")])),
        ],
    )
}

impl Forge {
    /// With an extension more.
    pub(super) fn and(mut self, extension: Vec<u8>) -> Self {
        self.extensions.push(extension);
        self
    }

    /// With another in the place of the one of the same type, or without it.
    pub(super) fn instead(mut self, id: u8, extension: Option<Vec<u8>>) -> Self {
        self.extensions
            .retain(|e| !e.windows(5).any(|w| w == [6, 3, 0x55, 0x1d, id]));
        self.extensions.extend(extension);
        self
    }

    pub(super) fn san(self, names: &[Vec<u8>]) -> Self {
        self.instead(17, Some(ext(17, false, seq(names))))
    }

    pub(super) fn constrained(self, permitted: &[Vec<u8>], excluded: &[Vec<u8>]) -> Self {
        self.and(ext(30, true, constraints(permitted, excluded)))
    }

    pub(super) fn path_len(self, n: u8) -> Self {
        self.instead(19, Some(ext(19, true, basic(true, Some(n)))))
    }

    pub(super) fn times(mut self, from: i64, until: i64) -> Self {
        self.times = [time(from), time(until)];
        self
    }

    pub(super) fn serial(mut self, serial: &[u8]) -> Self {
        self.serial = serial.to_vec();
        self
    }

    pub(super) fn self_signed(self) -> Made {
        let (key, subject) = (self.key.clone(), self.subject.clone());
        self.signed(&key, &subject)
    }

    pub(super) fn by(self, issuer: &Made) -> Made {
        self.signed(&issuer.key, &issuer.subject)
    }

    fn signed(self, key: &EcdsaKeyPair, issuer: &[u8]) -> Made {
        let point = self.key.public_key().as_ref();
        let spki = self.spki.unwrap_or_else(|| {
            let algorithm = seq(&[
                vec![6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1],
                vec![6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
            ]);
            seq(&[algorithm, tlv(3, &[&[0][..], point].concat())])
        });
        let extensions = match self.extensions.as_slice() {
            [] => vec![],
            all => tlv(0xa3, &seq(all)),
        };
        let tbs = seq(&[
            self.version,
            tlv(2, &self.serial),
            self.inner_algorithm,
            issuer.to_vec(),
            seq(&self.times),
            self.subject.clone(),
            spki,
            extensions,
        ]);
        let signature = key.sign(&SystemRandom::new(), &tbs).unwrap();
        let bits = [&[0][..], signature.as_ref()].concat();
        Made {
            der: seq(&[tbs, seq(&[ECDSA_SHA256.to_vec()]), tlv(3, &bits)]),
            key: self.key,
            subject: self.subject,
        }
    }
}

/// A revocation list of `issuer` with these serial numbers, for 1000 seconds around now.
pub(super) fn crl(issuer: &Made, revoked: &[&[u8]], number: Option<bool>) -> Vec<u8> {
    let entries = revoked
        .iter()
        .map(|serial| seq(&[tlv(2, serial), time(NOW - 900)]));
    let entries: Vec<Vec<u8>> = entries.collect();
    let entries = if entries.is_empty() {
        vec![]
    } else {
        seq(&entries)
    };
    let number = number.map_or(vec![], |critical| {
        tlv(0xa0, &seq(&[ext(20, critical, vec![2, 1, 1])]))
    });
    let tbs = seq(&[
        vec![2, 1, 1],
        seq(&[ECDSA_SHA256.to_vec()]),
        issuer.subject.clone(),
        time(NOW - 1000),
        time(NOW + 1000),
        entries,
        number,
    ]);
    let signature = issuer.key.sign(&SystemRandom::new(), &tbs).unwrap();
    let bits = [&[0][..], signature.as_ref()].concat();
    seq(&[tbs, seq(&[ECDSA_SHA256.to_vec()]), tlv(3, &bits)])
}
