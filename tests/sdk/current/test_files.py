"""Files: read, write, list, move, remove, ownership, errors."""

import io

import pytest
from e2b import FileType
from e2b.exceptions import InvalidArgumentException, NotFoundException


def test_text_round_trip_creates_parents(shared):
    info = shared.files.write("deep/er/text.txt", "some täxt")
    assert info.path == "/home/user/deep/er/text.txt"
    assert shared.files.read("deep/er/text.txt") == "some täxt"
    assert shared.commands.run("stat -c '%U %a' deep/er/text.txt").stdout == "user 644\n"


def test_bytes_round_trip(shared):
    data = bytes(range(256)) * 5000
    shared.files.write("/tmp/data.bin", data)
    assert bytes(shared.files.read("/tmp/data.bin", format="bytes")) == data


def test_stream_round_trip(shared):
    data = b"0123456789abcdef" * 1_000_000
    shared.files.write("/tmp/stream.bin", io.BytesIO(data))
    assert b"".join(shared.files.read("/tmp/stream.bin", format="stream")) == data


def test_empty_file(shared):
    shared.files.write("/tmp/empty", "")
    assert shared.files.read("/tmp/empty") == ""


def test_several_files_in_one_request(shared):
    infos = shared.files.write_files(
        [{"path": f"/tmp/many/{n} ü.txt", "data": f"file {n}"} for n in range(3)]
    )
    assert [info.name for info in infos] == ["0 ü.txt", "1 ü.txt", "2 ü.txt"]
    assert shared.files.read("/tmp/many/2 ü.txt") == "file 2"


def test_root_owns_what_root_writes(shared):
    shared.files.write("/root/secret.txt", "x", user="root")
    assert shared.commands.run("stat -c %U /root/secret.txt", user="root").stdout == "root\n"


def test_list_info_and_exists(shared):
    shared.files.make_dir("/tmp/listing/sub")
    shared.files.write("/tmp/listing/a.txt", "aaa")
    entries = {entry.name: entry for entry in shared.files.list("/tmp/listing")}
    assert entries["a.txt"].type == FileType.FILE and entries["a.txt"].size == 3
    assert entries["a.txt"].permissions == "-rw-r--r--" and entries["a.txt"].owner == "user"
    assert entries["sub"].type == FileType.DIR
    assert shared.files.exists("/tmp/listing/a.txt") is True
    assert shared.files.exists("/tmp/listing/b.txt") is False
    assert shared.files.get_info("/tmp/listing").type == FileType.DIR


def test_make_dir_tells_whether_it_existed(shared):
    assert shared.files.make_dir("/tmp/once") is True
    assert shared.files.make_dir("/tmp/once") is False


def test_rename_and_remove(shared):
    shared.files.write("/tmp/old.txt", "moved")
    assert shared.files.rename("/tmp/old.txt", "/tmp/new/place.txt").path == "/tmp/new/place.txt"
    assert shared.files.exists("/tmp/old.txt") is False
    shared.files.remove("/tmp/new")
    assert shared.files.exists("/tmp/new/place.txt") is False


def test_errors_are_typed(shared):
    with pytest.raises(NotFoundException):
        shared.files.read("/tmp/nothing-here")
    with pytest.raises(NotFoundException):
        shared.files.list("/tmp/nothing-here")
    with pytest.raises(InvalidArgumentException):
        shared.files.read("/tmp")


def test_kernel_files_without_a_size_are_read(shared):
    assert "Linux version" in shared.files.read("/proc/version", user="root")


def test_watch_reports_changes(shared):
    shared.files.make_dir("/tmp/watched")
    watch = shared.files.watch_dir("/tmp/watched")
    shared.files.write("/tmp/watched/new.txt", "x")
    events = watch.get_new_events()
    watch.stop()
    assert [event.type.value for event in events][:1] == ["create"]
    assert {event.name for event in events} == {"new.txt"}
