// Small helpers around the document.

import { texts } from "./texts.en.js";

export const byId = (id) => document.getElementById(id);

// An element with properties and children. Text is always set as text, never parsed as HTML.
export function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

// Fill in the texts that the HTML names.
export function fillTexts(root = document) {
  const each = (name, set) =>
    root.querySelectorAll(`[data-${name}]`).forEach((node) => set(node, texts[node.dataset[name]]));
  each("text", (node, text) => { node.textContent = text; });
  each("label", (node, text) => node.setAttribute("aria-label", text));
  each("placeholder", (node, text) => { node.placeholder = text; });
}

// What a screen reader says, without moving the focus.
export function announce(text) {
  byId("status").textContent = text;
}

export function showError(text) {
  const line = byId("error");
  line.hidden = !text;
  line.textContent = text ?? "";
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    announce(texts.copied);
    return true;
  } catch {
    showError(texts.notCopied);
    return false;
  }
}

// A button that copies, and says so on itself for a moment.
export function copyButton(button, text) {
  button.addEventListener("click", async () => {
    const label = button.textContent;
    if (label !== texts.copied && (await copy(text()))) {
      button.textContent = texts.copied;
      setTimeout(() => { button.textContent = label; }, 1500);
    }
  });
}

// "a red apple!" -> "a-red-apple", for the names of downloads.
export function slug(text) {
  const plain = text.normalize("NFKD").toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return plain.replace(/^-+|-+$/g, "").slice(0, 48) || "picture";
}
