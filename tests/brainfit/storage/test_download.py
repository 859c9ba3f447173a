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
    """At which byte each request began."""
    return [start for _, start in web.asked]


def fetch(url, path, **options):
    return download(url, path, progress=False, **options)


def cut(web, path, at=100_000, content=CONTENT, **how):
    """Download until the connection ends, and forget that it was asked for."""
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


def test_a_file_is_fetched_once_and_checked_ever_after(web, path):
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
def test_a_published_hash_is_checked_before_and_after(web, path, hashes):
    url = web.serve("/a.bin", CONTENT)
    assert fetch(url, path, **hashes) == SHA256
    assert fetch(url, path, **hashes) == SHA256
    path.write_bytes(OTHER)
    with pytest.raises(IntegrityError, match=r"got sha.*, wanted .* as published; delete it"):
        fetch(url, path, **hashes)
    assert len(web.asked) == 1
    assert path.read_bytes() == OTHER


@pytest.mark.parametrize("hashes", [{"sha256": "0" * 64}, {"sha256": "0" * 8}, {"sha1": "0" * 40}])
def test_a_wrong_hash_leaves_nothing(web, path, hashes):
    url = web.serve("/a.bin", CONTENT)
    with pytest.raises(IntegrityError) as caught:
        fetch(url, path, **hashes)
    ((name, wanted),) = hashes.items()
    got = {"sha256": SHA256, "sha1": SHA1}[name]
    assert f"got {name} {got}, wanted {wanted}" in str(caught.value)
    assert names(path) == {".lock"}


def test_a_bar_on_stderr_shows_how_far_it_came(web, path, capfd):
    download(web.serve("/a.bin", CONTENT * 7, cuts=[1_500_000]), path)
    out, err = capfd.readouterr()
    assert not out
    assert re.findall(r"download a.bin \(MB\).* (\d/\d) ", err) == ["1/3", "3/3"]


# Going on where it ended


def test_a_connection_that_is_cut_again_and_again_is_resumed(web, path):
    cuts = list(range(20_000, 300_000, 20_000))  # more often than it is tried without getting further
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
def test_a_later_call_goes_on_if_the_version_is_known(web, path, tags, start):
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
def test_it_starts_anew_where_it_cannot_go_on(web, path, content, how, asked):
    cut(web, path, **{"etag": how["etag"]} if "etag" in how else {})
    url = web.serve("/a.bin", content, **how)
    assert fetch(url, path) == hashlib.sha256(content).hexdigest()
    assert starts(web) == asked
    assert path.read_bytes() == content


def test_a_part_from_another_address_is_not_used(web, path):
    cut(web, path)
    assert fetch(web.serve("/b.bin", CONTENT), path) == SHA256
    assert web.asked == [("/b.bin", 0)]


@pytest.mark.parametrize("said", ["", "{", "[]", '{"url": ""}', b"\xff"])
def test_a_part_of_nobody_knows_what_is_not_used(web, path, said):
    url = cut(web, path)
    path.with_name("a.bin.part.json").write_bytes(said if isinstance(said, bytes) else said.encode())
    assert fetch(url, path) == SHA256
    assert starts(web) == [0]


def test_a_part_that_is_whole_is_only_checked(web, path):
    url = cut(web, path, at=100_000)
    path.with_name("a.bin.part").write_bytes(CONTENT)
    assert fetch(url, path, sha256=SHA256) == SHA256
    assert not web.asked


def test_a_part_that_was_damaged_is_found_out(web, path):
    url = cut(web, path)
    path.with_name("a.bin.part").write_bytes(OTHER[:100_000])
    with pytest.raises(IntegrityError, match="the received file was removed"):
        fetch(url, path, sha256=SHA256)
    assert fetch(url, path, sha256=SHA256) == SHA256


def test_a_file_of_unknown_length_is_whole_if_it_comes_in_chunks(web, path):
    url = web.serve("/a.bin", CONTENT, chunked=True, cuts=[100_000])
    assert fetch(url, path) == SHA256
    assert path.read_bytes() == CONTENT
    assert starts(web)[0] == 0
    assert len(web.asked) > 1


