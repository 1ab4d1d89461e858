"""Amazon's services as moto has them, behind a proxy that makes faults which moto does not.

Prints one line of JSON with the proxy's port and what was made; then, for each line on its standard input, one line with
everything that has arrived since. Messages of queues are deleted when they are shown."""

import json
import logging
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from moto.core.config import default_user_config
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").disabled = True
default_user_config["lambda"]["use_docker"] = False
MOTO = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
MOTO.start()
_, MOTO_PORT = MOTO.get_host_and_port()
REGION = "eu-central-1"

seen = []
invoked = []
failed_once = set()
done = set()


def error(code, status=400):
    return status, {"content-type": "application/x-amz-json-1.1"}, json.dumps({"__type": code, "message": "made by the test"})


class Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        answer = self.answer(body)
        if answer is None:
            self.close_connection = True
            return self.connection.close()
        status, headers, text = answer
        data = text if isinstance(text, bytes) else text.encode()
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def answer(self, body):
        target = self.headers.get("x-amz-target", "")
        if target == "AWSEvents.PutEvents":
            return self.put_events(body)
        if self.path.startswith("/2015-03-31/functions/"):
            return self.invoke(body)
        if target:
            seen.append({"target": target})
        return self.forward(body)

    def invoke(self, body):
        """A function that fails as its events ask for, and otherwise says which of them it could not take."""
        kind = self.headers["x-amz-invocation-type"]
        payload = json.loads(body)
        events = payload if isinstance(payload, list) else [payload]
        invoked.append({"path": self.path, "kind": kind, "events": events})
        wanted = next((e["data"]["fault"] for e in events if "fault" in e.get("data", {})), None)
        if wanted and wanted not in done:
            done.add(wanted)
            if wanted == "busy":
                status, headers, text = error("TooManyRequestsException", 429)
                return status, {**headers, "x-amzn-errortype": "TooManyRequestsException"}, text
        failing = [e for e in events if e.get("data", {}).get("fail_once") and e["id"] not in failed_once]
        failed_once.update(e["id"] for e in failing)
        said = {"batchItemFailures": [{"itemIdentifier": e["webhookid"]} for e in failing]}
        self.result(json.dumps(said if isinstance(payload, list) else {"ok": True}))
        status, headers, text = self.forward(body)
        if wanted == "raises" and "raised" not in done:
            done.add("raised")
            return status, {**headers, "x-amz-function-error": "Unhandled"}, '{"errorMessage": "division by zero"}'
        return status, headers, text

    def result(self, text):
        """What moto answers to the next invocation."""
        said = json.dumps({"results": [text], "region": REGION}).encode()
        url = f"http://127.0.0.1:{MOTO_PORT}/moto-api/static/lambda-simple/response"
        urllib.request.urlopen(urllib.request.Request(url, data=said, method="POST")).read()

    def put_events(self, body):
        """Each fault once, in turn; then every entry that asks for it fails once, and the others go on."""
        entries = json.loads(body)["Entries"]
        details = [json.loads(entry["Detail"]) for entry in entries]
        seen.append({"target": "AWSEvents.PutEvents", "details": details})
        wanted = details[0].get("fault")
        if wanted and wanted not in done:
            done.add(wanted)
            if wanted == "reset":
                return None
            if wanted == "error":
                return error("InternalFailure", 500)
            return error({"throttled": "ThrottlingException", "expired": "ExpiredTokenException"}[wanted])
        failing = {i for i, d in enumerate(details) if d.get("fail_once") and d["n"] not in failed_once}
        failing_for_good = {i for i, d in enumerate(details) if d.get("fail")}
        going = [entry for i, entry in enumerate(entries) if i not in failing | failing_for_good]
        said = []
        if going:
            _, _, answer = self.forward(json.dumps({"Entries": going}).encode())
            said = json.loads(answer)["Entries"]
        merged = []
        for i, detail in enumerate(details):
            if i in failing:
                failed_once.add(detail["n"])
                merged.append({"ErrorCode": "InternalFailure", "ErrorMessage": "once"})
            elif i in failing_for_good:
                merged.append({"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."})
            else:
                merged.append(said.pop(0))
        failed = len(failing | failing_for_good)
        text = json.dumps({"FailedEntryCount": failed, "Entries": merged})
        return 200, {"content-type": "application/x-amz-json-1.1"}, text

    def forward(self, body):
        request = urllib.request.Request(f"http://127.0.0.1:{MOTO_PORT}{self.path}", data=body, method="POST")
        for name, value in self.headers.items():
            if name.lower() not in ("host", "content-length", "connection"):
                request.add_header(name, value)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as failed:
            return failed.code, dict(failed.headers), failed.read()


proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
threading.Thread(target=proxy.serve_forever, daemon=True).start()


def client(service):
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=f"http://127.0.0.1:{MOTO_PORT}",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
    )


sqs, sns, events, kinesis = (client(service) for service in ("sqs", "sns", "events", "kinesis"))


def queue(name, **attributes):
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return url, arn


plain, _ = queue("orders")
fifo, _ = queue("orders.fifo", FifoQueue="true")
of_rule, of_rule_arn = queue("of-rule")
of_topic, of_topic_arn = queue("of-topic")
topic = sns.create_topic(Name="orders")["TopicArn"]
sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=of_topic_arn, Attributes={"RawMessageDelivery": "true"})
events.create_event_bus(Name="orders")
events.put_rule(Name="all", EventBusName="orders", EventPattern='{"source": [{"exists": true}]}')
events.put_targets(Rule="all", EventBusName="orders", Targets=[{"Id": "1", "Arn": of_rule_arn}])
kinesis.create_stream(StreamName="orders", ShardCount=1)
shard = kinesis.describe_stream(StreamName="orders")["StreamDescription"]["Shards"][0]["ShardId"]
iterator = kinesis.get_shard_iterator(StreamName="orders", ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]

made = {"port": proxy.server_address[1], "queue": plain, "fifo": fifo, "topic": topic}
print(json.dumps(made), flush=True)


def messages(url):
    found = []
    while True:
        batch = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"]).get("Messages", [])
        for message in batch:
            attributes = message.get("Attributes", {})
            found.append({"body": message["Body"], "group": attributes.get("MessageGroupId")})
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        if not batch:
            return found


for _ in sys.stdin:
    answer = kinesis.get_records(ShardIterator=iterator)
    iterator = answer["NextShardIterator"]
    arrived = {
        "eventbridge": [json.loads(message["body"]) for message in messages(of_rule)],
        "queue": messages(plain),
        "fifo": messages(fifo),
        "topic": messages(of_topic),
        "stream": [{"body": r["Data"].decode(), "key": r["PartitionKey"]} for r in answer["Records"]],
        "requests": list(seen),
        "functions": list(invoked),
    }
    seen.clear()
    invoked.clear()
    print(json.dumps(arrived), flush=True)
