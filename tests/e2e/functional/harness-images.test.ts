import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startAegis, type Aegis } from "../aegis-fixture.ts";
import { type FixtureImage, IMAGES } from "../fixture-images.ts";

/** In each image, the means that it has. */
interface Means {
  image: FixtureImage;
  readOnly: boolean;
  /** runs for ever */
  workload: string[];
  /** prints its arguments */
  echo: string[];
  /** ends with code 7 */
  fail: string[];
}

const MEANS: Means[] = [
  {
    image: "glibc",
    readOnly: false,
    workload: ["sleep", "infinity"],
    echo: ["bash", "-c", 'echo "$@"', "-"],
    fail: ["bash", "-c", "exit 7"],
  },
  {
    image: "glibc",
    readOnly: true,
    workload: ["sleep", "infinity"],
    echo: ["bash", "-c", 'echo "$@"', "-"],
    fail: ["bash", "-c", "exit 7"],
  },
  { image: "busybox", readOnly: false, workload: ["sleep", "infinity"], echo: ["echo"], fail: ["sh", "-c", "exit 7"] },
  {
    image: "bare",
    readOnly: true,
    workload: ["/busybox", "sleep", "infinity"],
    echo: ["/busybox", "echo"],
    fail: ["/busybox", "ash", "-c", "exit 7"],
  },
];

const GET_SELF = String.raw`exec 3<>/dev/tcp/127.0.0.1/7777; printf 'GET /v1/self HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&3; cat <&3`;
const JWT = String.raw`eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.`;
const SEARCH = `for file in /proc/[0-9]*/environ /proc/[0-9]*/cmdline; do tr '\\0' '\\n' < "$file" 2>/dev/null | grep -E '${JWT}' && echo "in $file"; done
  grep -rlE --binary-files=text '${JWT}' /bin /etc /root /run /tmp /dev/shm /lib /usr /workspace 2>/dev/null; true`;

describe.each(MEANS)("the $image image (read-only root: $readOnly)", ({ image, readOnly, workload, echo, fail }) => {
  let aegis: Aegis;
  let box: string;
  beforeAll(async () => {
    aegis = await startAegis({ images: [image] });
    box = (await aegis.boot({ command: workload, read_only_root: readOnly })).id;
  });
  afterAll(() => aegis.stop());

  it("boots, execs, tells exit codes and logs", async () => {
    expect(await aegis.client.instances.get(box)).toMatchObject({ state: "running", failure: null });
    expect(await aegis.exec(box, [...echo, "a b"])).toEqual({ code: 0, stdout: "a b", stderr: "" });
    expect((await aegis.exec(box, fail)).code).toBe(7);
    const { id } = await aegis.boot({ command: [...echo, "printed"], read_only_root: readOnly });
    expect(await aegis.reaches(id, "stopped")).toMatchObject({ exit_code: 0, failure: null });
    expect((await aegis.logs(id))[0]).toMatchObject({ source: "boot", line: "printed" });
  });

  it("says of a command that it has not got that it has not got it", async () => {
    await expect(aegis.exec(box, ["python3"])).rejects.toMatchObject({ code: "command_not_found" });
    const { failure } = await aegis.boot({ command: ["python3"], read_only_root: readOnly });
    expect(failure).toContain('no command "python3"');
  });

  it("gives a terminal", async () => {
    const request = { command: [...echo, "x"], tty: true, size: { cols: 80, rows: 24 } };
    const session = await aegis.client.instances.execInteractive(box, request);
    const output = [];
    for await (const one of session.output())
      output.push(one.kind === "exit" ? one.exit.code : Buffer.from(one.bytes).toString());
    expect(output.at(-1)).toBe(0);
    expect(output.slice(0, -1).join("")).toBe("x\r\n");
  });

  it("pauses, wakes and restarts", async () => {
    await aegis.client.instances.pause(box);
    expect((await aegis.exec(box, [...echo, "awake"])).stdout).toBe("awake");
    await aegis.client.instances.restart(box);
    expect((await aegis.exec(box, [...echo, "again"])).stdout).toBe("again");
  });
});

