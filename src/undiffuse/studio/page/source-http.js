// The source of drawings that asks the studio's server.
//
// A source has
//   features                  {api, keeps}: whether it has an API, and keeps pictures for good
//   model()                   -> what it draws: size, styles, samplers, defaults, limits, files
//   draw(settings, {signal})  -> async iterator of events
//                                {type: "queued" | "step" | "picture", ...}
//   uploadUrl, pictureUrl     -> the addresses of an upload and of a picture's file
//
// and throws a SourceError. source-local/source.js computes the same events in the browser.

import { toRequest } from "./settings.js";
import { SourceError } from "./source-error.js";

async function request(path, options = {}) {
  let reply;
  try {
    reply = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new SourceError("lost");
  }
  if (reply.ok) return reply;
  const message = await reply.json().then((body) => body.error.message, () => reply.statusText);
  if (reply.status === 401) throw new SourceError("token", message);
  if (reply.status === 429) {
    throw new SourceError("busy", message, Number(reply.headers.get("retry-after")) || 1);
  }
  throw new SourceError("refused", message);
}

const json = (body) => ({
  method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
});

// The events of a stream of server-sent events. It has to end with "done" or "error".
async function* events(reply) {
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new SourceError("lost");
      const parts = (text + value).split("\n\n");
      text = parts.pop();
      for (const part of parts) {
        const line = part.split("\n").find((one) => one.startsWith("data: "));
        if (!line) continue; // a sign of life
        const event = JSON.parse(line.slice(6));
        if (event.type === "error") throw new SourceError("refused", event.message);
        if (event.type === "done") return;
        yield event;
      }
    }
  } catch (error) {
    if (error instanceof SourceError || error.name === "AbortError") throw error;
    throw new SourceError("lost");
  } finally {
    reader.cancel().catch(() => {});
  }
}

export class HttpSource {
  features = { api: true, keeps: true };

  uploadUrl(name) {
    return `/api/${name}`;
  }

  // kind: "png", "webp", "svg" or "gif".
  pictureUrl(name, kind = "png") {
    return `/api/pictures/${name}.${kind}`;
  }

  async model() {
    return (await request("/api/model")).json();
  }

  async *draw(settings, { signal } = {}) {
    yield* events(await request("/api/draw", { ...json(toRequest(settings)), signal }));
  }

  // Several settings side by side, in step: the events have the number of their run.
  async *compare(runs, { signal } = {}) {
    const body = { runs: runs.map(toRequest) };
    yield* events(await request("/api/compare", { ...json(body), signal }));
  }

  async *noise(settings, { signal } = {}) {
    yield* events(await request("/api/noise", { ...json(toRequest(settings)), signal }));
  }

  async *similarities(words, pictures, { signal } = {}) {
    yield* events(await request("/api/similarities", { ...json({ words, pictures }), signal }));
  }

  async nearest(prompt) {
    return (await request("/api/nearest", json({ prompt }))).json();
  }

  async between(one, other, share) {
    return (await request("/api/between", json({ one, other, share }))).json();
  }

  async map(prompts) {
    return (await request("/api/map", json({ prompts }))).json();
  }

  // Send a picture: {name, url}.
  async upload(file) {
    const headers = { "content-type": file.type || "application/octet-stream" };
    return (await request("/api/upload", { method: "POST", headers, body: file })).json();
  }

  // The PNG file of a kept picture.
  async pictureFile(name) {
    return (await request(this.pictureUrl(name))).blob();
  }

  // What only a server has: pictures that are kept.

  async *replay(name, { signal } = {}) {
    yield* events(await request(`/api/pictures/${name}/replay`, { method: "POST", signal }));
  }

  async gallery({ search = "", before = "", count = 60 } = {}) {
    const query = new URLSearchParams({ count });
    if (search) query.set("search", search);
    if (before) query.set("before", before);
    return (await (await request(`/api/gallery?${query}`)).json()).pictures;
  }

  async picture(name) {
    return (await request(`/api/pictures/${name}`)).json();
  }

  async remove(name) {
    await request(`/api/pictures/${name}`, { method: "DELETE" });
  }

  async signIn(token) {
    await request("/api/session", json({ token }));
  }
}
