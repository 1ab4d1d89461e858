"""boto3, botocore's own signers and the AWS CLI against the EventBridge door, unchanged but for endpoint and credentials.

Arguments: the server's URL, an access key id, its secret. Prints, as JSON, the ids of the events by what published them.
"""

import datetime
import hashlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

import boto3
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

server, key_id, secret = sys.argv[1:]
REGION = "eu-west-1"
TIME = 1_700_000_000


def client(endpoint=server, secret=secret, **options):
    return boto3.client(
        "events",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        config=Config(**options),
    )


def entry(**more):
    return {"Source": "com.example.shop", "DetailType": "Order Placed", "Detail": '{"total": 5}'} | more


def refused(code, call):
    try:
        call()
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        assert error.response["Error"]["Message"], error
        assert error.response["ResponseMetadata"]["RequestId"], error
        return error.response
    raise AssertionError(f"{code} was not refused")


published = {}


def note(name, answer, failed=0):
    assert answer["FailedEntryCount"] == failed, answer
    published[name] = [entry["EventId"] for entry in answer["Entries"] if "EventId" in entry]


# boto3, every member.
events = client()
time = datetime.datetime.fromtimestamp(TIME, datetime.timezone.utc)
trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
note(
    "boto3",
    events.put_events(
        Entries=[
            entry(
                Source="my shop é",
                Time=time,
                Resources=["arn:aws:s3:::bucket"],
                EventBusName=f"arn:aws:events:{REGION}:123456789012:event-bus/default",
                TraceHeader=trace,
            )
        ]
    ),
)

# Partial failure, with AWS's codes.
mixed = events.put_events(Entries=[entry(), entry(Detail="[]"), entry(EventBusName="absent"), entry(Source="aws.s3")])
note("partial", mixed, failed=3)
codes = [entry.get("ErrorCode") for entry in mixed["Entries"]]
assert codes == [None, "MalformedDetail", "ResourceNotFoundException", "NotAuthorizedForSourceException"], mixed

# Errors.
refused("ValidationException", lambda: events.put_events(Entries=[entry()] * 11))
refused("InvalidSignatureException", lambda: client(secret="wrong").put_events(Entries=[entry()]))
refused("UnknownOperationException", lambda: events.list_event_sources())
refused("InvalidEventPatternException", lambda: events.test_event_pattern(EventPattern='{"a": []}', Event="{}"))

# Patterns.
event = {"id": "1", "account": "1", "source": "s", "time": "2026-01-01T00:00:00Z", "region": "r", "resources": []}
event |= {"detail-type": "t", "detail": {"n": 5}}
for pattern, expected in [({"detail": {"n": [{"numeric": [">", 4]}]}}, True), ({"source": ["other"]}, False)]:
    result = events.test_event_pattern(EventPattern=json.dumps(pattern), Event=json.dumps(event))["Result"]
    assert result is expected, pattern


# The Magento module's call, as its SDK writes it: one entry, no resources, the time in seconds, no bus.
HEADERS = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AWSEvents.PutEvents"}


def send(request, body):
    prepared = request.prepare()
    headers = {name: value for name, value in prepared.headers.items() if name.lower() != "content-length"}
    request = urllib.request.Request(prepared.url, data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read()) from error


def signed(body):
    request = AWSRequest("POST", f"{server}/", headers=HEADERS, data=body)
    SigV4Auth(Credentials(key_id, secret), "events", REGION).add_auth(request)
    return send(request, body)


def presigned(body):
    """botocore would move a body into the query; it is told the hash of one instead."""

    class Signer(SigV4QueryAuth):
        def payload(self, request):
            return hashlib.sha256(body).hexdigest()

    request = AWSRequest("POST", f"{server}/", headers=HEADERS)
    Signer(Credentials(key_id, secret), "events", REGION, expires=60).add_auth(request)
    assert "X-Amz-Signature" in request.url and "Authorization" not in request.headers
    return send(request, body)


detail = {"sku": "24-MB01", "qty": 1, "metadata": {"date": "2023-11-14 22:13:20", "timestamp": TIME, "async": False}}
magento = {
    "Source": "shop.example.com",
    "Detail": json.dumps(detail),
    "DetailType": "CartProductAdded",
    "Resources": [],
    "Time": TIME,
}
note("magento", signed(json.dumps({"Entries": [magento]}).encode()))

# Presigned.
note("presigned", presigned(json.dumps({"Entries": [entry()]}).encode()))


# An answer that is lost: the SDK tries again, and nothing is kept twice.
def lossy_proxy(address, answers):
    listener = socket.create_server(("127.0.0.1", 0))

    def read_message(stream):
        data = b""
        while b"\r\n\r\n" not in data:
            data += stream.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        while len(body) < int(lengths[0]):
            body += stream.recv(65536)
        return head + b"\r\n\r\n" + body

    def serve():
        for attempt in range(2):
            stream, _ = listener.accept()
            with stream, socket.create_connection(address) as upstream:
                upstream.sendall(read_message(stream))
                answer = read_message(upstream)
                answers.append(answer.partition(b"\r\n\r\n")[2])
                if attempt > 0:
                    stream.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


address = urllib.parse.urlsplit(server)
answers = []
# The proxy's port is part of the host that is signed, so it passes the Host header on as it is.
proxied = client(lossy_proxy((address.hostname, address.port), answers), retries={"mode": "standard", "max_attempts": 3})
note("retried", proxied.put_events(Entries=[entry(), entry()]))
assert len(answers) == 2 and answers[0] == answers[1], answers

# The AWS CLI.
environment = os.environ | {
    "AWS_ACCESS_KEY_ID": key_id,
    "AWS_SECRET_ACCESS_KEY": secret,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ENDPOINT_URL_EVENTBRIDGE": server,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
aws = pathlib.Path(sys.executable).with_name("aws")
output = subprocess.run(
    [aws, "events", "put-events", "--entries", json.dumps([entry()]), "--output", "json"],
    env=environment,
    capture_output=True,
    text=True,
)
assert output.returncode == 0, output.stderr
note("cli", json.loads(output.stdout))
wrong = subprocess.run(
    [aws, "events", "put-events", "--entries", json.dumps([entry()])],
    env=environment | {"AWS_SECRET_ACCESS_KEY": "wrong"},
    capture_output=True,
    text=True,
)
assert wrong.returncode != 0 and "InvalidSignatureException" in wrong.stderr, wrong

print(json.dumps(published))
