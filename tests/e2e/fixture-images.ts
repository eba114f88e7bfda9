import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { AegisClient } from "../../packages/sdk/src/client.ts";
import { makeBusyboxRootfs } from "./busybox-image.ts";
import { copyProgram } from "./program-with-libraries.ts";
import { type TestLayer, writeTestImage } from "./test-image.ts";

const run = promisify(execFile);

/** Small images that end-to-end tests boot. */
export const IMAGES = {
  /** busybox and nothing else: no libc */
  busybox: "test/busybox:1",
  /** one static program, /busybox: no shell, no /etc, nothing on PATH */
  bare: "test/bare:1",
  /** the host's own bash, coreutils and grep on its glibc: no iproute2, no init, no package manager */
  glibc: "test/glibc:1",
  /** busybox and the host's own curl */
  curl: "test/curl:1",
  /** the Node that runs the tests, and nothing else */
  node: "test/node:1",
} as const;
export type FixtureImage = keyof typeof IMAGES;

const GLIBC_TOOLS = ["bash", "cat", "env", "grep", "head", "id", "ls", "mkdir", "sleep", "tr", "wc"];

/**
 * `guest-api METHOD PATH [BODY]` prints status line, headers and body. HTTP/1.0, so that streams are not chunked; input
 * stays open until the answer is complete, since a half-closed request would be a request given up.
 */
const GUEST_API = `#!/bin/sh
hold=/tmp/hold.$$
mkfifo $hold
{ printf '%s %s HTTP/1.0\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n%s' "$1" "$2" "\${#3}" "$3"
  read -r _ < $hold
} | { nc 127.0.0.1 7777; echo > $hold; }
rm $hold
`;

/** Answers a WebSocket handshake, greets, waits for one short message and says so. */
const WEBSOCKET = `#!/bin/sh
while IFS= read -r line; do
  line=\${line%?}
  case "$line" in
    [Ss]ec-[Ww]eb[Ss]ocket-[Kk]ey:*) key=\${line#*: } ;;
    "") break ;;
  esac
done
accept=$(printf '%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11' "$key" | sha1sum | cut -c1-40 | xxd -r -p | base64)
printf 'HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: %s\\r\\n\\r\\n' "$accept"
printf '\\201\\005hello'
dd bs=1 count=10 of=/dev/null 2>/dev/null
printf '\\201\\006got it'
printf '\\210\\000'
`;

const layers: Record<FixtureImage, TestLayer> = {
  busybox: {
    async fill(folder) {
      const files = {
        "bin/guest-api": GUEST_API,
        "bin/ws-server": WEBSOCKET,
        "www/index.html": "hello from inside\n",
        "www/cgi-bin/handle": "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nhostname\n",
      };
      makeBusyboxRootfs(folder, { mapped: false, files });
      for (const path of ["bin/guest-api", "bin/ws-server", "www/cgi-bin/handle"])
        await chmod(join(folder, path), 0o755);
    },
  },
  bare: {
    async fill(folder) {
      await copyFile("/bin/busybox", join(folder, "busybox"));
    },
  },
  glibc: { fill: fillGlibc },
  curl: {
    async fill(folder) {
      makeBusyboxRootfs(folder, { mapped: false });
      await copyProgram(folder, "/usr/bin/curl", "bin/curl");
    },
  },
  node: { fill: (folder) => copyProgram(folder, process.execPath, "bin/node") },
};

/** Puts images into a daemon's store through its API. */
export async function importImages(client: AegisClient, names: readonly FixtureImage[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "aegis-layout-"));
  try {
    for (const name of names) {
      const layout = join(folder, name);
      await writeImage(name, layout);
      for await (const step of client.images.pull({ ref: IMAGES[name], layout })) if ("done" in step) break;
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Writes an image as an OCI layout. */
export async function writeImage(name: FixtureImage, layout: string): Promise<void> {
  await writeTestImage(layout, [layers[name]], { Env: ["PATH=/bin:/usr/bin", "FROM_IMAGE=yes"] });
}

async function fillGlibc(folder: string): Promise<void> {
  for (const name of ["bin", "etc", "root", "tmp", "usr"]) await mkdir(join(folder, name), { recursive: true });
  await writeFile(join(folder, "etc/passwd"), "root:x:0:0:root:/root:/bin/bash\n");
  for (const name of GLIBC_TOOLS) {
    const program = (await run("sh", ["-c", `command -v ${name}`])).stdout.trim();
    await copyProgram(folder, program, `bin/${name}`);
  }
}
