"""Another image than the template's, by metadata of the create call."""

import os
import time

import pytest
from e2b import Sandbox
from e2b.exceptions import SandboxException

KEY = "e2b.agents.kruise.io/image"
LIMIT = "e2b.agents.kruise.io/wait-ready-timeout-seconds"
# Only the other image has this module; see tests/images.
LOOK = "python3 -c 'import ipykernel; print(ipykernel.__name__)'"


@pytest.fixture
def other_image():
    """An image on the node that `cargo xtask test current` names."""
    image = os.environ.get("SILICA_TEST_OTHER_IMAGE")
    if not image:
        if os.environ.get("CI") == "true":
            pytest.fail("SILICA_TEST_OTHER_IMAGE must be set on CI")
        pytest.skip("SILICA_TEST_OTHER_IMAGE does not name an image")
    return image


def test_a_warm_sandbox_gets_the_image_of_the_call(other_image):
    started = time.monotonic()
    sandbox = Sandbox.create(
        template="base",
        timeout=120,
        envs={"GREETING": "hello"},
        metadata={KEY: other_image, LIMIT: "55", "user": "alice"},
    )
    print(f"created with another image in {time.monotonic() - started:.2f} s")
    try:
        assert sandbox.commands.run(LOOK).stdout == "ipykernel\n"
        assert sandbox.commands.run("printenv GREETING").stdout == "hello\n"
        sandbox.files.write("/tmp/text", "written")
        assert sandbox.files.read("/tmp/text") == "written"
        assert sandbox.get_info().metadata == {"user": "alice"}

        sandbox.pause()
        resumed = Sandbox.connect(sandbox.sandbox_id, timeout=60)
        assert resumed.commands.run(LOOK).stdout == "ipykernel\n"
    finally:
        sandbox.kill()


def test_the_template_itself_has_another_image(shared):
    result = shared.commands.run(f"{LOOK} || echo missing")
    assert result.stdout == "missing\n"


def test_a_bad_reference_is_refused_by_the_name_of_the_key():
    with pytest.raises(SandboxException, match=f"400: .*{KEY}.*reference of an image"):
        Sandbox.create(template="base", metadata={KEY: "Not An Image"})


def test_an_image_that_does_not_exist_is_a_clear_error():
    # A registry that nobody runs refuses at once.
    image = "127.0.0.1:1/nothing:1"
    started = time.monotonic()
    with pytest.raises(SandboxException, match=f"{image}.*(ErrImagePull|ImagePullBackOff)"):
        Sandbox.create(template="base", timeout=60, metadata={KEY: image, LIMIT: "45"})
    assert time.monotonic() - started < 45
