"""Amazon's SQS and STS as moto has them, with every signature and permission verified, and the three places that give out a
machine's credentials: an identity token exchanged at STS, a container's endpoint, and an instance's metadata (version 2 only).

What these give out are real credentials of moto's STS. Prints one line of JSON with what was made; then, for each line on its
standard input, one line with the messages that have arrived since and how often each place has given credentials."""

import json
import logging
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").disabled = True
MOTO = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
MOTO.start()
_, MOTO_PORT = MOTO.get_host_and_port()
ENDPOINT = f"http://127.0.0.1:{MOTO_PORT}"
ACCOUNT = "123456789012"
IDENTITY, CONTAINER, SESSION = "the-token-of-the-pod", "the-token-of-the-container", "the-token-of-the-session"


def client(service, key="AKIDEXAMPLE", secret="secret"):
    return boto3.client(
        service, region_name="eu-central-1", endpoint_url=ENDPOINT, aws_access_key_id=key, aws_secret_access_key=secret
    )


def policy(*actions, **more):
    statement = {"Effect": "Allow", "Action": list(actions), **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


iam = client("iam")
iam.create_user(UserName="bus")
iam.put_user_policy(UserName="bus", PolicyName="p", PolicyDocument=policy("sqs:*", "sts:AssumeRole", Resource="*"))
key = iam.create_access_key(UserName="bus")["AccessKey"]
KEY = (key["AccessKeyId"], key["SecretAccessKey"])
iam.create_user(UserName="stranger")
stranger = iam.create_access_key(UserName="stranger")["AccessKey"]
trust = policy("sts:AssumeRole", Principal={"AWS": "*"})
role = iam.create_role(RoleName="events", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
iam.put_role_policy(RoleName="events", PolicyName="p", PolicyDocument=policy("sqs:*", Resource="*"))
SOURCES = (
    "environment", "default", "profile", "profile-with-role", "static-with-role",
    "web-identity", "container", "instance",
)
sqs = client("sqs", *KEY)
queues = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in SOURCES}
# From here on moto verifies every request.
verify = urllib.request.Request(f"{ENDPOINT}/moto-api/reset-auth", data=b"0", headers={"content-type": "text/plain"})
urllib.request.urlopen(verify).read()

given = Counter()


def credentials(place):
    """Credentials of the role. The first of a place are about to end."""
    given[place] += 1
    session = client("sts", *KEY).assume_role(RoleArn=role, RoleSessionName=place)["Credentials"]
    life = timedelta(minutes=4) if given[place] == 1 else timedelta(hours=1)
    ends = (datetime.now(timezone.utc) + life).strftime("%Y-%m-%dT%H:%M:%SZ")
    return session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"], ends


def as_document(place):
    key, secret, token, ends = credentials(place)
    return json.dumps(
        {"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": key, "SecretAccessKey": secret, "Token": token, "Expiration": ends}
    )


def as_sts(place):
    key, secret, token, ends = credentials(place)
    return (
        '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>'
        f"<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken>"
        f"<Expiration>{ends}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )


class Places(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def say(self, status, text, **headers):
        data = text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if self.path == "/container":
            if self.headers.get("authorization") != CONTAINER:
                return self.say(401, '{"code": "AccessDenied", "message": "the token is not the container\'s"}')
            return self.say(200, as_document("container"), content_type="application/json")
        if self.headers.get("x-aws-ec2-metadata-token") != SESSION:
            return self.say(401, "")
        if self.path == "/latest/meta-data/iam/security-credentials/":
            return self.say(200, "events", content_type="text/plain")
        if self.path == "/latest/meta-data/iam/security-credentials/events":
            return self.say(200, as_document("instance"), content_type="text/plain")
        return self.say(404, "")

    def do_PUT(self):
        if self.path != "/latest/api/token" or "x-aws-ec2-metadata-token-ttl-seconds" not in self.headers:
            return self.say(400, "")
        return self.say(200, SESSION, x_aws_ec2_metadata_token_ttl_seconds="21600")

    def do_POST(self):
        """STS. moto has no unsigned operations while it verifies; the signed ones go on to it as they came."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        form = dict(urllib.parse.parse_qsl(body.decode()))
        if form.get("Action") == "AssumeRoleWithWebIdentity":
            if form.get("WebIdentityToken") == IDENTITY and form.get("RoleArn") == role:
                return self.say(200, as_sts("web-identity"), content_type="text/xml")
            wrong = "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>the token is of nobody here</Message></Error></ErrorResponse>"
            return self.say(400, wrong, content_type="text/xml")
        request = urllib.request.Request(f"{ENDPOINT}{self.path}", data=body, headers=dict(self.headers), method="POST")
        try:
            with urllib.request.urlopen(request) as answer:
                given["sts"] += 1
                return self.say(200, answer.read().decode(), content_type="text/xml")
        except urllib.error.HTTPError as failed:
            # moto puts an element more around an error than STS does.
            text = failed.read().decode().replace("<Errors>", "").replace("</Errors>", "")
            return self.say(failed.code, text, content_type="text/xml")


places = ThreadingHTTPServer(("127.0.0.1", 0), Places)
threading.Thread(target=places.serve_forever, daemon=True).start()

made = {
    "endpoint": ENDPOINT,
    "places": f"http://127.0.0.1:{places.server_address[1]}",
    "queues": queues,
    "key": KEY,
    "stranger": [stranger["AccessKeyId"], stranger["SecretAccessKey"]],
    "role": role,
    "identity": IDENTITY,
    "container": CONTAINER,
}
print(json.dumps(made), flush=True)

for _ in sys.stdin:
    arrived = {}
    for name, url in queues.items():
        batch = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in batch:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        arrived[name] = len(batch)
    print(json.dumps({"arrived": arrived, "given": dict(given)}), flush=True)
