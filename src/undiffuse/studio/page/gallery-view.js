// Gallery: pictures that were kept, found by words, drawn again, taken along.

import { announce, byId, copyButton, element, showError } from "./dom.js";
import { setDownloads } from "./draw-view.js";
import { INITIAL } from "./settings.js";
import { texts } from "./texts.en.js";

const PAGE = 48;

export class GalleryView {
  // onOpen(settings) shows settings in Draw; onError(error) as DrawView's.
  constructor(source, { onOpen, onError }) {
    Object.assign(this, { source, onOpen, onError });
    this.dialog = byId("detail");
    byId("search-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.load();
    });
    byId("search").addEventListener("search", () => this.load()); // the field was emptied
    byId("more").addEventListener("click", () => this.load(this.last));
    byId("detail-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => this.replaying?.abort());
    byId("detail-open").addEventListener("click", () => {
      this.dialog.close();
      this.onOpen({ ...INITIAL, ...this.picture.settings });
    });
    byId("detail-replay").addEventListener("click", () => this.replay());
    byId("detail-delete").addEventListener("click", () => this.remove());
    copyButton(byId("detail-command"), () => this.picture.command);
    copyButton(byId("detail-python"), () => this.picture.python);
  }

  // The first pictures, or more of them, which come after `before`. A newer call ends an older one.
  async load(before = "") {
    const search = byId("search").value.trim();
    const [list, call] = [byId("cards"), {}];
    this.loading = call;
    list.setAttribute("aria-busy", "true");
    await this.attempt(async () => {
      const pictures = await this.source.gallery({ search, before, count: PAGE });
      if (call !== this.loading) return;
      const cards = pictures.map((picture) => this.card(picture));
      if (before) list.append(...cards);
      else list.replaceChildren(...cards);
      this.last = pictures.at(-1)?.name;
      byId("more").hidden = search !== "" || pictures.length < PAGE;
      byId("empty").hidden = list.children.length > 0;
      byId("empty").textContent = texts.emptyGallery;
    });
    if (call === this.loading) list.setAttribute("aria-busy", "false");
  }

  card({ name, url, prompt }) {
    const button = element("button", { type: "button" },
      element("img", { src: url, alt: texts.altPicture(prompt), loading: "lazy" }),
      element("span", { "aria-hidden": "true" }, prompt));
    button.addEventListener("click", () => this.show(name, url));
    return element("li", { id: `card-${name}` }, button);
  }

  async show(name, url) {
    await this.attempt(async () => {
      this.picture = await this.source.picture(name);
      const { prompt } = this.picture.record;
      byId("detail-title").textContent = prompt || texts.altPicture("");
      byId("detail-picture").src = url;
      byId("detail-picture").alt = texts.altPicture(prompt);
      byId("detail-settings").replaceChildren(...Object.entries(texts.settingNames)
        .map(([key, label]) => [label, String(this.picture.record[key] ?? "")])
        .filter(([, value]) => value !== "")
        .map(([label, value]) => element("div", {},
          element("dt", {}, label), element("dd", {}, value))));
      byId("detail-status").textContent = "";
      byId("detail-delete").textContent = texts.remove;
      setDownloads(this.source, "detail-", name, prompt);
      this.dialog.showModal();
    });
  }

  // Draw the picture again in its place, and say whether it is the same.
  async replay() {
    this.replaying?.abort();
    const { signal } = (this.replaying = new AbortController());
    const [image, status] = [byId("detail-picture"), byId("detail-status")];
    const kept = image.src;
    try {
      for await (const event of this.source.replay(this.picture.name, { signal })) {
        if (event.type === "step") {
          image.src = event.x_t;
          status.textContent = texts.replaying(event.step, event.of);
        } else if (event.type === "picture") {
          image.src = event.png;
          status.textContent = event.same ? texts.same : texts.different(event.changes);
        }
      }
    } catch (error) {
      image.src = kept;
      if (error.name === "AbortError") return;
      if (!this.onError(error)) status.textContent = texts.failed(error.message || error.kind);
    }
  }

  // Asks once more: the file is gone for good.
  async remove() {
    const button = byId("detail-delete");
    if (button.textContent !== texts.removeSure) {
      button.textContent = texts.removeSure;
      return;
    }
    const { name } = this.picture;
    await this.attempt(async () => {
      await this.source.remove(name);
      byId(`card-${name}`)?.remove();
      this.dialog.close();
      announce(texts.removed);
      byId("search").focus();
    });
  }

  async attempt(work) {
    try {
      showError(null);
      await work();
    } catch (error) {
      if (this.onError(error)) return;
      showError(error.kind === "lost" ? texts.lost : error.message);
    }
  }
}
