import errno
import hashlib
import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.client import HTTPMessage
from urllib.error import HTTPError
from urllib.request import Request

import numpy as np
import pytest
from filelock import FileLock
from web import download_now, serving

from brainfit.errors import ContractError, IntegrityError
from brainfit.storage import http_ranges
from brainfit.storage.atomic_files import open_no_link
from brainfit.storage.checksums import check_file, published_hashes
from brainfit.storage.download import RETRIES, download

CONTENT = np.random.default_rng(0).bytes(300_000)
OTHER = CONTENT[::-1]
SHA256, SHA1 = hashlib.sha256(CONTENT).hexdigest(), hashlib.sha1(CONTENT).hexdigest()
ROOT = os.geteuid() == 0


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("brainfit.storage.download.WAIT_S", 0.0)


@pytest.fixture
def web():
    with serving() as server:
        yield server


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "a.bin"


def starts(web):
    """Return the first byte that each request asked for."""
    return [start for _, start in web.asked]


def fetch(url, path, **options):
    return download(url, path, progress=False, **options)


def cut(web, path, at=100_000, content=CONTENT, **how):
    """Download until the connection ends, then clear the record of requests."""
    url = web.serve("/a.bin", content, cuts=[at] * (RETRIES + 1), **how)
    with pytest.raises(IntegrityError, match=f"ended after {at} of {len(content)} bytes"):
        fetch(url, path)
    assert not path.exists()
    web.asked.clear()
    web.pages["/a.bin"].cuts.clear()
    return url


def names(path):
    return {item.name.removeprefix(path.name) for item in path.parent.iterdir()}


# The plain case


def test_a_file_is_downloaded_once_and_verified_afterwards(web, path):
    url = web.serve("/a.bin", CONTENT)
    assert fetch(url, path) == fetch(url, path) == SHA256
    assert path.read_bytes() == CONTENT
    assert web.asked == [("/a.bin", 0)]
    assert names(path) == {"", ".sha256", ".lock"}


@pytest.mark.parametrize(
    "hashes",
    [{"sha256": SHA256}, {"sha256": SHA256.upper()}, {"sha256": SHA256[:8]}, {"sha1": SHA1}],
    ids=["sha256", "upper case", "prefix", "sha1"],
)
def test_a_published_hash_is_verified_for_new_and_present_files(web, path, hashes):
    url = web.serve("/a.bin", CONTENT)
    assert fetch(url, path, **hashes) == SHA256
    assert fetch(url, path, **hashes) == SHA256
    path.write_bytes(OTHER)
    with pytest.raises(IntegrityError, match=r"got sha.*, wanted .* as published; delete it"):
        fetch(url, path, **hashes)
    assert len(web.asked) == 1
    assert path.read_bytes() == OTHER


@pytest.mark.parametrize("hashes", [{"sha256": "0" * 64}, {"sha256": "0" * 8}, {"sha1": "0" * 40}])
def test_a_wrong_hash_leaves_no_file(web, path, hashes):
    url = web.serve("/a.bin", CONTENT)
    with pytest.raises(IntegrityError) as caught:
        fetch(url, path, **hashes)
    ((name, wanted),) = hashes.items()
    got = {"sha256": SHA256, "sha1": SHA1}[name]
    assert f"got {name} {got}, wanted {wanted}" in str(caught.value)
    assert names(path) == {".lock"}


def test_progress_is_shown_on_stderr(web, path, capfd):
    download(web.serve("/a.bin", CONTENT * 7, cuts=[1_500_000]), path)
    out, err = capfd.readouterr()
    assert not out
    assert re.findall(r"download a.bin \(MB\).* (\d/\d) ", err) == ["1/3", "3/3"]


# Going on where it ended


def test_a_repeatedly_broken_connection_is_resumed(web, path):
    cuts = list(range(20_000, 300_000, 20_000))  # more cuts than retries without progress
    url = web.serve("/a.bin", CONTENT, cuts=list(cuts))
    assert fetch(url, path, sha256=SHA256, sha1=SHA1) == SHA256
    assert starts(web) == [0, *cuts]
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("tags", "start"),
    [
        ({}, 100_000),
        ({"etag": None, "modified": "Wed, 21 Oct 2015 07:28:00 GMT"}, 100_000),
        ({"etag": 'W/"weak"', "modified": "Wed, 21 Oct 2015 07:28:00 GMT"}, 100_000),
        ({"etag": 'W/"weak"'}, 0),
        ({"etag": None}, 0),
    ],
)
def test_a_later_call_resumes_a_known_version(web, path, tags, start):
    url = cut(web, path, **tags)
    assert path.with_name("a.bin.part").read_bytes() == CONTENT[:100_000]
    assert fetch(url, path) == SHA256
    assert starts(web) == [start]
    assert path.read_bytes() == CONTENT
    assert names(path) == {"", ".sha256", ".lock"}


