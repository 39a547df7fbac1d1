// CLIP's matrix: how near each of five words is to each of five pictures.

import { element } from "./dom.js";
import { texts } from "./texts.en.js";

export class MatrixView {
  // run(work) runs async work with an AbortSignal and shows its error.
  constructor(source, words, run) {
    Object.assign(this, { source, run });
    this.words = words;
    this.pictures = words.map(() => null); // uploads; null is drawn from the word of its place
    this.shown = words.map(() => null);
    this.body = element("div", { className: "matrix-scroll", tabIndex: 0, role: "group",
      "aria-label": texts.matrix });
    this.node = element("div", {}, this.body,
      element("p", { className: "help" }, texts.matrixHelp));
    this.show();
  }

  // Draw what is missing and compute the cosines.
  update() {
    return this.run(async (signal) => {
      for await (const event of this.source.similarities(this.words, this.pictures, { signal })) {
        if (event.type === "word_picture") {
          this.pictures[event.index] = event.name;
          this.shown[event.index] = event.png;
        } else if (event.type === "matrix") this.cosines = event.cosines;
        else continue;
        this.show();
      }
    });
  }

  show() {
    const head = element("tr", {}, element("td", {}), ...this.words.map((_, column) =>
      element("th", { scope: "col" }, this.picture(column))));
    const rows = this.words.map((word, row) => element("tr", {},
      element("th", { scope: "row" }, this.field(word, row)),
      ...this.words.map((_, column) => this.cell(row, column))));
    this.body.replaceChildren(element("table", { className: "matrix" },
      element("thead", {}, head), element("tbody", {}, ...rows)));
  }

  cell(row, column) {
    const cosine = this.cosines?.[row]?.[column];
    const cell = element("td", { className: "cosine" }, cosine?.toFixed(2) ?? "");
    if (cosine === undefined) return cell;
    const best = this.words.every((_, one) => this.cosines[one][column] <= cosine);
    cell.classList.toggle("best", best);
    cell.style.setProperty("--heat", `${Math.round(45 * Math.max(0, cosine))}%`);
    return cell;
  }

  field(word, row) {
    const field = element("input", { type: "text", value: word, maxLength: 200,
      "aria-label": texts.matrixWord(row + 1) });
    field.addEventListener("change", () => {
      this.words[row] = field.value.trim() || word;
      this.update();
    });
    return field;
  }

  // A button that takes another picture, by choosing a file or by a drop.
  picture(column) {
    const label = texts.matrixPicture(column + 1);
    const file = element("input", { type: "file", hidden: true,
      accept: "image/png,image/jpeg,image/webp" });
    const button = element("button", { type: "button", className: "frame pixels",
      "aria-label": label }, this.shown[column]
      ? element("img", { src: this.shown[column], alt: "" }) : "");
    const take = (one) => one && this.run(async () => {
      const { name, url } = await this.source.upload(one);
      this.pictures[column] = name;
      this.shown[column] = url;
      this.show();
    }).then(() => this.update());
    button.addEventListener("click", () => file.click());
    file.addEventListener("change", () => take(file.files[0]));
    button.addEventListener("dragover", (event) => event.preventDefault());
    button.addEventListener("drop", (event) => {
      event.preventDefault();
      take(event.dataTransfer.files[0]);
    });
    return element("div", {}, button, file);
  }
}
