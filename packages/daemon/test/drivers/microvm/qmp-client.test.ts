import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { QmpClient } from "../../../src/drivers/microvm/qmp-client.ts";
import { temporaryFolder } from "../../temporary-folder.ts";

async function listen(onData: (write: (text: string) => void, data: string) => void): Promise<string> {
  const path = join(temporaryFolder(), "monitor.sock");
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (data) => onData((text) => socket.write(text), data.toString()));
  });
  server.listen(path);
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return path;
}

test("a monitor that takes a connection and says nothing is given up", async () => {
  const path = await listen(() => undefined);
  await expect(QmpClient.connect(path, 20)).rejects.toMatchObject({ code: "driver_failed" });
});

test("what QEMU refuses is told with its words", async () => {
  const path = await listen((write, data) => {
    const { id, execute } = JSON.parse(data) as { id: number; execute: string };
    const answer =
      execute === "qmp_capabilities" ? { return: {} } : { error: { class: "GenericError", desc: "not so" } };
    write(`${JSON.stringify({ ...answer, id })}\n`);
  });
  const monitor = await QmpClient.connect(path);
  await expect(monitor.execute("cont")).rejects.toThrow("refused cont: not so");
  monitor.close();
});