@pytest.mark.parametrize(
    ("content", "how", "asked"),
    [
        (CONTENT, {"ranges": False}, [100_000]),
        (OTHER, {}, [100_000]),
        (OTHER, {"if_range": False}, [100_000, 0]),
        (OTHER[:200_000], {"etag": '"same"'}, [100_000, 0]),
        (OTHER[:90_000], {"etag": '"same"'}, [100_000, 0]),
    ],
    ids=["no ranges", "changed", "changed, If-Range ignored", "another length", "shorter than the part"],
)
def test_a_download_that_cannot_resume_restarts(web, path, content, how, asked):
    cut(web, path, **{"etag": how["etag"]} if "etag" in how else {})
    url = web.serve("/a.bin", content, **how)
    assert fetch(url, path) == hashlib.sha256(content).hexdigest()
    assert starts(web) == asked
    assert path.read_bytes() == content


def test_a_partial_file_of_another_address_is_not_used(web, path):
    cut(web, path)
    assert fetch(web.serve("/b.bin", CONTENT), path) == SHA256
    assert web.asked == [("/b.bin", 0)]


@pytest.mark.parametrize("said", ["", "{", "[]", '{"url": ""}', b"\xff"])
def test_a_partial_file_with_an_invalid_record_is_not_used(web, path, said):
    url = cut(web, path)
    path.with_name("a.bin.part.json").write_bytes(said if isinstance(said, bytes) else said.encode())
    assert fetch(url, path) == SHA256
    assert starts(web) == [0]


def test_a_complete_partial_file_is_only_verified(web, path):
    url = cut(web, path, at=100_000)
    path.with_name("a.bin.part").write_bytes(CONTENT)
    assert fetch(url, path, sha256=SHA256) == SHA256
    assert not web.asked


def test_a_damaged_partial_file_is_detected(web, path):
    url = cut(web, path)
    path.with_name("a.bin.part").write_bytes(OTHER[:100_000])
    with pytest.raises(IntegrityError, match="the received file was removed"):
        fetch(url, path, sha256=SHA256)
    assert fetch(url, path, sha256=SHA256) == SHA256


def test_a_chunked_response_of_unknown_length_is_complete(web, path):
    url = web.serve("/a.bin", CONTENT, chunked=True, cuts=[100_000])
    assert fetch(url, path) == SHA256
    assert path.read_bytes() == CONTENT
    assert starts(web)[0] == 0
    assert len(web.asked) > 1


def test_a_file_of_unknown_length_needs_a_hash(web, path):
    url = web.serve("/a.bin", CONTENT, silent=True)
    with pytest.raises(IntegrityError, match="the server does not tell how long the file is"):
        fetch(url, path)
    assert fetch(url, path, sha256=SHA256) == SHA256


def test_an_empty_file_is_accepted(web, path):
    assert fetch(web.serve("/a.bin", b""), path) == hashlib.sha256(b"").hexdigest()
    assert path.read_bytes() == b""


# Servers that fail


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_busy_server_is_asked_again(web, path, status):
    url = web.serve("/a.bin", CONTENT, statuses=[status] * RETRIES)
    assert fetch(url, path) == SHA256
    assert len(web.asked) == RETRIES + 1


def test_a_download_from_a_server_that_stays_busy_fails(web, path):
    url = web.serve("/a.bin", CONTENT, statuses=[503] * 100)
    with pytest.raises(IntegrityError, match="503 Service Unavailable; ask again later"):
        fetch(url, path)
    assert len(web.asked) == RETRIES + 1


def test_waits_grow_between_tries(web, path, monkeypatch):
    waits = []
    monkeypatch.setattr("brainfit.storage.download.WAIT_S", 1.0)
    monkeypatch.setattr(time, "sleep", waits.append)
    with pytest.raises(IntegrityError):
        fetch(web.serve("/a.bin", CONTENT, statuses=[503] * 100), path)
    assert waits == [1, 2, 4, 8]


