"""boto3 puts rules and targets into Trunkline and events onto its buses; what arrives is read back, by boto3, from Amazon's services as moto
has them: queues plain and FIFO, a topic, a stream, an event bus, a function, a dead-letter queue. What the function got is recorded on
the way to moto, whose functions run without Docker and answer what they are told.

Argument: the server's URL. Prints what the test looks at in `/v1`, waits for a line, then takes the targets away again.
"""

import http.server
import json
import logging
import sys
import threading
import time
import urllib.error
import urllib.request

import boto3
from moto.core.config import default_user_config
from moto.server import ThreadedMotoServer

from receiving import receive

SERVER = sys.argv[1]
REGION = "eu-central-1"
ACCOUNT = "123456789012"
PATIENCE = 60

logging.getLogger("werkzeug").disabled = True
default_user_config["lambda"]["use_docker"] = False
moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
moto.start()
_, MOTO_PORT = moto.get_host_and_port()
AMAZON = f"http://127.0.0.1:{MOTO_PORT}"


def amazon(service):
    return boto3.client(service, region_name=REGION, endpoint_url=AMAZON, aws_access_key_id="AKIDEXAMPLE",
                        aws_secret_access_key="secret")


sqs, sns, kinesis, foreign = (amazon(service) for service in ("sqs", "sns", "kinesis", "events"))
client = boto3.client("events", endpoint_url=SERVER, region_name="eu-west-1", aws_access_key_id="ops",
                      aws_secret_access_key="not looked at without keys")


def queue(name, **attributes):
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def messages(url, count):
    """Waits for so many messages."""
    found, end = [], time.monotonic() + PATIENCE
    while len(found) < count:
        assert time.monotonic() < end, f"{len(found)} of {count} messages at {url}"
        batch = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, AttributeNames=["All"],
                                    MessageAttributeNames=["All"]).get("Messages", [])
        for message in batch:
            found.append(message)
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def put(path, document):
    request = urllib.request.Request(f"{SERVER}/v1/buses/{path}", json.dumps(document).encode(), method="PUT",
                                     headers={"content-type": "application/json"})
    urllib.request.urlopen(request).read()


def order(customer, bus="default", **more):
    detail = json.dumps({"customer": customer, "total": 5, **more})
    entry = {"Source": "shop", "DetailType": "order", "Detail": detail, "EventBusName": bus, "Resources": ["r1"]}
    answer = client.put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0, answer
    return answer["Entries"][0]["EventId"]


invoked = []


