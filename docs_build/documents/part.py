"""Base of the documents' classes."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Base of documents and of their parts: exactly these fields, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)
