import { describe, expect, it } from "vitest";
import { CommandFailed, runCommand } from "../../src/image/run-command.ts";

describe("runCommand", () => {
  it("gives the output and each line of the errors", async () => {
    const lines: string[] = [];
    const output = await runCommand(["sh", "-c", "echo out; echo one >&2; echo two >&2"], {
      onLine: (line) => lines.push(line),
    });
    expect({ output, lines }).toEqual({ output: "out\n", lines: ["one", "two"] });
  });

  it("fails with what the tool said", async () => {
    const failing = runCommand(["sh", "-c", "echo no space >&2; exit 3"]);
    await expect(failing).rejects.toBeInstanceOf(CommandFailed);
    await expect(failing).rejects.toThrow("sh ended with code 3: no space");
  });

  it("names a tool that is not installed", async () => {
    await expect(runCommand(["aegis-no-such-tool"])).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringContaining("aegis-no-such-tool is not installed"),
    });
  });

  it("ends the tool when the signal fires", async () => {
    const stop = new AbortController();
    const running = runCommand(["sh", "-c", "echo ready >&2; exec sleep 60"], {
      signal: stop.signal,
      onLine: () => stop.abort(new Error("enough")),
    });
    await expect(running).rejects.toThrow("enough");
  });
});
