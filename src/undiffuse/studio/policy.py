"""The Content Security Policy of the page: everything comes from the page's own address."""

from collections.abc import Mapping

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "form-action": "'none'",
    "base-uri": "'none'",
}


def content_policy(more: Mapping[str, str]) -> str:
    """The policy's text, with directives that are added or replaced."""
    return "; ".join(f"{name} {value}" for name, value in {**_POLICY, **more}.items())
