"""Servers of slides for the tests, each a thread of the test's process."""

import contextlib
import functools
import http.server
import logging
import os
import threading
from unittest import mock

import fsspec

KEY, SECRET = "AKIAREADSSLIDES", "never-shown-to-anybody"


@contextlib.contextmanager
def s3(folder):
    """An S3 server with the environment to read it; yields a client that writes to its bucket `slides`."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",  # when it has ended
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(folder / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        "HVISKD_CACHE": str(folder / "cache"),
    }
    with mock.patch.dict(os.environ, variables):
        fsspec.filesystem("s3").clear_instance_cache()
        client = boto3.client("s3")
        client.create_bucket(Bucket="slides")
        try:
            yield client
        finally:
            server.stop()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    ranges = None

    def log_message(self, *_):
        """Say nothing."""

    def end_headers(self):
        if self.ranges:
            self.send_header("Accept-Ranges", self.ranges)
        super().end_headers()


@contextlib.contextmanager
def web(folder, ranges=None):
    """A web server of a folder, which sends whole files and may say so in `Accept-Ranges`; yields its address."""
    kind = type("Handler", (_Quiet,), {"ranges": ranges})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(kind, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
