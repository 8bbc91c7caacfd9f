"""Converts images opened with Pillow to plain RGB, for slides and tiles."""

from PIL import Image


def on_white(image: Image.Image) -> Image.Image:
    """Return an image as RGB, with white where it is transparent."""
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    rgba = image.convert("RGBA")
    opacity = rgba.getchannel("A")
    if opacity.getextrema() == (255, 255):
        return rgba.convert("RGB")
    canvas = Image.new("RGB", rgba.size, "white")
    canvas.paste(rgba, mask=opacity)
    return canvas
