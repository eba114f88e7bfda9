import { type FileAnswer, type FileRequest, MOST_BYTES } from "./file-request.ts";

/** OpenClaw's name for where a path leads, by which its file tools wait for each other */
export const FILE_IDENTITY = Symbol.for("openclaw.sandboxFileIdentity");
/** OpenClaw keeps the agent from writing there; where people's files arrive they have to be brought first. */
const OTHER_RULES = ["skills", ".agents", ".openclaw", "media/inbound"];
const STAT = /^(file|directory|other) (\d{1,16}) (-?\d{1,16})$/;

export interface FileCall {
  filePath: string;
  cwd?: string;
  signal?: AbortSignal;
}

interface ReadCall extends FileCall {
  maxBytes?: number;
}

interface MakeCall extends FileCall {
  /** that OpenClaw has looked up before */
  pinnedPath?: string;
}

interface WriteCall extends MakeCall {
  data: Uint8Array | string;
  encoding?: BufferEncoding;
  /** false: the folder has to be there */
  mkdir?: boolean;
}

interface FileStat {
  type: "file" | "directory" | "other";
  size: number;
  mtimeMs: number;
}

/** How OpenClaw's file tools get at a sandbox; it has more than is named here. */
export interface FilesBridge {
  /** @throws Error for a path that is in no folder of the sandbox */
  resolvePath: (call: FileCall) => { containerPath: string };
  /** folders of the sandbox that are one of the bot's for the agent */
  readonly pathMappings: { containerRoot: string }[];
  readFile: (call: ReadCall) => Promise<Buffer>;
  readDirectory: (call: FileCall) => Promise<{ name: string; isDirectory: boolean }[]>;
  writeFile: (call: WriteCall) => Promise<void>;
  mkdirp: (call: MakeCall) => Promise<void>;
  stat: (call: FileCall) => Promise<FileStat | null>;
  [FILE_IDENTITY]: (call: FileCall) => Promise<string>;
}

/** Asks the sandbox. @returns null when there is none yet. @throws Error when it does not answer */
type Ask = (request: FileRequest, signal?: AbortSignal) => Promise<FileAnswer | null>;

/** null: this is no answer that OpenClaw could use */
type Taken<T> = { value: T } | null;

/**
 * OpenClaw looks at a path, reads and writes with one to four commands each. Here it is one question to a process that is
 * there already. Whatever is not plain goes OpenClaw's own way, which decides, and says what is wrong: a path that leads out
 * or has other rules, anything else that the process declines, and a process that does not answer. To write the same once more does no harm.
 * @param own OpenClaw's
 * @param root the workspace, in the sandbox
 */
export function quickFiles(own: FilesBridge, root: string, ask: Ask): FilesBridge {
  const quickly = async <C extends FileCall, T>(
    call: C,
    request: Pick<FileRequest, "what" | "content">,
    take: (answer: FileAnswer) => Taken<T>,
    otherwise: (call: C) => Promise<T>,
  ): Promise<T> => {
    const plain = plainPath(own, root, call);
    if (plain === null) return await otherwise(call);
    const answer = await ask({ ...request, ...plain }, call.signal).catch(() => null);
    call.signal?.throwIfAborted();
    const taken = answer === null || answer.how === "declined" ? null : take(answer);
    return taken === null ? await otherwise(call) : taken.value;
  };
  const files: Omit<FilesBridge, "resolvePath" | "pathMappings"> = {
    [FILE_IDENTITY]: (call) => quickly(call, { what: "identify" }, takeText, (same) => own[FILE_IDENTITY](same)),
    stat: (call) => quickly(call, { what: "stat" }, takeStat, (same) => own.stat(same)),
    readDirectory: (call) => quickly(call, { what: "list" }, takeNames, (same) => own.readDirectory(same)),
    readFile: (call) =>
      call.maxBytes === undefined
        ? quickly(call, { what: "read" }, takeBytes, (same) => own.readFile(same))
        : own.readFile(call),
    mkdirp: (call) =>
      call.pinnedPath === undefined
        ? quickly(call, { what: "mkdir" }, takeNothing, (same) => own.mkdirp(same))
        : own.mkdirp(call),
    writeFile: (call) => {
      const content = typeof call.data === "string" ? Buffer.from(call.data, call.encoding) : call.data;
      if (call.pinnedPath !== undefined || content.length > MOST_BYTES) return own.writeFile(call);
      const what = call.mkdir === false ? "write here" : "write";
      return quickly(call, { what, content }, takeNothing, (same) => own.writeFile(same));
    },
  };
  return Object.assign(Object.create(own) as FilesBridge, files);
}

/** @returns null where OpenClaw's own way is the only one */
function plainPath(own: FilesBridge, root: string, call: FileCall): Pick<FileRequest, "path" | "others"> | null {
  let path: string;
  try {
    path = own.resolvePath(call).containerPath;
  } catch {
    // it says so again, in the words of what was to be done
    return null;
  }
  if (path.includes("\0") || !`${path}/`.startsWith(`${root}/`)) return null;
  const mounts = own.pathMappings.map(({ containerRoot }) => containerRoot).filter((folder) => folder !== root);
  return { path, others: [...OTHER_RULES.map((name) => `${root}/${name}`), ...mounts] };
}

const takeBytes = ({ how, content }: FileAnswer): Taken<Buffer> => (how === "ok" ? { value: content } : null);

const takeText = ({ how, content }: FileAnswer): Taken<string> => (how === "ok" ? { value: content.toString() } : null);

const takeNothing = ({ how }: FileAnswer): Taken<void> => (how === "ok" ? { value: undefined } : null);

function takeStat({ how, content }: FileAnswer): Taken<FileStat | null> {
  if (how === "absent") return { value: null };
  const [, type, size, mtimeMs] = STAT.exec(content.toString()) ?? [];
  if (type === undefined) return null;
  return { value: { type: type as FileStat["type"], size: Number(size), mtimeMs: Number(mtimeMs) } };
}

/** `d` or `f`, a name and a NUL each */
function takeNames({ how, content }: FileAnswer): Taken<{ name: string; isDirectory: boolean }[]> {
  if (how !== "ok") return null;
  const names = content.toString().split("\0").slice(0, -1);
  return { value: names.map((entry) => ({ name: entry.slice(1), isDirectory: entry.startsWith("d") })) };
}
