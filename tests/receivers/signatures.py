"""signatures.py REGION: a CloudWatch Logs that only checks signatures, with botocore as the oracle.
The keys are the environment's: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. Prints
its address first, then one JSON object for each request. Ends with its standard input."""

import datetime
import hashlib
import http.server
import json
import os
import sys
import threading

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REGION = sys.argv[1]
KEY = os.environ["AWS_ACCESS_KEY_ID"]
SECRET = os.environ["AWS_SECRET_ACCESS_KEY"]
TOKEN = os.environ.get("AWS_SESSION_TOKEN")

# As far as the service lets clocks differ.
SKEW = datetime.timedelta(minutes=5)

printing = threading.Lock()


def show(text):
    with printing:
        print(text, flush=True)


def wrong(method, path, headers, body):
    """Why a request is refused, or None."""
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    fields = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
    if scheme != "AWS4-HMAC-SHA256" or set(fields) != {"Credential", "SignedHeaders", "Signature"}:
        return f"Authorization is '{headers.get('authorization')}'"
    date = headers.get("x-amz-date", "")
    scope = f"{KEY}/{date[:8]}/{REGION}/logs/aws4_request"
    if fields["Credential"] != scope:
        return f"Credential should be {scope}"
    signed = fields["SignedHeaders"].split(";")
    # "You must include the host header and any x-amz-* headers in the canonical headers."
    unsigned = [name for name in headers if name not in signed and
                (name in ("host", "content-type") or name.startswith("x-amz-"))]
    if unsigned:
        return f"not signed: {unsigned}"
    if headers.get("x-amz-security-token") != TOKEN:
        return "the session token is another one"
    if headers.get("x-amz-content-sha256", hashlib.sha256(body).hexdigest()) != \
            hashlib.sha256(body).hexdigest():
        return "x-amz-content-sha256 is not the body's"
    try:
        time = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ")
    except ValueError:
        return f"X-Amz-Date is '{date}'"
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    if abs(now - time) > SKEW:
        return f"signed at {time}, and it is {now}"

    request = AWSRequest(
        method=method,
        url=f"http://{headers['host']}{path}",
        headers={name: headers[name] for name in signed if name in headers},
        data=body,
    )
    request.context["timestamp"] = date
    auth = SigV4Auth(Credentials(KEY, SECRET, TOKEN), "logs", REGION)
    canonical = auth.canonical_request(request)
    signature = auth.signature(auth.string_to_sign(request, canonical), request)
    if signature != fields["Signature"]:
        return f"the signature should be {signature} for {canonical!r}"
    return None


class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        headers = {name.lower(): value.strip() for name, value in self.headers.items()}
        body = self.rfile.read(int(headers["content-length"]))
        complaint = wrong(self.command, self.path, headers, body)
        show(json.dumps({
            "target": headers.get("x-amz-target"),
            "encoding": headers.get("content-encoding"),
            "complaint": complaint,
        }))
        if complaint is None:
            self.answer(200, {})
        else:
            # As the service words it, less the canonical request.
            message = "The request signature we calculated does not match the signature you provided."
            self.answer(403, {"__type": "InvalidSignatureException", "message": message})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
show(f"http://127.0.0.1:{server.server_port}")
sys.stdin.read()
