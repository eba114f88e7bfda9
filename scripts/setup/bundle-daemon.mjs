// Run by Bun: bundles programs. Arguments: for each its entry, and the file that it becomes.
import http from "node:http";

/**
 * As an ES module, `node:http` is made with all of its exports, and with them a WebSocket client that nobody uses and
 * that takes 13 MB. Taken as it is, only what is used is loaded.
 */
const plainHttp = {
  name: "plain-http",
  setup(build) {
    const lazy = (name) => Object.getOwnPropertyDescriptor(http, name)?.get !== undefined;
    const names = Object.keys(http).filter((name) => !lazy(name));
    build.onResolve({ filter: /^node:http$/ }, ({ kind }) =>
      kind === "import-statement" ? { path: "http", namespace: "plain-http" } : undefined,
    );
    build.onLoad({ filter: /.*/, namespace: "plain-http" }, () => ({
      loader: "js",
      contents: `const http = process.getBuiltinModule("node:http");
export default http;
export const { ${names.join(", ")} } = http;`,
    }));
  },
};

async function bundle(entry, outfile) {
  const built = await Bun.build({
    entrypoints: [entry],
    target: "node",
    format: "esm",
    minify: { syntax: true, whitespace: true },
    // never reached: the daemon brings its own in their place (packages/daemon/src/http/check-input.ts)
    external: ["@fastify/ajv-compiler", "@fastify/fast-json-stringify-compiler"],
    plugins: [plainHttp],
  });
  const [file] = built.outputs;
  if (!built.success || file === undefined) throw new AggregateError(built.logs, "the bundle failed");
  const text = await file.text();
  // one character beyond Latin 1 would have the engine keep two bytes for every one of the two million
  await Bun.write(
    outfile,
    text.replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`),
  );
}

const words = process.argv.slice(2);
for (let at = 0; at < words.length; at += 2) await bundle(words[at], words[at + 1]);
