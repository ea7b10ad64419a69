"""The SDK's calls of git, which is in the image of `base`."""

import pytest
from e2b.exceptions import InvalidArgumentException
from e2b.sandbox.commands.command_handle import CommandExitException

ROOT = "/home/user/git"


def test_a_commit_comes_back_by_another_clone(shared):
    git = shared.git
    git.init(f"{ROOT}/origin.git", bare=True, initial_branch="main")
    git.clone(f"file://{ROOT}/origin.git", f"{ROOT}/one")
    shared.files.write(f"{ROOT}/one/note.txt", "hello, wörld\n")
    assert [entry.name for entry in git.status(f"{ROOT}/one").file_status] == ["note.txt"]
    git.add(f"{ROOT}/one")
    git.commit(f"{ROOT}/one", "First", author_name="An Agent", author_email="agent@example.com")
    assert git.status(f"{ROOT}/one").is_clean
    git.push(f"{ROOT}/one", remote="origin", branch="main")

    git.clone(f"file://{ROOT}/origin.git", f"{ROOT}/two", branch="main", depth=1)
    assert shared.files.read(f"{ROOT}/two/note.txt") == "hello, wörld\n"
    git.create_branch(f"{ROOT}/two", "topic")
    assert git.branches(f"{ROOT}/two").current_branch == "topic"
    author = shared.commands.run("git log -1 --format='%an <%ae>'", cwd=f"{ROOT}/two")
    assert author.stdout.strip() == "An Agent <agent@example.com>"


def test_what_git_refuses_is_an_error(shared):
    with pytest.raises(CommandExitException):
        shared.git.status("/usr/share")
    with pytest.raises(InvalidArgumentException):
        shared.git.clone("https://git.invalid/a.git", f"{ROOT}/three", password="only")
