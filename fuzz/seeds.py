#!/usr/bin/env python3
"""Makes the seeds of the tpm_*, ek_payload, quote_payload, agent_message and frame_decoder targets and some of
firmware_response, most of them from the recorded output of a TPM in common/tests/tpm/data."""

import hashlib
import pathlib
import zlib

HERE = pathlib.Path(__file__).parent
DATA = HERE.parent / "common/tests/tpm/data"


def fixture(name):
    lines = (DATA / f"{name}.hex").read_text().splitlines()
    return bytes.fromhex("".join(line for line in lines if not line.startswith("#")))


# The base point of P-256, which agent_message's policy lets in.
POINT = (
    bytes.fromhex("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"),
    bytes.fromhex("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"),
)


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def counted(data):
    """Bytes as postcard has them."""
    return varint(len(data)) + data


def sized(data):
    """Bytes as a TPM has them."""
    return len(data).to_bytes(2) + data


def record(what, data):
    """One record or piece of a target that reads a list of them."""
    return bytes([what]) + sized(data)


def proofs(round, *items):
    """Proofs of a login that agent_message knows the id of."""
    body = b"".join(bytes([kind]) + counted(payload) for kind, payload in items)
    return b"\x01" + bytes(16) + bytes([round, len(items)]) + body


def frame(kind, body):
    """A packet with its CRC, in COBS, between zeros."""
    packet = bytes([kind]) + body
    packet += zlib.crc32(packet).to_bytes(4, "little")
    blocks = b""
    for run in packet.split(b"\0"):
        while len(run) > 253:
            blocks, run = blocks + b"\xff" + run[:254], run[254:]
        blocks += bytes([len(run) + 1]) + run
    return b"\0" + blocks + b"\0"


def agent_messages():
    """From every state, as far as anyone comes without the right TPM."""
    x, y = map(sized, POINT)
    ek = fixture("ek_l2.template")[:54] + x + y
    ak = fixture("ak_p256.template")[:20] + x + y
    certificate = (HERE / "corpus/x509_certificate/seed-ek_p256.der").read_bytes()
    chunk = b"\0\0" + counted(certificate)
    blob = b"\0" + varint(len(certificate)) + hashlib.sha256(certificate).digest()
    plain = counted(ek) + counted(ak) + b"\0\0"
    certified = counted(ek) + counted(ak) + b"\1" + blob + b"\0"
    attest, signature, values = (
        fixture(f"quote_ak_p256.{part}") for part in ("attest", "signature", "values")
    )
    quote = counted(values[:32]) + counted(attest) + counted(signature)
    hello = b"\0\1\1" + counted(b"lab") + counted(b"\1\2") + bytes(32) + b"\0" + counted(b"fuzz") + counted(b"0")
    response = (1, bytes(32))
    return {
        "hello": b"\0" + record(0, hello),
        "login": b"\0" + record(0, hello) + record(2, proofs(0, (1, plain))) + record(3, quote),
        "certificate": b"\1" + record(1, chunk) + record(2, proofs(0, (1, certified))),
        "wrong_login": b"\1" + record(0, proofs(0, (1, plain))),
        "response": b"\2" + record(2, proofs(1, response, (2, quote))),
        "quote": b"\2" + record(3, quote),
    }


def verifier_messages():
    """What a node hears from its verifier, and from strangers."""
    def challenge(round, *items):
        listed = b"".join(bytes([kind]) + counted(payload) for kind, payload in items)
        return b"\1" + bytes([7] * 16) + bytes([round]) + bytes([round] * 32) + bytes([len(items)]) + listed
    banks = b"\1" + varint(0x000B) + varint(0x83)
    credential = counted(bytes(34)) + counted(bytes(70))
    identity = b"spiffe://example.org/node/1"
    grant = bytes(16) + varint(1000) + varint(4600) + counted(identity) + bytes(32)
    asked = record(1, challenge(0, (1, b""), (2, b""))) + record(1, challenge(1, (1, credential), (2, banks)))
    return {
        "granted": asked + record(2, grant),
        "forged": asked + record(3, grant) + record(0, b"\2\6" + counted(b"no") + b"\5"),
        "elsewhere": asked + record(2, grant.replace(b"example.org", b"example.com")),
        "too_many_rounds": asked + b"".join(record(1, challenge(n, (1, credential))) for n in range(2, 6)),
    }


def node_files():
    """A provisioning record's body, and the files of `assay evidence verify`."""
    point = b"\4" + b"".join(POINT)
    body = counted(b"lab") + counted(b"example.org") + counted(point)
    yield ("provisioning_record", "body"), body
    yield ("evidence_files", "pcrs"), b"# PCRs\n0 " + b"00" * 32 + b"\n7: 0x" + b"ab" * 32 + b"\n"
    head = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
    yield ("evidence_files", "spki_p256"), head + point


def frames():
    """Whole and spoilt frames, and noise."""
    body = bytes(range(256)) * 2
    return {
        "frame": record(0, b"\1abcd\0e") + b"the last one",
        "two": record(0, b"\2" + body) + record(0, b"\3panicked at 'main.rs:7'"),
        "spoilt": b"".join(record(what, bytes([at]) + body) for what in (1, 2, 3) for at in (0, 9, 255)),
        "noise": record(4, b"\x05abc" + frame(1, body) + b"\xff\0\2") + body,
    }


