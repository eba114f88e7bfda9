import { expect, it } from "vitest";
import { aegisHome, invoker } from "../src/aegis-home.ts";
import { daemonEnv, keptThroughSudo } from "../src/daemon-env.ts";
import { processStart } from "../src/process-identity.ts";

const passwd = () => "root:x:0:0::/root:/bin/sh\nann:x:1042:1043::/home/ann:/bin/sh\n";
const isRoot = process.getuid?.() === 0;

it("takes AEGIS_HOME as it is, made absolute", () => {
  expect(aegisHome({ AEGIS_HOME: "/a/b" })).toBe("/a/b");
  expect(aegisHome({ AEGIS_HOME: "here", HOME: "/x" })).toBe(`${process.cwd()}/here`);
});

it("is in the home of whoever runs it", () => {
  expect(aegisHome({ HOME: "/home/bob" })).toBe("/home/bob/.aegis");
});

it.runIf(isRoot)("is the invoking user's under sudo, whatever HOME says", () => {
  const env = { HOME: "/root", SUDO_UID: "1042", SUDO_GID: "1043" };
  expect(invoker(env, passwd)).toEqual({ uid: 1042, gid: 1043, home: "/home/ann" });
});

it.runIf(!isRoot)("does not believe SUDO_UID of somebody who is not root", () => {
  expect(invoker({ HOME: "/home/bob", SUDO_UID: "1042" }, passwd).home).toBe("/home/bob");
});

it("gives the daemon its settings and no keys", () => {
  const env = { AEGIS_IMAGES: "/i", PATH: "/bin", OPENAI_API_KEY: "k", TELEGRAM_BOT_TOKEN: "t", HTTPS_PROXY: "p" };
  const given = daemonEnv({ home: "/h", env });
  expect(given).toEqual({ AEGIS_IMAGES: "/i", PATH: "/bin", HTTPS_PROXY: "p", HOME: "/root", AEGIS_HOME: "/h" });
  expect(keptThroughSudo({ ...env, AEGIS_HOME: "/h" })).toBe("AEGIS_HOME,AEGIS_IMAGES,HTTPS_PROXY");
});

it("tells a process from none", () => {
  expect(processStart(process.pid)).toMatch(/^\d+$/);
  expect(processStart(2 ** 22 + 1)).toBeNull();
});