@pytest.mark.parametrize(("status", "reason"), [(403, "Forbidden"), (404, "Not Found"), (410, "Gone")])
def test_a_missing_file_is_requested_once(web, path, status, reason):
    url = web.serve("/a.bin", CONTENT, statuses=[status])
    with pytest.raises(IntegrityError) as caught:
        fetch(url, path)
    said = str(caught.value)
    assert f"the server says {status} {reason}" in said
    assert url in said
    assert f"put it at {path} by hand" in said
    assert "\n" not in said
    assert len(web.asked) == 1


def test_an_answer_without_content_is_refused(web, path):
    url = web.serve("/a.bin", CONTENT, statuses=[204])
    with pytest.raises(IntegrityError, match="the server says 204, wanted 200"):
        fetch(url, path)


@pytest.mark.parametrize("ranges", [True, False])
def test_fewer_bytes_than_announced_are_refused(web, path, ranges):
    url = web.serve("/a.bin", CONTENT, announced=300_001, ranges=ranges)
    with pytest.raises(IntegrityError, match="ended after 300000 of 300001 bytes; ask again later"):
        fetch(url, path)
    assert not path.exists()


def test_more_bytes_than_announced_are_not_read(web, path):
    url = web.serve("/a.bin", CONTENT, announced=200_000)
    assert fetch(url, path, sha256=hashlib.sha256(CONTENT[:200_000]).hexdigest())
    assert path.read_bytes() == CONTENT[:200_000]


def test_a_silent_server_times_out_and_the_partial_file_is_kept(web, path, monkeypatch):
    monkeypatch.setattr(http_ranges, "TIMEOUT_S", 0.1)
    url = web.serve("/a.bin", CONTENT, pause=100_000)
    with pytest.raises(IntegrityError, match="timed out"):
        fetch(url, path)
    # The first try made progress, which resets the count of retries.
    assert starts(web) == [0] + [100_000] * RETRIES
    web.go_on.set()
    assert fetch(url, path) == SHA256
    assert starts(web)[-1] == 100_000


