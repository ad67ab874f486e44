"""Model files: a network in safetensors, the native form, or in the JSON of the book's network2.

Each form has a module with ``encode``, which turns a `Model` into bytes, and ``decode``, the
reverse. What they share, the record of everything that is not an array, is in
`fastnn.model_files.model`. Nothing in a file is run, and nothing that it names is opened.
"""

from __future__ import annotations

from fastnn.model_files.files import content_of, read_model, require_finite, write_model
from fastnn.model_files.json_form import book_arrays, book_object
from fastnn.model_files.model import Model

__all__ = [
    "Model",
    "book_arrays",
    "book_object",
    "content_of",
    "read_model",
    "require_finite",
    "write_model",
]