describe("the glibc image", () => {
  let aegis: Aegis;
  let box: string;
  beforeAll(async () => {
    aegis = await startAegis({ images: ["glibc"] });
    const capabilities = {
      spawn: true,
      spawn_depth: 1,
      max_children: 1,
      allowed_images: ["*"],
      max_memory_mb: 64,
      max_vcpus: 1,
      allowed_network: ["*"],
    };
    box = (await aegis.boot({ command: ["sleep", "infinity"], capabilities })).id;
  });
  afterAll(() => aegis.stop());

  it("has a network though it has no iproute2", async () => {
    const { stdout } = await aegis.exec(box, [
      "bash",
      "-c",
      "ls /sbin/ip /bin/ip /usr/sbin/ip 2>/dev/null; cat /proc/net/route /etc/resolv.conf",
    ]);
    const routes = stdout.split("\n");
    expect(routes.some((line) => /^eth0\s+00000000\s/.test(line))).toBe(true);
    expect(routes.at(-1)).toMatch(/^nameserver \d+\.\d+\.\d+\.\d+$/);
    expect(stdout).not.toContain("/ip\n");
  });

  it("reaches the Guest API by bash alone", async () => {
    const { stdout } = await aegis.exec(box, ["bash", "-c", GET_SELF]);
    expect(stdout).toContain(`"id":"${box}"`);
  });

  it("shows the capability token to nobody", async () => {
    expect((await aegis.exec(box, ["bash", "-c", SEARCH])).stdout).toBe("");
    // the search does find one that is there
    const planted = `eyJhbGciOiJIUzI1NiJ9.${"x".repeat(20)}.${"y".repeat(20)}`;
    const found = await aegis.exec(box, ["bash", "-c", `mkdir -p /tmp; echo $TOKEN > /tmp/token; ${SEARCH}`], {
      env: { TOKEN: planted },
    });
    expect(found.stdout).toMatch(/in \/proc\/\d+\/environ/);
    expect(found.stdout).toContain("/tmp/token");
    await aegis.exec(box, ["bash", "-c", ": > /tmp/token"]);
  });

  it("cannot look into the harness", async () => {
    const harness = await aegis.exec(box, [
      "bash",
      "-c",
      "for p in /proc/[0-9]*; do grep -q aegis-guest $p/cmdline && [ ${p##*/} != 1 ] && [ ${p##*/} != $$ ] && echo ${p##*/}; done",
    ]);
    const pid = harness.stdout.split("\n")[0];
    expect(pid).toMatch(/^\d+$/);
    for (const file of ["mem", "environ", "maps", "auxv", "fd/3", "cwd/", "root/", "stack", "syscall", "map_files/"]) {
      const look = file.endsWith("/") ? "ls" : "head -c 1";
      const { code, stdout, stderr } = await aegis.exec(box, ["bash", "-c", `${look} /proc/${pid}/${file}`]);
      expect([file, code, stdout]).toEqual([file, look === "ls" ? 2 : 1, ""]);
      expect(stderr).toMatch(/denied|not permitted/i);
    }
    const { stdout } = await aegis.exec(box, [
      "bash",
      "-c",
      `kill -0 ${pid}; echo > /proc/${pid}/oom_score_adj 2>&1; echo done`,
    ]);
    expect(stdout).toContain("done");
    expect((await aegis.exec(box, ["bash", "-c", GET_SELF])).stdout).toContain(box);
  });

  it("runs on when a process inside ends what it can", async () => {
    const { id } = await aegis.boot({ command: ["sleep", "infinity"], image_ref: IMAGES.glibc });
    await aegis.exec(id, ["bash", "-c", "kill -9 -1"]).catch(() => undefined);
    await aegis.until(id, ({ state }) => state !== "running");
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: expect.stringMatching(/stopped|failed/) });
    expect(await aegis.client.instances.get(box)).toMatchObject({ state: "running" });
    await aegis.client.instances.start(id);
    expect(await aegis.client.instances.get(id)).toMatchObject({ state: "running" });
  });
});
