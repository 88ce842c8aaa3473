#!/usr/bin/env python3
"""Records the fixtures of this folder from a fresh swtpm. See README.md.

Needs swtpm and tpm2-tools. Keys differ in every run (a new TPM has new seeds), so a run replaces
all files and their names together: python3 record.py
"""

import os
import re
import socket
import struct
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = 23210

POLICY_A256 = "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa"
POLICY_B256 = "ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0"
POLICY_B384 = (
    "b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419ca"
    "cb47ba09699646150f9fc000f3f80e12"
)
# Written out by field from the specification, on purpose not taken from the code under test.
TEMPLATES = {
    "ek_l1": "0001 000b 000300b2 0020" + POLICY_A256
    + "0006 0080 0043 0010 0800 00000000 0100" + "00" * 256,
    "ek_l2": "0023 000b 000300b2 0020" + POLICY_A256
    + "0006 0080 0043 0010 0003 0010 0020" + "00" * 32 + "0020" + "00" * 32,
    "ek_h1": "0001 000b 000300f2 0020" + POLICY_B256 + "0006 0080 0043 0010 0800 00000000 0000",
    "ek_h2": "0023 000b 000300f2 0020" + POLICY_B256 + "0006 0080 0043 0010 0003 0010 0000 0000",
    "ek_h3": "0023 000c 000300f2 0030" + POLICY_B384 + "0006 0100 0043 0010 0004 0010 0000 0000",
    "ak_p256": "0023 000b 00050472 0000 0010 0018 000b 0003 0010 0000 0000",
    "ak_rsa2048": "0001 000b 00050472 0000 0010 0014 000b 0800 00000000 0000",
    "ak_p384": "0023 000c 00050472 0000 0010 0018 000c 0004 0010 0000 0000",
    "ak_rsapss": "0001 000b 00050472 0000 0010 0016 000b 0800 00000000 0000",
    "storage_p256": "0023 000b 00030472 0000 0006 0080 0043 0010 0003 0010 0000 0000",
}
NONCE = bytes(range(32))


def b2(data):
    return struct.pack(">H", len(data)) + data


def exact(sock, n):
    data = b""
    while len(data) < n:
        got = sock.recv(n - len(data))
        assert got, "swtpm closed the connection"
        data += got
    return data


def transact(command):
    with socket.create_connection(("127.0.0.1", PORT)) as sock:
        sock.sendall(command)
        head = exact(sock, 10)
        size, rc = struct.unpack(">II", head[2:])
        assert rc == 0, f"TPM_RC 0x{rc:x}"
        return head + exact(sock, size - 10)


def create_primary(template):
    """TPM2_CreatePrimary under the endorsement hierarchy with exactly these template bytes."""
    auth = bytes.fromhex("00000009400000090000010000")
    params = b2(b2(b"") + b2(b"")) + b2(template) + b2(b"") + struct.pack(">I", 0)
    body = struct.pack(">I", 0x4000000B) + auth + params
    head = struct.pack(">HII", 0x8002, 10 + len(body), 0x131)
    rsp = transact(head + body)
    return struct.unpack(">I", rsp[10:14])[0]


def record(name, data, *comments):
    with open(os.path.join(HERE, name + ".hex"), "w") as out:
        for comment in comments:
            out.write(f"# {comment}\n")
        digits = data.hex()
        for i in range(0, len(digits), 64):
            out.write(digits[i:i + 64] + "\n")


def main():
    for old in os.listdir(HERE):
        if old.endswith(".hex"):
            os.unlink(os.path.join(HERE, old))
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        state = os.path.join(work, "state")
        os.mkdir(state)
        swtpm = subprocess.Popen([
            "swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}",
            "--server", f"type=tcp,port={PORT}", "--ctrl", f"type=tcp,port={PORT + 1}",
            "--flags", "not-need-init,startup-clear",
        ])
        try:
            time.sleep(1)
            run_all()
        finally:
            swtpm.terminate()
            swtpm.wait()


