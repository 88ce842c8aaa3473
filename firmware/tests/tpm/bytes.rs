//! Byte strings that several tests build.

/// A response: tag, size, code, body.
pub fn response(tag: u16, rc: u32, body: &[u8]) -> Vec<u8> {
    let mut out = tag.to_be_bytes().to_vec();
    out.extend((10 + body.len() as u32).to_be_bytes());
    out.extend(rc.to_be_bytes());
    out.extend(body);
    out
}

/// A successful response with sessions: handle (if any), parameters with their size, `auths` empty
/// acknowledgements.
pub fn authorized(handle: Option<u32>, params: &[u8], auths: usize) -> Vec<u8> {
    let mut body = handle
        .map(u32::to_be_bytes)
        .map_or(Vec::new(), |h| h.to_vec());
    body.extend((params.len() as u32).to_be_bytes());
    body.extend(params);
    for _ in 0..auths {
        body.extend([0, 0, 1, 0, 0]);
    }
    response(0x8002, 0, &body)
}

pub fn tpm2b(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

/// `TPM2_Startup(CLEAR)`.
pub fn startup() -> Vec<u8> {
    hex("8001 0000000c 00000144 0000")
}

pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| (pair[0] * 16 + pair[1]) as u8)
        .collect()
}

/// Parameters of a response to `TPM2_CreatePrimary`.
pub fn created(public: &[u8]) -> Vec<u8> {
    let mut out = tpm2b(public);
    // creationData: an empty selection and so on; creationHash; creationTicket; name.
    out.extend(tpm2b(&hex(
        "00000000 0000 01 000b 0004 4000000b 0004 4000000b 0000",
    )));
    out.extend(tpm2b(&[0x11; 32]));
    out.extend(hex("8021 4000000b"));
    out.extend(tpm2b(&[0x22; 32]));
    out.extend(tpm2b(&[&[0x00, 0x0B][..], &[0x33; 32]].concat()));
    out
}

/// A `TPMT_PUBLIC` of a P-256 key with this policy.
pub fn p256_public(attributes: u32, policy: &[u8]) -> Vec<u8> {
    let mut out = hex("0023 000b");
    out.extend(attributes.to_be_bytes());
    out.extend(tpm2b(policy));
    out.extend(hex("0006 0080 0043 0010 0003 0010"));
    out.extend(tpm2b(&[0x44; 32]));
    out.extend(tpm2b(&[0x55; 32]));
    out
}
