// The error of every source of drawings.

export class SourceError extends Error {
  // kind: "lost" (no connection), "token", "busy" (with `seconds`), or "refused"
  constructor(kind, message = "", seconds = 0) {
    super(message);
    this.kind = kind;
    this.seconds = seconds;
  }
}
