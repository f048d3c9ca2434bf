"""Pictures from files and from the bytes of files."""

import pytest
import torch
from PIL import Image

from detour.classifier import decode_image, read_image


def test_bytes_give_what_their_file_gives(tmp_path):
    values = torch.randint(0, 256, (5, 7, 4), dtype=torch.uint8)
    path = tmp_path / "one.png"
    Image.fromarray(values.numpy()).save(path)
    found = decode_image(path.read_bytes(), "one.png")
    assert found.shape == (1, 5, 7, 3) and torch.equal(found, read_image(path))


@pytest.mark.parametrize(
    ("data", "told"), [(b"", "is no picture"), (b"GIF89a", "damaged|is no picture")]
)
def test_bytes_of_no_picture_are_refused_by_name(data, told):
    with pytest.raises(ValueError, match=rf"^images\[3\].*({told})"):
        decode_image(data, "images[3]")


def test_a_cut_file_is_refused(tmp_path):
    path = tmp_path / "cut.png"
    Image.effect_noise((64, 64), 80).save(path)
    with pytest.raises(ValueError, match="damaged"):
        decode_image(path.read_bytes()[:500], "cut.png")