def test_a_refused_connection_is_one_line(path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(IntegrityError, match=f"cannot reach {host} .*Connection refused"):
            fetch(f"http://{host}/a.bin", path)


def test_an_offline_machine_is_one_line(path, monkeypatch):
    def no_name(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", no_name)
    with pytest.raises(IntegrityError, match=r"cannot reach example.org .*connect this machine to the web"):
        fetch("https://example.org/a.bin", path)


# Redirects and addresses


def test_a_redirect_is_followed_and_resumed(web, path):
    web.serve("/b.bin", CONTENT, cuts=[100_000])
    url = web.serve("/a.bin", b"", redirect=web.url("/b.bin"))
    assert fetch(url, path) == SHA256
    assert web.asked == [("/a.bin", 0), ("/b.bin", 0), ("/a.bin", 100_000), ("/b.bin", 100_000)]


@pytest.mark.parametrize("to", ["file:///etc/hostname", "ftp://127.0.0.1/a.bin", "data:,a"])
def test_redirects_to_other_protocols_are_refused(web, path, to):
    with pytest.raises(IntegrityError, match="cannot download"):
        fetch(web.serve("/a.bin", b"", redirect=to), path)
    assert not path.exists()
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    ("url", "to", "followed"),
    [
        ("https://a.org/x", "https://b.org/x", True),
        ("http://a.org/x", "https://b.org/x", True),
        ("https://a.org/x", "http://a.org/x", False),
    ],
)
def test_redirects_from_https_to_http_are_refused(url, to, followed):
    request = Request(url, headers={"Range": "bytes=5-"})
    with open(os.devnull, "rb") as body:  # noqa: PTH123
        arguments = request, body, 302, "Found", HTTPMessage(), to
        if followed:
            new = http_ranges._Redirects().redirect_request(*arguments)
            assert new
            assert (new.full_url, new.get_header("Range")) == (to, "bytes=5-")
        else:
            with pytest.raises(HTTPError, match="not https") as caught:
                http_ranges._Redirects().redirect_request(*arguments)
            caught.value.close()


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://a.org/x", "a.org/x", "https:///x", ""])
def test_only_web_addresses_are_accepted(url, path):
    with pytest.raises(ContractError, match="begins with https://"):
        fetch(url, path)
    assert not path.parent.exists()


@pytest.mark.parametrize(
    "hashes",
    [
        {"sha256": "1234567"},
        {"sha256": "g" * 64},
        {"sha256": "0" * 65},
        {"sha1": "0" * 39},
        {"sha1": ""},
        {"sha256": 3},
        {"sha256": b"0" * 64},
    ],
)
def test_invalid_hashes_are_refused(hashes, path):
    with pytest.raises(ContractError, match="hexadecimal digits"):
        published_hashes(**hashes)
    with pytest.raises(ContractError):
        fetch("https://example.org/a.bin", path, **hashes)


def raw(answer):
    """Yield the address of a server that gives the same answer to every request."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        with suppress(OSError):
            while True:
                with server.accept()[0] as client:
                    client.recv(1 << 16)
                    client.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return server, f"http://127.0.0.1:{server.getsockname()[1]}/a.bin"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: " + b"1" * 5000 + b"\r\n\r\nabc",
            "does not tell how long the file is",
        ),
        (b"HTTP/1.1 404 " + b"x\x1b" * 10_000 + b"\r\n\r\n", "the server says 404"),
        (b"a\x1bb\rc\x85d\r\n", "the connection failed"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n", "refers to no address"),
        (b"HTTP/1.1 302 Found\r\nLocation: /a.bin\r\n\r\n", "infinite loop"),
    ],
    ids=["length", "reason", "status line", "no address", "loop"],
)
def test_messages_of_servers_become_one_short_line(path, monkeypatch, answer, says):
    monkeypatch.setenv("no_proxy", "*")
    server, url = raw(answer)
    with server, pytest.raises(IntegrityError) as caught:
        fetch(url, path)
    said = str(caught.value).replace(str(path), "")
    assert says in said
    assert said.isprintable()
    assert len(said) < 400


@pytest.mark.parametrize(
    "version", ["[" * 100_000, '{"tag": "\\r\\nX: y"}', '{"tag": "\\ud800"}', '{"tag": 3}', '{"length": "a"}']
)
def test_a_forged_version_of_a_partial_file_is_not_used(web, path, version):
    url = cut(web, path)
    forged = path.with_name("a.bin.part.json")
    if version.startswith("{"):
        version = json.dumps(json.loads(forged.read_text()) | json.loads(version))
    forged.write_text(version)
    assert fetch(url, path) == SHA256
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "url",
    ["http://[::1", "https://a.org/\nb", "https://a.org/\xe9", "https://a.org/\ud800", 3, None, b"https://a"],
)
def test_invalid_addresses_are_refused(url, path):
    with pytest.raises(ContractError, match=r"^cannot download from [^\n]*; wanted an address"):
        fetch(url, path)


@pytest.mark.parametrize("host", ["a" * 300, "a..b"])
def test_impossible_host_names_are_refused(host, path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(IntegrityError, match="no address") as caught:
        fetch(f"http://{host}/a.bin", path)
    assert len(str(caught.value)) < 600 + len(str(path))


@pytest.mark.parametrize("place", ["a\0b", "a\ud800", 3, None, b"a"])
def test_invalid_paths_are_refused(place):
    for act in (lambda: fetch("https://a.org/b", place), lambda: check_file(place)):
        with pytest.raises(ContractError, match="wanted the path of a file"):
            act()


def test_a_too_long_file_name_is_refused(web, path):
    with pytest.raises(IntegrityError, match="File name too long; choose a shorter name"):
        fetch(web.serve("/a.bin", CONTENT), path.with_name("x" * 300))


@pytest.mark.parametrize("end", ["", ".part", ".part.json"])
def test_a_pipe_is_refused_without_waiting(web, path, end):
    url = web.serve("/a.bin", CONTENT)
    path.parent.mkdir()
    os.mkfifo(f"{path}{end}")
    wrong = "(it is a pipe, a socket or a device; wanted an|is not an) ordinary file"
    with pytest.raises(IntegrityError, match=wrong):
        fetch(url, path)


def test_a_device_is_refused(web):
    with pytest.raises(IntegrityError, match="cannot read /dev/full: it is a pipe, a socket or a device"):
        fetch(web.serve("/a.bin", CONTENT), "/dev/full")


# Trusted once


@pytest.mark.parametrize("hashes", [{}, {"sha256": SHA256[:8]}])
def test_the_first_hash_is_recorded_in_the_format_of_sha256sum(web, path, hashes):
    fetch(web.serve("/a.bin", CONTENT), path, **hashes)
    assert path.with_name("a.bin.sha256").read_text() == f"{SHA256}  a.bin\n"


@pytest.mark.parametrize("hashes", [{"sha256": SHA256}, {"sha1": SHA1}])
def test_no_hash_is_recorded_if_one_is_published(web, path, hashes):
    fetch(web.serve("/a.bin", CONTENT), path, **hashes)
    assert names(path) == {"", ".lock"}


def test_a_file_that_differs_from_the_first_is_refused_until_accepted(web, path):
    url = web.serve("/a.bin", CONTENT)
    fetch(url, path)
    path.unlink()
    record = path.with_name("a.bin.sha256")
    os.utime(record, (0, 1.6e9))
    web.serve("/a.bin", OTHER)
    with pytest.raises(IntegrityError) as caught:
        fetch(url, path)
    other = hashlib.sha256(OTHER).hexdigest()
    assert f"got sha256 {other}, wanted {SHA256} as first seen on 2020-09-13" in str(caught.value)
    assert f"delete {record}" in str(caught.value)
    assert names(path) == {".sha256", ".lock"}
    record.unlink()
    assert fetch(url, path) == other
    assert record.read_text().startswith(other)


def test_a_published_hash_takes_precedence_over_a_recorded_one(web, path):
    url = web.serve("/a.bin", CONTENT)
    fetch(url, path)
    path.unlink()
    web.serve("/a.bin", OTHER)
    other = hashlib.sha256(OTHER).hexdigest()
    assert fetch(url, path, sha256=other) == fetch(url, path, sha256=other) == other


def test_a_file_changed_on_disk_is_detected(web, path):
    url = web.serve("/a.bin", CONTENT)
    fetch(url, path)
    path.write_bytes(OTHER)
    for check in (lambda: fetch(url, path), lambda: check_file(path)):
        with pytest.raises(IntegrityError, match="is not what it should be: got sha256"):
            check()


def test_a_file_placed_by_hand_is_accepted(web, path):
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    assert fetch(web.url("/none"), path) == SHA256
    assert not web.asked
    assert path.with_name("a.bin.sha256").read_text() == f"{SHA256}  a.bin\n"


def test_an_invalid_record_is_named(web, path):
    url = web.serve("/a.bin", CONTENT)
    fetch(url, path)
    path.with_name("a.bin.sha256").write_text("hello")
    with pytest.raises(IntegrityError, match=r"a\.bin\.sha256 does not begin with a sha256; delete it"):
        fetch(url, path)


# Processes


def test_of_two_processes_one_downloads_and_both_get_the_file(web, path):
    url = web.serve("/a.bin", CONTENT, pause=100_000)
    context = multiprocessing.get_context("spawn")
    began = [context.Event(), context.Event()]
    both = [context.Process(target=download_now, args=(url, path, event)) for event in began]
    for process, event in zip(both, began, strict=True):
        process.start()
        assert event.wait(60)
    assert web.came.wait(60)
    time.sleep(0.5)  # time for the other to wait, or to send a second request
    web.go_on.set()
    for process in both:
        process.join(60)
        assert process.exitcode == 0
        process.close()
    assert web.asked == [("/a.bin", 0)]
    assert path.read_bytes() == CONTENT


def test_an_interrupted_download_resumes(web, path):
    url = web.serve("/a.bin", CONTENT, pause=100_000)
    code = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # background processes of a shell ignore it
from brainfit.storage.download import download
download(*sys.argv[1:], progress=False)
"""
    process = subprocess.Popen([sys.executable, "-c", code, url, path], stderr=subprocess.PIPE, text=True)
    part = path.with_name("a.bin.part")
    while process.poll() is None and not (part.exists() and part.stat().st_size == 100_000):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]
    assert part.read_bytes() == CONTENT[:100_000]
    web.go_on.set()
    assert fetch(url, path) == SHA256
    assert starts(web) == [0, 100_000]


