import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { DaemonStatus } from "@aegis/protocol/status";
import type { Env } from "@aegis/sdk/aegis-home";
import { good, weak, type Finding } from "./finding.ts";
import { versionOf } from "./program-version.ts";

/** Where this machine says what it has for virtual machines. */
export interface VmPlaces {
  kvm: string;
  cpuinfo: string;
  /** what the daemon learned by booting a kernel with KVM */
  verdict: string;
  bootId: string;
  virtiofsd: string;
  /** what virtual machines boot from */
  vmDir: string;
  qemu: string;
}

const PLACES: VmPlaces = {
  kvm: "/dev/kvm",
  cpuinfo: "/proc/cpuinfo",
  verdict: "/run/aegis/kvm.json",
  bootId: "/proc/sys/kernel/random/boot_id",
  virtiofsd: "/usr/lib/qemu/virtiofsd",
  vmDir: fileURLToPath(new URL("../../../../dist/vm", import.meta.url)),
  qemu: "qemu-system-x86_64",
};
const SETUP = "AEGIS_DRIVER=microvm npm start installs and builds it";
const BETTER =
  "instances share this machine's kernel; for one of their own: switch virtualization on in the firmware, or take a machine (or a cloud instance with nested virtualization) that has KVM";

interface Kvm {
  /** null: it may work, and was not tried yet */
  works: boolean | null;
  found: string;
}

/** Which driver instances get, why, and what virtual machines would need. */
export async function checkDriver(
  status: DaemonStatus | null,
  env: Env,
  places: Partial<VmPlaces> = {},
): Promise<Finding[]> {
  const at = { ...PLACES, ...places };
  const kvm = lookForKvm(at);
  const isAsked = env["AEGIS_DRIVER"] === "microvm" || status?.backend === "microvm";
  const isWanted = isAsked || kvm.works !== false;
  const parts = await checkParts(at, isWanted);
  const complete = parts.every(({ verdict }) => verdict === "good");
  const driver = status === null ? expected(env, kvm, complete) : running(status, kvm);
  const help =
    isAsked && kvm.works === false
      ? weak("KVM", kvm.found, "virtual machines are many times slower without")
      : good("KVM", kvm.found);
  return [driver, help, ...parts];
}

function running({ backend, backend_reason }: DaemonStatus, kvm: Kvm): Finding {
  const found = `${backend}: ${backend_reason}`;
  return backend === "container" && kvm.works === false ? weak("driver", found, BETTER) : good("driver", found);
}

/** As the daemon will choose, for all that can be told without booting a kernel. */
function expected(env: Env, kvm: Kvm, complete: boolean): Finding {
  const asked = env["AEGIS_DRIVER"] ?? "auto";
  if (asked !== "auto") return good("driver", `${asked}: AEGIS_DRIVER asks for it`);
  if (kvm.works === false) return weak("driver", `container: ${kvm.found}`, BETTER);
  if (!complete)
    return weak("driver", "container: KVM may work, but not all that virtual machines need is here", SETUP);
  return good(
    "driver",
    kvm.works === true ? `microvm: ${kvm.found}` : "microvm, if a kernel boots with KVM: aegis up tries it",
  );
}

function lookForKvm({ kvm, cpuinfo, verdict, bootId }: VmPlaces): Kvm {
  if (!existsSync(kvm)) return { works: false, found: `this machine has no ${kvm}` };
  if (!/^flags\s*:.*\b(vmx|svm)\b/m.test(readFileSync(cpuinfo, "utf8")))
    return { works: false, found: `${kvm} is there, but the processor shows no hardware virtualization` };
  const failure = readFailure(verdict, bootId);
  if (failure === undefined)
    return { works: null, found: `${kvm} is there; whether a kernel boots with it was not tried yet` };
  if (failure === null) return { works: true, found: "a kernel boots with it" };
  return { works: false, found: `${kvm} is there, but no kernel boots with it (${failure})` };
}

/** @returns undefined where nothing is known of this boot of the machine */
function readFailure(verdict: string, bootId: string): string | null | undefined {
  if (!existsSync(verdict)) return undefined;
  const known = JSON.parse(readFileSync(verdict, "utf8")) as { boot: string; failure: string | null };
  return known.boot === readFileSync(bootId, "utf8").trim() ? known.failure : undefined;
}

async function checkParts({ qemu, virtiofsd, vmDir }: VmPlaces, isWanted: boolean): Promise<Finding[]> {
  const version = await versionOf(qemu, ["--version"]);
  const part = (name: string, found: string | null, loses: string, fix: string): Finding => {
    if (found !== null) return good(name, found);
    return isWanted ? weak(name, loses, fix) : good(name, "not here, and not needed: instances are containers");
  };
  const hasKernel = existsSync(`${vmDir}/harness.erofs`);
  return [
    part("QEMU", version, "not found: no virtual machines", SETUP),
    part(
      "virtiofsd",
      existsSync(virtiofsd) ? virtiofsd : null,
      "not found: virtual machines get no workspaces",
      "apt install qemu-system-common",
    ),
    part("VM kernel", hasKernel ? vmDir : null, "not built yet: no virtual machines", SETUP),
  ];
}
