"""boto3 through the whole life of a rule: connection, API destination, bus, rule, target with an input transformer, archive, replay.

Argument: the server's URL. Prints what the receiver got, waits for a line, then takes everything away again.
"""

import datetime
import json
import queue
import sys
import threading

import boto3

from receiving import receive

received = queue.Queue()


def remember(request, body):
    received.put({"path": request.path, "key": request.headers["x-api-key"], "replay": request.headers["webhook-replay"],
                  "type": request.headers["content-type"], "headers": [name.lower() for name in request.headers],
                  "body": body.decode()})


port = receive("PUT", remember)

client = boto3.client("events", endpoint_url=sys.argv[1], region_name="eu-west-1",
                      aws_access_key_id="ops", aws_secret_access_key="not looked at without keys")

client.create_connection(Name="crm", AuthorizationType="API_KEY", AuthParameters={
    "ApiKeyAuthParameters": {"ApiKeyName": "x-api-key", "ApiKeyValue": "sesame"}})
connection = client.describe_connection(Name="crm")
assert connection["ConnectionState"] == "AUTHORIZED"
assert connection["AuthParameters"] == {"ApiKeyAuthParameters": {"ApiKeyName": "x-api-key"}}
destination = client.create_api_destination(
    Name="crm-orders", ConnectionArn=connection["ConnectionArn"], HttpMethod="PUT", InvocationRateLimitPerSecond=100,
    InvocationEndpoint=f"http://127.0.0.1:{port}/orders")["ApiDestinationArn"]

bus = client.create_event_bus(Name="orders", Tags=[{"Key": "team", "Value": "shop"}])["EventBusArn"]
assert [one["Name"] for one in client.list_event_buses()["EventBuses"]] == ["default", "orders"]
archive = client.create_archive(ArchiveName="all-orders", EventSourceArn=bus, RetentionDays=10)["ArchiveArn"]
rule = client.put_rule(Name="big", EventBusName="orders", Description="big orders", Tags=[{"Key": "a", "Value": "b"}],
                       EventPattern=json.dumps({"detail": {"total": [{"numeric": [">", 10]}]}}))["RuleArn"]
target = {"Id": "crm", "Arn": destination, "RetryPolicy": {"MaximumRetryAttempts": 5, "MaximumEventAgeInSeconds": 3600},
          "InputTransformer": {"InputPathsMap": {"name": "$.detail.name", "total": "$.detail.total", "all": "$.detail"},
                               "InputTemplate": '{"text": "<name> pays <total>", "name": <name>, "order": <all>}'}}
assert client.put_targets(Rule="big", EventBusName="orders", Targets=[target])["FailedEntryCount"] == 0
assert client.list_targets_by_rule(Rule="big", EventBusName="orders")["Targets"] == [target]
assert client.list_rule_names_by_target(TargetArn=destination, EventBusName="orders")["RuleNames"] == ["big"]
assert client.list_tags_for_resource(ResourceARN=rule)["Tags"] == [{"Key": "a", "Value": "b"}]
assert client.list_tags_for_resource(ResourceARN=bus)["Tags"] == [{"Key": "team", "Value": "shop"}]

begin = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=1)


def order(total, name):
    detail = json.dumps({"total": total, "name": name})
    entry = {"Source": "shop", "DetailType": "order", "Detail": detail, "EventBusName": bus}
    assert client.put_events(Entries=[entry])["FailedEntryCount"] == 0


order(5, "Small")
published = datetime.datetime.now(datetime.timezone.utc)
order(50, 'Ann "A"\r\nX-Injected: 1')
first = received.get(timeout=30)
body = json.loads(first["body"])
assert body == {"text": 'Ann "A"\r\nX-Injected: 1 pays 50', "name": 'Ann "A"\r\nX-Injected: 1',
                "order": {"total": 50, "name": 'Ann "A"\r\nX-Injected: 1'}}, body
assert (first["path"], first["key"], first["replay"]) == ("/orders", "sesame", None)
assert first["type"] == "application/json" and "x-injected" not in first["headers"], first

replay = client.start_replay(
    ReplayName="again", EventSourceArn=archive, EventStartTime=begin,
    EventEndTime=datetime.datetime.now(datetime.timezone.utc), Destination={"Arn": bus, "FilterArns": [rule]})
assert replay["State"] == "STARTING"
second = received.get(timeout=30)
assert second["body"] == first["body"] and second["replay"] == "again.0", second

for _ in range(600):
    described = client.describe_replay(ReplayName="again")
    if described["State"] == "COMPLETED":
        break
    threading.Event().wait(0.05)
assert described["State"] == "COMPLETED" and described["EventSourceArn"] == archive, described
assert published - datetime.timedelta(seconds=1) <= described["EventLastReplayedTime"] <= described["EventEndTime"], described
listed = client.list_replays()["Replays"][0]
assert (listed["ReplayName"], listed["EventLastReplayedTime"]) == ("again", described["EventLastReplayedTime"]), listed

client.disable_rule(Name="big", EventBusName="orders")
assert client.describe_rule(Name="big", EventBusName="orders")["State"] == "DISABLED"
client.enable_rule(Name="big", EventBusName="orders")

try:
    client.put_rule(Name="often", ScheduleExpression="rate(5 minutes)")
    raise AssertionError("a schedule was taken")
except client.exceptions.ClientError as error:
    assert "schedules are not built" in error.response["Error"]["Message"]
try:
    client.describe_rule(Name="none")
    raise AssertionError("there is no such rule")
except client.exceptions.ResourceNotFoundException:
    pass

print(json.dumps({"received": [first["body"], second["body"]]}), flush=True)
sys.stdin.readline()

client.remove_targets(Rule="big", EventBusName="orders", Ids=["crm"])
client.delete_rule(Name="big", EventBusName="orders")
client.delete_archive(ArchiveName="all-orders")
client.delete_api_destination(Name="crm-orders")
client.delete_connection(Name="crm")
assert client.list_connections()["Connections"] == [] and client.list_api_destinations()["ApiDestinations"] == []
print("gone", flush=True)
