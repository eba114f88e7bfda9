import { connect } from "node:net";

const REQUEST = "GET / HTTP/1.0\r\n\r\n";

/** Milliseconds from the connect to the first byte of a good answer. Settles when the connection is closed again. */
export function firstByte(port: number, host = "127.0.0.1"): Promise<number> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    let took: number | null = null;
    const socket = connect({ port, host, noDelay: true });
    socket.write(REQUEST);
    socket.on("data", (chunk) => {
      if (took !== null) return;
      took = performance.now() - start;
      const answer = chunk.toString("latin1");
      if (!/^HTTP\/1\.[01] 200/.test(answer)) socket.destroy(new Error(`the answer was ${answer}`));
    });
    socket.on("error", reject);
    socket.on("close", () => {
      if (took === null) reject(new Error(`port ${port} closed the connection without an answer`));
      else resolve(took);
    });
  });
}
