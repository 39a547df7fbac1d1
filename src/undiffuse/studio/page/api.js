// Shows the OpenAPI document of this server as a page.

import { byId, element, fillTexts } from "./dom.js";
import { texts } from "./texts.en.js";

const code = (text) => element("code", {}, text);

function typeText(schema = {}) {
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  const type = [schema.type ?? ""].flat().filter((one) => one !== "null").join(" | ");
  if (schema.items) return `list of ${typeText(schema.items)}`;
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(", ");
  const range = "minimum" in schema ? `, ${schema.minimum} to ${schema.maximum ?? "∞"}` : "";
  return type + range + ("default" in schema ? `, default ${JSON.stringify(schema.default)}` : "");
}

function table(rows) {
  return element("table", {}, element("tbody", {}, ...rows.map((cells) =>
    element("tr", {}, ...cells.map((cell, column) =>
      element(column ? "td" : "th", column ? {} : { scope: "row" }, cell))))));
}

function part(title, rows) {
  return rows.length ? [element("h3", {}, title), table(rows)] : [];
}

function operation(path, method, { summary, parameters = [], requestBody, responses }) {
  const bodies = Object.entries(requestBody?.content ?? {});
  return element("details", {},
    element("summary", {},
      element("span", { className: "method" }, method.toUpperCase()),
      code(path),
      element("span", {}, summary)),
    element("div", {},
      ...part(texts.apiParameters, parameters.map(({ name, schema, description, required }) =>
        [code(name), typeText(schema), description + (required ? ` (${texts.apiRequired})` : "")])),
      ...part(texts.apiBody, bodies.map(([kind, { schema }]) => [code(kind), typeText(schema)])),
      ...part(texts.apiReplies, Object.entries(responses).map(
        ([status, { description, content = {} }]) =>
          [code(status), description, Object.keys(content).join(", ")]))));
}

function schemaDetails(name, { properties = {}, required = [] }) {
  const rows = Object.entries(properties).map(([key, schema]) => {
    const note = required.includes(key) ? ` (${texts.apiRequired})` : "";
    return [code(key), typeText(schema), (schema.description ?? "") + note];
  });
  const body = element("div", {}, table(rows));
  return element("details", {}, element("summary", {}, code(name)), body);
}

async function start() {
  fillTexts();
  byId("base").textContent = `OpenAI(base_url="${location.origin}/v1", api_key="...")`;
  const document_ = await (await fetch("/openapi.json")).json();
  for (const [path, methods] of Object.entries(document_.paths)) {
    for (const [method, about] of Object.entries(methods)) {
      byId("operations").append(operation(path, method, about));
    }
  }
  byId("schemas").append(...Object.entries(document_.components.schemas).map(([name, schema]) =>
    schemaDetails(name, schema)));
}

start();
