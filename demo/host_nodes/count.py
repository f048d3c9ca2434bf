"""Reads the digits of an image batch inside the host and reports them to the client."""

from demo.reader import load_reader, read  # the host imports this folder alone, by its path


class CountDigits:
    """IMAGE in; for each picture its digit and whether the reader is sure."""

    RETURN_TYPES = ()
    FUNCTION = "count"
    OUTPUT_NODE = True
    CATEGORY = "Detour demo"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",)}}

    def count(self, images):
        digits, sure = read(load_reader(), images[..., :3].movedim(-1, 1).float().cpu())
        return {"ui": {"digits": digits.tolist(), "sure": sure.tolist()}}