def certified_ek():
    """An EK beside its certificate: the certified point in the place of the default template's."""
    certificate = (HERE / "corpus/x509_certificate/seed-ek_p256.der").read_bytes()
    at = certificate.index(bytes.fromhex("03420004")) + 4
    x, y = certificate[at:at + 32], certificate[at + 32:at + 64]
    ek = fixture("ek_l2.template")[:54] + sized(x) + sized(y)
    return sized(ek) + fixture("ak_p256.public") + certificate


def answers(name):
    """The answers of a TPM in a recorded seed of firmware_response, whole."""
    rest = (HERE / f"corpus/firmware_response/seed-{name}").read_bytes()[1:]
    found = []
    while rest:
        end = 3 + int.from_bytes(rest[1:3], "little")
        found.append(rest[3:end])
        rest = rest[end:]
    return found


def response(body, tag=0x8001):
    return tag.to_bytes(2) + (10 + len(body)).to_bytes(4) + bytes(4) + body


def authorized(parameters, sessions):
    return response(len(parameters).to_bytes(4) + parameters + b"\0\0\1\0\0" * sessions, 0x8002)


def hostile(choice, pieces):
    """An input of firmware_response: a choice of what is asked, and raw answers."""
    return bytes([choice]) + b"".join(b"\0" + len(p).to_bytes(2, "little") + p for p in pieces)


def tpm_answers():
    """What the TPM of the recordings could not do: read its SHA-1 bank, and open a credential made of nothing."""
    pages = answers("pcr_read")[:3]
    digests = b"".join(sized(bytes([n] * 20)) for n in (0, 7))
    sha1 = pages[0][10:14] + b"\0\0\0\1\0\x04\3\x81\0\0" + b"\0\0\0\2" + digests
    reading = [*pages, response(sha1)]
    values = b"".join(
        page[at + 2:at + 2 + size]
        for page, size in zip(reading, (32, 32, 32, 20))
        for at in range(28, len(page), 2 + size)
    )
    attest = fixture("quote_ak_p256.attest")[:-32] + hashlib.sha256(values).digest()
    quote = authorized(sized(attest) + fixture("quote_ak_p256.signature"), 1)
    login = answers("login")
    opened = authorized(sized(bytes(range(32))), 2)
    flushed = response(b"")
    return {
        "pcr_read_whole": hostile(9, reading),
        "policy_whole": hostile(7, [*answers("policy")[:3], opened]),
        "login_whole": hostile(18, [*login[:6], opened, *reading, quote, flushed, flushed]),
    }


def main():
    seeds = {}
    for path in sorted(DATA.glob("*.hex")):
        name = path.name.removesuffix(".hex")
        what = name.rpartition(".")[2]
        data = fixture(name)
        if what == "public":
            seeds["tpm_public", name] = data[2:]
            if name == "ak_p256.public":
                seeds["tpm_public", name + "_sized"] = data
        elif what == "template":
            seeds["tpm_public", name] = data
        elif what == "attest":
            seeds["tpm_attest", name] = data
            if name.startswith("quote"):
                # Behind magic, type, signer, extra data, clock and version; before the digest.
                at = 6 + 2 + int.from_bytes(data[6:8])
                at += 2 + int.from_bytes(data[at:at + 2]) + 17 + 8
                end = at + 4 + 6 * int.from_bytes(data[at:at + 4])
                seeds["tpm_pcr_selection", name] = data[at:end]
        elif what == "signature":
            seeds["tpm_signature", name] = data
        elif what in ("id_object", "secret") or name in ("ak_p256.name", "ak_p384.name"):
            seeds["tpm_credential", name] = data
    for ek in ("l1", "l2", "h1", "h2", "h3"):
        for ak in ("p256", "p384", "rsa2048", "rsapss"):
            keys = fixture(f"ek_{ek}.public") + fixture(f"ak_{ak}.public")
            seeds["ek_payload", f"{ek}_{ak}"] = keys
    for ak in ("p256", "p384", "rsa2048", "rsapss"):
        attest, signature, values = (
            fixture(f"quote_ak_{ak}.{part}") for part in ("attest", "signature", "values")
        )
        seeds["quote_payload", ak] = b"".join((
            fixture(f"ak_{ak}.public"),
            len(attest).to_bytes(2), attest,
            len(signature).to_bytes(2), signature,
            values,
        ))
    seeds["ek_payload", "certified"] = certified_ek()
    seeds |= {("firmware_response", name): data for name, data in tpm_answers().items()}
    seeds |= {("agent_message", name): data for name, data in agent_messages().items()}
    seeds |= {("verifier_message", name): data for name, data in verifier_messages().items()}
    seeds |= dict(node_files())
    seeds |= {("frame_decoder", name): data for name, data in frames().items()}
    seeds["tpm_pcr_selection", "text"] = b"sha256:0,1,7,23"
    for (target, name), data in seeds.items():
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"seed-{name}").write_bytes(data)


main()
