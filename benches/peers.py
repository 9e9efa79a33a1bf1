#!/usr/bin/env python3
"""Measures modelctl beside its peers, interleaved, on one machine and one server.

    benches/peers.py [--gib 4] [--small 200] [--runs 5] [--many 5000] [--only push,pull,...]

Needs a release build of modelctl ($MODELCTL) and the peers that `scripts/peers` installs. Some
scenarios need more, and are left out, loudly, without it: `static` and `capped` nginx ($NGINX), and
`verify` model_signing ($MODEL_SIGNING, from PyPI) and openssl. Every number is a median; ratios
within one run mean something, absolute times do not travel. Everything is written below one
temporary directory.
"""

import argparse
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from servers import NGINX, PEERS, ROOT, DockerRegistry, Nginx, NullRegistry, Server

MODELCTL = Path(os.environ.get("MODELCTL", ROOT / "target/release/modelctl")).resolve()
MODEL_SIGNING = os.environ.get("MODEL_SIGNING") or shutil.which("model_signing")
ORAS = PEERS / "oras"
GIB = 1 << 30


def make_model(directory, size, shards, small):
    """Shards of random bytes behind valid headers, `size` bytes in all, and small JSON files."""
    directory.mkdir()
    block = os.urandom(8 << 20)
    for shard in range(shards):
        each = size // shards
        header = json.dumps({"t": {"dtype": "U8", "shape": [each], "data_offsets": [0, each]}})
        name = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        with open(directory / name, "wb") as file:
            file.write(struct.pack("<Q", len(header)) + header.encode())
            left = each
            while left:
                # Every shard differs, or a registry would store one for all.
                piece = (struct.pack("<QQ", shard, left) + block[16:])[: min(left, len(block))]
                file.write(piece)
                left -= len(piece)
    for index in range(small):
        text = json.dumps({"index": index, "x": "y" * 900})
        (directory / f"part-{index:05}.json").write_text(text)
    return directory