# Disks


@pytest.mark.parametrize(
    ("number", "todo"),
    [(errno.ENOSPC, "free some space and ask again"), (errno.EIO, "choose another folder")],
)
def test_a_failing_disk_keeps_the_partial_file(web, path, monkeypatch, number, todo):
    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def write(self, piece):
            self.file.write(piece[: 100_000 - self.file.tell()])
            if self.file.tell() == 100_000:
                raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(
            "brainfit.storage.download.open_no_link",
            lambda path, mode: (Full if mode == "ab" else lambda file: file)(open_no_link(path, mode)),
        )
        url = web.serve("/a.bin", CONTENT)
        with pytest.raises(IntegrityError) as caught:
            fetch(url, path)
    assert f"cannot write to {path.parent}: {os.strerror(number)}; {todo}" in str(caught.value)
    assert fetch(url, path) == SHA256
    assert starts(web) == [0, 100_000]


def test_a_folder_that_cannot_be_created_is_named(web, path):
    path.parent.write_text("a file")
    with pytest.raises(IntegrityError, match=f"cannot write to {path.parent}: "):
        fetch(web.serve("/a.bin", CONTENT), path)
    assert not web.asked


@pytest.mark.skipif(ROOT, reason="root may write anywhere")
def test_a_read_only_folder_is_named(web, path):
    url = web.serve("/a.bin", CONTENT)
    path.parent.mkdir()
    path.parent.chmod(0o555)
    try:
        with pytest.raises(
            IntegrityError, match=r"cannot write to .*: Permission denied; choose another folder"
        ):
            fetch(url, path)
        assert not web.asked
        path.parent.chmod(0o755)
        path.write_bytes(CONTENT)
        path.parent.chmod(0o555)
        assert fetch(url, path) == SHA256  # no record can be written beside it, and none is needed
    finally:
        path.parent.chmod(0o755)


