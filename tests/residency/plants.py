"""Ways in which a library could phone home. Run as a program, it comes under the guard and tries them all.

Each goes to a host or address of its own (RFC 6761 and 5737: nobody's), so that the report says which were stopped.
Prints {plant: "stopped" | "went" | how else it ended}.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

PLANTS: dict[str, Callable[[str], object]] = {}
Plant = Callable[[str], object]


def plant(do: Plant) -> Plant:
    PLANTS[do.__name__.replace("_", "-")] = do
    return do


@plant
def create_connection(host: str) -> None:
    socket.create_connection((host, 443), timeout=3)


@plant
def connect_by_name(host: str) -> None:
    with socket.socket() as one:
        one.connect((host, 443))


@plant
def connect_address(_: str) -> None:
    with socket.socket() as one:
        one.settimeout(3)
        one.connect(("198.51.100.1", 443))


@plant
def connect_ex_address(_: str) -> None:
    with socket.socket() as one:
        one.settimeout(3)
        one.connect_ex(("198.51.100.2", 443))


@plant
def connect_v6(_: str) -> None:
    with socket.socket(socket.AF_INET6) as one:
        one.settimeout(3)
        one.connect(("2001:db8::1", 443))


@plant
def connect_v4_in_v6(_: str) -> None:
    with socket.socket(socket.AF_INET6) as one:
        one.settimeout(3)
        one.connect(("::ffff:198.51.100.3", 443))


@plant
def udp_sendto(_: str) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.sendto(b"words", ("198.51.100.4", 8125))


@plant
def udp_sendmsg(_: str) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.sendmsg([b"words"], [], 0, ("198.51.100.5", 8125))


@plant
def own_resolver(_: str) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.sendto(b"\0\1" + b"words", ("127.0.0.53", 53))


@plant
def lookup_only(host: str) -> None:
    socket.getaddrinfo(f"anna.keller.owes.900.{host}", None)


@plant
def gethostbyname(host: str) -> None:
    socket.gethostbyname(host)


@plant
def gethostbyname_ex(host: str) -> None:
    socket.gethostbyname_ex(host)


@plant
def reverse_lookup(_: str) -> None:
    socket.gethostbyaddr("198.51.100.6")


@plant
def http_client(host: str) -> None:
    import http.client

    http.client.HTTPSConnection(host, timeout=3).request("POST", "/", b"words")


@plant
def urllib_request(host: str) -> None:
    import urllib.request

    urllib.request.urlopen(f"http://{host}/", timeout=3)


@plant
def urllib3_pool(host: str) -> None:
    import urllib3

    urllib3.PoolManager().request("GET", f"https://{host}/", timeout=3, retries=False)


@plant
def requests_post(host: str) -> None:
    import requests

    requests.post(f"https://{host}/", data="words", timeout=3)


@plant
def httpx_get(host: str) -> None:
    import httpx

    httpx.get(f"https://{host}/", timeout=3)


@plant
def httpx_async(host: str) -> None:
    import httpx

    async def send() -> None:
        async with httpx.AsyncClient(timeout=3) as client:
            await client.get(f"https://{host}/")

    asyncio.run(send())


@plant
def asyncio_stream(host: str) -> None:
    asyncio.run(asyncio.open_connection(host, 443))


@plant
def asyncio_datagram(_: str) -> None:
    async def send() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("198.51.100.7", 8125))

    asyncio.run(send())


@plant
def smtp(host: str) -> None:
    import smtplib

    smtplib.SMTP(host, 25, timeout=3)


@plant
def syslog(_: str) -> None:
    import logging
    from logging.handlers import SysLogHandler

    handler = SysLogHandler(("198.51.100.8", 514))
    try:
        handler.socket.sendto(b"words", handler.address)
    finally:
        logging.getLogger().removeHandler(handler)


@plant
def thread(host: str) -> None:
    failed: list[BaseException] = []

    def go() -> None:
        try:
            socket.create_connection((host, 443), timeout=3)
        except BaseException as error:
            failed.append(error)

    one = threading.Thread(target=go)
    one.start()
    one.join()
    if failed:
        raise failed[0]


@plant
def spawned_worker(host: str) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(socket.gethostbyname, host).result(60)


@plant
def forked_child(host: str) -> None:
    child = os.fork()
    if not child:
        try:
            socket.gethostbyname(host)
        except BaseException:
            os._exit(17)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) == 17:
        raise PermissionError("EgressStopped in the child")


@plant
def python_subprocess(host: str) -> None:
    code = f"import urllib.request; urllib.request.urlopen('http://{host}/', timeout=3)"
    _run([sys.executable, "-c", code])


@plant
def python_isolated(host: str) -> None:
    code = f"import socket; socket.gethostbyname('{host}')"
    _run([sys.executable, "-Ic", code])


@plant
def python_bare_environment(host: str) -> None:
    code = f"import socket; socket.gethostbyname('{host}')"
    _run([sys.executable, "-c", code], env={"PATH": os.environ["PATH"]})


@plant
def vsock(_: str) -> None:
    socket.socket(getattr(socket, "AF_VSOCK", 40), socket.SOCK_STREAM).close()


@plant
def hugging_face(_: str) -> None:
    os.environ.pop("HF_HUB_OFFLINE", None)  # a library that was told to stay at home would try nothing
    from huggingface_hub import HfApi

    HfApi(endpoint="https://hugging-face.phone.example").model_info("some/model", timeout=3)


@plant
def mlflow_client(host: str) -> None:
    os.environ |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "3"}
    from mlflow import MlflowClient

    MlflowClient(f"https://{host}").search_experiments()


@plant
def opentelemetry(host: str) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"http://{host}/v1/traces", timeout=1)))
    provider.get_tracer("plant").start_span("words").end()  # the exporter keeps its failures to itself


@plant
def openai_client(host: str) -> None:
    from openai import OpenAI

    OpenAI(api_key="none", base_url=f"https://{host}/v1", max_retries=0, timeout=3).models.list()


@plant
def qdrant_client(host: str) -> None:
    from qdrant_client import QdrantClient

    QdrantClient(url=f"https://{host}:6333", timeout=3, check_compatibility=False).get_collections()


def _run(command: list[str], **options: object) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)
    if done.returncode:
        raise RuntimeError(done.stderr)


def tried(name: str, report: Path) -> str:
    """Whether the report says of something new that it was stopped."""
    before = report.stat().st_size if report.exists() else 0
    try:
        PLANTS[name](f"{name}.phone.example")
        told = "went"
    except BaseException as error:
        told = repr(error)[:300]
    new = report.read_bytes()[before:].decode().splitlines() if report.exists() else []
    return "stopped" if any(json.loads(line)["stopped"] for line in new) else told


def main() -> None:
    from freehold.core import egress

    report = Path(sys.argv[1])
    egress.arm()
    egress.permit([], report=report)
    print(json.dumps({name: tried(name, report) for name in PLANTS}))


if __name__ == "__main__":
    main()
