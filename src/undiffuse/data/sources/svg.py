"""SVG to PNG in a child process: a hostile drawing can crash a renderer, or keep it busy for ever.

The child has a time and a memory limit, and reads no files: references that leave the drawing are
removed before it is rendered. This file is also the child's program, so it imports no other module
of the package.
"""

import atexit
import contextlib
import os
import re
import struct
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from typing import IO

MAX_BYTES = 16 << 20  # of a drawing, and of the PNG made of it
MAX_SIDE = 4096  # pixels
MAX_DEPTH, MAX_ELEMENTS = 100, 100_000
SECONDS = 10  # for a drawing
MEMORY = 2 << 30  # bytes of the child
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_RASTER = re.compile(r"data:image/(?:png|jpe?g|gif|webp);base64,[A-Za-z0-9+/=\s]*")
_HEAD = struct.Struct(">II")


class Renderer:
    """A child process that renders one SVG after another; started when needed, and again if lost.

    A copy in a forked or another process starts its own child.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def __call__(self, svg: bytes, side: int) -> bytes:
        """A PNG whose longer side has `side` pixels.

        ValueError with the reason when the drawing can't be rendered.
        """
        if len(svg) > MAX_BYTES or side > MAX_SIDE:
            raise ValueError(f"an SVG of {len(svg)} bytes for {side} pixels is too large")
        with self._lock:
            try:
                answer = self._ask(svg, side)
            except (OSError, EOFError):
                self._stop()
                raise ValueError("the SVG takes too long or too much memory to render") from None
        if answer.startswith(b"\x89PNG"):
            return answer
        raise ValueError(f"the SVG can't be rendered: {answer.decode(errors='replace')}")

    def _ask(self, svg: bytes, side: int) -> bytes:
        if self._child is None or self._owner != os.getpid():
            # -P: nothing is imported from the current folder, which may be the data set's.
            command = [sys.executable, "-P", __file__]
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            self._owner = os.getpid()
        requests, answers = self._child.stdin, self._child.stdout
        if requests is None or answers is None:
            raise EOFError
        requests.write(_HEAD.pack(len(svg), side) + svg)
        requests.flush()
        return _read(answers, _HEAD.unpack(_read(answers, _HEAD.size))[0])

    def close(self) -> None:
        """End the child, if there is one in this process."""
        if self._owner == os.getpid():
            self._stop()

    def _stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            with contextlib.suppress(OSError):
                self._child.communicate()
        self._child = None


def _read(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data


render = Renderer()
atexit.register(render.close)


def sanitize(svg: bytes) -> str:
    """The drawing without a document type, comments and references to anything outside it.

    ValueError for what is no SVG, and for one that is nested or long beyond reason.
    """
    parser = ET.XMLParser(target=_Bounded())
    try:
        parser.feed(svg)
        root = parser.close()
    except ET.ParseError as error:
        raise ValueError(f"no XML: {error}") from None
    if root.tag.rpartition("}")[2] != "svg":
        raise ValueError("its outer element is not <svg>")
    for element in root.iter():
        if isinstance(element.tag, str) and "}" not in element.tag:
            element.tag = f"{{{_SVG}}}{element.tag}"  # copied out of a web page
        for name in [name for name in element.attrib if name.rpartition("}")[2] == "href"]:
            if not _is_inside(element.attrib[name]):
                del element.attrib[name]
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    return ET.tostring(root, "unicode")


class _Bounded(ET.TreeBuilder):
    depth = count = 0

    def start(self, tag: str, attrs: dict[str, str]) -> ET.Element:
        self.depth, self.count = self.depth + 1, self.count + 1
        if self.depth > MAX_DEPTH or self.count > MAX_ELEMENTS:
            raise ValueError(f"more than {MAX_DEPTH} levels or {MAX_ELEMENTS} elements")
        return super().start(tag, attrs)

    def end(self, tag: str) -> ET.Element:
        self.depth -= 1
        return super().end(tag)


def _is_inside(reference: str) -> bool:
    """Whether it is an element of the drawing, or an embedded picture."""
    return reference.startswith("#") or bool(_RASTER.fullmatch(reference))


def _draw(svg: bytes, side: int) -> bytes:
    """The PNG, or the reason why there is none."""
    try:
        import resvg_py
    except ImportError:
        raise ValueError("SVG needs resvg-py: pip install 'undiffuse[train]'") from None
    drawn = resvg_py.svg_to_bytes(svg_string=sanitize(svg), width=side, height=side)
    return bytes(drawn)


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """The child: answers until its input ends. A drawing beyond the limits ends the process."""
    import faulthandler

    with contextlib.suppress(ImportError, ValueError):  # Windows has no such limits
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    quiet = open(os.devnull, "w")  # noqa: SIM115
    while len(head := requests.read(_HEAD.size)) == _HEAD.size:
        size, side = _HEAD.unpack(head)
        svg = requests.read(size)
        faulthandler.dump_traceback_later(SECONDS, exit=True, file=quiet)
        try:
            answer = _draw(svg, side)[:MAX_BYTES]
        except Exception as error:  # the renderer's errors have no common base
            answer = str(error).encode(errors="replace")[:1000]
        faulthandler.cancel_dump_traceback_later()
        answers.write(_HEAD.pack(len(answer), 0) + answer)
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