def test_a_file_whose_end_nobody_tells_needs_a_hash(web, path):
    url = web.serve("/a.bin", CONTENT, silent=True)
    with pytest.raises(IntegrityError, match="the server does not tell how long the file is"):
        fetch(url, path)
    assert fetch(url, path, sha256=SHA256) == SHA256


def test_an_empty_file_is_a_file(web, path):
    assert fetch(web.serve("/a.bin", b""), path) == hashlib.sha256(b"").hexdigest()
    assert path.read_bytes() == b""


# Servers that fail


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(web, path, status):
    url = web.serve("/a.bin", CONTENT, statuses=[status] * RETRIES)
    assert fetch(url, path) == SHA256
    assert len(web.asked) == RETRIES + 1


def test_a_server_that_stays_busy_is_given_up(web, path):
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
def test_what_is_not_there_is_not_asked_for_again(web, path, status, reason):
    url = web.serve("/a.bin", CONTENT, statuses=[status])
    with pytest.raises(IntegrityError) as caught:
        fetch(url, path)
    said = str(caught.value)
    assert f"the server says {status} {reason}" in said
    assert url in said
    assert f"put it at {path} by hand" in said
    assert "\n" not in said
    assert len(web.asked) == 1


def test_what_is_no_file_is_refused(web, path):
    url = web.serve("/a.bin", CONTENT, statuses=[204])
    with pytest.raises(IntegrityError, match="the server says 204, wanted 200"):
        fetch(url, path)


@pytest.mark.parametrize("ranges", [True, False])
def test_fewer_bytes_than_announced_are_no_file(web, path, ranges):
    url = web.serve("/a.bin", CONTENT, announced=300_001, ranges=ranges)
    with pytest.raises(IntegrityError, match="ended after 300000 of 300001 bytes; ask again later"):
        fetch(url, path)
    assert not path.exists()


def test_more_bytes_than_announced_are_not_read(web, path):
    url = web.serve("/a.bin", CONTENT, announced=200_000)
    assert fetch(url, path, sha256=hashlib.sha256(CONTENT[:200_000]).hexdigest())
    assert path.read_bytes() == CONTENT[:200_000]


def test_a_server_that_falls_silent_is_given_up_and_its_part_kept(web, path, monkeypatch):
    monkeypatch.setattr(http_ranges, "TIMEOUT_S", 0.1)
    url = web.serve("/a.bin", CONTENT, pause=100_000)
    with pytest.raises(IntegrityError, match="timed out"):
        fetch(url, path)
    # The first try got further; then as many as there are.
    assert starts(web) == [0] + [100_000] * RETRIES
    web.go_on.set()
    assert fetch(url, path) == SHA256
    assert starts(web)[-1] == 100_000