class Functions(http.server.BaseHTTPRequestHandler):
    """Lambda as moto has it, and a record of what it was asked."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        invoked.append({"path": self.path, "headers": {name.lower(): value for name, value in self.headers.items()},
                        "body": json.loads(body)})
        request = urllib.request.Request(AMAZON + self.path, body, dict(self.headers), method="POST")
        try:
            answer = urllib.request.urlopen(request)
        except urllib.error.HTTPError as failed:
            answer = failed
        said = answer.read()
        self.send_response(answer.status)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


functions = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Functions)
threading.Thread(target=functions.serve_forever, daemon=True).start()


plain, plain_arn = queue("orders")
fifo, fifo_arn = queue("orders.fifo", FifoQueue="true")
dead, dead_arn = queue("dead")
of_topic, of_topic_arn = queue("of-topic")
of_bus, of_bus_arn = queue("of-bus")
audit, audit_arn = queue("audit")
topic_arn = sns.create_topic(Name="orders")["TopicArn"]
sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=of_topic_arn, Attributes={"RawMessageDelivery": "true"})
kinesis.create_stream(StreamName="orders", ShardCount=1)
stream_arn = kinesis.describe_stream(StreamName="orders")["StreamDescription"]["StreamARN"]
bus_arn = foreign.create_event_bus(Name="foreign")["EventBusArn"]
foreign.put_rule(Name="all", EventBusName="foreign", EventPattern='{"source": [{"exists": true}]}')
foreign.put_targets(Rule="all", EventBusName="foreign", Targets=[{"Id": "1", "Arn": of_bus_arn}])

# Before a connection serves it, an ARN is a failed entry; and what is no target at all is an error.
rule_arn = client.put_rule(Name="all", EventPattern='{"source": ["shop"], "detail": {"die": [{"exists": false}]}}')["RuleArn"]
answer = client.put_targets(Rule="all", Targets=[{"Id": "plain", "Arn": plain_arn}])
assert answer["FailedEntryCount"] == 1 and answer["FailedEntries"][0]["TargetId"] == "plain", answer
assert "serves" in answer["FailedEntries"][0]["ErrorMessage"], answer
try:
    client.put_targets(Rule="all", Targets=[{"Id": "x", "Arn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:x"}])
    raise AssertionError("a state machine was taken")
except client.exceptions.ClientError as error:
    assert error.response["Error"]["Code"] == "ValidationException", error

account = {"provider": "aws", "config": {
    "aws": {"region": REGION, "endpoint": AMAZON,
            "credentials": {"type": "static", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "CANARY-SECRET"}},
    "serves": [f"arn:aws:*:{REGION}:{ACCOUNT}:*"]}}
put("default/connections/amazon", account)
# Of two connections that serve an ARN the one with the longer pattern is taken: functions are elsewhere.
elsewhere = json.loads(json.dumps(account))
elsewhere["config"]["aws"]["endpoint"] = f"http://127.0.0.1:{functions.server_port}"
elsewhere["config"]["serves"] = [f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:*"]
put("default/connections/functions", elsewhere)
function_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:orders:live"
try:
    client.put_targets(Rule="all", Targets=[{"Id": "fifo", "Arn": fifo_arn}])
    raise AssertionError("a FIFO queue without a group was taken")
except client.exceptions.ClientError as error:
    assert "SqsParameters must be specified" in str(error), error

targets = [
    {"Id": "plain", "Arn": plain_arn, "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/events"},
    {"Id": "fifo", "Arn": fifo_arn, "SqsParameters": {"MessageGroupId": "orders"}, "InputPath": "$.detail"},
    {"Id": "topic", "Arn": topic_arn,
     "InputTransformer": {"InputPathsMap": {"who": "$.detail.customer"},
                          "InputTemplate": '{"who": <who>, "rule": "<aws.events.rule-arn>"}'}},
    {"Id": "stream", "Arn": stream_arn, "KinesisParameters": {"PartitionKeyPath": "$.detail.customer"}},
    {"Id": "bus", "Arn": bus_arn},
]
answer = client.put_targets(Rule="all", Targets=targets)
assert answer["FailedEntryCount"] == 0, answer
listed = client.list_targets_by_rule(Rule="all")["Targets"]
assert sorted(listed, key=lambda one: one["Id"]) == sorted(targets, key=lambda one: one["Id"]), listed
assert client.list_rule_names_by_target(TargetArn=plain_arn)["RuleNames"] == ["all"]

client.put_rule(Name="functions", EventPattern='{"source": ["shop"], "detail": {"die": [{"exists": false}]}}')
answer = client.put_targets(Rule="functions", Targets=[
    {"Id": "whole", "Arn": function_arn},
    {"Id": "part", "Arn": function_arn,
     "InputTransformer": {"InputPathsMap": {"who": "$.detail.customer"}, "InputTemplate": '{"customer": <who>}'}}])
assert answer["FailedEntryCount"] == 0, answer
assert client.list_rule_names_by_target(TargetArn=function_arn)["RuleNames"] == ["functions"]

# A bus of this server is a target by its ARN alone; its rule leads on to a queue.
client.create_event_bus(Name="audit")
put("audit/connections/amazon", account)
client.put_rule(Name="keep", EventBusName="audit", EventPattern='{"source": ["shop"]}')
client.put_targets(Rule="keep", EventBusName="audit", Targets=[{"Id": "q", "Arn": audit_arn}])
client.put_rule(Name="to-audit", EventPattern='{"source": ["shop"], "detail": {"die": [{"exists": false}]}}')
own_bus_arn = f"arn:aws:events:eu-west-1:{ACCOUNT}:event-bus/audit"
answer = client.put_targets(Rule="to-audit", Targets=[{"Id": "audit", "Arn": own_bus_arn}])
assert answer["FailedEntryCount"] == 0, answer

first = order("c1")
second = order("c2")
bodies = {json.loads(message["Body"])["id"]: json.loads(message["Body"]) for message in messages(plain, 2)}
assert set(bodies) == {first, second}, bodies
envelope = bodies[first]
assert (envelope["source"], envelope["detail-type"], envelope["resources"]) == ("shop", "order", ["r1"]), envelope
assert envelope["detail"] == {"customer": "c1", "total": 5} and envelope["region"] == "eu-west-1", envelope
in_order = messages(fifo, 2)
assert {message["Attributes"]["MessageGroupId"] for message in in_order} == {"orders"}, in_order
assert {json.loads(message["Body"])["customer"] for message in in_order} == {"c1", "c2"}, in_order
published = sorted((json.loads(message["Body"]) for message in messages(of_topic, 2)), key=lambda one: one["who"])
assert published == [{"who": who, "rule": rule_arn} for who in ("c1", "c2")], published
assert rule_arn == "arn:aws:events:eu-west-1:000000000000:rule/all", rule_arn
shard = kinesis.describe_stream(StreamName="orders")["StreamDescription"]["Shards"][0]["ShardId"]
iterator = kinesis.get_shard_iterator(StreamName="orders", ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
records, end = [], time.monotonic() + PATIENCE
while len(records) < 2:
    assert time.monotonic() < end, records
    page = kinesis.get_records(ShardIterator=iterator)
    iterator = page["NextShardIterator"]
    records += page["Records"]
keys = {record["PartitionKey"]: json.loads(record["Data"])["detail"]["customer"] for record in records}
assert keys == {"c1": "c1", "c2": "c2"}, keys
abroad = [json.loads(message["Body"]) for message in messages(of_bus, 2)]
assert {event["detail"]["customer"] for event in abroad} == {"c1", "c2"}, abroad
assert all(event["resources"] == ["r1", "trunkline:hops:1"] for event in abroad), abroad
end = time.monotonic() + PATIENCE
while len(invoked) < 4:
    assert time.monotonic() < end, invoked
    time.sleep(0.02)
whole = [one["body"] for one in invoked if "detail-type" in one["body"]]
assert sorted(event["id"] for event in whole) == sorted([first, second]), invoked
assert all(event["detail"]["total"] == 5 and event["region"] == "eu-west-1" for event in whole), whole
parts = sorted(one["body"]["customer"] for one in invoked if "detail-type" not in one["body"])
assert parts == ["c1", "c2"], invoked
for one in invoked:
    assert one["path"].endswith("/invocations?Qualifier=live") and "orders" in one["path"], one["path"]
    assert one["headers"]["x-amz-invocation-type"] == "Event", one["headers"]
    assert f"/{REGION}/lambda/aws4_request" in one["headers"]["authorization"], one["headers"]
audited = [json.loads(message["Body"]) for message in messages(audit, 2)]
assert {event["id"] for event in audited} == {first, second}, audited

# What dies is in the dead-letter queue, with what AWS says of it.
client.put_rule(Name="dying", EventPattern='{"detail": {"die": [true]}}')
nowhere = f"arn:aws:sqs:{REGION}:{ACCOUNT}:nowhere"
answer = client.put_targets(Rule="dying", Targets=[
    {"Id": "1", "Arn": nowhere, "RetryPolicy": {"MaximumRetryAttempts": 0}, "DeadLetterConfig": {"Arn": dead_arn}}])
assert answer["FailedEntryCount"] == 0, answer
died = order("c3", die=True)
letter = messages(dead, 1)[0]
body = json.loads(letter["Body"])
assert (body["id"], body["detail"]["customer"], body["version"]) == (died, "c3", "0"), body
said = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
assert said.pop("ERROR_MESSAGE")
assert said == {"RULE_ARN": "arn:aws:events:eu-west-1:000000000000:rule/dying", "TARGET_ARN": nowhere,
                "ERROR_CODE": "NO_RESOURCE", "RETRY_ATTEMPTS": "0",
                "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts"}, said

# What matches a disabled rule is dropped.
client.disable_rule(Name="all")
order("lost")
client.enable_rule(Name="all")
kept = order("kept")
assert [json.loads(message["Body"])["id"] for message in messages(plain, 1)] == [kept]

# The parameters of connections and targets meet in one request of an API destination.
received = []


def remember(request, body):
    received.append({"path": request.path, "headers": dict(request.headers), "body": json.loads(body)})


port = receive("POST", remember)


def parameter(key, value, secret):
    return {"Key": key, "Value": value, "IsValueSecret": secret}


connection = client.create_connection(Name="crm", AuthorizationType="API_KEY", AuthParameters={
    "ApiKeyAuthParameters": {"ApiKeyName": "x-api-key", "ApiKeyValue": "sesame"},
    "InvocationHttpParameters": {
        "HeaderParameters": [parameter("x-tenant", "shop", False)],
        "QueryStringParameters": [parameter("token", "CANARY-QUERY", True), parameter("v", "1", False)],
        "BodyParameters": [parameter("tenant", "CANARY-BODY", True)]}})["ConnectionArn"]
shown = client.describe_connection(Name="crm")["AuthParameters"]["InvocationHttpParameters"]
assert shown["QueryStringParameters"] == [
    {"Key": "token", "IsValueSecret": True}, {"Key": "v", "Value": "1", "IsValueSecret": False}], shown
endpoint = f"http://127.0.0.1:{port}/customers/*/orders/*"
destination = client.create_api_destination(Name="crm-orders", ConnectionArn=connection, HttpMethod="POST",
                                            InvocationEndpoint=endpoint)["ApiDestinationArn"]
client.put_rule(Name="api", EventPattern='{"detail": {"api": [true]}}')
answer = client.put_targets(Rule="api", Targets=[{"Id": "crm", "Arn": destination, "InputPath": "$.detail", "HttpParameters": {
    "PathParameterValues": ["$.detail.customer", "new"],
    "QueryStringParameters": {"v": "2", "total": "$.detail.total"},
    "HeaderParameters": {"X-Tenant": "other", "X-Customer": "$.detail.customer"}}}])
assert answer["FailedEntryCount"] == 0, answer
order("a/b c", api=True)
end = time.monotonic() + PATIENCE
while not received:
    assert time.monotonic() < end, "no request of the API destination"
    time.sleep(0.02)
request = received[0]
assert request["path"] == "/customers/a%2Fb%20c/orders/new?total=5&token=CANARY-QUERY&v=1", request
headers = {name.lower(): value for name, value in request["headers"].items()}
assert (headers["x-tenant"], headers["x-customer"], headers["x-api-key"]) == ("shop", "a/b c", "sesame"), request
assert request["body"] == {"api": True, "customer": "a/b c", "total": 5, "tenant": "CANARY-BODY"}, request

# Policies are kept, and open nothing.
client.put_permission(Action="events:PutEvents", Principal="111122223333", StatementId="one")
client.put_permission(Action="events:PutEvents", Principal="*", StatementId="org",
                      Condition={"Type": "StringEquals", "Key": "aws:PrincipalOrgID", "Value": "o-1234567890"})
policy = json.loads(client.describe_event_bus()["Policy"])
assert [statement["Sid"] for statement in policy["Statement"]] == ["one", "org"], policy
client.remove_permission(StatementId="one")
client.remove_permission(RemoveAllPermissions=True)
assert "Policy" not in client.describe_event_bus()
archive = client.create_archive(ArchiveName="all", EventSourceArn="arn:aws:events:eu-west-1:000000000000:event-bus/audit")
assert archive["State"] == "ENABLED"
assert client.describe_archive(ArchiveName="all")["EventCount"] >= 2

print(json.dumps({"plain": plain_arn, "dead": dead_arn}), flush=True)
sys.stdin.readline()
client.remove_targets(Rule="to-audit", Ids=["audit"])
client.delete_rule(Name="to-audit")
print("gone", flush=True)
