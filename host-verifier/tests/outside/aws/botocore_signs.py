"""Signs requests as botocore does: cases as JSON on standard input, what each shows on standard output."""

import json
import sys

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

shown = []
for case in json.load(sys.stdin):
    headers = dict(case["headers"])
    request = AWSRequest(
        method=case["method"], url=case["url"], headers=headers, data=case["body"].encode()
    )
    request.context["timestamp"] = headers["x-amz-date"]
    auth = SigV4Auth(
        Credentials(case["id"], case["secret"], case["token"]), case["service"], case["region"]
    )
    signed = auth.headers_to_sign(request)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    signature = auth.signature(text, request)
    shown.append(
        f"AWS4-HMAC-SHA256 Credential={auth.scope(request)}, "
        f"SignedHeaders={auth.signed_headers(signed)}, Signature={signature}"
    )
json.dump(shown, sys.stdout)