def tool(line):
    env = dict(os.environ, TPM2TOOLS_TCTI=f"swtpm:host=127.0.0.1,port={PORT}")
    done = subprocess.run(line.split(), env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{line}: {done.stderr}"
    if "-c primary.ctx" in line or "-C storage.ctx" in line or "-c storage.ctx" in line:
        # No resource manager in between: a context that a tool loaded stays in the TPM.
        tool("tpm2_flushcontext -t")
    return done.stdout


def read(path):
    with open(path, "rb") as file:
        return file.read()


def run_all():
    aks = {}
    for number, (name, text) in enumerate(TEMPLATES.items()):
        template = bytes.fromhex(text)
        transient = create_primary(template)
        record(f"{name}.template", template, "TPMT_PUBLIC given to TPM2_CreatePrimary")
        shown = tool(f"tpm2_readpublic -c 0x{transient:x} -f tss -o public.bin")
        names = dict(re.findall(r"^(name|qualified name): ([0-9a-f]+)$", shown, re.M))
        record(f"{name}.public", read("public.bin"), "TPM2B_PUBLIC, from tpm2_readpublic -f tss")
        record(f"{name}.name", bytes.fromhex(names["name"]),
               "name as printed by tpm2_readpublic")
        record(f"{name}.qualified", bytes.fromhex(names["qualified name"]),
               "qualified name as printed by tpm2_readpublic")
        if name.startswith("ak_"):
            aks[name] = 0x81010000 + number
            tool(f"tpm2_evictcontrol -C o -c 0x{transient:x} 0x{aks[name]:x}")
        if name == "ek_l2":
            tool(f"tpm2_evictcontrol -C o -c 0x{transient:x} 0x81010100")
        if name == "ek_l1":
            tool(f"tpm2_evictcontrol -C o -c 0x{transient:x} 0x81010101")
        tool(f"tpm2_flushcontext 0x{transient:x}")

    nonce = NONCE.hex()
    tool("tpm2_pcrextend 0:sha256=" + "aa" * 32 + " 7:sha256=" + "bb" * 32)
    tool("tpm2_pcrextend 7:sha384=" + "cc" * 48 + ",sha1=" + "dd" * 20)

    def keep(name, what, comment):
        attest = read("attest.bin")
        assert attest.startswith(b"\xffTCG"), name
        record(f"{name}.attest", attest, f"TPMS_ATTEST, {comment}")
        record(f"{name}.signature", read("sig.bin"), f"TPMT_SIGNATURE over {name}.attest, {what}")

    for name, handle in aks.items():
        h = "sha384" if name == "ak_p384" else "sha256"
        if name == "ak_rsapss":
            h += " --scheme rsapss"
        line = (f"tpm2_quote -c 0x{handle:x} -l sha256:0,1,7 -q {nonce} -g {h} "
                "-m attest.bin -s sig.bin -o values.bin -F values")
        tool(line)
        keep(f"quote_{name}", name, line)
        record(f"quote_{name}.values", read("values.bin"), "PCR 0, 1 and 7 of the SHA-256 bank")

    ak = f"0x{aks['ak_p256']:x}"
    line = (f"tpm2_quote -c {ak} -l sha1:0,7+sha256:0,23+sha384:7 -q {nonce} -g sha256 "
            "-m attest.bin -s sig.bin")
    tool(line)
    keep("quote_three_banks", "ak_p256", line)

    line = f"tpm2_gettime -c {ak} -q {nonce} -g sha256 -f tss -o sig.bin --attestation attest.bin"
    tool(line)
    keep("time", "ak_p256", line)

    # The EK's admin role asks for a policy; the storage key made here has an empty password.
    tool("tpm2_createprimary -C e -G ecc -c primary.ctx -d creation.digest -t creation.ticket")
    line = f"tpm2_certify -c primary.ctx -C {ak} -g sha256 -f tss -o attest.bin -s sig.bin"
    tool(line)
    if read("attest.bin")[2:6] == b"\xffTCG":
        data = read("attest.bin")
        assert struct.unpack(">H", data[:2])[0] == len(data) - 2
        with open("attest.bin", "wb") as out:
            out.write(data[2:])
    keep("certify", "ak_p256", line)
    shown = tool("tpm2_readpublic -c primary.ctx -f tss -o public.bin")
    names = dict(re.findall(r"^(name|qualified name): ([0-9a-f]+)$", shown, re.M))
    record("certify.name", bytes.fromhex(names["name"]), "name of the certified key")
    record("certify.qualified", bytes.fromhex(names["qualified name"]), "its qualified name")

    line = (f"tpm2_certifycreation -C {ak} -c primary.ctx -d creation.digest -t creation.ticket "
            "-g sha256 -f tss -o sig.bin --attestation attest.bin")
    tool(line)
    keep("creation", "ak_p256", line)
    record("creation.hash", read("creation.digest"), "creation hash that TPM2_CreatePrimary gave")

    with open("nv.in", "wb") as out:
        out.write(b"assay NV content")
    tool("tpm2_nvdefine -C o -s 16 0x1500001")
    tool("tpm2_nvwrite -C o -i nv.in 0x1500001")
    line = (f"tpm2_nvcertify -C {ak} -c o -g sha256 -f tss -o sig.bin --attestation attest.bin "
            f"-q {nonce} --size 16 0x1500001")
    tool(line)
    keep("nv", "ak_p256", line)

    line = (f"tpm2_getcommandauditdigest -c {ak} -q {nonce} -g sha256 -s sig.bin "
            "-m attest.bin -f tss")
    tool(line)
    keep("command_audit", "ak_p256", line)

    tool("tpm2_startauthsession -S session.ctx --audit-session")
    tool("tpm2_getrandom -S session.ctx 8 -o random.bin")
    line = (f"tpm2_getsessionauditdigest -c {ak} -q {nonce} -g sha256 -s sig.bin "
            "-m attest.bin -f tss -S session.ctx")
    tool(line)
    keep("session_audit", "ak_p256", line)
    tool("tpm2_flushcontext session.ctx")

    # A key type that `Public` does not read.
    tool("tpm2_createprimary -C o -c storage.ctx")
    tool("tpm2_create -C storage.ctx -G hmac -u hmac.bin -r hmac.priv")
    record("hmac.public", read("hmac.bin"), "TPM2B_PUBLIC of a keyed-hash object, tpm2_create -G hmac")

    for ek, handle in (("l1", "0x81010101"), ("l2", "0x81010100")):
        tool(f"tpm2_readpublic -c {handle} -f tss -o ek.bin")
        with open("secret.bin", "wb") as out:
            out.write(NONCE)
        with open(os.path.join(HERE, "ak_p256.name.hex")) as file:
            name = "".join(x.strip() for x in file if not x.startswith("#"))
        line = f"tpm2_makecredential -u ek.bin -s secret.bin -n {name} -o blob.bin"
        tool(line)
        blob = read("blob.bin")
        assert blob[:8] == bytes.fromhex("badcc0de00000001")
        n = struct.unpack(">H", blob[8:10])[0]
        record(f"credential_{ek}.id_object", blob[10:10 + n],
               f"content of the TPM2B_ID_OBJECT, tpm2_makecredential for ek_{ek} and ak_p256")
        record(f"credential_{ek}.secret", blob[12 + n:],
               f"content of the TPM2B_ENCRYPTED_SECRET beside credential_{ek}.id_object")
        assert struct.unpack(">H", blob[10 + n:12 + n])[0] == len(blob) - 12 - n


main()
