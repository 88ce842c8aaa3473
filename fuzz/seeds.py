#!/usr/bin/env python3
"""Makes the seeds of the tpm_*, ek_payload and quote_payload targets from the recorded TPM output in common/tests/tpm/data."""

import pathlib

HERE = pathlib.Path(__file__).parent
DATA = HERE.parent / "common/tests/tpm/data"


def fixture(name):
    lines = (DATA / f"{name}.hex").read_text().splitlines()
    return bytes.fromhex("".join(line for line in lines if not line.startswith("#")))


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
    seeds["tpm_pcr_selection", "text"] = b"sha256:0,1,7,23"
    for (target, name), data in seeds.items():
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"seed-{name}").write_bytes(data)


main()
