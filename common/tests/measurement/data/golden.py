#!/usr/bin/env python3
"""Makes log.hex and the PCR values in log.txt with nothing but hashlib and the text of CEL 1.0, so that they say nothing
about our own code. Run it in this directory; its output does not change."""

import hashlib

SHA256, SHA384 = 0x0B, 0x0C
OURS, SYSTEMD = 0xA5, 9


def tlv(kind, value):
    return bytes([kind]) + len(value).to_bytes(4, "big") + value


def record(number, pcr, content):
    digests = b"".join(
        tlv(bank, hashlib.new(name, content).digest())
        for bank, name in ((SHA256, "sha256"), (SHA384, "sha384"))
    )
    return (
        tlv(0, number.to_bytes(8, "big"))
        + tlv(1, bytes([pcr]))
        + tlv(3, digests)
        + content
    )


def image(name, version, data):
    digest = tlv(3, tlv(SHA256, hashlib.sha256(data).digest()))
    fields = tlv(0, name) + tlv(1, version) + tlv(2, len(data).to_bytes(4, "big"))
    return tlv(OURS, tlv(1, fields + digest))


def boot(counter, resets, restarts, witness):
    fields = tlv(0, counter.to_bytes(4, "big")) if counter is not None else b""
    fields += tlv(1, resets.to_bytes(4, "big")) + tlv(2, restarts.to_bytes(4, "big"))
    return tlv(OURS, tlv(2, fields + tlv(3, bytes.fromhex("000b") + witness)))


EVENTS = [
    (8, image(b"boot", b"1.0.0", bytes(range(256)))),
    (8, image(b"stm32f405", b"0.3.1-rc.1+g1a2b3c", b"an image")),
    (9, boot(7, 41, 2, hashlib.sha256(b"witness").digest())),
    (9, boot(None, 1, 0, hashlib.sha256(b"another").digest())),
    (11, tlv(SYSTEMD, b'{"somebody":"else"}')),
]

log = b"".join(record(n, pcr, content) for n, (pcr, content) in enumerate(EVENTS))
with open("log.hex", "w") as out:
    for at in range(0, len(log), 40):
        out.write(log[at : at + 40].hex() + "\n")

with open("log.txt", "w") as out:
    for name in ("sha256", "sha384"):
        pcrs = {}
        for pcr, content in EVENTS:
            old = pcrs.get(pcr, bytes(hashlib.new(name).digest_size))
            new = old + hashlib.new(name, content).digest()
            pcrs[pcr] = hashlib.new(name, new).digest()
        for pcr, value in sorted(pcrs.items()):
            out.write(f"{name}:{pcr} {value.hex()}\n")
