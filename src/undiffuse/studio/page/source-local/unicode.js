// Python's classes of characters. \w of Python is a letter, a number or "_" of any script; marks
// are none of them.

export const LETTER = "\\p{L}\\p{Nl}\\p{No}"; // [^\W\d_]
export const WORD = "\\p{L}\\p{N}_"; // \w
export const SPACE =
  "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"; // \s

const SPACES = new RegExp(`[${SPACE}]+`, "u");

// The words between white space, as str.split() gives them.
export const splitSpaces = (text) => text.split(SPACES).filter((word) => word !== "");
