// Sums of words and pictures, as the sources read them: "man + 0.8*hat - beard".

export const SIGN = /("[^"]*")|(?:(?<=\s)|^)([+-])(?=\s|$)/g;
export const WEIGHT = /^(?:(\d*\.\d+|\d+\.\d*)\s*\*?\s+(?=\S)|(\d*\.?\d+)\s*\*\s*(?=\S))/;

// [{weight, text}]; a text keeps its quotes. Empty terms are left out.
export function parseSum(prompt) {
  const parts = [];
  let [sign, start] = [1, 0];
  const take = (end) => {
    const raw = prompt.slice(start, end).trim();
    const match = WEIGHT.exec(raw);
    const text = match ? raw.slice(match[0].length) : raw;
    if (text) parts.push({ weight: sign * (match ? Number(match[1] ?? match[2]) : 1), text });
  };
  for (const match of prompt.matchAll(SIGN)) {
    if (!match[2]) continue;
    take(match.index);
    [sign, start] = [match[2] === "-" ? -1 : 1, match.index + 1];
  }
  take(prompt.length);
  return parts;
}

export function formatSum(terms) {
  return terms.map(({ weight, text }, number) => {
    const size = Math.round(Math.abs(weight) * 1000) / 1000;
    const sign = weight < 0 ? "- " : number ? "+ " : "";
    return sign + (size === 1 ? text : `${size}*${text}`);
  }).join(" ");
}

// The sum with the weight of a text changed; 0 takes it out.
export function withWeight(terms, text, weight) {
  const rest = terms.filter((term) => term.text !== text);
  if (!weight) return rest;
  const found = terms.findIndex((term) => term.text === text);
  return found < 0 ? [...rest, { weight, text }] : terms.map((term) =>
    term.text === text ? { weight, text } : term);
}

export const isPicture = (text) => /^uploads\/[0-9a-f]{16}\.png$/.test(text);
