"""The servers that `peers.py` measures against, on free loopback ports, stopped by pid."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = Path(os.environ.get("MODELCTL_PEERS", ROOT / ".peers")) / "bin"
NGINX = os.environ.get("NGINX") or shutil.which("nginx") or str(PEERS / "nginx")
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A process that listens, and what it has cost so far."""

    running = []

    def __init__(self, port, command):
        self.host = f"127.0.0.1:{port}"
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.running.append(self)
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://{self.host}/v2/", timeout=1).close()
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"{command[0]} did not start")

    def cpu(self):
        """Returns the CPU seconds of the process and its children."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        total = 0
        for pid in [pid, *children]:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def stop(self):
        self.running.remove(self)
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class DockerRegistry(Server):
    """docker-registry on its file system driver."""

    def __init__(self, work):
        port = free_port()
        self.store = work / f"registry-{port}"
        config = work / f"registry-{port}.yml"
        config.write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.store}}}}}\n"
            f"http: {{addr: '127.0.0.1:{port}'}}\n"
        )
        super().__init__(port, [PEERS / "docker-registry", "serve", config])

    def stop(self):
        super().stop()
        shutil.rmtree(self.store, ignore_errors=True)


class NullRegistry(Server):
    """A registry that throws everything away."""

    def __init__(self):
        port = free_port()
        script = Path(__file__).with_name("null_registry.py")
        super().__init__(port, [sys.executable, script, str(port)])


class Nginx(Server):
    """nginx, which sends the files of a docker-registry's store, perhaps slowly."""

    def __init__(self, work, store, rate=None):
        port = free_port()
        data = store / "docker/registry/v2"
        config = work / f"nginx-{port}.conf"
        limit = f"limit_rate {rate};" if rate else ""
        # Started by root, its workers would be somebody who may not look into our directory.
        user = "user root;" if os.getuid() == 0 else ""
        config.write_text(f"""
            {user}
            daemon off; worker_processes 2; pid {work}/nginx-{port}.pid; error_log /dev/null;
            events {{ worker_connections 256; }}
            http {{
              access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000;
              client_body_temp_path {work}/ng-b; proxy_temp_path {work}/ng-p;
              fastcgi_temp_path {work}/ng-f; uwsgi_temp_path {work}/ng-u; scgi_temp_path {work}/ng-s;
              server {{
                listen 127.0.0.1:{port};
                location = /v2/ {{ return 200; }}
                location ~ "^/v2/[^/]+/blobs/sha256:(..)(.*)$" {{
                  default_type application/octet-stream; {limit}
                  alias {data}/blobs/sha256/$1/$1$2/data;
                }}
                location ~ "^/v2/[^/]+/manifests/sha256:(..)(.*)$" {{
                  default_type application/vnd.oci.image.manifest.v1+json;
                  alias {data}/blobs/sha256/$1/$1$2/data;
                }}
                {self.tags(data)}
              }}
            }}""")
        super().__init__(port, [NGINX, "-c", config, "-p", work, "-e", "/dev/null"])

    @staticmethod
    def tags(data):
        """Returns one location for each tag."""
        lines = []
        for link in data.glob("repositories/*/_manifests/tags/*/current/link"):
            repository, tag = link.parts[-6], link.parts[-3]
            digest = link.read_text().removeprefix("sha256:")
            document = data / "blobs/sha256" / digest[:2] / digest / "data"
            media_type = json.loads(document.read_text())["mediaType"]
            lines.append(
                f"location = /v2/{repository}/manifests/{tag} "
                f"{{ default_type {media_type}; alias {document}; }}")
        return "\n".join(lines)