def test_a_folder_in_place_of_the_file_is_refused(web, path):
    path.mkdir(parents=True)
    with pytest.raises(IntegrityError, match="Is a directory"):
        fetch(web.serve("/a.bin", CONTENT), path)
    assert not web.asked


# What is not the file, and what never ends


@pytest.mark.parametrize(
    "page",
    [b"<html>please log in</html>", b"\n<!DOCTYPE html>\n<p>", b'<?xml version="1.0"?>\n<HTML lang="en">'],
)
def test_a_web_page_without_a_published_hash_is_refused(web, path, page):
    url = web.serve("/a.bin", page)
    for options in ({}, {"sha256": hashlib.sha256(page).hexdigest()[:8]}):
        with pytest.raises(IntegrityError, match="the server sent a web page instead; log in"):
            fetch(url, path, **options)
        assert names(path) <= {".lock"}
    web.serve("/a.bin", CONTENT)
    assert fetch(url, path) == SHA256


def test_a_web_page_with_its_published_hash_is_accepted(web, path):
    page = b"<html></html>"
    sha256 = hashlib.sha256(page).hexdigest()
    assert fetch(web.serve("/a.bin", page), path, sha256=sha256) == sha256


@pytest.fixture
def trickle():
    """Yield a server that sends its answer byte by byte from the given position, and never finishes."""
    stop, listener = threading.Event(), socket.create_server(("127.0.0.1", 0))

    def answer(connection, whole):
        with connection, suppress(OSError):
            connection.recv(10_000)
            connection.sendall(whole)
            while not stop.wait(0.05):
                connection.sendall(b"x")

    def serve(whole):
        def accept():
            with suppress(OSError):
                while True:
                    threading.Thread(target=answer, args=(listener.accept()[0], whole), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/a.bin"

    yield serve
    stop.set()
    listener.close()


def test_a_trickling_server_times_out_and_the_partial_file_is_kept(trickle, path, monkeypatch):
    monkeypatch.setattr(http_ranges, "SLOW_S", 0.3)
    url = trickle(b'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nETag: "a"\r\n\r\n')
    with pytest.raises(IntegrityError, match=r"sent \d+ bytes in 0 s; ask again later \(it goes on"):
        fetch(url, path)
    assert path.with_name("a.bin.part").stat().st_size > 0


def test_a_server_with_endless_headers_times_out(trickle, path, monkeypatch):
    monkeypatch.setattr(http_ranges, "OPEN_S", 0.2)
    with pytest.raises(IntegrityError, match=r"no answer in 0\.2 s\); ask again later"):
        fetch(trickle(b"HTTP/1.1 200 OK\r\nX-Long: "), path)


def test_a_lock_that_is_never_released_times_out(web, path, monkeypatch):
    monkeypatch.setattr("brainfit.storage.download.LOCK_S", 0.2)
    path.parent.mkdir()
    with (
        FileLock(path.with_name("a.bin.lock")),
        pytest.raises(IntegrityError, match=r"another process holds .*a\.bin\.lock and has received nothing"),
    ):
        fetch(web.serve("/a.bin", CONTENT), path)
    assert fetch(web.url("/a.bin"), path) == SHA256


@pytest.mark.parametrize("suffix", [".part", ".part.json"])
def test_nothing_is_written_through_symbolic_links(web, path, tmp_path, suffix):
    path.parent.mkdir()
    (tmp_path / "other").write_bytes(b"kept")
    path.with_name(f"a.bin{suffix}").symlink_to(tmp_path / "other")
    with pytest.raises(IntegrityError, match="is not an ordinary file; delete it"):
        fetch(web.serve("/a.bin", CONTENT), path)
    assert (tmp_path / "other").read_bytes() == b"kept"
