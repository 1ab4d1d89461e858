"""Publishes with the CloudEvents SDK for Python, receives the deliveries in a server of this process, and checks them with
the SDK and with the reference library of Standard Webhooks. Its arguments are the server's URL and the signing secret; the
test has declared a subscription for each of the paths below, on the port that this script prints first.
"""

import sys
import threading

import requests
from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1.http import CloudEvent as OldCloudEvent
from cloudevents.v1.http import to_binary as old_to_binary
from cloudevents.v1.http import to_structured as old_to_structured
from standardwebhooks import Webhook

from receiving import receive

server_url, secret = sys.argv[1:]
received = {}
arrived = threading.Condition()


def remember(request, body):
    headers = {name.lower(): value for name, value in request.headers.items()}
    with arrived:
        received.setdefault(request.path, []).append((headers, body))
        arrived.notify()


port = receive("POST", remember)
print(port, flush=True)
assert sys.stdin.readline().strip() == "declared"


def attributes(number):
    return {
        "id": f"sdk-{number}",
        "source": "/sdk/python",
        "type": "com.example.sdk",
        "specversion": "1.0",
        "subject": "Grüße \"100 %\" 東京",
        "datacontenttype": "application/json",
        "customext": "a value",
    }


data = {"greeting": "héllo", "numbers": [1, 2.5, None], "nested": {"deep": True}}
messages = []
for number, encode in enumerate((to_binary_event, to_structured_event)):
    messages.append(encode(CloudEvent(attributes(number), data)))
for number, encode in enumerate((old_to_binary, old_to_structured), start=2):
    headers, body = encode(OldCloudEvent({**attributes(number), "subject": "plain"}, data))
    messages.append(HTTPMessage(headers, body))

for message in messages:
    answer = requests.post(f"{server_url}/v1/buses/default/events", data=message.body, headers=message.headers)
    assert answer.status_code in (200, 201, 202), (answer.status_code, answer.text)

with arrived:
    complete = lambda: all(len(received.get(path, [])) == len(messages) for path in ("/binary", "/structured"))
    assert arrived.wait_for(complete, timeout=60), received

for path in ("/binary", "/structured"):
    for headers, body in received[path]:
        Webhook(secret).verify(body, headers)
        event = from_http_event(HTTPMessage(headers, body))
        number = int(event.get_id().split("-")[1])
        sent = attributes(number) if number < 2 else {**attributes(number), "subject": "plain"}
        assert event.get_data() == data, (path, event.get_data())
        assert event.get_source() == sent["source"] and event.get_type() == sent["type"]
        assert event.get_subject() == sent["subject"], (path, event.get_subject())
        assert event.get_extension("customext") == "a value"

print(f"{len(messages)} events each in binary and structured mode")