def test_an_address_where_nobody_listens(path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(IntegrityError, match=f"cannot reach {host} .*Connection refused"):
            fetch(f"http://{host}/a.bin", path)


def test_a_machine_that_is_offline(path, monkeypatch):
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
def test_a_redirect_leads_nowhere_but_to_the_web(web, path, to):
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
def test_no_redirect_gives_up_https(url, to, followed):
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
def test_only_addresses_of_the_web_are_taken(url, path):
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
def test_only_hashes_are_taken_for_hashes(hashes, path):
    with pytest.raises(ContractError, match="hexadecimal digits"):
        published_hashes(**hashes)
    with pytest.raises(ContractError):
        fetch("https://example.org/a.bin", path, **hashes)


def raw(answer):
    """The address of a server that gives one answer, whatever is asked, and however often."""
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
def test_what_servers_say_is_one_short_line(path, monkeypatch, answer, says):
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
def test_a_forged_version_of_a_part_is_not_used(web, path, version):
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
def test_what_is_no_address(url, path):
    with pytest.raises(ContractError, match=r"^cannot download from [^\n]*; wanted an address"):
        fetch(url, path)


@pytest.mark.parametrize("host", ["a" * 300, "a..b"])
def test_a_host_that_can_have_no_name(host, path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(IntegrityError, match="no address") as caught:
        fetch(f"http://{host}/a.bin", path)
    assert len(str(caught.value)) < 600 + len(str(path))


@pytest.mark.parametrize("place", ["a\0b", "a\ud800", 3, None, b"a"])
def test_what_is_no_path(place):
    for act in (lambda: fetch("https://a.org/b", place), lambda: check_file(place)):
        with pytest.raises(ContractError, match="wanted the path of a file"):
            act()


def test_a_name_that_is_too_long(web, path):
    with pytest.raises(IntegrityError, match="File name too long; choose a shorter name"):
        fetch(web.serve("/a.bin", CONTENT), path.with_name("x" * 300))


@pytest.mark.parametrize("end", ["", ".part", ".part.json"])
def test_a_pipe_is_not_waited_for(web, path, end):
    url = web.serve("/a.bin", CONTENT)
    path.parent.mkdir()
    os.mkfifo(f"{path}{end}")
    wrong = "(it is a pipe, a socket or a device; wanted an|is not an) ordinary file"
    with pytest.raises(IntegrityError, match=wrong):
        fetch(url, path)


def test_a_device_is_no_file(web):
    with pytest.raises(IntegrityError, match="cannot read /dev/full: it is a pipe, a socket or a device"):
        fetch(web.serve("/a.bin", CONTENT), "/dev/full")


# Trusted once


@pytest.mark.parametrize("hashes", [{}, {"sha256": SHA256[:8]}])
def test_the_first_hash_is_kept_as_sha256sum_does(web, path, hashes):
    fetch(web.serve("/a.bin", CONTENT), path, **hashes)
    assert path.with_name("a.bin.sha256").read_text() == f"{SHA256}  a.bin\n"


@pytest.mark.parametrize("hashes", [{"sha256": SHA256}, {"sha1": SHA1}])
def test_where_a_hash_is_published_none_is_kept(web, path, hashes):
    fetch(web.serve("/a.bin", CONTENT), path, **hashes)
    assert names(path) == {"", ".lock"}


def test_another_file_than_the_first_is_refused_until_it_is_accepted(web, path):
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


def test_a_published_hash_stands_above_a_kept_one(web, path):
    url = web.serve("/a.bin", CONTENT)
    fetch(url, path)
    path.unlink()
    web.serve("/a.bin", OTHER)
    other = hashlib.sha256(OTHER).hexdigest()
    assert fetch(url, path, sha256=other) == fetch(url, path, sha256=other) == other


def test_a_file_that_changed_on_disk_is_found_out(web, path):
    url = web.serve("/a.bin", CONTENT)
    fetch(url, path)
    path.write_bytes(OTHER)
    for check in (lambda: fetch(url, path), lambda: check_file(path)):
        with pytest.raises(IntegrityError, match="is not what it should be: got sha256"):
            check()


def test_a_file_that_was_put_there_by_hand_is_taken_and_trusted(web, path):
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    assert fetch(web.url("/none"), path) == SHA256
    assert not web.asked
    assert path.with_name("a.bin.sha256").read_text() == f"{SHA256}  a.bin\n"


def test_a_record_that_is_none_is_said_to_be(web, path):
    url = web.serve("/a.bin", CONTENT)
    fetch(url, path)
    path.with_name("a.bin.sha256").write_text("hello")
    with pytest.raises(IntegrityError, match=r"a\.bin\.sha256 does not begin with a sha256; delete it"):
        fetch(url, path)


# Processes


def test_of_two_processes_one_downloads_and_both_have_it(web, path):
    url = web.serve("/a.bin", CONTENT, pause=100_000)
    context = multiprocessing.get_context("spawn")
    began = [context.Event(), context.Event()]
    both = [context.Process(target=download_now, args=(url, path, event)) for event in began]
    for process, event in zip(both, began, strict=True):
        process.start()
        assert event.wait(60)
    assert web.came.wait(60)
    time.sleep(0.5)  # the other one now waits, or would have asked as well
    web.go_on.set()
    for process in both:
        process.join(60)
        assert process.exitcode == 0
        process.close()
    assert web.asked == [("/a.bin", 0)]
    assert path.read_bytes() == CONTENT


def test_what_is_interrupted_goes_on(web, path):
    url = web.serve("/a.bin", CONTENT, pause=100_000)
    code = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
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
def test_a_disk_that_fails_keeps_the_part(web, path, monkeypatch, number, todo):
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


def test_a_folder_that_cannot_be_made(web, path):
    path.parent.write_text("a file")
    with pytest.raises(IntegrityError, match=f"cannot write to {path.parent}: "):
        fetch(web.serve("/a.bin", CONTENT), path)
    assert not web.asked


@pytest.mark.skipif(ROOT, reason="root may write anywhere")
def test_a_folder_that_is_read_only(web, path):
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
        assert fetch(url, path) == SHA256  # nothing can be kept beside it, but nothing has to be
    finally:
        path.parent.chmod(0o755)


def test_a_folder_is_no_file(web, path):
    path.mkdir(parents=True)
    with pytest.raises(IntegrityError, match="Is a directory"):
        fetch(web.serve("/a.bin", CONTENT), path)
    assert not web.asked


# What is not the file, and what never ends


@pytest.mark.parametrize(
    "page",
    [b"<html>please log in</html>", b"\n<!DOCTYPE html>\n<p>", b'<?xml version="1.0"?>\n<HTML lang="en">'],
)
def test_a_web_page_is_not_taken_for_a_file_without_a_published_hash(web, path, page):
    url = web.serve("/a.bin", page)
    for options in ({}, {"sha256": hashlib.sha256(page).hexdigest()[:8]}):
        with pytest.raises(IntegrityError, match="the server sent a web page instead; log in"):
            fetch(url, path, **options)
        assert names(path) <= {".lock"}
    web.serve("/a.bin", CONTENT)
    assert fetch(url, path) == SHA256


def test_a_web_page_with_its_published_hash_is_a_file(web, path):
    page = b"<html></html>"
    sha256 = hashlib.sha256(page).hexdigest()
    assert fetch(web.serve("/a.bin", page), path, sha256=sha256) == sha256


@pytest.fixture
def trickle():
    """A server that sends its answer byte by byte, from the given place on, and never ends."""
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


def test_a_server_that_sends_a_byte_at_a_time_ends_in_a_line_and_its_bytes_stay(trickle, path, monkeypatch):
    monkeypatch.setattr(http_ranges, "SLOW_S", 0.3)
    url = trickle(b'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nETag: "a"\r\n\r\n')
    with pytest.raises(IntegrityError, match=r"sent \d+ bytes in 0 s; ask again later \(it goes on"):
        fetch(url, path)
    assert path.with_name("a.bin.part").stat().st_size > 0


def test_a_server_that_never_finishes_its_headers_ends_in_a_line(trickle, path, monkeypatch):
    monkeypatch.setattr(http_ranges, "OPEN_S", 0.2)
    with pytest.raises(IntegrityError, match=r"no answer in 0\.2 s\); ask again later"):
        fetch(trickle(b"HTTP/1.1 200 OK\r\nX-Long: "), path)


def test_a_lock_that_never_comes_ends_in_a_line(web, path, monkeypatch):
    monkeypatch.setattr("brainfit.storage.download.LOCK_S", 0.2)
    path.parent.mkdir()
    with (
        FileLock(path.with_name("a.bin.lock")),
        pytest.raises(IntegrityError, match=r"another process holds .*a\.bin\.lock and has received nothing"),
    ):
        fetch(web.serve("/a.bin", CONTENT), path)
    assert fetch(web.url("/a.bin"), path) == SHA256


@pytest.mark.parametrize("suffix", [".part", ".part.json"])
def test_nothing_is_written_through_a_link(web, path, tmp_path, suffix):
    path.parent.mkdir()
    (tmp_path / "other").write_bytes(b"kept")
    path.with_name(f"a.bin{suffix}").symlink_to(tmp_path / "other")
    with pytest.raises(IntegrityError, match="is not an ordinary file; delete it"):
        fetch(web.serve("/a.bin", CONTENT), path)
    assert (tmp_path / "other").read_bytes() == b"kept"
