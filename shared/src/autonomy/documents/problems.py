"""What every refusal is: a problem by RFC 9457.

Place in the flow: proof-api → **problems** → clients, which decide by `code`.
"""

from typing import Final

from pydantic import Field

from autonomy.documents.rows import Shown

PROBLEM_MEDIA: Final = "application/problem+json"


class FieldFault(Shown):
    """One value that is refused."""

    field: str
    """where it stands"""
    limit: str
    """what is allowed"""


class ProblemDocument(Shown):
    """An answer that is not a success: what is at fault, and which limit it broke."""

    type: str
    """a URN of the code"""
    title: str
    """what happened, for people"""
    status: int
    """the HTTP status"""
    code: str
    """the same for programs"""
    detail: str
    """what is at fault here; may be empty"""
    field: str = ""
    """the value at fault; missing where there is none"""
    limit: str = ""
    """what is allowed; missing where nothing is limited"""
    errors: list[FieldFault] = Field(default_factory=list)
    """all values at fault, where the parameters were looked at together"""
