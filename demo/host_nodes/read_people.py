"""Reads the people of an image batch inside the host and reports them to the client."""

from demo.reader import read  # the host imports this folder alone, by its path


class ReadPeople:
    """IMAGE in; for each picture the nearest portrait, and how far it is from it."""

    RETURN_TYPES = ()
    FUNCTION = "tell"
    OUTPUT_NODE = True
    CATEGORY = "Detour demo"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",)}}

    def tell(self, images):
        reading = read(images[..., :3].movedim(-1, 1))
        return {"ui": {"people": reading.people.tolist(), "distance": reading.distance.tolist()}}
