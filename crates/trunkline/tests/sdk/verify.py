"""Says of each delivery whether its signature is the key's: Standard Webhooks by its reference library, ed25519 by cryptography."""

import json
import sys
from base64 import b64decode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError


def verifies(key: str, headers: dict, body: str) -> bool:
    if not key.startswith("whpk_"):
        try:
            Webhook(key).verify(body, headers)
            return True
        except WebhookVerificationError:
            return False
    public = Ed25519PublicKey.from_public_bytes(b64decode(key.removeprefix("whpk_")))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
    for signature in headers["webhook-signature"].split():
        if signature.startswith("v1a,"):
            try:
                public.verify(b64decode(signature.removeprefix("v1a,")), signed)
                return True
            except InvalidSignature:
                pass
    return False


print(json.dumps([verifies(**case) for case in json.load(sys.stdin)]))
