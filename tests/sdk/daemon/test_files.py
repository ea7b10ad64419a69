"""Files, directories and watches."""

import asyncio
import io
import time
import uuid

import pytest
from e2b import (
    FileNotFoundException,
    FileType,
    FilesystemEventType,
    InvalidArgumentException,
    NotFoundException,
)


@pytest.fixture
def directory(sandbox):
    path = f"/tmp/runtime-files-{uuid.uuid4()}"
    sandbox.files.make_dir(path)
    yield path
    sandbox.files.remove(path)


def test_write_and_read(sandbox, directory):
    path = f"{directory}/new/dir/a b\"\u00e9.txt"
    info = sandbox.files.write(path, "text")
    assert info.path == path
    assert sandbox.files.read(path) == "text"
    sandbox.files.write(path, "")
    assert sandbox.files.read(path) == ""
    assert sandbox.files.exists(path)
    with pytest.raises((FileNotFoundException, NotFoundException)):
        sandbox.files.read(f"{directory}/missing")
    with pytest.raises(InvalidArgumentException):
        sandbox.files.read(directory)
    with pytest.raises(InvalidArgumentException):
        sandbox.files.write(directory, "x")


def test_write_several_and_stream(sandbox, directory):
    files = [{"path": f"{directory}/{n}", "data": f"{n}" * 10} for n in range(5)]
    assert len(sandbox.files.write_files(files)) == 5
    assert sandbox.files.read(f"{directory}/3") == "3" * 10
    data = bytes(range(256)) * 40000
    sandbox.files.write(f"{directory}/big", io.BytesIO(data))
    assert bytes(sandbox.files.read(f"{directory}/big", format="bytes")) == data
    streamed = b"".join(sandbox.files.read(f"{directory}/big", format="stream"))
    assert streamed == data
    sandbox.files.write(f"{directory}/zipped", data, gzip=True)
    assert bytes(sandbox.files.read(f"{directory}/zipped", format="bytes", gzip=True)) == data


def test_files_of_proc_have_content(sandbox):
    assert "Linux" in sandbox.files.read("/proc/version")


def test_metadata(sandbox, directory):
    path = f"{directory}/tagged"
    sandbox.files.write(path, "x", metadata={"author": "ada"})
    assert sandbox.files.get_info(path).metadata == {"author": "ada"}
    sandbox.files.write(path, "x", metadata={"other": "1"})
    assert sandbox.files.get_info(path).metadata == {"other": "1"}


def test_info_list_move_remove(sandbox, directory):
    sandbox.files.write(f"{directory}/d/f", "1234", user="root")
    info = sandbox.files.get_info(f"{directory}/d/f")
    assert (info.name, info.type, info.size, info.mode) == ("f", FileType.FILE, 4, 0o644)
    assert (info.permissions, info.owner, info.group) == ("-rw-r--r--", "root", "root")
    assert info.modified_time is not None
    sandbox.commands.run(f"ln -s d/f {directory}/link")
    link = sandbox.files.get_info(f"{directory}/link")
    assert (link.type, link.symlink_target) == (FileType.FILE, f"{directory}/d/f")
    names = [entry.path for entry in sandbox.files.list(directory, depth=2)]
    assert names == [f"{directory}/d", f"{directory}/d/f", f"{directory}/link"]
    assert not sandbox.files.make_dir(f"{directory}/d")
    with pytest.raises(InvalidArgumentException):
        sandbox.files.list(f"{directory}/d/f")
    assert sandbox.files.rename(f"{directory}/d/f", f"{directory}/e/g").path == f"{directory}/e/g"
    with pytest.raises((FileNotFoundException, NotFoundException)):
        sandbox.files.rename(f"{directory}/d/f", f"{directory}/e/g")
    sandbox.files.remove(f"{directory}/e")
    sandbox.files.remove(f"{directory}/e")
    assert not sandbox.files.exists(f"{directory}/e")


def test_watch_sees_an_upload_as_create_chmod_write(sandbox, directory):
    watcher = sandbox.files.watch_dir(directory)
    sandbox.files.write(f"{directory}/f", "text")
    events = [(event.name, event.type) for event in watcher.get_new_events()]
    assert events == [
        ("f", FilesystemEventType.CREATE),
        ("f", FilesystemEventType.CHMOD),
        ("f", FilesystemEventType.WRITE),
    ]
    assert watcher.get_new_events() == []
    watcher.stop()


def test_watch_recursively_with_entries(sandbox, directory):
    watcher = sandbox.files.watch_dir(directory, recursive=True, include_entry=True)
    sandbox.files.write(f"{directory}/a/b/f", "text")
    events = watcher.get_new_events()
    assert "a/b/f" in [event.name for event in events]
    written = [event for event in events if event.type == FilesystemEventType.WRITE]
    assert all(event.entry is None or event.entry.name == "f" for event in written)
    watcher.stop()
    with pytest.raises(Exception):
        sandbox.files.watch_dir(f"{directory}/missing")


def test_watch_as_a_stream(directory):
    from e2b import AsyncSandbox

    async def scenario():
        sandbox = await AsyncSandbox.create()
        events = []
        handle = await sandbox.files.watch_dir(directory, on_event=events.append)
        await sandbox.files.write(f"{directory}/f", "text")
        for _ in range(100):
            if len(events) >= 3:
                break
            await asyncio.sleep(0.02)
        await handle.stop()
        return [event.type for event in events]

    assert asyncio.run(scenario())[:1] == [FilesystemEventType.CREATE]
