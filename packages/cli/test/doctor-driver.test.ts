import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DaemonStatus } from "@aegis/protocol/status";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkDriver, type VmPlaces } from "../src/doctor/driver.ts";
import type { Finding } from "../src/doctor/finding.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "aegis-doctor-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

/** A machine that has all of it, and whose KVM was tried. */
function places(failure: string | null = null): VmPlaces {
  mkdirSync(join(folder, "vm"));
  file("vm/harness.erofs", "");
  return {
    kvm: file("kvm", ""),
    cpuinfo: file("cpuinfo", "flags\t\t: fpu vme vmx sse\n"),
    bootId: file("boot_id", "boot-1\n"),
    verdict: file("kvm.json", JSON.stringify({ boot: "boot-1", platform: "x", failure })),
    virtiofsd: file("virtiofsd", ""),
    vmDir: join(folder, "vm"),
    qemu: "true",
  };
}

const statusOf = (backend: DaemonStatus["backend"], reason: string): DaemonStatus =>
  ({ backend, backend_reason: reason }) as DaemonStatus;

const none = (): string => join(folder, "none");

async function look(at: Partial<VmPlaces>, status: DaemonStatus | null = null, env = {}) {
  const findings = await checkDriver(status, env, at);
  for (const { verdict, fix } of findings) expect(fix === null).toBe(verdict === "good");
  return new Map(findings.map((finding): [string, Finding] => [finding.name, finding]));
}

describe("the driver that doctor tells of", () => {
  it("is virtual machines where a kernel boots with KVM and all else is here", async () => {
    const found = await look(places());
    expect(found.get("driver")).toMatchObject({ verdict: "good", found: "microvm: a kernel boots with it" });
    expect([...found.values()].every(({ verdict }) => verdict === "good")).toBe(true);
  });

  it("is left open where KVM was not tried in this boot of the machine", async () => {
    const at = { ...places(), bootId: file("boot_id", "boot-2\n") };
    expect((await look(at)).get("driver")?.found).toContain("microvm, if a kernel boots");
  });

  it("is containers without KVM, with the reason and what would be better", async () => {
    const found = await look({ ...places(), kvm: none(), qemu: none() });
    expect(found.get("driver")).toMatchObject({ verdict: "weak", fix: expect.stringContaining("virtualization") });
    expect(found.get("driver")?.found).toMatch(/^container: this machine has no /);
    expect(found.get("QEMU")).toMatchObject({ verdict: "good", found: expect.stringContaining("not needed") });
  });

  it.each([
    ["a processor without virtualization", { cpuinfo: "flags\t\t: fpu vme sse\n" }, "no hardware virtualization"],
    ["a KVM that boots nothing", { failure: "nothing came up within 15 s" }, "nothing came up within 15 s"],
  ])("is containers with %s", async (_what, { cpuinfo, failure }: { cpuinfo?: string; failure?: string }, words) => {
    const at = places(failure ?? null);
    const found = await look(cpuinfo === undefined ? at : { ...at, cpuinfo: file("cpuinfo", cpuinfo) });
    expect(found.get("driver")).toMatchObject({ verdict: "weak", found: expect.stringContaining(words) });
  });

  it.each([
    ["QEMU", "qemu", "no virtual machines"],
    ["virtiofsd", "virtiofsd", "no workspaces"],
    ["VM kernel", "vmDir", "no virtual machines"],
  ])("says what is lost without %s where KVM works", async (name, part, loses) => {
    const found = await look({ ...places(), [part]: none() });
    expect(found.get(name)).toMatchObject({ verdict: "weak", found: expect.stringContaining(loses) });
    expect(found.get("driver")?.found).toMatch(/^container: /);
  });

  it("is what the daemon says while one runs", async () => {
    const found = await look(places(), statusOf("container", "its instances still run"));
    expect(found.get("driver")).toMatchObject({ verdict: "good", found: "container: its instances still run" });
  });

  it("is what was asked for, and says that it is slow without KVM", async () => {
    const found = await look({ ...places(), kvm: none() }, null, { AEGIS_DRIVER: "microvm" });
    expect(found.get("driver")).toMatchObject({ verdict: "good", found: "microvm: AEGIS_DRIVER asks for it" });
    expect(found.get("KVM")).toMatchObject({ verdict: "weak", fix: expect.stringContaining("slower") });
  });
});
