import pytest

from pix2pix_color.files import replacing, write_atomically


@pytest.mark.parametrize("content", ["caf\u00e9\n", b"\x00\xff"])
def test_a_file_and_its_folders_are_written_whole(tmp_path, content):
    path = tmp_path / "new" / "folder" / "file"
    write_atomically(path, content)
    expected = content if isinstance(content, bytes) else content.encode()
    assert path.read_bytes() == expected
    assert list(path.parent.iterdir()) == [path]


def test_an_old_file_is_replaced(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, "old and longer")
    write_atomically(path, "new")
    assert path.read_text() == "new"


def test_after_an_exception_the_old_file_is_as_it_was_and_nothing_is_left_behind(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, "old")
    with pytest.raises(RuntimeError, match="disk"), replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("disk")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_exception_a_new_file_is_not_there(tmp_path):
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "file") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_the_old_file_is_readable_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, "old")
    with replacing(path) as temporary:
        assert temporary != path
        assert temporary.parent.parent == path.parent  # the same disk, so that a rename is atomic
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").touch()
    with replacing(path) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert [p.name for p in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_survives_an_exception(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(ValueError, match="no"), replacing(path) as temporary:
        temporary.mkdir()
        raise ValueError("no")
    assert [p.name for p in path.iterdir()] == ["old"]


def test_a_folder_survives_a_body_that_made_nothing(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert [p.name for p in path.iterdir()] == ["old"]
