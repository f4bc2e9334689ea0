#!/usr/bin/env python3
"""Runs the pinned LocalStack on loopback. Usage: serve_aws.py --data=DIR --port=PORT (0 = any free port).

Everything the server needs is set here, so that no setting of the caller's environment can widen it:
it listens on 127.0.0.1 only, sends no telemetry, starts no DNS server and keeps its files in DIR.
The port is written to DIR/port before the server starts.
Four faults of LocalStack 4.13.1 are worked around below; each is marked FIX.
"""
import os
import pathlib
import signal
import socket
import subprocess
import sys

options = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[1:])
data = pathlib.Path(options["data"]).resolve()
data.mkdir(parents=True, exist_ok=True)

# Taken here and handed over below: a port that is only looked up could be lost to another program.
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    listener.bind(("127.0.0.1", int(options["port"])))
except OSError as e:
    sys.exit(f"port {options['port']}: {e.strerror}")
port = listener.getsockname()[1]
(data / "port").write_text(str(port))

NOT_OURS = {"PERSISTENCE", "DEBUG", "LS_LOG", "EXTRA_CORS_ALLOWED_ORIGINS", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
for name in list(os.environ):
    if name.upper() in NOT_OURS or name.startswith(("AWS_", "PROVIDER_OVERRIDE_", "LOCALSTACK_")):
        del os.environ[name]
os.environ.update(
    HOME=str(data),                  # caches go with the data, and a user without a home can run it
    XDG_CACHE_HOME=str(data / "cache"),
    DISABLE_EVENTS="1",              # no telemetry
    SKIP_SSL_CERT_DOWNLOAD="1",      # no certificate download
    DNS_ADDRESS="0",                 # no DNS server (default: 0.0.0.0:53 when run as root with an upstream)
    GATEWAY_SERVER="hypercorn",      # the default server ignores the listen address
    GATEWAY_LISTEN=f"127.0.0.1:{port}",
    LOCALSTACK_HOST=f"127.0.0.1:{port}",
    SQS_ENDPOINT_STRATEGY="path",    # queue URLs that resolve: http://127.0.0.1:PORT/queue/REGION/ACCOUNT/NAME
    OVERRIDE_IN_DOCKER="0",          # inside any container it would ignore the data folder
    FILESYSTEM_ROOT=str(data),
    SERVICES=os.environ.get("FLOWSHIP_LOCAL_AWS_SERVICES") or "s3,sqs,secretsmanager,sts",
    EAGER_SERVICE_LOADING="1",       # ready means ready: no slow first call
)

# Parse the API descriptions once per environment, not once per start (3 s and 350 MB).
from localstack import config  # noqa: E402
from localstack.aws import spec  # noqa: E402

config.dirs.static_libs = os.path.join(sys.prefix, "localstack-static")
index = pathlib.Path(config.dirs.static_libs, spec._get_catalog_filename())
if not index.exists() and os.access(sys.prefix, os.W_OK):
    index.parent.mkdir(exist_ok=True)
    draft = index.with_name(f"{index.name}.{os.getpid()}")
    build = "import sys; from localstack.aws import spec; spec.build_service_index_cache(sys.argv[1])"
    if subprocess.run([sys.executable, "-c", build, str(draft)]).returncode == 0:
        draft.replace(index)

from localstack.runtime.server import hypercorn as server  # noqa: E402

# FIX 1: shutdown() calls loop.stop() from another thread without waking the loop, so now and then a stop
# hangs for ever.
_shutdown = server.HypercornRuntimeServer.shutdown


def shutdown(self):
    _shutdown(self)
    self.loop.call_soon_threadsafe(self.loop.stop)


server.HypercornRuntimeServer.shutdown = shutdown


# FIX 2: a port that cannot be listened on is only logged.
class OwnListener(server.Config):
    bind = property(lambda self: [f"fd://{listener.fileno()}"], lambda self, addresses: None)


server.Config = OwnListener

# FIX 3: S3 objects over 512 KiB go to a fixed shared folder, which a second user cannot write.
import localstack.services.s3.provider as s3_provider  # noqa: E402

s3_provider.DEFAULT_S3_TMP_DIR = str(data / "s3")

# FIX 4: a second SIGTERM is ignored once a stop has begun: make it final.
from localstack.runtime import main as runtime_main  # noqa: E402
from localstack.runtime.runtime import LocalstackRuntime  # noqa: E402

_exit = LocalstackRuntime.exit


def exit_(self, code=0):
    if self.stopping.is_set():
        os._exit(128 + signal.SIGTERM)
    _exit(self, code)


LocalstackRuntime.exit = exit_
runtime_main.main()
