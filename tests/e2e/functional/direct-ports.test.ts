import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import type { CreateInstance } from "@aegis/protocol/instance";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startAegis, type Aegis } from "../aegis-fixture.ts";

/** an HTTP server that says whom it talks to */
const peerServer = (address: string) => ({
  command: [
    "sh",
    "-c",
    `printf '%s' "$CGI" > /www/cgi-bin/peer; chmod +x /www/cgi-bin/peer; exec httpd -f -p ${address}8080 -h /www`,
  ],
  env: { CGI: `#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'; echo $REMOTE_ADDR` },
});
const ECHO = ["nc", "-ll", "-p", "9000", "-e", "/bin/cat"];
const NOBODY = 65534;

describe("ports that are open on all addresses of an instance", () => {
  let aegis: Aegis;
  beforeAll(async () => {
    aegis = await startAegis();
  });
  afterAll(() => aegis.stop());
  afterEach(() => aegis.deleteAll());

  const boot = async (spec: CreateInstance) => {
    const { id, endpoints } = await aegis.boot({ stop_after_paused_s: null, ...spec });
    return { id, port: Number(endpoints[0]?.public_port) };
  };
  const peerOf = async (spec: CreateInstance) => {
    const { id, port } = await boot({ exposes: [8080], ...spec });
    const ask = () => fetch(`http://127.0.0.1:${port}/cgi-bin/peer`);
    // from then on the server listens
    await (await ask()).text();
    await aegis.client.instances.pause(id);
    const answer = await ask();
    return { id, peer: (await answer.text()).replace(/[[\]\s]|::ffff:/g, "") };
  };
  const gatewayOf = async (id: string) =>
    (await aegis.sh(id, "ip route")).match(/default via (\S+)/)?.[1] ?? "no default route";
  const addressOf = async (id: string) =>
    (await aegis.sh(id, "ip -4 addr show eth0")).match(/inet ([\d.]+)/)?.[1] ?? "no address";

  it("are reached over its network link, whatever it may reach itself", async () => {
    const policies = [
      undefined,
      { mode: "none" as const },
      { mode: "allowlist" as const, allow: ["203.0.113.10:443"] },
    ];
    for (const network of policies) {
      const { id, peer } = await peerOf({ ...peerServer(""), ...(network === undefined ? {} : { network }) });
      expect(peer).toBe(await gatewayOf(id));
    }
  });

  it("are not what a server on loopback has, which is reached from there", async () => {
    expect(await peerOf(peerServer("127.0.0.1:"))).toMatchObject({ peer: "127.0.0.1" });
  });

  it("are closed to other users of the host", async () => {
    const { id } = await boot({ command: ECHO });
    const address = await addressOf(id);
    await expect.poll(() => dialAs(0, address, 9000)).toBe("connected\n");
    expect(await dialAs(NOBODY, address, 9000)).toMatch(/No route to host|Permission denied|not permitted|refused/);
  });

  it("give the instance no way to the host", async () => {
    const { id } = await boot({ command: ECHO, exposes: [{ port: 9000, protocol: "tcp" }] });
    const { code, stderr } = await aegis.exec(id, ["nc", "-w", "2", await gatewayOf(id), "22"]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/refused/i);
  });

  it("lose their connections when the machine ends, and what was sent before arrives", async () => {
    const { id, port } = await boot({ command: ECHO, exposes: [{ port: 9000, protocol: "tcp" }] });
    const socket = await dial(port);
    socket.write("last words");
    await once(socket, "data");
    const left = text(socket);
    await aegis.client.instances.stop(id);
    expect(await left).toBe("");
  });

  it("do not keep it awake with connections that carry nothing", async () => {
    const { id, port } = await boot({ command: ECHO, exposes: [{ port: 9000 }], pause_after_idle_s: 6 });
    const socket = await dial(port);
    socket.write("GET / HTTP/1.1\r\n\r\n");
    await once(socket, "data");
    await aegis.reaches(id, "paused");
    expect(socket.destroyed).toBe(false);
    socket.destroy();
  });
});

/** What a user of the host is told who connects there. */
async function dialAs(uid: number, host: string, port: number): Promise<string> {
  const connects = `exec 3<>/dev/tcp/${host}/${port} && echo connected`;
  const child = spawn("setpriv", [`--reuid=${uid}`, "--clear-groups", "bash", "-c", `(${connects}) 2>&1`]);
  return text(child.stdout);
}

async function dial(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  await once(socket, "connect");
  return socket;
}