def high_water(pid):
    """Returns a process's peak memory in KiB so far, or nothing when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def run(command, server, cwd, env):
    """Runs a command; returns wall seconds, CPU seconds, server CPU seconds, peak MiB."""
    before = server.cpu() if server else 0
    start = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command], cwd=cwd, env=env,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )
    # The kernel counts our own memory before the exec into the child's peak, so it is asked for.
    peak, pid = 0, 0
    while not pid:
        peak = max(peak, high_water(process.pid))
        time.sleep(0.002)
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"{command[:4]}: {process.stderr.read().decode()}")
    cpu = usage.ru_utime + usage.ru_stime
    return wall, cpu, (server.cpu() - before if server else 0), peak / 1024


def wait_idle():
    """Waits until the machine is mostly idle, at most 20 s: neighbours are loud here."""
    def busy():
        fields = [int(x) for x in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
        return sum(fields), fields[3] + fields[4]
    for _ in range(20):
        total, idle = busy()
        time.sleep(1)
        total2, idle2 = busy()
        if (idle2 - idle) / max(total2 - total, 1) > 0.9:
            return


class Bench:
    def __init__(self, options, work):
        self.options, self.work, self.rows = options, work, {}
        self.env = dict(os.environ, HOME=str(work), XDG_CACHE_HOME=str(work / "cache"))
        self.out = work / "out"
        subprocess.run([MODELCTL, "-q", "generate-key-pair"], cwd=work, check=True,
                       env=self.env | {"MODELCTL_PASSWORD": ""}, stdout=subprocess.DEVNULL)
        self.env["MODELCTL_PASSWORD"] = ""

    # --- what is measured

    def model(self, name="model", gib=None, shards=8, small=None):
        """Returns the directory of a model, made at its first use."""
        directory = self.work / name
        if directory.exists():
            return directory
        size = int((self.options.gib if gib is None else gib) * GIB)
        return make_model(directory, size, shards, self.options.small if small is None else small)

    def go(self, scenario, tool, command, server, model, cwd=None):
        if not self.options.loud:
            wait_idle()
        subprocess.run(f"find {model} -type f | xargs cat > /dev/null", shell=True, check=True)
        numbers = run(command, server, cwd or self.work, self.env)
        gib = sum(file.stat().st_size for file in model.iterdir() if file.is_file()) / GIB
        rows = self.rows.setdefault(scenario, {}).setdefault(tool, [])
        rows.append((numbers[0], numbers[1] / gib, numbers[2] / gib, numbers[3]))

    def forget(self):
        shutil.rmtree(self.work / "cache", ignore_errors=True)

    def pushes(self, host, model):
        """Returns each tool's name, command and directory."""
        files = sorted(file.name for file in model.iterdir())
        oras = [ORAS, "push", "--plain-http", "--no-tty", f"{host}/o:v1"]
        return (
            ("modelctl", [MODELCTL, "push", f"{host}/m:v1", model], None),
            ("oras", oras + [f"{file}:application/octet-stream" for file in files], model),
        )

    def pulls(self, host):
        """Returns each tool's name and command; modelctl verifies a signature first."""
        reference = f"{host}/m:v1"
        pull = [MODELCTL, "pull", reference, self.out, "--verify", "--key", "cosign.pub", "--io"]
        return (
            ("modelctl", pull + ["buffered"]),
            ("modelctl direct", pull + ["direct"]),
            ("oras", [ORAS, "pull", "--plain-http", "--no-tty", "-o", self.out, reference]),
        )

    def registry(self, model):
        """Returns a docker-registry that has the model, signed."""
        server = DockerRegistry(self.work)
        push = [MODELCTL, "push", f"{server.host}/m:v1", model, "--sign", "--key", "cosign.key"]
        run(push, server, self.work, self.env)
        return server

    def push_to(self, scenario, model, start, again=False):
        for _ in range(self.options.runs):
            for index in range(2):
                self.forget()
                server = start()
                tool, command, cwd = self.pushes(server.host, model)[index]
                self.go(scenario, tool, command, server, model, cwd)
                if again:
                    self.go(f"{scenario} again", tool, command, server, model, cwd)
                server.stop()

    def pull_from(self, scenario, model, server):
        for _ in range(self.options.runs):
            for tool, command in self.pulls(server.host):
                self.forget()
                self.go(scenario, tool, command, server, model)
                shutil.rmtree(self.out)

    # --- scenarios

    def push(self):
        """First push to an empty docker-registry, then the same again."""
        self.push_to("push", self.model(), lambda: DockerRegistry(self.work), again=True)

    def sink(self):
        """First push to a registry that keeps and hashes nothing."""
        self.push_to("push, null registry", self.model(), NullRegistry)

    def pull(self):
        """Pull from docker-registry."""
        server = self.registry(self.model())
        self.pull_from("pull", self.model(), server)
        server.stop()

    def static(self):
        """Pull from nginx."""
        self.behind_nginx("pull, nginx", self.model())

    def capped(self):
        """Pull where each connection is limited to 20 MB/s, a quarter of a GiB."""
        model = self.model("capped", gib=0.25, small=0)
        self.behind_nginx("pull, 20 MB/s each", model, rate="20m")

    def behind_nginx(self, scenario, model, rate=None):
        if not Path(NGINX).exists():
            print(f"left out for want of nginx: {scenario}", file=sys.stderr)
            return
        store = self.registry(model)
        server = Nginx(self.work, store.store, rate)
        self.pull_from(scenario, model, server)
        server.stop()
        store.stop()

    def single(self):
        """One file of the same size."""
        model = self.model("single", shards=1, small=0)
        self.push_to("push, one file", model, lambda: DockerRegistry(self.work))
        server = self.registry(model)
        self.pull_from("pull, one file", model, server)
        server.stop()

    def many(self):
        """Only small files; a manifest of 4 MiB, which registries take, names no more than some
        thousand."""
        model = self.model("many", gib=0, shards=1, small=self.options.many)
        self.push_to("push, small files", model, lambda: DockerRegistry(self.work))
        server = self.registry(model)
        self.pull_from("pull, small files", model, server)
        server.stop()

    def layout(self):
        """Push into an OCI layout."""
        model, layout = self.model(), self.work / "layout"
        files = sorted(file.name for file in model.iterdir())
        oras = [ORAS, "push", "--oci-layout", "--no-tty", f"{layout}:v1"]
        oras += [f"{file}:application/octet-stream" for file in files]
        for _ in range(self.options.runs):
            for tool, command, cwd in (
                    ("modelctl", [MODELCTL, "push", f"oci:{layout}:v1", model], None),
                    ("oras", oras, model)):
                self.forget()
                self.go("push, layout", tool, command, None, model, cwd)
                shutil.rmtree(layout)

    def verify(self):
        """A pulled directory is verified where it is; model_signing verifies the same files."""
        if not MODEL_SIGNING or not shutil.which("openssl"):
            print("left out for want of model_signing or openssl: verify", file=sys.stderr)
            return
        for name, model in (("verify", self.model()),
                            ("verify, small files", self.model("many", 0, 1, self.options.many))):
            server = self.registry(model)
            reference = f"{server.host}/m:v1"
            pull = [MODELCTL, "pull", reference, self.out, "--verify", "--key", "cosign.pub"]
            run(pull, server, self.work, self.env)
            server.stop()
            key, public, signature = (self.work / file for file in ("k.pem", "k.pub", "k.sig"))
            for command in (
                    f"openssl ecparam -name prime256v1 -genkey -noout -out {key}",
                    f"openssl ec -in {key} -pubout -out {public}",
                    f"{MODEL_SIGNING} sign key --private_key {key} --signature {signature} {model}"):
                subprocess.run(command.split(), check=True, capture_output=True)
            for _ in range(self.options.runs):
                self.go(name, "modelctl", [MODELCTL, "verify", self.out, "--deep", "--key",
                                           "cosign.pub"], None, model)
                self.go(name, "model_signing", [MODEL_SIGNING, "verify", "key", "--public_key",
                                                public, "--signature", signature, model], None, model)
            shutil.rmtree(self.out)

    def show(self):
        """Prints what was measured since the last time."""
        for scenario, tools in self.rows.items():
            medians = {tool: [statistics.median(column) for column in zip(*rows)]
                       for tool, rows in tools.items()}
            peer = list(medians)[-1]
            for tool, (wall, cpu, server, peak) in medians.items():
                ratio = "" if tool == peer else (
                    f"{wall / medians[peer][0]:.3f}  {cpu / max(medians[peer][1], 1e-9):.3f}")
                print(f"{scenario:22} {tool:16} {wall:8.3f} {cpu:10.3f} {server:8.3f} "
                      f"{peak:9.1f}   {ratio}", flush=True)
        self.rows.clear()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=4)
    parser.add_argument("--small", type=int, default=200)
    parser.add_argument("--many", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--loud", action="store_true", help="do not wait for an idle machine")
    parser.add_argument(
        "--only", default="push,sink,pull,static,capped,single,many,layout,verify")
    options = parser.parse_args()
    missing = [str(tool) for tool in (MODELCTL, ORAS, PEERS / "docker-registry")
               if not tool.exists()]
    if missing:
        sys.exit(f"not there: {', '.join(missing)}; run `cargo build --release` and `scripts/peers`")
    with tempfile.TemporaryDirectory(prefix="modelctl-bench-") as work:
        bench = Bench(options, Path(work))
        print(f"{'scenario':22} {'tool':16} {'wall s':>8} {'cpu s/GiB':>10} {'server':>8} "
              f"{'peak MiB':>9}   ratio (wall, cpu)")
        try:
            for scenario in options.only.split(","):
                getattr(bench, scenario)()
                bench.show()
        finally:
            for server in list(Server.running):
                server.stop()


if __name__ == "__main__":
    main()
