# Publishes with Azure's Event Grid SDK for Python, as a program does that had an Azure topic before. Its arguments are the
# endpoint and the key.

import sys
from datetime import datetime, timedelta, timezone

from azure.core.credentials import AzureKeyCredential, AzureSasCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent, EventGridPublisherClient, generate_sas

endpoint, key = sys.argv[1:]


def grid(number, **more):
    return EventGridEvent(id=f"py-{number}", subject="/orders/1", event_type="Order.Placed", data={"total": 5, "text": "héllo"}, data_version="1.0", **more)


def cloud(number, data):
    return CloudEvent(id=f"py-{number}", source="/sdk/python", type="com.example.sdk", data=data, extensions={"customext": "value"})


with EventGridPublisherClient(endpoint, AzureKeyCredential(key)) as client:
    client.send(grid(1))
    client.send([grid(2), grid(3)])
    client.send(cloud(4, {"total": 5}))
    client.send([cloud(5, b"\x00\xff"), cloud(6, "text")])

sas = generate_sas(endpoint, key, datetime.now(timezone.utc) + timedelta(hours=1))
with EventGridPublisherClient(endpoint, AzureSasCredential(sas)) as client:
    client.send(grid(7))

expired = generate_sas(endpoint, key, datetime.now(timezone.utc) - timedelta(hours=1))
for credential in (AzureKeyCredential("AAAA"), AzureSasCredential(expired)):
    with EventGridPublisherClient(endpoint, credential) as client:
        try:
            client.send(grid(99))
            raise AssertionError("a wrong credential was taken")
        except ClientAuthenticationError as error:
            assert error.status_code == 401 and error.error.code == "Unauthorized", error

with EventGridPublisherClient(endpoint, AzureKeyCredential(key), retry_total=0) as client:
    for events, status, code in (
        ([grid(98), EventGridEvent(id="py-97", subject="", event_type="", data={}, data_version="")], 400, "BadRequest"),
        (EventGridEvent(id="py-96", subject="", event_type="t", data="x" * (1 << 20), data_version=""), 413, "RequestEntityTooLarge"),
    ):
        try:
            client.send(events)
            raise AssertionError("what breaks a rule was taken")
        except HttpResponseError as error:
            assert error.status_code == status and error.error.code == code, error
            assert error.error.details, error

print("published 7 events")
