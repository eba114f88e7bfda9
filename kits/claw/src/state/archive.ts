import { AegisError } from "@aegis/protocol/errors";
import type { Bytes, Keeper } from "./keeper.ts";

/** First in every archive; says what made it. */
const LABEL = ".claw-backup.json";

export interface Label {
  kit: "claw";
  openclaw: string;
  /** RFC 3339 */
  made_at: string;
}

/** The state as a compressed archive. Nobody else may write in the workspace meanwhile. */
export async function pack(
  keeper: Keeper,
  openclaw: string,
  onBytes: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const label: Label = { kit: "claw", openclaw, made_at: new Date().toISOString() };
  await keeper.run(["sh", "-c", `cat > /tmp/${LABEL}`], { input: once(JSON.stringify(label)) });
  // what OpenClaw can make again is not worth keeping
  const left = ["./state/cache", "./state/tmp", `./${LABEL}`].map((path) => `--exclude=${path}`);
  await keeper.run(["tar", "-czf", "-", ...left, "-C", "/tmp", LABEL, "-C", "/workspace", "."], { onOutput: onBytes });
}

/**
 * Fills a workspace with what is in an archive, and nothing else.
 * @returns null: no backup of the kit, but files all the same, as of an OpenClaw that ran elsewhere
 * @throws AegisError `invalid_request` when it is no archive, or not whole
 */
export async function unpack(keeper: Keeper, bytes: Bytes): Promise<Label | null> {
  await empty(keeper);
  try {
    await keeper.run(["tar", "-xzf", "-", "--no-same-owner", "-C", "/workspace"], { input: bytes });
  } catch (cause) {
    if (!(cause instanceof AegisError) || cause.code !== "internal") throw cause;
    throw new AegisError("invalid_request", `The file is no backup, or not all of it: ${cause.message}`, { cause });
  }
  const label = await keeper.run(["sh", "-c", `cat /workspace/${LABEL} 2>/dev/null; rm -f /workspace/${LABEL}`]);
  return parsed(label);
}

export async function empty(keeper: Keeper): Promise<void> {
  await keeper.run(["find", "/workspace", "-mindepth", "1", "-delete"]);
}

function parsed(text: string): Label | null {
  if (text.trim() === "") return null;
  try {
    const label = JSON.parse(text) as Partial<Label>;
    if (label.kit === "claw" && typeof label.openclaw === "string")
      return { kit: "claw", openclaw: label.openclaw, made_at: String(label.made_at) };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new AegisError("invalid_request", "The backup does not say which OpenClaw it is of: it is of another program.");
}

async function* once(text: string): Bytes {
  yield Buffer.from(text);
}
