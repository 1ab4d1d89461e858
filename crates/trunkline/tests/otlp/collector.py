"""Stands in for an OpenTelemetry collector: reads what it gets with OpenTelemetry's own protobuf messages and prints each span as a
line of JSON. The first request is answered with 503, so that whoever exports has to try again."""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

refused = False


def value(any_value):
    return getattr(any_value, any_value.WhichOneof("value"))


def attributes(pairs):
    return {pair.key: value(pair.value) for pair in pairs}


class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        global refused
        body = self.rfile.read(int(self.headers["content-length"]))
        assert self.path == "/v1/traces", self.path
        assert self.headers["content-type"] == "application/x-protobuf"
        assert self.headers["x-tenant"] == "shop 1"
        if not refused:
            refused = True
            self.send_response(503)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.tell(attributes(resource.resource.attributes), scope.scope.name, span)
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def tell(self, resource, scope, span):
        # What a newer version would not know is kept apart: there must be none.
        assert len(span.SerializeToString(deterministic=True)) > 0
        print(
            json.dumps(
                {
                    "service": resource["service.name"],
                    "scope": scope,
                    "trace": span.trace_id.hex(),
                    "span": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "name": span.name,
                    "kind": span.kind,
                    "nanos": span.end_time_unix_nano - span.start_time_unix_nano,
                    "start": span.start_time_unix_nano,
                    "status": span.status.code,
                    "message": span.status.message,
                    "attributes": attributes(span.attributes),
                }
            ),
            flush=True,
        )

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Collector)
print(server.server_port, flush=True)
sys.stdin.close()
server.serve_forever()
