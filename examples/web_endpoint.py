"""A web endpoint that streams the steps of a drawing as server-sent events.

python examples/web_endpoint.py 8000
curl -N "http://127.0.0.1:8000/?prompt=a+red+apple"
"""

import base64
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import undiffuse
from undiffuse.imaging.png import encode_png

MODEL = undiffuse.load()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        prompt = parse_qs(urlsplit(self.path).query).get("prompt", [""])[0]
        try:
            previews = MODEL.steps(prompt, sampler="blend")
            first = next(previews)
        except undiffuse.UserError as error:
            self.send_error(400, explain=str(error))
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for preview in (first, *previews):
            image = base64.b64encode(encode_png(preview.x0()[0])).decode()
            event = {"alpha": preview.step.alpha, "x0": f"data:image/png;base64,{image}"}
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
