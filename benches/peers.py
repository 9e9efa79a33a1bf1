#!/usr/bin/env python3
"""Measures modelctl beside its peers, interleaved, on one machine and one server.

    benches/peers.py [--gib 4] [--small 200] [--runs 5] [--only push,pull,...]

Needs a release build of modelctl and the peers that `scripts/peers` installs. Every number is a
median; ratios within one run mean something, absolute times do not travel. Servers listen on free
loopback ports and are stopped by pid; everything is written below one temporary directory.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = Path(os.environ.get("MODELCTL_PEERS", ROOT / ".peers")) / "bin"
MODELCTL = Path(os.environ.get("MODELCTL", ROOT / "target/release/modelctl"))
TICKS = os.sysconf("SC_CLK_TCK")
GIB = 1 << 30


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_model(directory, gib, small):
    """Eight shards of random bytes behind valid headers, and small JSON files."""
    directory.mkdir()
    size = gib * GIB // 8
    block = os.urandom(8 << 20)
    for shard in range(8):
        header = json.dumps({"t": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}})
        with open(directory / f"model-{shard + 1:05}-of-00008.safetensors", "wb") as file:
            file.write(struct.pack("<Q", len(header)) + header.encode())
            left = size
            while left:
                # Every shard differs, or a registry would store one for all.
                piece = (struct.pack("<QQ", shard, left) + block[16:])[: min(left, len(block))]
                file.write(piece)
                left -= len(piece)
    for index in range(small):
        (directory / f"part-{index:05}.json").write_text(json.dumps({"index": index, "x": "y" * 900}))


class Server:
    """docker-registry on a free port, or nginx serving what docker-registry would."""

    def __init__(self, work):
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        store = work / f"registry-{self.port}"
        config = work / f"registry-{self.port}.yml"
        config.write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {store}}}}}\n"
            f"http: {{addr: '{self.host}'}}\n"
        )
        self.store = store
        self.process = subprocess.Popen(
            [PEERS / "docker-registry", "serve", config],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://{self.host}/v2/", timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("docker-registry did not start")

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        shutil.rmtree(self.store, ignore_errors=True)


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
        time.sleep(0.005)
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"{command}: {process.stderr.read().decode()}")
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
        self.options, self.work = options, work
        self.model = work / "model"
        self.env = dict(os.environ, MODELCTL_PASSWORD="", HOME=str(work), XDG_CACHE_HOME=str(work / "cache"))
        make_model(self.model, options.gib, options.small)
        self.files = sorted(p.name for p in self.model.iterdir())
        subprocess.run([MODELCTL, "-q", "generate-key-pair"], cwd=work, env=self.env, check=True,
                       stdout=subprocess.DEVNULL)
        self.rows = {}

    def record(self, scenario, tool, numbers):
        self.rows.setdefault(scenario, {}).setdefault(tool, []).append(numbers)

    def go(self, scenario, tool, command, server, cwd=None):
        wait_idle()
        subprocess.run("cat model/* > /dev/null", shell=True, cwd=self.work)
        self.record(scenario, tool, run(command, server, cwd or self.work, self.env))

    def forget(self):
        shutil.rmtree(self.work / "cache", ignore_errors=True)

    def push_modelctl(self, host, name="m"):
        return [MODELCTL, "push", f"{host}/{name}:v1", self.model]

    def push_oras(self, host, name="o"):
        return [PEERS / "oras", "push", "--plain-http", "--no-tty", f"{host}/{name}:v1"] + [
            f"{f}:application/octet-stream" for f in self.files
        ]

    def push(self):
        """First push to an empty docker-registry, then the same again."""
        for _ in range(self.options.runs):
            for tool, command, cwd in (
                ("modelctl", self.push_modelctl, None), ("oras", self.push_oras, self.model)):
                self.forget()
                server = Server(self.work)
                self.go("first push", tool, command(server.host), server, cwd)
                self.go("push again, unchanged", tool, command(server.host), server, cwd)
                server.stop()

    def pull(self):
        """Pull by both; modelctl verifies a signature first."""
        server = Server(self.work)
        key = self.work / "cosign"
        run(self.push_modelctl(server.host) + ["--sign", "--key", f"{key}.key"], server, self.work, self.env)
        reference = f"{server.host}/m:v1"
        out = self.work / "out"
        for _ in range(self.options.runs):
            for tool, command in (
                ("modelctl", [MODELCTL, "pull", reference, out, "--verify", "--key", f"{key}.pub"]),
                ("oras", [PEERS / "oras", "pull", "--plain-http", "--no-tty", "-o", out, reference])):
                self.forget()
                self.go("verified pull" , tool, command, server)
                shutil.rmtree(out)
                self.go("pull again, unchanged", tool, command, server)
                shutil.rmtree(out)
        server.stop()

    def show(self):
        print(f"\n{'scenario':24} {'tool':10} {'wall s':>8} {'cpu s/GiB':>10} {'server':>8} {'peak MiB':>9}   ratio to oras (wall, cpu)")
        for scenario, tools in self.rows.items():
            medians = {tool: [statistics.median(column) for column in zip(*rows)] for tool, rows in tools.items()}
            for tool, (wall, cpu, server, peak) in medians.items():
                base = medians.get("oras")
                ratio = f"{wall / base[0]:.3f}  {cpu / max(base[1], 1e-9):.3f}" if base and tool != "oras" else ""
                print(f"{scenario:24} {tool:10} {wall:8.3f} {cpu / self.options.gib:10.3f} {server / self.options.gib:8.3f} {peak:9.1f}   {ratio}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=int, default=4)
    parser.add_argument("--small", type=int, default=200)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="push,pull")
    options = parser.parse_args()
    missing = [str(tool) for tool in (MODELCTL, PEERS / "oras", PEERS / "docker-registry") if not tool.exists()]
    if missing:
        sys.exit(f"not there: {', '.join(missing)}; run `cargo build --release` and `scripts/peers`")
    with tempfile.TemporaryDirectory(prefix="modelctl-bench-") as work:
        bench = Bench(options, Path(work))
        for scenario in options.only.split(","):
            getattr(bench, scenario)()
        bench.show()


if __name__ == "__main__":
    main()
