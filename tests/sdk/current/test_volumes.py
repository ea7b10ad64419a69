"""Volumes by the name of their PersistentVolume, by metadata of the create call.

The volumes are those of tests/sdk/fixtures/volumes.yaml.
"""

import json
import time
import uuid

import pytest
from e2b import Sandbox
from e2b.exceptions import SandboxException

PREFIX = "e2b.agents.kruise.io/"
KEY = PREFIX + "csi-volume-config"
SHARED = "silica-test-shared"
LIMIT = {PREFIX + "wait-ready-timeout-seconds": "55"}


def create(*mounts, **more):
    return Sandbox.create(
        template="base", timeout=180, metadata={KEY: json.dumps(mounts), **LIMIT}, **more
    )


@pytest.fixture
def folder():
    """A folder of the volume that no other test has."""
    return f"test-{uuid.uuid4().hex}"


def test_what_one_sandbox_writes_another_reads(folder):
    writer = create({"pvName": SHARED, "mountPath": "/home/shared", "subPath": folder})
    try:
        # The folder of a fresh volume belongs to root.
        writer.files.write("/home/shared/note", "from the first", user="root")
    finally:
        writer.kill()
    reader = create(
        {"pvName": SHARED, "mountPath": "/data/read", "subPath": folder, "readOnly": True},
        {"pvName": SHARED, "mountPath": "/data/all"},
    )
    try:
        assert reader.files.read("/data/read/note", user="root") == "from the first"
        assert reader.files.read(f"/data/all/{folder}/note", user="root") == "from the first"
        refused = reader.commands.run("touch /data/read/x 2>&1 || true", user="root")
        assert "Read-only file system" in refused.stdout
        assert reader.get_info().metadata == {}
    finally:
        reader.kill()


def test_volumes_come_back_with_a_resumed_sandbox(folder):
    sandbox = create(
        {"pvName": SHARED, "mountPath": "/shared", "subPath": f"/{folder}"},
        envs={"GREETING": "hello"},
    )
    try:
        sandbox.files.write("/shared/note", "still here", user="root")
        sandbox.pause()
        resumed = Sandbox.connect(sandbox.sandbox_id, timeout=120)
        assert resumed.files.read("/shared/note", user="root") == "still here"
        assert resumed.commands.run("printenv GREETING").stdout == "hello\n"
    finally:
        sandbox.kill()


def test_one_volume_is_mounted_without_json(folder):
    single = {
        PREFIX + "csi-volume-name": SHARED,
        PREFIX + "csi-mount-point": "/single",
        PREFIX + "csi-subpath": folder,
    }
    sandbox = Sandbox.create(template="base", timeout=120, metadata={**single, **LIMIT})
    try:
        sandbox.files.write("/single/note", "short", user="root")
        assert sandbox.files.read("/single/note", user="root") == "short"
    finally:
        sandbox.kill()


@pytest.mark.parametrize("volume", ["silica-test-foreign", "no-such-volume"])
def test_a_volume_that_the_namespace_does_not_have_is_refused_at_once(volume):
    started = time.monotonic()
    with pytest.raises(SandboxException) as error:
        create({"pvName": volume, "mountPath": "/data"})
    assert time.monotonic() - started < 20
    text = str(error.value)
    assert "400: " in text and "kubectl apply" in text
    assert f'PersistentVolume "{volume}" is not bound' in text
    assert 'namespace "default"' in text


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        ({"mountPath": "data"}, "absolute path"),
        ({"mountPath": "/mnt/envd"}, "would hide"),
        ({"mountPath": "/data", "subPath": "../other"}, "inside of the volume"),
        ({"mountPath": "/data", "attributes": {"bucket": "x"}}, "attributes"),
        ({"mountPath": "/data", "bucket": "x"}, "unknown field"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_the_name_of_the_key(mount, words):
    with pytest.raises(SandboxException, match=f"400: .*{KEY}.*{words}"):
        create({"pvName": SHARED, **mount})
