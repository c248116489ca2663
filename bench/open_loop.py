"""An open loop: requests at a fixed rate, whatever happens to earlier ones, so that a stall counts for all requests that it delays.
Uses oha from the crate registry.
"""

import json
import pathlib
import subprocess

from bench_run import run

VERSION = "1.16.0"
TOOLS = pathlib.Path(__file__).resolve().parent.parent / "target" / "tools"
CONNECTIONS = 128


def oha():
    """Returns the program, which is built once."""
    program = TOOLS / "bin" / "oha"
    if program.exists() and VERSION in subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout:
        return program
    run.say(f"building oha {VERSION}")
    command = ["cargo", "install", "--locked", "--quiet", "--root", TOOLS, "--target-dir", TOOLS / "oha", f"oha@{VERSION}"]
    subprocess.run([*command, "--no-default-features", "--features", "rustls"], check=True)
    return program


def load(bench, row, rate, seconds):
    """Returns oha's report for this many requests a second for this long, each timed from when it was due."""
    method, path, body, headers = row.request
    command = [oha(), "--no-tui", "--output-format", "json", "--latency-correction", "-w", "-q", str(rate), "-z", f"{seconds}s"]
    command += ["-c", str(CONNECTIONS), "-m", method, "--redirect", "0"]
    command += [argument for name, value in headers.items() for argument in ("-H", f"{name}: {value}")]
    command += ["-d", body] if body else []
    url = f"http://127.0.0.1:{row.proxy.port}{path}"
    process = bench.start(bench.load_core, [*command, url], stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate(timeout=seconds + 60)
    told = json.loads(output)
    statuses = told["statusCodeDistribution"]
    errors = told["errorDistribution"]
    if process.returncode != 0 or errors or list(statuses) != ["200"]:
        raise run.Failure(f"{row.name}: {statuses} {errors}")
    if statuses["200"] < 0.98 * rate * seconds:
        raise run.Failure(f"{row.name}: {statuses['200']} answers of {rate * seconds} due: the load itself was too slow")
    return told["latencyPercentiles"]
