/** Reads a body of one JSON value a line as it arrives. @throws SyntaxError on a line that is not JSON */
export async function* readNdjson<T>(body: ReadableStream<Uint8Array>): AsyncGenerator<T> {
  let pending = "";
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    const lines = (pending + chunk).split("\n");
    pending = lines.pop() ?? "";
    for (const line of lines) if (line !== "") yield JSON.parse(line) as T;
  }
  if (pending !== "") yield JSON.parse(pending) as T;
}
