// Starts the page with a source: the model's settings, the views, and the token if there is one.

import { byId, fillTexts, showError } from "./dom.js";
import { DrawView } from "./draw-view.js";
import { GalleryView } from "./gallery-view.js";
import { SourceError } from "./source-error.js";
import { texts } from "./texts.en.js";

function showView(name) {
  for (const view of ["draw", "understand", "gallery"]) byId(`view-${view}`).hidden = view !== name;
  for (const button of document.querySelectorAll("nav [data-view]")) {
    if (button.dataset.view === name) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
}

// Resolves when the server has taken a token.
function askForToken(source) {
  const dialog = byId("token-dialog");
  const error = byId("token-error");
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    byId("token-form").onsubmit = async (event) => {
      event.preventDefault();
      try {
        await source.signIn(byId("token").value);
        dialog.close();
        resolve();
      } catch (problem) {
        error.hidden = false;
        error.textContent = problem.kind === "lost" ? texts.lost : texts.tokenWrong;
      }
    };
  });
}

// The link that the server opens holds the token; it does not stay in the address.
async function takeTokenFromLink(source) {
  const parameters = new URLSearchParams(location.hash.slice(1));
  const token = parameters.get("token");
  if (token === null) return;
  parameters.delete("token");
  history.replaceState(null, "", `#${parameters}`);
  await source.signIn(token).catch(() => {});
}

async function loadModel(source) {
  for (;;) {
    try {
      return await source.model();
    } catch (error) {
      if (!(error instanceof SourceError) || error.kind !== "token") throw error;
      await askForToken(source);
    }
  }
}

async function open(source) {
  fillTexts();
  byId("api-link").hidden = !source.features.api;
  byId("gallery-note").hidden = source.features.keeps;
  byId("prompt").focus();
  await takeTokenFromLink(source);
  const onError = (error) => {
    if (error.kind !== "token") return false;
    askForToken(source);
    return true;
  };
  const draw = new DrawView(source, await loadModel(source), onError);
  const onOpen = (settings) => {
    showView("draw");
    draw.open(settings);
  };
  const gallery = new GalleryView(source, { onOpen, onError });
  let tour = null; // loaded when it is first opened
  const openTour = async () => {
    const { TourView } = await import("./tour.js");
    tour ??= new TourView(source, draw.model, (...work) => draw.attempt(...work));
    tour.show(draw.settings.prompt);
  };
  for (const button of document.querySelectorAll("nav [data-view]")) {
    button.addEventListener("click", () => {
      showView(button.dataset.view);
      if (button.dataset.view === "gallery") gallery.load();
      if (button.dataset.view === "understand") openTour();
    });
  }
  document.querySelector("[data-skip]").addEventListener("click", (event) => {
    event.preventDefault(); // the address holds the settings
    showView("draw");
    byId("prompt").focus();
  });
  addEventListener("hashchange", () => draw.openHash());
  document.documentElement.dataset.ready = "";
  draw.openHash();
}

export const start = (source) => open(source).catch((error) => {
  showError(error.kind === "lost" ? texts.lost : error.message);
  throw error;
});
