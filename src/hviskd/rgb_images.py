"""Gives what Pillow has opened as plain RGB; readers of slides and of tiles call it."""

from PIL import Image


def on_white(image: Image.Image) -> Image.Image:
    """Give an image as RGB, with white where it is transparent."""
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    rgba = image.convert("RGBA")
    opacity = rgba.getchannel("A")
    if opacity.getextrema() == (255, 255):
        return rgba.convert("RGB")
    canvas = Image.new("RGB", rgba.size, "white")
    canvas.paste(rgba, mask=opacity)
    return canvas
