import contextlib

import pytest

from pix2pix_color.files import replacing, write_atomically


@pytest.mark.parametrize("content", ["caf\u00e9\n", b"\x00\xff"])
def test_a_file_and_its_folders_are_written_whole(tmp_path, content):
    path = tmp_path / "new" / "folder" / "file"
    write_atomically(path, content)
    expected = content if isinstance(content, bytes) else content.encode()
    assert path.read_bytes() == expected
    assert list(path.parent.iterdir()) == [path]


def test_the_old_file_is_readable_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, "old and longer")
    with replacing(path) as temporary:
        assert temporary.parent.parent == path.parent  # the same disk, so that a rename is atomic
        temporary.write_text("new")
        assert path.read_text() == "old and longer"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("old", ["old", None])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_a_file_as_it_was(tmp_path, old, error):
    path = tmp_path / "file"
    if old:
        write_atomically(path, old)
    with pytest.raises(error), replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert [p.read_text() for p in tmp_path.iterdir()] == ([old] if old else [])


@pytest.mark.parametrize("fails", [False, True])
def test_a_folder_is_replaced_as_a_whole_or_stays(tmp_path, fails):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "old").touch()
    with contextlib.suppress(ValueError), replacing(folder) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
        if fails:
            raise ValueError
    with pytest.raises(FileNotFoundError), replacing(folder):
        pass  # nothing was made
    assert list(tmp_path.iterdir()) == [folder]
    assert [path.name for path in folder.iterdir()] == ["old" if fails else "new"]
