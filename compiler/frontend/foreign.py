"""Files of other kinds that are given as ONNX models."""

MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"version https://git-lfs", "a pointer of Git LFS; fetch the model with `git lfs pull`"),
    (0, b"PK\x03\x04", "a zip archive (PyTorch or NumPy); export the model with torch.onnx.export"),
    (0, b"\x89HDF", "an HDF5 file (Keras); convert the model with tf2onnx"),
    (4, b"TFL3", "a TensorFlow Lite model; convert it with `python -m tf2onnx.convert --tflite`"),
    (4, b"ORTM", "in ONNX Runtime's own format; give the ONNX model that it was made from"),
    (0, b"<", "HTML or XML; give the path of an ONNX model"),
)
"""Position and bytes that mark a file of another kind, what it is and what to do."""


def foreign_file(content: bytes) -> str | None:
    """What a file that is no ONNX model is and what to do; None: unknown."""
    found = (what for at, mark, what in MAGIC if content[at:].startswith(mark))
    return next(found, None)
