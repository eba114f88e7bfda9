const names = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** True for a header that belongs to one connection only (RFC 9110, 7.6.1), which a proxy does not pass on. */
export const isHopByHop = (name: string): boolean => names.has(name.toLowerCase());
